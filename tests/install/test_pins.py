"""The programs beside this file run, and the comparison of ``pins.py`` finds what changed.

The environments of ``pins.py`` need the network, so CI runs them as a program.
"""

import contextlib
import os
import subprocess
import sys

import pins
import pytest
import trips
from conftest import ROOT


def test_a_script_is_verified(sandbox, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "install" / "plain.py")],
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8", **sandbox.environment),
        cwd=str(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0 and "passed" in output, output


@pytest.mark.long
@pytest.mark.parametrize("app, package", [(pins.FLASK, "blinker"), (pins.DJANGO, "django")])
def test_an_app_makes_its_round_trip(sandbox, tmp_path, app, package):
    pytest.importorskip(package, reason="the framework is an extra")
    trip = pins.Trip(app, "wsgiref", "sqlite")
    environ = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8")
    with contextlib.ExitStack() as stack:
        databases = trips.Databases(stack, tmp_path)
        trips.run(trip, databases, sandbox.environment, sys.executable, environ)


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
