"""Ledger: the durable record of every init, in SQLite, PostgreSQL or MySQL.

"CertifyId字段为计费统计字段…请您在本地留存" (help.aliyun.com 181863): the service bills by
certify_id, and cannot tell a lost certify_id again.
"""

import logging
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple

from ..errors import CallbackError, LedgerError, invalid
from ..lifecycle import CHINA, FINAL, GRACE, LIFETIME, OPENED, REFUSED, SENT, STATES, UNKNOWN
from ..lifecycle import BaseLedger, Opening, budget_spent, decide
from ..redact import guarded
from ..results import QueryResult
from ..settings import MOST_PER_DAY, check_whole
from .database import Database, is_duplicate
from .schema import Entry, days, verifications as table

_log = logging.getLogger("facecert")


class Ledger(BaseLedger):
    """Keeps what became of every verification. Threads and processes may share it.

    If the database fails after the service has responded, the error is logged at ERROR (logger
    ``facecert``) and not raised, so that the caller gets the result. The row stays as it was.

    Args:
        url: a database URL as SQLAlchemy writes it, or the path of an SQLite file. The first use
            connects, and creates missing tables. A new SQLite file is readable by its owner only.
        per_day: how many inits are sent on one day of China (UTC+8) at most, over all processes
            that use the ledger with this setting. Refused inits count; retries do not.

    Raises:
        InvalidParameter: ``url`` is malformed, or names a database in memory; or ``per_day``.
        DependencyError: SQLAlchemy or the database's driver is missing.
    """

    @guarded
    def __init__(self, url: str, per_day: Optional[int] = None) -> None:
        self.database = Database(url)
        self.per_day = None if per_day is None else check_whole(per_day, "per_day", MOST_PER_DAY)
        #: The last day whose counter is known to exist.
        self._day = ""

    def __repr__(self) -> str:
        return "<facecert.ledger.Ledger %r>" % vars(self).get("database")

    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Make the row durable, and count the init. InvalidParameter: it was sent before."""
        fresh = {
            "scene_id": scene_id, "state": SENT, "request_id": None, "code": None,
            "sent_at": sent_at, "expires_at": sent_at + LIFETIME,
        }
        count = partial(self._count, sent_at)

        def insert(connection: Any) -> None:
            connection.execute(table.insert().values(outer_order_no=outer_order_no, **fresh))
            count(connection)

        def renew(row: Entry) -> Dict[str, Any]:
            # With a certify_id the service does know this order, and the id must not be lost.
            if row.state != REFUSED or row.certify_id is not None:
                rule = "was used before, according to the ledger; nothing was sent"
                raise invalid("outer_order_no", rule)
            return fresh

        if self.per_day is not None and self._day != _day(sent_at):
            self.database.write(days.insert().values(day=_day(sent_at), inits=0))
            self._day = _day(sent_at)
        try:
            self.database.change(insert)
        except LedgerError as error:
            if not is_duplicate(error) or not self._update(outer_order_no, renew, count, False):
                raise

    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store the result of init."""
        def news(row: Entry) -> Dict[str, Any]:
            texts = {"request_id": opening.request_id, "code": opening.code}
            found: Dict[str, Any] = {name: text and text[:64] for name, text in texts.items()}
            if opening.expires_at:
                found["expires_at"] = opening.expires_at
            if row.state == SENT:
                found["state"] = opening.state
            if row.certify_id is None:
                found["certify_id"] = opening.certify_id
            return found

        with self._logging(outer_order_no, opening.certify_id):
            self._update(outer_order_no, news)

    def keep_claim(self, outer_order_no: str, certify_id: str) -> None:
        """Store the certify_id of a genuine callback. CallbackError: see ``BaseLedger``."""
        def news(row: Entry) -> Dict[str, Any]:
            return {"certify_id": certify_id} if row.certify_id is None else {}

        try:
            row = self._update(outer_order_no, news) or self.find(certify_id)
        except LedgerError as error:
            if not is_duplicate(error):
                raise
            row = self.find(certify_id)
        its = row and (row.outer_order_no, row.certify_id or certify_id)
        if its not in (None, (outer_order_no, certify_id)):
            raise CallbackError("The callback is about another order's verification.")

    def keep_answer(
        self, answer: QueryResult, *, asked_at: datetime, claim: Optional[bool] = None
    ) -> None:
        """Store the result of a query."""
        def news(row: Entry) -> Dict[str, Any]:
            times = {"asked_at": asked_at, "expires_at": row.expires_at}
            state = decide(row.state, answer, claim=claim, **times)
            changed = {"state": state, "decided_at": datetime.now(timezone.utc)}
            return {} if state == row.state else changed

        with self._logging(None, answer.certify_id):
            row = self.find(answer.certify_id)
            if row is not None and news(row):  # because most results need no transaction
                self._update(row.outer_order_no, news)

    def keep_told(self, outer_order_no: str, state: str) -> None:
        """Store that the receivers of ``verified`` were told this state."""
        self._update(outer_order_no, lambda row: {"told": state})

    def untold(self) -> Iterator[Entry]:
        """Yield the rows in whose final state the receivers of ``verified`` were not told yet."""
        told = table.c.told
        return self.pages(table.c.state.in_(FINAL) & (told.is_(None) | (told != table.c.state)))

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
        no_response, never_finished = overdue(now)
        return self.pages((table.c.state == UNKNOWN) | no_response | never_finished)

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
        keys = (table.c.sent_at, table.c.outer_order_no)
        found = self.database.pages(table.select().where(wanted), *keys, since=since)
        return (Entry(*row) for row in found)

    def _update(
        self, outer_order_no: str, news: Callable[[Entry], Dict[str, Any]],
        then: Callable[[Any], Any] = lambda connection: None, again: bool = True
    ) -> Optional[Entry]:
        """Store what ``news`` says of a row, and return the row as it was.

        Every change locks the row by its primary key first, because changes that take the locks of
        the indexes in another order are a deadlock. ``then`` takes the further locks.
        """
        mine = table.c.outer_order_no == outer_order_no

        def change(connection: Any) -> Optional[Entry]:
            found = connection.execute(table.select().where(mine).with_for_update()).first()
            row = None if found is None else Entry(*found)
            values = {} if row is None else news(row)
            if values:
                connection.execute(table.update().where(mine).values(**values))
            then(connection)
            return row

        return self.database.change(change, again)

    def _count(self, sent_at: datetime, connection: Any) -> None:
        """Count an init, last in its transaction, because all inits wait for the counter's lock."""
        if self.per_day is None:
            return
        today = days.c.day == _day(sent_at)
        counter = days.update().where(today, days.c.inits < self.per_day)
        if connection.execute(counter.values(inits=days.c.inits + 1)).rowcount:
            return
        if connection.execute(days.select().where(today)).first() is not None:
            raise budget_spent(self.per_day, sent_at)
        # Somebody deleted the day to begin it anew.
        connection.execute(days.insert().values(day=_day(sent_at), inits=1))

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


def _day(moment: datetime) -> str:
    return str(moment.astimezone(CHINA).date())


def overdue(now: Optional[datetime]) -> Tuple[Any, Any]:
    """Return SQLAlchemy's conditions of two kinds of rows whose time is over.

    No response to init was stored; and: opened, and never finished. ``now`` is aware, or None.
    """
    row, over = table.c, (datetime.now(timezone.utc) if now is None else now) - GRACE
    no_response = (row.state == SENT) & (row.sent_at < over)
    return no_response, (row.state == OPENED) & (row.expires_at < over)
