import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from conftest import ROOT, run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")

from facecert.client import Client  # noqa: E402


@pytest.fixture
def certify_id(commands, person):
    with commands.client() as client:
        return client.init(**person).certify_id


@pytest.fixture
def pauses(monkeypatch):
    """No pause takes time; the gateway's clock moves instead."""
    pauses = []

    def sleep(gateway, seconds):
        pauses.append(seconds)
        before = gateway.now()
        gateway.now = lambda: before + timedelta(seconds=seconds)

    monkeypatch.setattr("facecert.transport.gateway.Gateway.sleep", sleep)
    return pauses


def test_wait_until_it_passed(commands, certify_id):
    commands.complete(certify_id)
    done = run_cli("wait", certify_id)
    assert (done.exit_code, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["passed"] is True and answer["final"] is True


@pytest.mark.parametrize(
    "arguments, final, words",
    [
        (["--minutes", "0.1"], False, "not passed (or not yet)\n"),
        (["--expires-at", "2020-01-01T00:00:00Z"], True, "not passed; this is final\n"),
        (["--expires-at", "2020-01-01T08:00:00.25+08:00"], True, "not passed; this is final\n"),
        ([], True, "not passed; this is final\n"),
    ],
    ids=["minutes", "past", "offset", "full"],
)
def test_wait_in_vain(commands, certify_id, monkeypatch, pauses, arguments, final, words):
    done = run_cli("wait", certify_id, *arguments)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["final"] is final
    expected = 6 if "--minutes" in arguments else 0 if arguments else 2100
    assert sum(pauses) == pytest.approx(expected, abs=1)
    from facecert.cli import output

    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    assert run_cli("wait", certify_id, *arguments).stdout == words


def test_init_prints_what_wait_reads(commands):
    opened = json.loads(run_cli("init", stdin='{"cert_name": "a", "cert_no": "1"}').stdout)
    commands.complete(opened["certify_id"])
    done = run_cli("wait", opened["certify_id"], "--expires-at", opened["expires_at"])
    assert done.exit_code == 0


@pytest.mark.parametrize(
    "moment", ["soon", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "1", ""]
)
def test_times_that_cannot_be(commands, moment):
    done = run_cli("wait", "0" * 32, "--expires-at", moment)
    assert done.exit_code == 2 and "--expires-at must" in done.stderr


def test_failures_on_the_way_are_shown(commands, certify_id, pauses):
    commands.complete(certify_id)
    commands.fail("throttled", times=2)
    done = run_cli("wait", certify_id, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["passed"]
    errors = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(error["error"], error["going_on"]) for error in errors] == [("Throttled", True)] * 2
    assert pauses == [2, 3]


def test_a_person_is_told_how_long_it_may_take(commands, certify_id, on_a_terminal):
    commands.complete(certify_id)
    assert re.match("Querying .* for 35 minutes at most", run_cli("wait", certify_id).stderr)
    assert run_cli("wait", certify_id, "--json").stderr == ""


def test_failures_on_the_way_in_words(commands, certify_id, pauses):
    commands.complete(certify_id)
    commands.fail("throttled")
    done = run_cli("wait", certify_id)
    assert done.exit_code == 0 and done.stderr.startswith("Error: Throttled: ")
    assert done.stderr.endswith("Trying again.\n")


@pytest.mark.parametrize("answered", [True, False])
def test_ctrl_c_says_what_is_known(commands, certify_id, monkeypatch, answered):
    def interrupted(client, certify_id, report, **more):
        if answered:
            report(client.query(certify_id))
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "wait", interrupted)
    done = run_cli("wait", certify_id)
    assert done.exit_code == 130
    known = json.loads(done.stdout)
    assert known["passed"] is (False if answered else None) and known["final"] is False


@pytest.mark.long
def test_ctrl_c_for_real(sandbox, person):
    with sandbox.client() as client:
        certify_id = client.init(**person).certify_id
    process = subprocess.Popen(
        [sys.executable, "-m", "facecert", "wait", certify_id, "--verbose"],
        env=dict(os.environ, PYTHONPATH=str(ROOT), **sandbox.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        while not any(call.service_parameters["method"] == "query" for call in sandbox.requests):
            assert process.poll() is None
        # The answer may still be on its way; what is printed differs, the rest does not.
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and b"Traceback" not in said
    assert re.match(b'{"certify_id": "%s", "passed": (false|null)' % certify_id.encode(), printed)


def test_bug_ctrl_c_after_a_pass_said_not_passed(commands, certify_id, monkeypatch):
    def interrupt(client, certify_id):
        raise KeyboardInterrupt

    commands.complete(certify_id)
    calls = iter([lambda *_: None, interrupt])
    monkeypatch.setattr(Client, "_row", lambda *arguments: next(calls)(*arguments))
    done = run_cli("wait", certify_id)
    assert done.exit_code == 130 and json.loads(done.stdout)["passed"] is True
