import csv
import json
import os
import random
import sys
from datetime import datetime, timezone

import pytest
from conftest import NAME, NUMBER, ROOT, run_python

import facecert
from facecert.batch import resume
from facecert.batch.lines import FIELDS
from facecert.batch.output import Results
from facecert.batch.outcome import Outcome
from facecert.batch.seen import OutputFailed, Seen

A, B, C, D = ("%032x" % number for number in (10, 11, 12, 13))
NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)


def answer(certify_id, passed=True):
    found = facecert.QueryResult(
        passed=passed, certify_id=certify_id, identity_info=NAME, material_info=NUMBER,
        request_id="R-1", raw={"name": NAME},
    )  # fmt: skip
    return Outcome(certify_id, found, None, NOW, 1)


def failure(certify_id, error):
    return Outcome(certify_id, None, error, NOW, 1)


LASTING = facecert.ServiceError("Not valid.", code=400, request_id="R-2", service_message="不\n合法")
PASSING = facecert.Throttled("Slow down.", code="Throttling.User", retryable=True)
HOPELESS = facecert.SignatureError("Wrong, \"key\"", code="SignatureDoesNotMatch")
NO_ID = facecert.InvalidParameter("no id", field="certify_id")


@pytest.fixture(params=["jsonl", "csv"])
def path(request, tmp_path):
    return str(tmp_path / ("results." + request.param))


def fill(path, *outcomes, **arguments):
    with Results(path, **arguments) as results:
        for line, outcome in enumerate(outcomes, 1):
            results.write(outcome, line)


def content(path):
    with open(path, "rb") as stream:
        return stream.read()


def lines_of(path):
    """Return the lines of either kind as dicts, read by somebody else's eyes."""
    with open(path, encoding="utf-8", newline="") as stream:
        if path.endswith(".csv"):
            return list(csv.DictReader(stream))
        return [json.loads(line) for line in stream]


def ids_of(path):
    return [line["certify_id"] for line in lines_of(path)]


def test_jsonl(tmp_path):
    path = str(tmp_path / "out")
    fill(path, answer(A), answer(B, False), failure(C, LASTING), failure(D, HOPELESS),
         failure("", NO_ID))  # fmt: skip
    when = "2024-05-06T07:08:09+00:00"
    assert [tuple(line.values()) for line in lines_of(path)] == [
        (A, True, None, None, None, "R-1", False, when, 1),
        (B, False, None, None, None, "R-1", False, when, 2),
        (C, None, "ServiceError", 400,
         "400 (RequestId R-2): Not valid. It said: 不 合法", "R-2", False, when, 3),
        (D, None, "SignatureError", "SignatureDoesNotMatch",
         'SignatureDoesNotMatch: Wrong, "key"', None, True, when, 4),
        (None, None, "InvalidParameter", None, "no id", None, False, when, 5),
    ]  # fmt: skip
    assert list(lines_of(path)[0]) == list(FIELDS)
    assert NAME.encode() not in content(path) and NUMBER.encode() not in content(path)


def test_csv(tmp_path):
    path = str(tmp_path / "out.CSV")
    fill(path, answer(A), answer(B, False), failure(C, LASTING), failure("", NO_ID))
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    when = "2024-05-06T07:08:09+00:00"
    assert rows == [
        list(FIELDS),
        [A, "true", "", "", "", "R-1", "false", when, "1"],
        [B, "false", "", "", "", "R-1", "false", when, "2"],
        [C, "", "ServiceError", "400",
         "400 (RequestId R-2): Not valid. It said: 不 合法", "R-2", "false", when, "3"],
        ["", "", "InvalidParameter", "", "no id", "", "false", when, "4"],
    ]  # fmt: skip


def test_each_line_is_there_as_soon_as_it_is_written(path):
    with Results(path) as results:
        for number, certify_id in enumerate((A, B, C), 1):
            results.write(answer(certify_id))
            assert len(lines_of(path)) == number and content(path).endswith(b"\n")


def test_what_utf_8_cannot_say_is_escaped(path):
    fill(path, failure(A, facecert.NoAnswer("half \ud83d of it")))
    assert "half" in str(lines_of(path))
    fill(path, resume=True)
    assert ids_of(path) == []


def test_a_file_that_is_there_is_not_touched(path):
    for before in (b"", b"mine\n"):
        with open(path, "wb") as stream:
            stream.write(before)
        with pytest.raises(facecert.InvalidParameter, match="is there already") as caught:
            Results(path)
        assert caught.value.field == "output" and content(path) == before


