import json
import os
import re
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")

import facecert  # noqa: E402
from facecert.cli import wait  # noqa: E402


class Time:
    """A clock that its own sleep moves."""

    def __init__(self):
        self.now = 5000.0
        self.pauses = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


class Answer:
    def __init__(self, passed):
        self.passed = passed


@pytest.fixture
def poll(monkeypatch):
    """Poll a query that takes these steps and then repeats the last one; no time goes by."""

    def poll(steps, seconds, ends_with=False):
        time, reported, steps = Time(), [], list(steps)
        monkeypatch.setattr(wait, "time", time)

        def query():
            step = steps.pop(0) if steps else ends_with
            if isinstance(step, Exception):
                raise step
            return Answer(step)

        def decided(answer):
            return answer.passed

        try:
            end = wait.poll(query, seconds=seconds, decided=decided, report=reported.append)
        except facecert.FacecertError as error:
            end = error
        return end, time, reported

    return poll


def test_the_pauses_grow_to_fifteen_seconds_and_stop_with_a_pass(poll):
    end, time, _ = poll([False] * 8 + [True], 2100)
    assert end.passed
    assert time.pauses == [2, 3, 4.5, 6.75, 10.125, 15, 15, 15]


def test_the_last_question_comes_when_the_time_is_over(poll):
    end, time, _ = poll([], 100)
    assert end.passed is False and time.now == 5100 and sum(time.pauses) == 100
    end, time, _ = poll([False, True], 1)
    assert end.passed and time.pauses == [1]


def test_no_time_is_one_question(poll):
    end, time, _ = poll([False, True], 0)
    assert end.passed is False and time.pauses == []


def test_failures_that_may_pass_are_reported_and_it_goes_on(poll):
    failures = [facecert.NoAnswer(), facecert.Throttled(retry_after=40.0)]
    end, time, reported = poll(failures + [True], 2100)
    assert end.passed and reported == failures and time.pauses == [2, 40]


def test_other_failures_end_it(poll):
    refused = facecert.ServiceError(code=400)
    end, time, reported = poll([False, refused, True], 2100)
    assert end is refused and reported == [] and time.pauses == [2]


def test_a_failure_of_the_last_question_is_the_end(poll):
    end, _, reported = poll([facecert.NoAnswer(), facecert.ConnectionFailed()], 1)
    assert isinstance(end, facecert.ConnectionFailed) and len(reported) == 1


@pytest.mark.parametrize(
    "expires_in, seconds",
    [(None, 35 * 60), (600, 900), (0, 300), (-200, 100), (-300, 0), (-9999, 0), (99999, 35 * 60)],
)
def test_when_a_not_passed_is_final(expires_in, seconds):
    now = 1_800_000_000.0
    expires_at = None if expires_in is None else now + expires_in
    assert wait.seconds_until_decided(expires_at, now) == seconds


@pytest.fixture
def certify_id(commands, person):
    with commands.client() as client:
        return client.init(**person).certify_id


@pytest.fixture
def no_sleep(monkeypatch):
    time = Time()
    monkeypatch.setattr(wait.time, "monotonic", time.monotonic)
    monkeypatch.setattr(wait.time, "sleep", time.sleep)
    return time


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
def test_wait_in_vain(commands, certify_id, monkeypatch, arguments, final, words):
    asked = []
    monkeypatch.setattr(
        wait, "poll", lambda ask, **more: asked.append(more["seconds"]) or ask()
    )
    done = run_cli("wait", certify_id, *arguments)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["final"] is final
    expected = 6 if "--minutes" in arguments else 0 if arguments else 2100
    assert asked == [pytest.approx(expected)]
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


def test_failures_on_the_way_are_shown(commands, certify_id, no_sleep):
    commands.complete(certify_id)
    commands.fail("throttled", times=2)
    done = run_cli("wait", certify_id, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["passed"]
    errors = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(error["error"], error["going_on"]) for error in errors] == [("Throttled", True)] * 2
    assert no_sleep.pauses == [2, 3]


def test_a_person_is_told_how_long_it_may_take(commands, certify_id, on_a_terminal):
    commands.complete(certify_id)
    assert re.match(r"Querying .* until \d\d:\d\d:\d\d", run_cli("wait", certify_id).stderr)
    assert run_cli("wait", certify_id, "--json").stderr == ""


def test_failures_on_the_way_in_words(commands, certify_id, no_sleep):
    commands.complete(certify_id)
    commands.fail("throttled")
    done = run_cli("wait", certify_id)
    assert done.exit_code == 0 and done.stderr.startswith("Error: Throttled: ")
    assert done.stderr.endswith("Trying again.\n")


@pytest.mark.parametrize("answered", [True, False])
def test_ctrl_c_says_what_is_known(commands, certify_id, monkeypatch, answered):
    def interrupted(ask, **more):
        if answered:
            ask()
        raise KeyboardInterrupt

    monkeypatch.setattr(wait, "poll", interrupted)
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
