"""Ledger: the durable record of every init, in SQLite, PostgreSQL or MySQL.

"CertifyId字段为计费统计字段…请您在本地留存" (help.aliyun.com 181863): the bill is by certify_id,
and an id that was lost cannot be asked for again.
"""

import logging
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, Optional, Sequence

from .. import lifecycle
from .database import Database, RowExists
from ..errors import InvalidParameter, LedgerError
from ..lifecycle import FINAL, LIFETIME, PASSED, REFUSED, SENT, STATES, UNKNOWN, BaseLedger, Opening
from ..results import QueryResult
from .schema import Entry
from .schema import verifications as table

_PAGE = 500

_log = logging.getLogger("facecert")


class Ledger(BaseLedger):
    """Keeps what became of every verification. May be shared by threads and processes.

    Once init was answered, the ledger's own trouble is logged at ERROR (logger ``facecert``) and
    not raised: the answer is worth more. The row then still says ``sent``, which is true.

    Args:
        url: a database's URL as SQLAlchemy writes it, or the path of an SQLite file. The tables
            are made when they are missing. Nothing is opened before it is used.

    Raises:
        InvalidParameter: it is no URL.
        DependencyError: SQLAlchemy is missing.
    """

    def __init__(self, url: str) -> None:
        try:
            self.database = Database(url)
        finally:
            del url  # a crash report shows this frame's variables

    def __repr__(self) -> str:
        return "<facecert.ledger.Ledger %r>" % vars(self).get("database")

    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Make the row durable before init is sent.

        Raises:
            LedgerError: it could not be written.
            InvalidParameter: the order number has a row that is not ``refused``.
        """
        fresh = {
            "scene_id": scene_id,
            "state": SENT,
            "request_id": None,
            "code": None,
            "sent_at": sent_at,
            "expires_at": sent_at + LIFETIME,
        }
        try:
            with self.database.writing() as connection:
                row = table.insert().values(outer_order_no=outer_order_no, **fresh)
                connection.execute(row)
            return
        except RowExists:
            pass  # There is a row. Two that come at once cannot both find it refused.
        with self.database.writing() as connection:
            again = table.update().where(
                table.c.outer_order_no == outer_order_no,
                table.c.state == REFUSED,
                # With an id the service knows this order after all; the id must not get lost.
                table.c.certify_id.is_(None),
            )
            if not connection.execute(again.values(**fresh)).rowcount:
                raise InvalidParameter(
                    "outer_order_no was used before, says the ledger; nothing was sent",
                    field="outer_order_no",
                )

    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store what came of init."""
        row = table.update().where(table.c.outer_order_no == outer_order_no)
        told: Dict[str, Any] = {"request_id": _cut(opening.request_id), "code": _cut(opening.code)}
        if opening.expires_at:
            told["expires_at"] = opening.expires_at
        news = [row.values(**told), row.where(table.c.state == SENT).values(state=opening.state)]
        if opening.certify_id:
            missing = row.where(table.c.certify_id.is_(None))
            news.append(missing.values(certify_id=opening.certify_id))
        with self._logging(outer_order_no, opening.certify_id):
            with self.database.writing() as connection:
                for statement in news:
                    connection.execute(statement)

    def keep_answer(
        self,
        answer: QueryResult,
        *,
        asked_at: datetime,
        outer_order_no: Optional[str] = None,
        claim: Optional[bool] = None
    ) -> None:
        """Store what the service answered; ``passed`` is never taken back."""
        mine = table.c.certify_id == answer.certify_id
        if outer_order_no is not None:
            # The callback was faster than the answer to init, or that was lost.
            orphan = table.c.certify_id.is_(None) & (table.c.outer_order_no == outer_order_no)
            mine = mine | orphan
        open_ = table.c.state != PASSED if answer.passed else table.c.state.not_in(FINAL)
        with self._logging(outer_order_no, answer.certify_id):
            with self.database.reading() as connection:
                found = connection.execute(table.select().where(mine, open_)).all()
            for row in found:
                # The token proves what is claimed of its own order only.
                claimed = claim if row.outer_order_no == outer_order_no else None
                state = lifecycle.decide(
                    answer, asked_at=asked_at, expires_at=row.expires_at, claim=claimed
                )
                news: Dict[str, Any] = {"certify_id": answer.certify_id}
                if state is not None:
                    news.update(state=state, decided_at=datetime.now(timezone.utc))
                elif row.certify_id is not None:
                    continue
                one = table.update().where(table.c.outer_order_no == row.outer_order_no, open_)
                with self.database.writing() as connection:
                    connection.execute(one.values(**news))

    def get(self, outer_order_no: str) -> Optional[Entry]:
        """Return an order's row, or None."""
        return next(self.pages(table.c.outer_order_no == outer_order_no), None)

    def find(self, certify_id: str) -> Optional[Entry]:
        """Return the row of a verification, or None."""
        return next(self.pages(table.c.certify_id == certify_id), None)

    def entries(
        self,
        *,
        states: Sequence[str] = STATES,
        since: Optional[datetime] = None,
        until: Optional[datetime] = None
    ) -> Iterator[Entry]:
        """Yield the rows, oldest first; memory stays flat however many there are.

        Args:
            states: only these.
            since, until: aware datetimes; those sent from the one on, and before the other.
        """
        wanted: Any = table.c.state.in_(list(states))
        if until is not None:
            wanted = wanted & (table.c.sent_at < until)
        return self.pages(wanted, since)

    def unsettled(self, now: Optional[datetime] = None) -> Iterator[Entry]:
        """Yield what somebody must look after.

        That is: ``unknown``, and ``sent`` for longer than a call can take (look the order up in
        the console), and ``opened`` though the 30 minutes and five more are over (ask).
        """
        now = datetime.now(timezone.utc) if now is None else now
        over = now - lifecycle.GRACE
        return self.pages(
            (table.c.state == UNKNOWN)
            | ((table.c.state == SENT) & (table.c.sent_at < over))
            | ((table.c.state == lifecycle.OPENED) & (table.c.expires_at < over))
        )

    def pending(self) -> Iterator[Entry]:
        """Yield the rows whose outcome a query can still tell: there is an id and no outcome."""
        return self.pages(table.c.certify_id.is_not(None) & table.c.state.not_in(FINAL))

    def check(self) -> None:
        """Find out whether it can be read and written. Changes nothing.

        Raises:
            LedgerError: it cannot.
        """
        with self.database.writing() as connection:
            connection.execute(table.delete().where(table.c.outer_order_no == ""))

    def close(self) -> None:
        """Close this process's connections. A later use opens new ones."""
        self.database.close()

    def pages(self, wanted: Any, since: Optional[datetime] = None) -> Iterator[Entry]:
        """Yield the rows that an SQL condition describes, oldest first.

        No cursor stays open between pages: whoever reads may write as well.

        Args:
            since: an aware datetime; only those sent from then on. In ``wanted`` it would keep
                SQLite from going on where the last page ended.
        """
        rows = table.select().where(wanted)
        rows = rows.order_by(table.c.sent_at, table.c.outer_order_no).limit(_PAGE)
        page = rows if since is None else rows.where(table.c.sent_at >= since)
        while True:
            with self.database.reading() as connection:
                entries = [Entry(*row) for row in connection.execute(page)]
            yield from entries
            if len(entries) < _PAGE:
                return
            last = entries[-1]
            # The bound stands alone: within an "or" the index would be read from its beginning.
            page = rows.where(
                table.c.sent_at >= last.sent_at,
                (table.c.sent_at > last.sent_at) | (table.c.outer_order_no > last.outer_order_no),
            )

    @contextmanager
    def _logging(self, outer_order_no: Optional[str], certify_id: Optional[str]) -> Iterator[None]:
        """Log the ledger's trouble; what it should have kept is in the record."""
        try:
            yield
        except BaseException as error:  # a time-out's signal may strike anywhere
            known = isinstance(error, LedgerError)
            _log.error(
                "%s Not in the ledger: outer_order_no %s, certify_id %s",
                error if known else "%s." % type(error).__name__,
                outer_order_no,
                certify_id,
            )
            if not known:
                raise


def _cut(text: Optional[str]) -> Optional[str]:
    return text and text[:64]
