"""Bill: a month's bill, compared with the ledger."""

import re
from datetime import datetime
from itertools import islice
from typing import Any, Iterable, Iterator, List, Optional, Tuple

from sqlalchemy import func, select

from ..errors import invalid
from ..lifecycle import CHINA, FINAL
from ..params import check_certify_id
from .database import PAGE
from .schema import Entry, bill_lines, verifications as table
from .store import Ledger, overdue

#: Lines in a transaction. The ids come in no order, so each line changes another page of a large
#: index. Small transactions would write the same page again and again.
_LINES = 5000

_BILLED_ID = bill_lines.c.certify_id
_BILLED = select(_BILLED_ID).where(_BILLED_ID == table.c.certify_id).exists()


def month_bounds(month: str) -> Tuple[datetime, datetime]:
    """Return the midnights in China at which a month, like ``2026-10``, begins and ends."""
    if not re.fullmatch("20[0-9]{2}-(0[1-9]|1[0-2])", month):
        raise invalid("month", "must be written like 2026-10")
    year, number = int(month[:4]), int(month[5:])
    first = datetime(year, number, 1, tzinfo=CHINA)
    return first, datetime(year + number // 12, number % 12 + 1, 1, tzinfo=CHINA)


class Bill:
    """One month's bill, stored in the ledger's database beside the verifications.

    Alibaba Cloud does not document which verifications it bills, nor the month of a verification
    that spans midnight. A difference is a question to ask, not a proof.

    Args:
        ledger: the ledger whose database holds the lines.
        month: ``2026-10``, in China's time.

    Raises:
        InvalidParameter: ``month`` is malformed.
    """

    def __init__(self, ledger: Ledger, month: str) -> None:
        self._since, self._until = month_bounds(month)
        self.month = month
        self._ledger = ledger
        self._lines = select(_BILLED_ID).where(bill_lines.c.month == month)

    def add(self, certify_ids: Iterable[str]) -> int:
        """Store the bill's lines, each once, and return how many are new.

        Raises:
            InvalidParameter: an item is not a certify_id.
            LedgerError: the lines could not be written. Adding them again does no harm.
        """
        checked = map(check_certify_id, certify_ids)
        pages = iter(lambda: list(islice(checked, _LINES)), [])
        return sum(map(self._add, pages))

    def count(self) -> int:
        """Return how many lines the bill has."""
        lines = select(func.count()).select_from(bill_lines).where(bill_lines.c.month == self.month)
        return int(self._ledger.database.read(lines)[0][0])

    def missing_here(self) -> Iterator[str]:
        """Yield the certify_ids that were billed and have no row in the ledger."""
        known = select(table.c.certify_id).where(table.c.certify_id == _BILLED_ID)
        found = self._ledger.database.pages(self._lines.where(~known.exists()), _BILLED_ID)
        return (str(line[0]) for line in found)

    def missing_there(self) -> Iterator[Entry]:
        """Yield the month's verifications that passed or failed and are on no month's bill."""
        return self._sent(table.c.state.in_(FINAL) & ~_BILLED)

    def never_finished(
        self, *, billed: Optional[bool] = None, now: Optional[datetime] = None
    ) -> Iterator[Entry]:
        """Yield the month's verifications that are ``opened`` although they have expired.

        A ``failed`` verification may be unfinished too, because the service says F for both.

        Args:
            billed: True for only those on a bill, False for only those on no bill.
            now: an aware datetime instead of the current time.
        """
        _, wanted = overdue(now)
        if billed is not None:
            wanted = wanted & (_BILLED if billed else ~_BILLED)
        return self._sent(wanted)

    def _sent(self, wanted: Any) -> Iterator[Entry]:
        return self._ledger.pages(wanted & (table.c.sent_at < self._until), self._since)

    def _add(self, lines: List[str]) -> int:
        fresh = sorted(set(lines).difference(self._kept(lines)))
        rows = [{"certify_id": one, "month": self.month} for one in fresh]
        if rows and not self._ledger.database.write(bill_lines.insert(), rows=rows):
            return self._add(lines)  # A concurrent import has stored some of the lines.
        return len(rows)

    def _kept(self, lines: List[str]) -> Iterator[str]:
        # By pages, because older SQLites allow 999 parameters in a statement.
        for start in range(0, len(lines), PAGE):
            page = self._lines.where(_BILLED_ID.in_(lines[start : start + PAGE]))
            yield from (line[0] for line in self._ledger.database.read(page))
