"""Ledger: the durable record of every init, in SQLite, PostgreSQL or MySQL.

"CertifyId字段为计费统计字段…请您在本地留存" (help.aliyun.com 181863): the bill is by certify_id,
and an id that was lost cannot be asked for again.
"""

import logging
import os
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, Optional, Sequence

import sqlalchemy
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from . import lifecycle
from .errors import InvalidParameter, LedgerError
from .lifecycle import FINAL, LIFETIME, PASSED, REFUSED, SENT, STATES, UNKNOWN, Keeper, Opening
from .results import QueryResult
from .tables import Entry, open_engine, read_url
from .tables import verifications as table

_PAGE = 500

_log = logging.getLogger("facecert")


class Ledger(Keeper):
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
        self._url = read_url(url)
        self._engines: Dict[int, Engine] = {}

    def __repr__(self) -> str:
        return "<facecert.ledger.Ledger %s>" % self._url.render_as_string(hide_password=True)

    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Make the row durable before init is sent.

        Raises:
            LedgerError: it could not be written.
            InvalidParameter: the order number has a row that is not ``refused``.
        """
        fresh = {
            "scene_id": scene_id,
            "state": SENT,
            "certify_id": None,
            "request_id": None,
            "code": None,
            "sent_at": sent_at,
            "expires_at": sent_at + LIFETIME,
        }
        try:
            with self.writing() as connection:
                connection.execute(table.insert().values(outer_order_no=outer_order_no, **fresh))
            return
        except IntegrityError:
            pass  # There is a row. Two that come at once cannot both find it refused.
        with self.writing() as connection:
            again = table.update().where(
                table.c.outer_order_no == outer_order_no, table.c.state == REFUSED
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
        with self._logging(outer_order_no, opening.certify_id), self.writing() as connection:
            connection.execute(row.values(**told))
            connection.execute(row.where(table.c.state == SENT).values(state=opening.state))
            if opening.certify_id:
                missing = row.where(table.c.certify_id.is_(None))
                connection.execute(missing.values(certify_id=_cut(opening.certify_id)))

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
            with self.reading() as connection:
                found = connection.execute(table.select().where(mine, open_)).all()
            for row in found:
                state = lifecycle.outcome(
                    answer, asked_at=asked_at, expires_at=row.expires_at, claim=claim
                )
                news: Dict[str, Any] = {"certify_id": answer.certify_id}
                if state is not None:
                    news.update(state=state, decided_at=datetime.now(timezone.utc))
                elif row.certify_id is not None:
                    continue
                one = table.update().where(table.c.outer_order_no == row.outer_order_no, open_)
                with self.writing() as connection:
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
        if since is not None:
            wanted = wanted & (table.c.sent_at >= since)
        if until is not None:
            wanted = wanted & (table.c.sent_at < until)
        return self.pages(wanted)

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

    def close(self) -> None:
        """Close this process's connections. A later use opens new ones."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()

    def pages(self, wanted: Any) -> Iterator[Entry]:
        """Yield the rows that an SQL condition describes, oldest first.

        No cursor stays open between pages: whoever reads may write as well.
        """
        after: Any = sqlalchemy.true()
        while True:
            rows = (
                table.select()
                .where(wanted, after)
                .order_by(table.c.sent_at, table.c.outer_order_no)
                .limit(_PAGE)
            )
            with self.reading() as connection:
                page = [Entry(*row) for row in connection.execute(rows)]
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]
            same = table.c.sent_at == last.sent_at
            after = (table.c.sent_at > last.sent_at) | (
                same & (table.c.outer_order_no > last.outer_order_no)
            )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with.

        Raises:
            LedgerError: the database's own trouble.
        """
        with _as_ledger_error("read"):
            with self._engine().connect() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction that is committed at the end.

        Raises:
            LedgerError: the database's own trouble.
            IntegrityError: there is such a row.
        """
        with _as_ledger_error("written"):
            with self._engine().begin() as connection:
                yield connection

    @contextmanager
    def _logging(self, outer_order_no: Optional[str], certify_id: Optional[str]) -> Iterator[None]:
        """Log the ledger's trouble; what it should have kept is in the record."""
        try:
            yield
        except LedgerError as error:
            _log.error(
                "%s Not in the ledger: outer_order_no %s, certify_id %s",
                error,
                outer_order_no,
                certify_id,
            )

    def _engine(self) -> Engine:
        process = os.getpid()
        engine = self._engines.get(process)
        if engine is None:
            # A parent's engine stays referred to: closing its connections would close the parent's.
            engine = self._engines.setdefault(process, open_engine(self._url))
        return engine


@contextmanager
def _as_ledger_error(done: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        said = str(error.orig).strip() if isinstance(error, DBAPIError) else type(error).__name__
        raise LedgerError(
            "The ledger could not be %s: %s. Nothing is wrong with the service; look after the"
            " ledger's database." % (done, said.partition("\n")[0].rstrip("."))
        ) from error


def _cut(text: Optional[str]) -> Optional[str]:
    return text and text[:64]
