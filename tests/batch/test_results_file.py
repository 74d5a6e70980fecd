import csv
import json
import os
import random
import re
import stat
import sys
from datetime import datetime, timezone

import pytest
from conftest import NAME, NUMBER, ROOT, run_python

import facecert
from facecert import InvalidParameter
from facecert.batch import results_file
from facecert.batch.many import BatchItem
from facecert.batch.results_file import FIELDS, OutputFailed, ResultsFile

A, B, C, D = ("%032x" % number for number in (10, 11, 12, 13))
NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)


def answer(certify_id, passed=True):
    found = facecert.QueryResult(
        passed=passed, certify_id=certify_id, identity_info=NAME, material_info=NUMBER,
        request_id="R-1", raw={"name": NAME},
    )  # fmt: skip
    return BatchItem(certify_id, found, None, NOW, 1)


def failure(certify_id, error):
    return BatchItem(certify_id, None, error, NOW, 1)


LASTING = facecert.ServiceError("Not valid.", code=400, request_id="R-2", service_message="不\n合法")
PASSING = facecert.Throttled("Slow down.", code="Throttling.User", retryable=True)
HOPELESS = facecert.SignatureError("Wrong, \"key\"", code="SignatureDoesNotMatch")
NO_ID = facecert.InvalidParameter("no id", field="certify_id")


@pytest.fixture(params=["jsonl", "csv"])
def path(request, tmp_path):
    return str(tmp_path / ("results." + request.param))


def fill(path, *items, **arguments):
    with ResultsFile(path, **arguments) as results:
        for line, item in enumerate(items, 1):
            results.write(item, line)


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
         "400 (RequestId R-2): Not valid. Message: 不 合法", "R-2", False, when, 3),
        (D, None, "SignatureError", "SignatureDoesNotMatch",
         'SignatureDoesNotMatch: Wrong, "key"', None, True, when, 4),
        (None, None, "InvalidParameter", None, "line 5: no id", None, False, when, 5),
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
         "400 (RequestId R-2): Not valid. Message: 不 合法", "R-2", "false", when, "3"],
        ["", "", "InvalidParameter", "", "line 4: no id", "", "false", when, "4"],
    ]  # fmt: skip


def test_each_line_is_there_as_soon_as_it_is_written(path):
    with ResultsFile(path) as results:
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
            ResultsFile(path)
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
    before = content(path)
    with ResultsFile(path, resume=True) as results:
        assert results.kept == 2
        assert not results.claim(A) and not results.claim(B) and results.claim(C)
        results.write(answer(C))
    assert content(path).startswith(before) and ids_of(path) == [A, B, C]


def test_resume_asks_again_what_may_be_better_now(path):
    fill(path, failure(A, PASSING), answer(B), failure("", NO_ID), failure(C, HOPELESS))
    os.chmod(path, 0o640)
    with ResultsFile(path, resume=True) as results:
        assert results.kept == 1 and ids_of(path) == [B]
        assert results.claim(A) and results.claim(C) and not results.claim(B)
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
        with ResultsFile(path, resume=True) as results:
            for certify_id in (A, B, C):
                if results.claim(certify_id):
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
        ResultsFile(path, resume=True)
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
        ResultsFile(path, resume=True)
    assert NAME not in str(caught.value)
    assert content(path) == mine


def test_a_file_of_the_other_kind_is_refused(path):
    fill(path, answer(A))
    before = content(path)
    with pytest.raises(facecert.InvalidParameter, match="line 1 of"):
        ResultsFile(path, "jsonl" if path.endswith("csv") else "csv", resume=True)
    assert content(path) == before


def test_two_runs_at_once_are_refused(path):
    fill(path, failure(A, PASSING), answer(B))
    with ResultsFile(path, resume=True) as results:
        with pytest.raises(facecert.InvalidParameter, match="another run writes"):
            ResultsFile(path, resume=True)
        results.write(answer(A))
    fill(path, resume=True)
    assert ids_of(path) == [B, A]


def test_a_link_stays_a_link(path, tmp_path):
    real = str(tmp_path / "real")
    fill(real, failure(A, PASSING), kind="csv" if path.endswith("csv") else "jsonl")
    os.symlink(real, path)
    fill(path, answer(A), resume=True)
    assert os.path.islink(path) and ids_of(path) == [A]


