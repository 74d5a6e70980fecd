import json

import pytest
from conftest import run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")
from facecert.doctor import checks  # noqa: E402
from facecert.doctor.finding import Finding  # noqa: E402

FINDINGS = [
    Finding("python", "ok", "Python 3.11."),
    Finding("clock", "problem", "The clock is off.", "timedatectl set-ntp true"),
]


@pytest.fixture
def found(monkeypatch):
    """What the doctor finds; and in ``.asked`` what it was asked."""

    class Found(list):
        asked = None

    found = Found(FINDINGS)

    def examine(**asked):
        found.asked = asked
        return iter(found)

    monkeypatch.setattr(checks, "examine", examine)
    return found


def test_findings_as_json(found):
    done = run_cli("doctor", "--call")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        dict(finding._asdict()) for finding in FINDINGS
    ]
    assert done.exit_code == 6 and found.asked == {"call": True}


def test_findings_in_words(found, on_a_terminal):
    done = run_cli("doctor")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ok", "python", "Python", "3.11."]
    assert lines[2].strip() == "-> timedatectl set-ntp true"
    assert "1 problems found" in done.stderr and found.asked == {"call": False}


def test_without_a_problem(found, on_a_terminal):
    found.pop()
    found.append(Finding("clock", "warning", "The clock is a little off."))
    done = run_cli("doctor")
    assert done.exit_code == 0 and "No problem found" in done.stderr


def test_a_sandbox_is_examined_for_real(commands):
    done = run_cli("doctor", "--json")
    subjects = {json.loads(line)["subject"] for line in done.stdout.splitlines()}
    assert subjects >= {"python", "packages", "settings", "dns", "tls", "clock", "sm2", "ledger"}
    for secret in (commands.access_key_secret,):
        assert secret not in done.stdout + done.stderr
