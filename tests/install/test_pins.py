"""The programs beside this file run, and the comparison of ``pins.py`` finds what changed.

The environments of ``pins.py`` need the network, so CI runs them as a program.
"""

import os
import subprocess
import sys

import pins
import pytest
from conftest import ROOT


@pytest.mark.parametrize(
    "program",
    ["plain.py", "flask_app.py", pytest.param("django_site.py", marks=pytest.mark.long)],
)
def test_an_app_is_verified(sandbox, program, tmp_path):
    if program == "django_site.py":
        pytest.importorskip("django", reason="Django is an extra")
    if program == "flask_app.py":
        pytest.importorskip("blinker", reason="blinker is an extra")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "install" / program)],
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8", **sandbox.environment),
        cwd=str(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0 and "passed" in output, output


def test_what_changed_is_found():
    before = {"Flask": "0.12.2", "click": "6.7", "Jinja2": "2.9"}
    after = {"Flask": "0.12.2", "click": "7.0", "gmssl": "3.2.2"}
    assert pins.changes(before, after) == {"click": ("6.7", "7.0"), "Jinja2": ("2.9", "none")}
    assert pins.changes(before, dict(after, **before)) == {}


def test_every_program_exists():
    for case in pins.CASES.values():
        for program in case.programs:
            assert program == pins.DEMO or os.path.exists(program[0])


def test_the_ordered_packages_are_those_of_setup_cfg():
    import configparser

    setup = configparser.ConfigParser()
    setup.read(str(ROOT / "setup.cfg"), "utf-8")
    required = setup["options"]["install_requires"].strip().splitlines()
    names = [line.partition(";")[0].partition(">=")[0] for line in required]
    assert names == [ordered.partition(";")[0] for ordered in pins.ORDERED]