def test_only_the_owner_can_read_a_new_file(path):
    before = os.umask(0)
    try:
        fill(path, answer(A))
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("resume", [True, False])
def test_a_planted_link_is_not_written_through(path, tmp_path, resume):
    """Neither to a file of another person, nor to one that is not there yet."""
    for mine in ("there", "not there"):
        target = tmp_path / mine
        if mine == "there":
            target.write_text("mine")
        os.symlink(str(target), path)
        with pytest.raises((facecert.InvalidParameter, OutputFailed)):
            ResultsFile(path, resume=resume)
        assert target.exists() == (mine == "there") and os.path.islink(path)
        os.unlink(path)
    assert (tmp_path / "there").read_text() == "mine"


def test_a_link_planted_beside_is_not_written_through(path, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    mine.chmod(0o604)
    fill(path, failure(A, PASSING), answer(B))
    beside = os.path.join(os.path.dirname(path), ".%s.resuming" % os.path.basename(path))
    os.symlink(str(mine), beside)
    fill(path, answer(A), resume=True)
    assert mine.read_text() == "mine" and mine.stat().st_mode & 0o777 == 0o604
    assert ids_of(path) == [B, A] and not os.path.lexists(beside)


def test_the_file_beside_is_created_anew_and_for_the_owner_only(path, monkeypatch):
    fill(path, failure(A, PASSING), answer(B))
    opened, real = [], os.open

    def spy(name, flags, *mode):
        opened.append((os.path.basename(str(name)), flags, mode))
        return real(name, flags, *mode)

    monkeypatch.setattr(results_file.os, "open", spy)
    fill(path, answer(A), resume=True)
    (_, flags, mode), = [call for call in opened if call[0].endswith(".resuming")]
    assert mode == (0o600,)
    assert flags & os.O_EXCL and flags & os.O_CREAT and flags & os.O_NOFOLLOW


def test_a_system_without_o_nofollow(path, monkeypatch):
    """Windows has none."""
    monkeypatch.delattr(os, "O_NOFOLLOW")
    fill(path, failure(A, PASSING), answer(B))
    fill(path, answer(A), resume=True)
    assert ids_of(path) == [B, A]


def test_a_failure_while_resuming_leaves_the_file_alone(path, monkeypatch):
    fill(path, failure(A, PASSING), answer(B))
    before = content(path)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results_file.os, "replace", full)
    with pytest.raises(OutputFailed, match="No space left"):
        ResultsFile(path, resume=True)
    assert content(path) == before
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_what_a_killed_resume_left_is_no_hindrance(path):
    fill(path, failure(A, PASSING), answer(B))
    beside = os.path.join(os.path.dirname(path), ".%s.resuming" % os.path.basename(path))
    with open(beside, "w") as stream:
        stream.write("half")
    fill(path, answer(A), resume=True)
    assert ids_of(path) == [B, A] and not os.path.exists(beside)


FORMULAS = [begin + "cmd|' /C calc'!A0" for begin in ("=", "+", "-", "@", "\t=", "\r=", "\n=", "＝")]


@pytest.mark.parametrize("formula", FORMULAS)
def test_bug_a_code_became_a_formula_in_a_spreadsheet(tmp_path, formula):
    path = str(tmp_path / "results.csv")
    hostile = facecert.GatewayError(formula, code=formula, request_id=formula)
    behind = facecert.GatewayError("Words;%s" % formula)
    fill(path, failure(A, hostile), failure(B, behind), failure(C, LASTING))
    first, second, third = lines_of(path)
    shown = "'" + re.sub("[\t\r\n]", " ", formula)
    assert first["code"] == first["request_id"] == shown
    assert first["message"].startswith("'")
    assert second["message"].startswith("Words;'")
    assert third["code"] == "400" and "'" not in "".join(third.values())


def test_resume_knows_an_id_that_looks_like_a_formula(tmp_path):
    path, certify_id = str(tmp_path / "results.csv"), "-" + A[1:]
    fill(path, answer(certify_id), failure(B, PASSING))
    with ResultsFile(path, resume=True) as results:
        assert not results.claim(certify_id) and results.claim(B)
    assert ids_of(path) == ["'" + certify_id]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the system has no owners")
