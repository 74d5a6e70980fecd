"""The mutation program reports exactly the changes that no test notices."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.version_info < (3, 9), reason="ast.unparse needs Python 3.9"),
]

PLANTED = '''
"""A module with a limit."""

LONGEST = 5


def fits(text):
    return 0 < len(text) <= LONGEST
'''

# No text of five characters is tested, so changes of the limit survive.
TEST = """
from facecert.inner.planted import fits


def test_fits():
    assert fits("a") is True and fits("abcd") and not fits("") and not fits("abcdefg")
"""

LIMIT = "    return 0 < len(text) <= LONGEST\n".lstrip()


@pytest.fixture
def tree(tmp_path):
    for name, text in {
        "facecert/__init__.py": "",
        "facecert/inner/__init__.py": "",
        "facecert/inner/planted.py": PLANTED,
        "tests/inner/test_planted.py": TEST,
        "tests/mutation/equal.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def run(tree, *options):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "mutation" / "run.py"), "--root", str(tree)]
        + ["--only", "inner/planted"] + list(options),
        env=dict(os.environ, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),  # facecert's plugin is missing
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_change_that_no_test_notices_is_reported(tree):
    code, said = run(tree)
    assert code == 1 and said.count("survives") == 3, said
    assert LIMIT + "    LtE -> Lt  survives" in said
    assert "LONGEST = 5\n    5 -> 6  survives" in said and "5 -> 4  survives" in said
    assert said.splitlines()[-1].split() == ["all", "8", "5", "0", "3"]


def test_equal_changes_are_tried_only_with_check_equal(tree):
    equal = tree / "tests" / "mutation" / "equal.txt"
    listed = "[inner/planted]\nLONGEST = 5\n    5 -> 6 :: why\n    5 -> 4 :: why\n"
    listed += LIMIT + "    LtE -> Lt :: why\n"
    equal.write_text(listed, "utf-8")
    code, said = run(tree)
    assert code == 0 and said.splitlines()[-1].split() == ["all", "8", "5", "3", "0"], said
    equal.write_text(listed + "    Lt -> GtE :: wrong\nx = 1\n    gone :: why\n", "utf-8")
    code, said = run(tree, "--check-equal")
    assert code == 1 and said.count("is not equal") == 1 and "Lt -> GtE  is not equal" in said
    assert "a change that does not exist: inner/planted :: x = 1 :: gone" in said
