import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import NAME, NUMBER, ROOT

import facecert
from facecert.batch.ids import FileId, read_ids
from facecert.batch.many import BatchItem
from facecert.batch.results_file import OutputFailed, ResultsFile
from facecert.batch.run import run_batch


@pytest.fixture
def output(tmp_path):
    return str(tmp_path / "results.jsonl")


@pytest.fixture
def run(client, output):
    def run(ids, resume=False, **arguments):
        with ResultsFile(output, resume=resume) as results:
            found = [item if isinstance(item, FileId) else FileId(item, None, line)
                     for line, item in enumerate(ids, 1)]  # fmt: skip
            return run_batch(found, results, **dict({"client": client, "qps": 200}, **arguments))

    return run


def lines_of(path):
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def counts(summary):
    return (summary.answered, summary.passed, summary.failed, summary.invalid, summary.skipped)


def test_a_line_for_each_id_and_each_bad_line(run, open_many, output, sandbox):
    ids = open_many(4)
    told = []
    summary = run(
        [ids[0], NAME, ids[1], ids[0], "", ids[2], NUMBER, ids[3], ids[3]],
        on_line=lambda item, summary: told.append((type(item), summary.written)),
    )
    assert counts(summary) == (4, 2, 0, 3, 2)
    assert not summary.interrupted and summary.error is None
    assert told == [(BatchItem, number) for number in range(1, 8)]
    lines = {line["line"]: line for line in lines_of(output)}
    assert {number: line["certify_id"] for number, line in lines.items()} == {
        1: ids[0], 2: None, 3: ids[1], 5: None, 6: ids[2], 7: None, 8: ids[3]
    }  # fmt: skip
    assert lines[1]["passed"] is True and lines[3]["passed"] is False
    assert lines[7]["error"] == "InvalidParameter"
    with open(output, encoding="utf-8") as stream:
        text = stream.read()
    assert NAME not in text and NUMBER not in text
    assert len(sandbox.requests) == 4


def test_a_resumed_run_asks_only_what_it_has_to(run, open_many, output, sandbox):
    ids = open_many(3)
    sandbox.fail("code-400", on="query")
    assert counts(run(ids[:1])) == (0, 0, 1, 0, 0)
    sandbox.fail("throttled", times=3)
    assert counts(run([ids[1]], resume=True)) == (0, 0, 1, 0, 0)
    assert [line["retryable"] for line in lines_of(output)] == [False, True]
    sandbox._exchange.requests.clear()
    assert counts(run([NAME] + ids, resume=True)) == (2, 1, 0, 1, 1)
    assert counts(run([NAME] + ids, resume=True)) == (0, 0, 0, 1, 3)
    assert len(sandbox.requests) == 2
    assert sorted(str(line["certify_id"]) for line in lines_of(output)) == sorted(ids + ["None"])


def test_a_wrong_secret_ends_it_and_mended_it_goes_on(run, open_many, output, sandbox):
    ids = open_many(2)
    wrong = sandbox.client(credentials=(sandbox.access_key_id, "wrong"))
    summary = run(ids, client=wrong)
    assert type(summary.error) is facecert.SignatureError and summary.failed == 2
    summary = run(ids, resume=True)
    assert summary.error is None and summary.answered == 2
    assert sorted(line["certify_id"] for line in lines_of(output)) == sorted(ids)


def test_an_unreadable_input_ends_it_after_the_results(client, open_many, output, tmp_path):
    ids = open_many(2)
    path = tmp_path / "ids.csv"
    path.write_text('certifyId,name\n%s,x\n%s,x\nx,"%s\n' % (ids[0], ids[1], NAME), "utf-8")
    with ResultsFile(output) as results:
        summary = run_batch(read_ids(str(path)), results, client=client, qps=100)
    assert "Line 4" in str(summary.error) and summary.answered == 2
    assert sorted(line["certify_id"] for line in lines_of(output)) == sorted(ids)


def test_a_file_that_is_not_there_leaves_nothing_behind(client, output, tmp_path):
    with ResultsFile(output) as results:
        summary = run_batch(read_ids(str(tmp_path / "none")), results, client=client)
    assert isinstance(summary.error, FileNotFoundError) and not os.path.exists(output)


def test_an_output_that_fails_ends_it(client, open_many, output):
    ids = open_many(2) * 50
    with ResultsFile(output) as results:

        def fail(item, line):
            raise OutputFailed("The disk is full.")

        results.write = fail
        found = [FileId("%032x" % number, None, number) for number in range(1, 500)]
        summary = run_batch(found, results, client=client, qps=200, threads=2)
    assert ids and type(summary.error) is OutputFailed and summary.written == 0
    assert [t for t in threading.enumerate() if t.name.startswith("facecert-batch")] == []


