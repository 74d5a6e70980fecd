"""A month's bill beside the ledger: what stands on the one and not on the other."""

import re
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, Iterable, Iterator, Optional, Sequence, Set

from .database import RowExists
from ..errors import InvalidParameter
from ..params import check_certify_id
from .store import Ledger
from ..lifecycle import FINAL, GRACE, OPENED
from .schema import Entry, bill_lines
from .schema import verifications as table

# Below tables, which says what to do where SQLAlchemy is missing.
from sqlalchemy import func, select

#: Alibaba Cloud's months begin at midnight in China.
CHINA = timezone(timedelta(hours=8))

_PAGE = 500

#: Lines in a transaction. Ids come in no order, so that in a large table each is written to another
#: place; with few of them in a transaction such a place is written again for every line.
_LINES = 5000


class Bill:
    """One month's bill, in the ledger's database beside the verifications.

    Which verifications are billed, and in which month those that span midnight, is not
    documented; what is missing on one side is a question to ask, not a proof.

    Args:
        ledger: where the bill's lines are kept.
        month: ``2026-10``, counted in China's time.

    Raises:
        InvalidParameter: it is no month.
    """

    def __init__(self, ledger: Ledger, month: str) -> None:
        if not re.fullmatch("20[0-9]{2}-(0[1-9]|1[0-2])", month):
            raise InvalidParameter("month must be written like 2026-10", field="month")
        self.month = month
        self._ledger = ledger
        year, number = int(month[:4]), int(month[5:])
        self._since = datetime(year, number, 1, tzinfo=CHINA)
        self._until = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=CHINA)

    def add(self, certify_ids: Iterable[str]) -> int:
        """Keep the bill's lines; one that is kept already is not kept twice.

        Returns:
            How many are new.

        Raises:
            InvalidParameter: one of them is no certify_id.
            LedgerError: it could not be written. Adding the same lines again does no harm.
        """
        new = 0
        source = iter(certify_ids)
        while True:
            lines = [check_certify_id(one) for one in islice(source, _LINES)]
            if not lines:
                return new
            added: Optional[int] = None
            while added is None:
                try:
                    added = self._add(lines)
                except RowExists:
                    pass  # Another import of it came in between, and has kept some.
            new += added

    def count(self) -> int:
        """Return how many lines the bill has."""
        lines = select(func.count()).select_from(bill_lines)
        with self._ledger.database.reading() as connection:
            return int(connection.execute(lines.where(self._mine())).scalar_one())

    def missing_here(self) -> Iterator[str]:
        """Yield the ids that were billed and are in no row of the ledger."""
        known = select(table.c.certify_id).where(table.c.certify_id == bill_lines.c.certify_id)
        last = ""
        while True:
            lines = (
                select(bill_lines.c.certify_id)
                .where(self._mine(), bill_lines.c.certify_id > last, ~known.exists())
                .order_by(bill_lines.c.certify_id)
                .limit(_PAGE)
            )
            with self._ledger.database.reading() as connection:
                page = [str(line[0]) for line in connection.execute(lines)]
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]

    def missing_there(self) -> Iterator[Entry]:
        """Yield the month's verifications that have an outcome and are on no month's bill."""
        return self._sent(table.c.state.in_(FINAL) & ~_billed())

    def never_finished(
        self, *, billed: Optional[bool] = None, now: Optional[datetime] = None
    ) -> Iterator[Entry]:
        """Yield the month's verifications that were opened, and whose time is over.

        Nobody has asked about them since. ``failed`` may mean never finished as well: the service
        says F for both.

        Args:
            billed: only those that are on a bill, or only those that are not.
        """
        over = (datetime.now(timezone.utc) if now is None else now) - GRACE
        wanted = (table.c.state == OPENED) & (table.c.expires_at < over)
        if billed is not None:
            wanted = wanted & (_billed() if billed else ~_billed())
        return self._sent(wanted)

    def _sent(self, wanted: Any) -> Iterator[Entry]:
        """Yield those of the month's verifications that a condition describes."""
        return self._ledger.pages(wanted & (table.c.sent_at < self._until), self._since)

    def _add(self, lines: Sequence[str]) -> int:
        with self._ledger.database.writing() as connection:
            fresh = sorted(set(lines) - self._kept(connection, lines))
            for page in _pages(fresh):
                rows = [{"certify_id": one, "month": self.month} for one in page]
                connection.execute(bill_lines.insert(), rows)
        return len(fresh)

    def _mine(self) -> Any:
        return bill_lines.c.month == self.month

    def _kept(self, connection: Any, certify_ids: Sequence[str]) -> Set[str]:
        lines = select(bill_lines.c.certify_id).where(self._mine())
        kept: Set[str] = set()
        for page in _pages(certify_ids):
            found = connection.execute(lines.where(bill_lines.c.certify_id.in_(page)))
            kept.update(str(line[0]) for line in found)
        return kept


def _pages(certify_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield as many at a time as one statement may name: older SQLites take 999."""
    for start in range(0, len(certify_ids), _PAGE):
        yield certify_ids[start : start + _PAGE]


def _billed() -> Any:
    lines = select(bill_lines.c.certify_id).where(bill_lines.c.certify_id == table.c.certify_id)
    return lines.exists()
