"""Short runs of the programs in tests/endurance, and tests that their checks can fail."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
pytest.importorskip("trustme", reason="the soak's sandbox speaks TLS")
sys.path.insert(0, str(ROOT / "tests" / "endurance"))
import soak_canaries  # noqa: E402
from proof import Proof  # noqa: E402
from soak_judge import Journal, Record, judge_ledger, judge_measures  # noqa: E402


@pytest.mark.long
def test_everything_at_once(tmp_path):
    """The ledger is right, nothing private is written, and nothing stays open or running."""
    table = tmp_path / "table.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "endurance" / "soak.py"), "--minutes", "0.04",
         "--json", str(table)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.endswith("all of it holds\n"), done.stdout
    told = json.loads(table.read_text())
    assert told["wrong"] == []
    rows = {(title, what) for title, what, _ in told["rows"]}
    assert {("calls", "init"), ("sandbox", "restarts"), ("search", "files; MB; found")} <= rows


def test_the_search_has_no_blind_spots(tmp_path):
    assert soak_canaries.blind_spots(str(tmp_path), "T" * 27) == []
    clean = tmp_path / "clean"
    clean.write_text("opened a1b2c3 InitResult(certify_id='0123456789abcdef') \\u6b27****\n" * 99)
    search = soak_canaries.Search(["T" * 27])
    search.file(str(clean))
    assert (search.found, search.files, search.bytes) == (set(), 1, clean.stat().st_size)


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


OPENED = {"opened": "c1", "order": "r1p", "url": None, "token": None, "at": 1.0}
SUBMITS = {"submits": "c1", "passed": True, "at": 2.0}
DONE = {"done": "c1", "passed": True, "at": 2.1}
ANSWER = {"answer": "c1", "passed": True, "kind": "query", "begun": 3.0, "at": 3.1}
NOT_KNOWN = {"call": "query", "error": "LedgerError", "code": None, "outcome": "not sent"}


@pytest.mark.parametrize(
    "line, right",
    [
        (ANSWER, True),
        (dict(ANSWER, begun=1.5, at=1.6), False),  # before anybody did it
        (dict(ANSWER, passed=False), False),
        (dict(ANSWER, passed=False, begun=2.05), True),
        (dict(ANSWER, answer="c2"), False),
        (dict(ANSWER, answer="c2", passed=False), True),
        ({"order": "r1p", "certify_id": "c1"}, True),
        ({"order": "r1p", "certify_id": "c2"}, False),
        (NOT_KNOWN, False),
        (dict(NOT_KNOWN, error="GatewayError", code="ServiceUnavailable"), True),
        (dict(NOT_KNOWN, error="SignatureError", code="SignatureDoesNotMatch"), False),
        ({"forked": 0, "seconds": 0.1}, True),
        ({"forked": 14, "seconds": 15.0}, False),
        ({"failed": "r1p"}, False),
        ({"failed": "r2n"}, False),
        ({"unexpected": "KeyError"}, False),
    ],
)
def test_the_judge_of_what_the_worker_saw(tmp_path, line, right):
    second = dict(OPENED, opened="c2", order="r2n")
    journal = Journal(write(tmp_path / "journal", OPENED, SUBMITS, DONE, second))
    proof = Proof()
    Record(write(tmp_path / "record", line), journal, proof)
    assert (proof.wrong == []) is right


@pytest.mark.parametrize(
    "state, certify_id, journal, right",
    [
        ("passed", "c1", [OPENED, SUBMITS, DONE], True),
        ("passed", "c1", [OPENED], False),
        ("passed", "c2", [OPENED, SUBMITS, DONE], False),
        ("failed", "c1", [OPENED], True),
        ("failed", "c1", [OPENED, SUBMITS, DONE], False),
        ("opened", "c1", [OPENED], False),  # it could have been asked about
        ("refused", None, [], True),
        ("refused", None, [OPENED], False),
        ("unknown", None, [], True),
        ("unknown", None, [OPENED], True),
        ("unknown", None, [OPENED, {"again": "r1p"}], False),
        (None, None, [], False),
        (None, None, [OPENED], False),
    ],
)
def test_the_judge_of_the_ledger(tmp_path, state, certify_id, journal, right):
    class Row:
        outer_order_no = "r1p"
        code = "1"

    class Rows:
        def entries(self):
            return [Row] if state else []

    Row.state, Row.certify_id = state, certify_id
    proof = Proof()
    truth = Journal(write(tmp_path / "journal", *journal))
    record = Record(write(tmp_path / "record", {"attempt": "r1p"}), truth, proof)
    judge_ledger(Rows(), "r", truth, record, proof)
    assert (proof.wrong == []) is right


@pytest.mark.parametrize(
    "changed, right",
    [
        ({}, True),
        ({"fds": 7, "fds with kept connections": 12, "sockets": 2}, False),
        ({"fds with kept connections": 60}, False),
        ({"rss": 9 * 2**20}, False),
        ({"threads": ["a", "b", "c"]}, False),
    ],
)
def test_the_judge_of_what_stays_open(changed, right):
    warm = {"fds with kept connections": 11, "fds": 6, "sockets": 1, "rss": 2**20,
            "threads": ["a", "b"]}  # fmt: skip
    closed = dict(warm, sockets=0, threads=["a"])
    proof = Proof()
    judge_measures([warm, dict(warm, **changed), closed], proof)
    assert (proof.wrong == []) is right
