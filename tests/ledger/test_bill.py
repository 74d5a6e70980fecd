import datetime

import pytest

import facecert
from facecert.lifecycle import CHINA, GRACE, LIFETIME, Opening

pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
from sqlalchemy import event  # noqa: E402

from facecert.ledger import Ledger, bill as bill_module, database  # noqa: E402
from facecert.ledger.bill import Bill  # noqa: E402
from facecert.ledger.schema import verifications  # noqa: E402

MINUTE = datetime.timedelta(minutes=1)
OCTOBER = datetime.datetime(2026, 10, 1, tzinfo=CHINA)
NOVEMBER = datetime.datetime(2026, 11, 1, tzinfo=CHINA)
LATER = NOVEMBER + datetime.timedelta(days=9)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(str(tmp_path / "ledger.db"))
    yield ledger
    ledger.close()


def keep(ledger, order, sent_at, state, certify_id="same"):
    certify_id = "c" + order if certify_id == "same" else certify_id
    ledger.keep_sent(order, scene_id="1", sent_at=sent_at)
    ledger.keep_opening(order, Opening(state, certify_id, expires_at=sent_at + LIFETIME))


def orders(entries):
    return [entry.outer_order_no for entry in entries]


def test_what_stands_on_one_side_only(ledger):
    keep(ledger, "billed", OCTOBER, "passed")
    keep(ledger, "unbilled", OCTOBER + MINUTE, "passed")
    keep(ledger, "unbilledF", OCTOBER + 2 * MINUTE, "failed")
    keep(ledger, "left", OCTOBER + 3 * MINUTE, "opened")
    keep(ledger, "leftbilled", OCTOBER + 4 * MINUTE, "opened")
    keep(ledger, "refused", OCTOBER + 5 * MINUTE, "refused", None)
    keep(ledger, "unknown", OCTOBER + 6 * MINUTE, "unknown", None)
    keep(ledger, "september", OCTOBER - MINUTE, "passed")
    keep(ledger, "november", NOVEMBER, "passed")
    bill = Bill(ledger, "2026-10")
    assert bill.add(["cbilled", "cleftbilled", "nobodys"]) == 3
    assert bill.count() == 3
    assert list(bill.missing_here()) == ["nobodys"]
    assert orders(bill.missing_there()) == ["unbilled", "unbilledF"]
    assert orders(bill.never_finished(now=LATER)) == ["left", "leftbilled"]
    assert orders(bill.never_finished(billed=True, now=LATER)) == ["leftbilled"]
    assert orders(bill.never_finished(billed=False, now=LATER)) == ["left"]
    # The person may still be at it.
    over = OCTOBER + 3 * MINUTE + LIFETIME + GRACE
    assert orders(bill.never_finished(now=over)) == []
    assert orders(bill.never_finished(now=over + MINUTE / 60)) == ["left"]
    # What spans midnight may stand on the next month's bill.
    assert Bill(ledger, "2026-11").add(["cunbilled"]) == 1
    assert orders(bill.missing_there()) == ["unbilledF"]
    assert bill.count() == 3


def test_lines_are_kept_once(ledger):
    bill = Bill(ledger, "2026-10")
    assert bill.add(["c1", "c2", "c1"]) == 2
    assert bill.add(["c1", "c2", "c3"]) == 1
    assert bill.count() == 3


def test_page_by_page(ledger, monkeypatch):
    monkeypatch.setattr(bill_module, "PAGE", 3)
    monkeypatch.setattr(database, "PAGE", 3)
    monkeypatch.setattr(bill_module, "_LINES", 7)
    bill = Bill(ledger, "2026-10")
    assert bill.add("c%02d" % number for number in range(10)) == 10
    assert list(bill.missing_here()) == ["c%02d" % number for number in range(10)]
    assert bill.add("c%02d" % number for number in range(5, 20)) == 10
    assert list(bill.missing_here()) == ["c%02d" % number for number in range(20)]


