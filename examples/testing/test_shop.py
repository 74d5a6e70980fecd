"""Tests of ``shop.py``: with the fixture, and from outside as a program of its own."""

import os
import subprocess
import sys

import pytest
import shop

import facecert
from facecert.sandbox import Sandbox


def test_the_person_passes(facecert_sandbox):
    certify_id = shop.start("张三", "330103199001011230")
    facecert_sandbox.complete(certify_id)
    assert shop.wait_until_passed(certify_id)


def test_the_person_fails(facecert_sandbox):
    certify_id = shop.start("张三", "330103199001011230")
    facecert_sandbox.complete(certify_id, passed=False)
    assert not shop.wait_until_passed(certify_id, seconds=0.5)


def test_the_quota_is_used_up(facecert_sandbox):
    facecert_sandbox.fail("code-402")
    with pytest.raises(facecert.ServiceError):
        shop.start("张三", "330103199001011230")
    assert facecert_sandbox.requests[0].fault == "code-402"


def test_the_whole_program():
    with Sandbox(person="pass", after=0.5) as sandbox:
        environ = dict(os.environ, **sandbox.environment)
        printed = subprocess.check_output([sys.executable, shop.__file__], env=environ)
    assert printed.split() == [b"passed"]
