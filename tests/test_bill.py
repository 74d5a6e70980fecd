import datetime

import pytest

import facecert
from facecert.lifecycle import GRACE, LIFETIME, Opening

pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
from facecert import bill as bill_module  # noqa: E402
from facecert.bill import CHINA, Bill  # noqa: E402
from facecert.ledger import Ledger  # noqa: E402

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
    monkeypatch.setattr(bill_module, "_PAGE", 3)
    bill = Bill(ledger, "2026-10")
    assert bill.add("c%02d" % number for number in range(10)) == 10
    assert list(bill.missing_here()) == ["c%02d" % number for number in range(10)]


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