def test_a_file_without_a_result_does_not_stay(path):
    """Or a mistyped name of the input would have to be followed by rm."""
    fill(path)
    assert not os.path.exists(path)


def test_resume_without_a_file_begins_one(path):
    fill(path, answer(A), resume=True)
    assert ids_of(path) == [A]


def test_resume_goes_on(path):
    fill(path, answer(A), failure(B, LASTING))
    before, number = content(path), os.stat(path).st_ino
    with Results(path, resume=True) as results:
        assert results.kept == 2
        assert not results.seen.add(A) and not results.seen.add(B) and results.seen.add(C)
        results.write(answer(C))
    assert content(path).startswith(before) and ids_of(path) == [A, B, C]
    assert os.stat(path).st_ino == number  # nothing to drop: not written anew


def test_resume_asks_again_what_may_be_better_now(path):
    fill(path, failure(A, PASSING), answer(B), failure("", NO_ID), failure(C, HOPELESS))
    os.chmod(path, 0o640)
    with Results(path, resume=True) as results:
        assert results.kept == 1 and ids_of(path) == [B]
        assert results.seen.add(A) and results.seen.add(C) and not results.seen.add(B)
        results.write(answer(A))
    assert ids_of(path) == [B, A]
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_resume_keeps_one_of_two_lines_about_the_same_id(path):
    fill(path, answer(A), answer(A, False), answer(B))
    fill(path, resume=True)
    assert ids_of(path) == [A, B]


@pytest.mark.long
def test_a_file_that_is_torn_anywhere_is_taken_up(path):
    fill(path, answer(A), failure(B, LASTING), answer(C))
    whole = content(path)
    ends = [end for end in range(len(whole) + 1) if whole[:end].endswith(b"\n") or not end]
    for length in range(len(whole)):
        with open(path, "wb") as stream:
            stream.write(whole[:length])
        with Results(path, resume=True) as results:
            for certify_id in (A, B, C):
                if results.seen.add(certify_id):
                    results.write(answer(certify_id))
        assert ids_of(path) == [A, B, C], length
        assert content(path).startswith(whole[: max(end for end in ends if end <= length)])


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 300, b"\xff\xfe\n", b'{"certify_id"', b"x,y\n", b"\n"]
)
def test_garbage_at_the_end_is_dropped(path, garbage):
    fill(path, answer(A))
    before = content(path)
    with open(path, "ab") as stream:
        stream.write(garbage)
    fill(path, resume=True)
    assert content(path) == before


@pytest.mark.parametrize(
    "strange", [b"\n", b"hello\n", b"{}\n", b"\xff\n", b"1,2,3\n", b"[" * 9999 + b"\n"]
)
def test_garbage_in_the_middle_is_refused_and_left_alone(path, strange):
    fill(path, answer(A), answer(B))
    lines = content(path).splitlines(True)
    lines.insert(len(lines) - 1, strange)
    with open(path, "wb") as stream:
        stream.write(b"".join(lines))
    with pytest.raises(facecert.InvalidParameter, match="line %d of" % (len(lines) - 1)) as caught:
        Results(path, resume=True)
    assert "hello" not in str(caught.value)
    assert content(path) == b"".join(lines)
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


@pytest.mark.parametrize(
    "mine",
    [
        NAME.encode() + b"\n",
        NAME.encode(),
        b"\n",
        b'{"name": 1}\n',
        b"certify_id,passed\n",
        b"certify_id,passed,name\n%s,1,2\n" % A.encode(),
        b"\xff\xfe\x00",
        b"x" * 200000,
    ],
)
def test_a_file_that_is_somebody_elses_is_refused_and_left_alone(path, mine):
    with open(path, "wb") as stream:
        stream.write(mine)
    with pytest.raises(facecert.InvalidParameter, match="line 1 of") as caught:
        Results(path, resume=True)
    assert NAME not in str(caught.value)
    assert content(path) == mine


def test_a_file_of_the_other_kind_is_refused(path):
    fill(path, answer(A))
    before = content(path)
    with pytest.raises(facecert.InvalidParameter, match="line 1 of"):
        Results(path, "jsonl" if path.endswith("csv") else "csv", resume=True)
    assert content(path) == before


def test_two_runs_at_once_are_refused(path):
    fill(path, failure(A, PASSING), answer(B))
    with Results(path, resume=True) as results:
        with pytest.raises(facecert.InvalidParameter, match="another run writes"):
            Results(path, resume=True)
        results.write(answer(A))
    fill(path, resume=True)
    assert ids_of(path) == [B, A]