def test_a_link_of_another_user_is_not_followed(path, tmp_path, monkeypatch):
    real = str(tmp_path / "real")
    fill(real, failure(A, PASSING), kind="csv" if path.endswith("csv") else "jsonl")
    os.symlink(real, path)
    before, me = content(real), os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(facecert.InvalidParameter, match="symbolic link of another user"):
        ResultsFile(path, resume=True)
    assert content(real) == before


def test_bug_a_link_planted_during_a_resume_changed_the_mode_of_its_target(
    path, tmp_path, monkeypatch
):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    mine.chmod(0o600)
    fill(path, failure(A, PASSING), answer(B))
    os.chmod(path, 0o666)
    real = ResultsFile._lines_that_stay

    def plant(results, old):
        yield from real(results, old)
        beside = os.path.join(os.path.dirname(path), ".%s.resuming" % os.path.basename(path))
        os.unlink(beside)
        os.symlink(str(mine), beside)

    monkeypatch.setattr(ResultsFile, "_lines_that_stay", plant)
    fill(path, resume=True)
    assert mine.stat().st_mode & 0o777 == 0o600


@pytest.mark.long
def test_a_full_disk_leaves_whole_lines(path):
    """RLIMIT_FSIZE stands in for the full disk: the kernel writes a part of the line, then none."""
    pytest.importorskip("resource")
    out = run_python(
        "import resource, signal, sys\n"
        "sys.path[:0] = [%r, %r]\n"
        "from test_results_file import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "results = ResultsFile(%r)\n"
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

    with ResultsFile(path) as results:
        results.write(answer(A))
        whole, results._file = results._file, Torn(results._file)
        with pytest.raises(KeyboardInterrupt):
            results.write(answer(B))
        results._file = whole
        results.write(answer(C))
    assert ids_of(path) == [A, C]


def test_no_folder(tmp_path):
    with pytest.raises(OutputFailed, match="No such file"):
        ResultsFile(str(tmp_path / "none" / "out"))


def test_arguments():
    with pytest.raises(facecert.InvalidParameter):
        ResultsFile("-", resume=True)
    with pytest.raises(facecert.InvalidParameter):
        ResultsFile("x", "xml")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_standard_output(capsysbinary, kind):
    with ResultsFile("-", kind) as results:
        results.write(answer(A), 3)
    out = capsysbinary.readouterr().out
    assert out.count(b"\n") == (2 if kind == "csv" else 1) and A.encode() in out
    assert not sys.stdout.buffer.closed


def test_each_id_is_claimed_once():
    known, draw = set(), random.Random(3)
    with ResultsFile("-") as results:
        for _ in range(2000):
            certify_id = "%032x" % draw.randrange(800)
            assert results.claim(certify_id) is (certify_id not in known)
            known.add(certify_id)
        assert results.claim("Case") and results.claim("case")


@pytest.mark.long
def test_claimed_ids_do_not_stay_in_memory():
    out = run_python(
        "from facecert.batch.results_file import ResultsFile\n"
        "def memory():\n"
        "    return int(open('/proc/self/status').read().split('VmRSS:')[1].split()[0])\n"
        "results = ResultsFile('-')\n"
        "for number in range(20000): results.claim('%032x' % (number * 7919 % 1000003))\n"
        "before = memory()\n"
        "for number in range(20000, 220000): results.claim('%032x' % (number * 7919 % 1000003))\n"
        "print(memory() - before)\n"
    )
    # KiB. A set of 200,000 such ids takes 24,000.
    assert int(out) < 8000


def test_no_space_for_claimed_ids():
    with ResultsFile("-") as results:
        results._claimed.execute("PRAGMA max_page_count = 3")
        with pytest.raises(OutputFailed, match="SQLITE_TMPDIR"):
            for number in range(10000):
                results.claim("%032x" % number)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only")
def test_bug_resuming_a_pipe_hung_and_replaced_a_device(path):
    os.mkfifo(path)
    with pytest.raises(InvalidParameter, match="no ordinary file"):
        ResultsFile(path, resume=True)
    assert stat.S_ISFIFO(os.stat(path).st_mode)


@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root may give a file away")
def test_bug_resuming_as_root_took_the_file_from_its_owner(path):
    fill(path, answer(A))
    os.chown(path, 65534, 65534)
    ResultsFile(path, resume=True).close()
    assert os.stat(path).st_uid == os.stat(path).st_gid == 65534