def test_bug_a_transaction_for_every_500_lines(ledger):
    commits = []
    event.listen(ledger.database._engine(), "commit", lambda connection: commits.append(connection))
    lines = ["c%05d" % number for number in range(bill_module._LINES)]
    assert Bill(ledger, "2026-10").add(lines) == len(lines) == 5000
    assert len(commits) == 1


@pytest.mark.long
def test_bug_a_later_page_read_all_the_earlier_ones_again(ledger, monkeypatch):
    monkeypatch.setattr(database, "PAGE", 10)
    bill = Bill(ledger, "2026-10")
    steps = []

    def count(connection, record):
        connection.set_progress_handler(lambda: steps.append(1), 10)

    def steps_for_each_row(read, rows):
        del steps[:]
        assert sum(1 for _ in read()) == rows
        return len(steps) / rows

    event.listen(ledger.database._engine(), "connect", count)
    readings = {
        "entries": ledger.entries,
        "entries since": lambda: ledger.entries(since=OCTOBER),
        "pending": ledger.pending,
        "unsettled": lambda: ledger.unsettled(LATER),
        "never finished": lambda: bill.never_finished(now=LATER),
        "missing there": bill.missing_there,
    }
    few, many = 100, 1000
    found = {few: {}, many: {}}
    for start, rows in ((0, few), (few, many)):
        new = [
            {
                "outer_order_no": "o%d" % number,
                "scene_id": "1",
                "state": "opened",
                "certify_id": "c%d" % number,
                "sent_at": OCTOBER + number * MINUTE,
                "expires_at": OCTOBER + number * MINUTE + LIFETIME,
            }
            for number in range(start, rows)
        ]
        ledger.database.write(verifications.insert(), rows=new)
        for name, read in readings.items():
            state = "passed" if name == "missing there" else "opened"
            ledger.database.write(verifications.update().values(state=state))
            found[rows][name] = steps_for_each_row(read, rows)
    for name in readings:
        assert found[many][name] < 1.3 * found[few][name], (name, found)


@pytest.mark.parametrize("month", ["2026-13", "2026-00", "26-10", "2026-1", "202610", ""])
def test_months(ledger, month):
    with pytest.raises(facecert.InvalidParameter, match="2026-10") as caught:
        Bill(ledger, month)
    assert caught.value.field == "month"


def test_months_begin_and_end_at_midnight_in_china(ledger):
    moment = datetime.timedelta(microseconds=1)
    for number in range(1, 14):
        began = datetime.datetime(2026 + number // 13, (number - 1) % 12 + 1, 1, tzinfo=CHINA)
        keep(ledger, "end%d" % (number - 1), began - moment, "passed")
        keep(ledger, "begin%d" % number, began, "passed")
    for number in range(1, 13):
        found = orders(Bill(ledger, "2026-%02d" % number).missing_there())
        assert found == ["begin%d" % number, "end%d" % number]
    assert began.utcoffset() == datetime.timedelta(hours=8)


def test_what_is_no_id_is_not_kept(ledger):
    with pytest.raises(facecert.InvalidParameter):
        Bill(ledger, "2026-10").add(["c1", "张三"])
    assert Bill(ledger, "2026-10").count() == 0


def test_bug_two_imports_at_once_collided(ledger, monkeypatch):
    """What the other one keeps between our look and our insert."""
    bill, other = Bill(ledger, "2026-10"), Bill(ledger, "2026-10")
    kept = Bill._kept

    def look(self, lines):
        found = kept(self, lines)
        if self is bill and not other.count():
            other.add(["c1", "c2"])
        return found

    monkeypatch.setattr(Bill, "_kept", look)
    assert bill.add(["c1", "c2", "c3"]) == 1
    assert bill.count() == 3


@pytest.mark.parametrize("number", ["11010119800101998X", "330103199001011230", "13800138000"])
def test_bug_a_number_of_something_else_was_kept_as_an_id(ledger, number):
    bill = Bill(ledger, "2026-10")
    with pytest.raises(facecert.InvalidParameter) as caught:
        bill.add(["c1", number])
    assert number not in str(caught.value) and bill.count() == 0
    assert caught.value.field == "certify_id"
    with pytest.raises(facecert.InvalidParameter):
        bill.add([5])