def test_a_link_stays_a_link(path, tmp_path):
    real = str(tmp_path / "real")
    fill(real, failure(A, PASSING), kind="csv" if path.endswith("csv") else "jsonl")
    os.symlink(real, path)
    fill(path, answer(A), resume=True)
    assert os.path.islink(path) and ids_of(path) == [A]


def test_a_failure_while_resuming_leaves_the_file_alone(path, monkeypatch):
    fill(path, failure(A, PASSING), answer(B))
    before = content(path)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resume.os, "replace", full)
    with pytest.raises(OutputFailed, match="No space left"):
        Results(path, resume=True)
    assert content(path) == before
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_what_a_killed_resume_left_is_no_hindrance(path):
    fill(path, failure(A, PASSING), answer(B))
    beside = os.path.join(os.path.dirname(path), ".%s.resuming" % os.path.basename(path))
    with open(beside, "w") as stream:
        stream.write("half")
    fill(path, answer(A), resume=True)
    assert ids_of(path) == [B, A] and not os.path.exists(beside)


@pytest.mark.long
def test_a_full_disk_leaves_whole_lines(path):
    """RLIMIT_FSIZE stands in for the full disk: the kernel writes a part of the line, then none."""
    pytest.importorskip("resource")
    out = run_python(
        "import resource, signal, sys\n"
        "sys.path[:0] = [%r, %r]\n"
        "from test_results_file import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "results = Results(%r)\n"
        "results.write(answer(A))\n"
        "size = os.path.getsize(%r)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))\n"
        "try: results.write(answer(B))\n"
        "except OutputFailed as error: print(error)\n"
        "print(os.path.getsize(%r) == size)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "results.write(answer(C))\n"
        "results.close()\n"
        % (str(ROOT / "tests" / "batch"), str(ROOT / "tests"), path, path, path)
    )
    assert "cannot be written to" in out and "File too large" in out and "resume" in out
    assert out.endswith("True\n")
    assert ids_of(path) == [A, C]


def test_an_interrupted_write_leaves_whole_lines(path):
    """Ctrl-C for the second time, in the middle of a line."""

    class Torn:
        def __init__(self, stream):
            self.stream = stream

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def write(self, data):
            self.stream.write(data[:10])
            raise KeyboardInterrupt()

    with Results(path) as results:
        results.write(answer(A))
        whole, results._stream = results._stream, Torn(results._stream)
        with pytest.raises(KeyboardInterrupt):
            results.write(answer(B))
        results._stream = whole
        results.write(answer(C))
    assert ids_of(path) == [A, C]


def test_no_folder(tmp_path):
    with pytest.raises(OutputFailed, match="No such file"):
        Results(str(tmp_path / "none" / "out"))


def test_arguments():
    with pytest.raises(facecert.InvalidParameter):
        Results("-", resume=True)
    with pytest.raises(facecert.InvalidParameter):
        Results("x", "xml")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_standard_output(capsysbinary, kind):
    with Results("-", kind) as results:
        results.write(answer(A), 3)
    out = capsysbinary.readouterr().out
    assert out.count(b"\n") == (2 if kind == "csv" else 1) and A.encode() in out
    assert not sys.stdout.buffer.closed


def test_seen_is_a_set():
    seen, known, draw = Seen(), set(), random.Random(3)
    for _ in range(2000):
        certify_id = "%032x" % draw.randrange(800)
        assert seen.add(certify_id) is (certify_id not in known)
        known.add(certify_id)
    assert seen.add("Case") and seen.add("case")
    seen.close()


@pytest.mark.long
def test_seen_does_not_sit_in_memory():
    out = run_python(
        "from facecert.batch.seen import Seen\n"
        "def memory():\n"
        "    return int(open('/proc/self/status').read().split('VmRSS:')[1].split()[0])\n"
        "seen = Seen()\n"
        "for number in range(20000): seen.add('%032x' % (number * 7919 % 1000003))\n"
        "before = memory()\n"
        "for number in range(20000, 220000): seen.add('%032x' % (number * 7919 % 1000003))\n"
        "print(memory() - before)\n"
    )
    # KiB. A set of 200,000 such ids takes 24,000.
    assert int(out) < 8000


def test_no_space_for_seen():
    seen = Seen()
    seen._database.execute("PRAGMA max_page_count = 3")
    with pytest.raises(OutputFailed, match="SQLITE_TMPDIR"):
        for number in range(10000):
            seen.add("%032x" % number)
    seen.close()
