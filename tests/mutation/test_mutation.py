"""The mutation program tells what the tests notice from what they do not."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 9), reason="ast cannot write source before Python 3.9"
)

PLANTED = '''
"""A room with a limit."""

LONGEST = 5


def fits(text):
    return 0 < len(text) <= LONGEST
'''

# Nothing of five characters is tried, so the limit is not quite known.
TEST = """
from facecert.planted import fits


def test_fits():
    assert fits("a") is True and fits("abcd") and not fits("") and not fits("abcdefg")
"""

LIMIT = "    return 0 < len(text) <= LONGEST\n".lstrip()


@pytest.fixture
def tree(tmp_path):
    for name, text in {
        "facecert/__init__.py": "",
        "facecert/planted.py": PLANTED,
        "tests/test_planted.py": TEST,
        "tests/mutation/equal.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def run(tree, *options):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "mutation" / "run.py"), "--root", str(tree)]
        + ["--only", "planted"] + list(options),
        env=dict(os.environ, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),  # facecert's is not in that tree
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.long
def test_what_is_not_noticed_is_named(tree):
    code, said = run(tree)
    assert code == 1 and said.count("survives") == 3, said
    assert LIMIT + "    LtE -> Lt  survives" in said
    assert "LONGEST = 5\n    5 -> 6  survives" in said and "5 -> 4  survives" in said
    assert said.splitlines()[-1].split() == ["all", "8", "5", "0", "3"]


@pytest.mark.long
def test_what_is_listed_as_equal_is_tried_only_when_asked(tree):
    equal = tree / "tests" / "mutation" / "equal.txt"
    listed = "[planted]\nLONGEST = 5\n    5 -> 6 :: why\n    5 -> 4 :: why\n"
    listed += LIMIT + "    LtE -> Lt :: why\n"
    equal.write_text(listed, "utf-8")
    code, said = run(tree)
    assert code == 0 and said.splitlines()[-1].split() == ["all", "8", "5", "3", "0"], said
    equal.write_text(listed + "    Lt -> GtE :: wrong\nx = 1\n    gone :: why\n", "utf-8")
    code, said = run(tree, "--check-equal")
    assert code == 1 and said.count("is not equal") == 1 and "Lt -> GtE  is not equal" in said
    assert "equal.txt names what is not there: planted :: x = 1 :: gone" in said
