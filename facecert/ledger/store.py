"""Ledger: the durable record of every init, in SQLite, PostgreSQL or MySQL.

"CertifyId字段为计费统计字段…请您在本地留存" (help.aliyun.com 181863): the service bills by
certify_id, and cannot tell a lost certify_id again.
"""

import logging
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, Optional, Sequence

from ..errors import LedgerError, invalid
from ..lifecycle import FINAL, GRACE, LIFETIME, OPENED, PASSED, REFUSED, SENT, STATES, UNKNOWN
from ..lifecycle import BaseLedger, Opening, decide
from ..redact import guarded
from ..results import QueryResult
from .database import Database
from .schema import Entry, verifications as table

_log = logging.getLogger("facecert")


class Ledger(BaseLedger):
    """Keeps what became of every verification. Threads and processes may share it.

    If the database fails after the service has responded, the error is logged at ERROR (logger
    ``facecert``) and not raised, so that the caller gets the result. The row stays as it was.

    Args:
        url: a database URL as SQLAlchemy writes it, or the path of an SQLite file. The first use
            connects, and creates missing tables. A new SQLite file is readable by its owner only.

    Raises:
        InvalidParameter: ``url`` is malformed, or names a database in memory.
        DependencyError: SQLAlchemy is missing.
    """

    @guarded
    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def __repr__(self) -> str:
        return "<facecert.ledger.Ledger %r>" % vars(self).get("database")

    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Make the row durable. InvalidParameter: the number has a row that is not ``refused``."""
        fresh = {
            "scene_id": scene_id, "state": SENT, "request_id": None, "code": None,
            "sent_at": sent_at, "expires_at": sent_at + LIFETIME,
        }
        if self.database.write(table.insert().values(outer_order_no=outer_order_no, **fresh)):
            return
        # One statement, so that of two concurrent calls only one finds the row refused.
        again = table.update().where(
            table.c.outer_order_no == outer_order_no,
            table.c.state == REFUSED,
            # With a certify_id the service does know this order, and the id must not be lost.
            table.c.certify_id.is_(None),
        )
        if not self.database.write(again.values(**fresh)):
            rule = "was used before, according to the ledger; nothing was sent"
            raise invalid("outer_order_no", rule)

    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store the result of init."""
        row = table.update().where(table.c.outer_order_no == outer_order_no)
        texts = {"request_id": opening.request_id, "code": opening.code}
        told: Dict[str, Any] = {name: text and text[:64] for name, text in texts.items()}
        if opening.expires_at:
            told["expires_at"] = opening.expires_at
        news = [row.values(**told), row.where(table.c.state == SENT).values(state=opening.state)]
        if opening.certify_id:
            missing = row.where(table.c.certify_id.is_(None))
            news.append(missing.values(certify_id=opening.certify_id))
        with self._logging(outer_order_no, opening.certify_id):
            self.database.write(*news)

    def keep_answer(
        self, answer: QueryResult, *, asked_at: datetime, outer_order_no: Optional[str] = None,
        claim: Optional[bool] = None
    ) -> None:
        """Store the result of a query. ``passed`` is never taken back."""
        mine = table.c.certify_id == answer.certify_id
        if outer_order_no is not None:
            # The callback came before the response to init, or that response was lost.
            orphan = table.c.certify_id.is_(None) & (table.c.outer_order_no == outer_order_no)
            mine = mine | orphan
        open_ = table.c.state != PASSED if answer.passed else table.c.state.not_in(FINAL)
        with self._logging(outer_order_no, answer.certify_id):
            for row in self.database.read(table.select().where(mine, open_)):
                # The callback's token proves the claim for its own order only.
                claimed = claim if row.outer_order_no == outer_order_no else None
                state = decide(answer, asked_at=asked_at, expires_at=row.expires_at, claim=claimed)
                news: Dict[str, Any] = {"certify_id": answer.certify_id}
                if state is not None:
                    news.update(state=state, decided_at=datetime.now(timezone.utc))
                elif row.certify_id is not None:
                    continue
                one = table.update().where(table.c.outer_order_no == row.outer_order_no, open_)
                self.database.write(one.values(**news))

    def get(self, outer_order_no: str) -> Optional[Entry]:
        """Return the row of an order number, or None."""
        return next(self.pages(table.c.outer_order_no == outer_order_no), None)

    def find(self, certify_id: str) -> Optional[Entry]:
        """Return the row of a certify_id, or None."""
        return next(self.pages(table.c.certify_id == certify_id), None)

    def entries(
        self, *, states: Sequence[str] = STATES, since: Optional[datetime] = None,
        until: Optional[datetime] = None
    ) -> Iterator[Entry]:
        """Yield the rows, oldest first, with flat memory.

        Args:
            states: only rows in one of these states.
            since: an aware datetime; only rows sent at or after it.
            until: an aware datetime; only rows sent before it.
        """
        wanted: Any = table.c.state.in_(list(states))
        if until is not None:
            wanted = wanted & (table.c.sent_at < until)
        return self.pages(wanted, since)

    def unsettled(self, now: Optional[datetime] = None) -> Iterator[Entry]:
        """Yield the rows that need a person's attention, oldest first.

        These are: ``unknown``, and ``sent`` for more than 5 minutes (look the order number up in
        the console); ``opened`` for more than 30 + 5 minutes (query the certify_id).
        """
        over = (datetime.now(timezone.utc) if now is None else now) - GRACE
        return self.pages(
            (table.c.state == UNKNOWN)
            | ((table.c.state == SENT) & (table.c.sent_at < over))
            | ((table.c.state == OPENED) & (table.c.expires_at < over))
        )

    def pending(self) -> Iterator[Entry]:
        """Yield the rows that a query can settle: those with a certify_id and no final state."""
        return self.pages(table.c.certify_id.is_not(None) & table.c.state.not_in(FINAL))

    def check(self) -> None:
        """Check that the ledger can be written, without a change; raise LedgerError if not."""
        self.database.write(table.delete().where(table.c.outer_order_no == ""))

    def close(self) -> None:
        """Close this process's connections. A later use opens new ones."""
        self.database.close()

    def pages(self, wanted: Any, since: Optional[datetime] = None) -> Iterator[Entry]:
        """Yield the rows that match a condition of SQLAlchemy, oldest first."""
        # ``since`` is no part of the condition, because SQLite would start each page there.
        found = self.database.pages(
            table.select().where(wanted), table.c.sent_at, table.c.outer_order_no, since=since
        )
        return (Entry(*row) for row in found)

    @contextmanager
    def _logging(self, outer_order_no: Optional[str], certify_id: Optional[str]) -> Iterator[None]:
        """Log an error, with the ids that the ledger could not store. Raise all but LedgerError."""
        try:
            yield
        except BaseException as error:  # a timeout's signal handler may raise anywhere
            reason = error if isinstance(error, LedgerError) else type(error).__name__ + "."
            words = "%s Not in the ledger: outer_order_no %s, certify_id %s"
            _log.error(words, reason, outer_order_no, certify_id)
            if reason is not error:
                raise
