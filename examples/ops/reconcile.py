"""The bill of a month against the ledger: what is missing here, missing there, never finished.

    python examples/ops/reconcile.py BILL.csv 2026-10

BILL.csv has a column certifyId; FACECERT_LEDGER names the ledger. Without arguments it shows
itself with a month that is made up, and needs nothing.
"""

import datetime
import os
import pathlib
import sys
import tempfile

from facecert.batch import read_ids
from facecert.ledger import Bill, Ledger
from facecert.lifecycle import CHINA, LIFETIME, Opening


def reconcile(ledger, path, month):
    """Print the three lists, and return their totals."""
    bill = Bill(ledger, month)
    # A line without an id is a sum, or a remark.
    bill.add(line.certify_id for line in read_ids(str(path), "csv") if line.certify_id)
    totals = {"on the bill": bill.count()}
    for title, found in (
        ("missing here: billed, and nowhere in the ledger", bill.missing_here()),
        ("missing there: with an outcome, and on no bill", bill.missing_there()),
        ("never finished, but billed", bill.never_finished(billed=True)),
        ("never finished, not billed", bill.never_finished(billed=False)),
    ):
        print(title)
        total = 0
        for one in found:
            total += 1
            if isinstance(one, str):
                print("  %s" % one)
            else:
                print("  %s  %s  %s" % (one.certify_id, one.outer_order_no, one.state))
        print("  total: %d" % total)
        totals[title.partition(":")[0]] = total
    return totals


def show(folder):
    """Reconcile a month that is made up."""
    ledger = Ledger(str(folder / "ledger.db"))
    sent_at = datetime.datetime(2026, 10, 5, 12, tzinfo=CHINA)
    for order, state in (("A1", "passed"), ("A2", "passed"), ("A3", "opened"), ("A4", "opened")):
        ledger.keep_sent(order, scene_id="1000000006", sent_at=sent_at)
        opening = Opening(state, order.lower() * 16, expires_at=sent_at + LIFETIME)
        ledger.keep_opening(order, opening)
    csv = folder / "bill.csv"
    ids = ["a1" * 16, "a4" * 16, "b9" * 16]
    csv.write_text("certifyId,金额\n" + "".join("%s,1.00\n" % one for one in ids), "utf-8")
    totals = reconcile(ledger, csv, "2026-10")
    ledger.close()
    assert totals == {
        "on the bill": 3,
        "missing here": 1,
        "missing there": 1,
        "never finished, but billed": 1,
        "never finished, not billed": 1,
    }


if __name__ == "__main__":
    if len(sys.argv) == 3:
        reconcile(Ledger(os.environ["FACECERT_LEDGER"]), sys.argv[1], sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as name:
            show(pathlib.Path(name))