def test_what_the_callback_raises_ends_it(run, open_many, output):
    def on_line(item, summary):
        raise ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        run(open_many(3), on_line=on_line)
    assert len(lines_of(output)) == 1
    assert [t for t in threading.enumerate() if t.name.startswith("facecert-batch")] == []


def test_arguments_are_checked_before_anything(run, output):
    with pytest.raises(facecert.InvalidParameter):
        run([], qps=0)
    assert not os.path.exists(output)


def test_somebody_elses_handler_of_ctrl_c_stays(run, open_many):
    def mine(signum, frame):
        pass

    seen, ids = [], open_many(1)
    before = signal.signal(signal.SIGINT, mine)
    try:
        run(ids, on_line=lambda *told: seen.append(signal.getsignal(signal.SIGINT)))
        assert seen == [mine] and signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_there_is_no_handler(run, open_many, output):
    summaries, ids = [], open_many(1)
    thread = threading.Thread(target=lambda: summaries.append(run(ids)))
    thread.start()
    thread.join()
    assert summaries[0].answered == 1


#: Says "ready"; at the end, what the summary and the handler are.
PROGRAM = """
import sys, signal, facecert
from facecert.batch.results_file import ResultsFile
from facecert.batch.run import run_batch
from facecert.batch.ids import read_ids
client = facecert.Client.from_environment()
print("ready", flush=True)
with ResultsFile(sys.argv[1], resume=True) as results:
    summary = run_batch(
        read_ids("-"), results, client=client, qps=float(sys.argv[2]), threads=int(sys.argv[3])
    )
print(summary.answered, summary.failed, summary.interrupted, summary.error)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


class Child:
    def __init__(self, sandbox, output, qps, threads):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, output, str(qps), str(threads)],
            env=dict(os.environ, PYTHONPATH=str(ROOT), **sandbox.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def give(self, ids):
        self.process.stdin.writelines("%s\n" % certify_id for certify_id in ids)
        self.process.stdin.flush()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self):
        out, error = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, error
        return out


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.long
def test_ctrl_c_while_calls_are_under_way_writes_their_lines(sandbox, open_many, output):
    ids = open_many(2) + ["%032x" % number for number in range(200)]
    sandbox.fail("slow", times=2, seconds=1.0)
    child = Child(sandbox, output, 2, 2)
    child.give(ids)
    child.process.stdin.close()
    child.process.stdin = None
    wait_for(lambda: len(sandbox.requests) == 2)
    child.interrupt()
    assert child.end() == "2 0 True None\n"
    assert sorted(line["certify_id"] for line in lines_of(output)) == sorted(ids[:2])
    assert len(sandbox.requests) == 2


@pytest.mark.long
def test_ctrl_c_while_it_waits_for_the_input_does_too(sandbox, open_many, output):
    ids = open_many(2)
    child = Child(sandbox, output, 100, 8)
    child.give(ids)
    wait_for(lambda: len(sandbox.requests) == 2)
    child.interrupt()
    assert child.end() == "2 0 True None\n"
    assert sorted(line["certify_id"] for line in lines_of(output)) == sorted(ids)


@pytest.mark.long
def test_ctrl_c_for_the_second_time_does_not_wait(sandbox, open_many, output):
    ids = open_many(1)
    sandbox.fail("no-answer", times=3)
    child = Child(sandbox, output, 10, 1)
    child.give(ids)
    child.process.stdin.close()
    child.process.stdin = None
    wait_for(lambda: len(sandbox.requests) == 1)
    begin = time.monotonic()
    while child.process.poll() is None:
        child.interrupt()
        time.sleep(0.2)
    assert time.monotonic() - begin < 8  # read_timeout is 10
    _, error = child.process.communicate()
    assert child.process.returncode != 0 and "KeyboardInterrupt" in error


@pytest.mark.long
def test_ctrl_c_at_any_moment_loses_nothing(sandbox, open_many, output):
    ids = open_many(40)
    for number in range(6):
        child = Child(sandbox, output, 100, 4)
        child.give(ids)
        child.process.stdin.close()
        child.process.stdin = None
        time.sleep(0.03 * number)
        if child.process.poll() is None:
            child.interrupt()
        child.process.wait(60)
        for stream in (child.process.stdout, child.process.stderr):
            stream.close()
        if os.path.exists(output):
            found = [line["certify_id"] for line in lines_of(output)]
            assert len(set(found)) == len(found)
    child = Child(sandbox, output, 100, 4)
    child.give(ids)
    child.end()
    lines = {line["certify_id"]: line["passed"] for line in lines_of(output)}
    assert lines == {certify_id: not place % 2 for place, certify_id in enumerate(ids)}


@pytest.mark.long
def test_faults_and_sigkill():
    """The small form of tests/endurance/batch.py."""
    program = str(ROOT / "tests" / "endurance" / "batch.py")
    done = subprocess.run(
        [sys.executable, program, "--ids", "300", "--qps", "300", "--kills", "3"],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stdout.endswith("all of it holds\n"), done.stdout
