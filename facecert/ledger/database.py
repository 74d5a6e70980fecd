"""The ledger's database: connections, transactions, forks."""

import os
import random
import threading
import time
from contextlib import suppress
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar

from sqlalchemy import create_engine, exc, inspect, or_
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from ..errors import DependencyError, LedgerError, invalid
from ..redact import Hidden, guarded
from ..settings import check_form
from .schema import metadata

#: Seconds that an SQLite ledger waits for this process's other threads, and for other processes.
LONGEST_LOCK = 10

#: Seconds in which a transaction that lost a conflict with another one is run again.
LONGEST_RETRY = 2

#: MySQL's deadlock, lock timeout and changed record; PostgreSQL's deadlock and serialization
#: failure; SQLite's busy. Each has rolled the transaction back.
_CONFLICTS = (1213, 1205, 1020, "40P01", "40001", "database is locked")

PAGE = 500  #: rows that are read at once

# SQLite keeps its file locks in the process's memory. A child that is forked while another thread
# uses the file inherits these locks without owning them: the child hangs or corrupts the file
# (sqlite.org, "How To Corrupt An SQLite Database File", 2.6). So one thread at a time uses SQLite,
# and a fork waits for that thread. `logging` guards its handlers in the same way.
_sqlite_locks: Dict[Any, Any] = {}

T = TypeVar("T")


class Database:
    """Connections to the ledger's database. Threads may share it; a forked child opens its own.

    Its methods raise LedgerError when the database fails.
    """

    def __init__(self, url: str) -> None:
        self._url = Hidden(_read_url(url))
        self.backend = self._url.value.get_backend_name()
        _make_engine(self._url.value)  # without a connection; a driver may be missing
        self._engines: Dict[Any, Engine] = {}

    def __repr__(self) -> str:
        # Without the query, because some drivers take the password there.
        return str(self._url.value.set(query={}).render_as_string(hide_password=True))

    def read(self, query: Any) -> List[Any]:
        """Return the rows of a query."""
        return self._use("read", lambda connection: list(connection.execute(query)), again=True)

    def pages(self, query: Any, *keys: Any, since: Any = None) -> Iterator[Any]:
        """Yield the rows in the order of one or two keys, with flat memory and no cursor left open.

        ``since`` is the least value of the first key.
        """
        rows = query.order_by(*keys).limit(PAGE)
        page = rows if since is None else rows.where(keys[0] >= since)
        while True:
            found = self.read(page)
            yield from found
            if len(found) < PAGE:
                return
            last = found[-1]._mapping
            later = or_(*(key > last[key] for key in keys))
            # Two bounds, because with only the "or" SQLite reads the index from its start.
            page = rows.where(keys[0] >= last[keys[0]], later)

    def write(self, statement: Any, rows: Sequence[Mapping[str, Any]] = ()) -> int:
        """Run a statement in a transaction, and return how many rows it matched.

        ``rows`` are those of an INSERT statement. If a row's key exists, nothing is written: 0.
        """
        inserted = [rows] if rows else []
        try:
            return self.change(lambda it: int(it.execute(statement, *inserted).rowcount))
        except LedgerError as error:
            if is_duplicate(error):
                return 0
            raise

    def change(self, work: Callable[[Connection], T], again: bool = False) -> T:
        """Run ``work`` in one transaction. It is run again if it loses a conflict.

        ``again``: also once more, on a fresh connection, if the database fails. The first
        transaction may have been committed all the same.
        """
        def transaction(connection: Connection) -> T:
            begun = connection.begin()
            if self.backend == "sqlite":
                # Otherwise SQLite locks the file only when ``work`` has read what it will change.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            result = work(connection)
            begun.commit()
            return result  # after an error, closing the connection rolls back

        return self._use("written", transaction, again)

    @property
    def is_there(self) -> bool:
        """False if the SQLite file does not exist yet, but can be. A server counts as there."""
        path = _sqlite_path(self._url.value)
        if path is None or os.path.exists(path):
            return True
        if not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
            raise _ledger_error("created", "its folder is missing, or may not be written")
        return False

    def close(self) -> None:
        """Close this process's connections."""
        engine = self._engines.pop(_here(), None)
        if engine is not None:
            engine.dispose()

    def _use(self, verb: str, work: Callable[[Connection], T], again: bool) -> T:
        """Run ``work`` with a connection; see ``change``."""
        end = time.monotonic() + LONGEST_RETRY
        while True:
            try:
                return self._use_once(verb, work)
            except LedgerError as error:
                failed = isinstance(error.__cause__, exc.DBAPIError) and not is_duplicate(error)
                conflict = _is_conflict(error)
                if conflict and time.monotonic() < end:
                    time.sleep(random.uniform(0, 0.05))  # or the same two would meet again
                elif failed and again and not conflict:
                    again = False
                    self.close()
                else:
                    raise

    @guarded  # because the frames of SQLAlchemy and of the driver hold the password
    def _use_once(self, verb: str, work: Callable[[Connection], T]) -> T:
        """Run ``work`` with a connection. With SQLite, one thread at a time does this."""
        connection: Optional[Connection] = None
        try:
            try:
                if self.backend == "sqlite" and not _sqlite_lock().acquire(timeout=LONGEST_LOCK):
                    reason = "other threads used SQLite for %s seconds" % LONGEST_LOCK
                    raise _ledger_error(verb, reason)
                connection = self._connect(verb)
                return work(connection)
            finally:
                _release(connection)
        except exc.SQLAlchemyError as error:
            text = str(error.orig).strip() if isinstance(error, exc.DBAPIError) else ""
            reason = text.partition("\n")[0].rstrip(".") or type(error).__name__
            raise _ledger_error(verb, reason) from error
        finally:
            # Again, because a timeout's signal handler may raise inside the first ``finally`` too.
            _release(connection)

    def _connect(self, verb: str) -> Connection:
        try:
            return self._engine().connect()
        except (AttributeError, TypeError, ValueError) as error:
            reason = "the driver does not take its URL (%s)" % type(error).__name__
        raise _ledger_error(verb, reason)  # not chained: that error may hold the password

    def _engine(self) -> Engine:
        engine = self._engines.get(_here())
        if engine is None:
            # The parent's engine stays in the dict: garbage collection would close its connections.
            fresh = _open_engine(self._url.value)
            engine = self._engines.setdefault(_here(), fresh)
            if engine is not fresh:
                fresh.dispose()  # another thread was faster
        return engine


def _here() -> Tuple[Any, ...]:
    """Return a key of what this process made since gevent or eventlet last replaced Lock."""
    return os.getpid(), threading.Lock


def _sqlite_lock() -> Any:
    # A child has its own: the owner of the parent's may be a thread that the child does not have.
    return _sqlite_locks.setdefault(_here(), threading.RLock())


def _release(connection: Optional[Connection] = None) -> None:
    try:
        if connection is not None:
            connection.close()  # rolls an unfinished transaction back
    finally:
        with suppress(RuntimeError):  # This thread does not hold the lock, or not any more.
            _sqlite_lock().release()


if hasattr(os, "register_at_fork"):  # Python 3.6 does not have it.
    os.register_at_fork(
        # After a timeout the fork goes on, because a process that never forks is worse.
        before=lambda: _sqlite_lock().acquire(timeout=LONGEST_LOCK),
        after_in_parent=_release,
    )


def _ledger_error(verb: str, reason: str) -> LedgerError:
    words = "The ledger could not be %s: %s. Check the ledger's database, not the service."
    return LedgerError(words % (verb, reason))


def is_duplicate(error: LedgerError) -> bool:
    """Tell whether the error is about a value that another row has."""
    return isinstance(error.__cause__, exc.IntegrityError)


def _is_conflict(error: LedgerError) -> bool:
    original = getattr(error.__cause__, "orig", None)
    # The drivers keep their codes in different places.
    codes = [getattr(original, name, None) for name in ("pgcode", "sqlstate", "errno")]
    return any(code in _CONFLICTS for code in (*codes, *getattr(original, "args", ())[:1]))


def _read_url(url: str) -> URL:
    url = check_form(url, "ledger")
    try:
        parsed = make_url(url) if "://" in url else URL.create("sqlite", database=url)
        if _is_sqlite(parsed) and parsed.database:
            parsed = parsed.set(database=os.path.expanduser(parsed.database))
    except (exc.ArgumentError, ValueError):
        parsed = None  # Not chained, because the message quotes the password.
    if parsed is None:
        words = "must be a path, or a URL such as postgresql://user:password@host/database"
    elif "@" in (parsed.host or ""):
        # The rest of the password would be shown as the host's name.
        words = "has more than one @: write an @ in the password as %40"
    elif _is_sqlite(parsed) and parsed.database in (None, "", ":memory:"):
        words = "must be a path, sqlite:///path or a server: a database in memory keeps nothing"
    else:
        return parsed
    raise invalid("ledger", words)


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _sqlite_path(url: URL) -> Optional[str]:
    """Return the path of the SQLite file; None for a server, and for a URI of SQLite."""
    return str(url.database) if _is_sqlite(url) and "uri" not in url.query else None


def _open_engine(url: URL) -> Engine:
    engine = _make_engine(url)
    del url  # because a URL is a tuple, which log handlers may list with its password
    path = _sqlite_path(engine.url)
    if path is not None:
        with suppress(OSError):  # SQLite fails too, and its error says why.
            # Its owner alone may read a new file. An existing one keeps its mode.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        if os.path.islink(path) and not os.path.exists(path):
            # SQLite would follow the link, and create the file where the link's author wants it.
            raise _ledger_error("opened", "its file is a symbolic link to one that does not exist")
    _create_tables(engine)
    if engine.name == "sqlite":
        # With a write-ahead log, SQLite's readers and its writer do not wait for each other.
        # The mode stays with the file. It cannot be set while another process uses the file.
        with engine.connect() as connection, suppress(exc.OperationalError):
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    return engine


def _make_engine(url: URL) -> Engine:
    # SQLAlchemy shows the query of a URL, so a password in there is passed on beside the URL.
    secret = {name: value for name, value in url.query.items() if "pass" in name}
    query = {name: value for name, value in url.query.items() if name not in secret}
    options: Dict[str, Any] = {"pool_pre_ping": True, "connect_args": secret}
    if _is_sqlite(url):
        options = {"poolclass": NullPool, "connect_args": {"timeout": LONGEST_LOCK}}
    elif url.get_backend_name() == "postgresql":
        # A server may have a stricter default, which rejects one of two concurrent writers. MySQL
        # keeps its own level: with binlog_format=STATEMENT, READ COMMITTED makes writes fail.
        options["isolation_level"] = "READ COMMITTED"
    try:
        return create_engine(url.set(query=query), **options)
    except (TypeError, ValueError):
        pass  # Not chained, because the error may quote the password.
    except (ImportError, exc.NoSuchModuleError) as error:
        words = "The ledger's database needs a driver that is not installed: %s. Begin its URL with"
        words += " postgresql+psycopg2:// (python -m pip install psycopg2-binary), or"
        words += " mysql+pymysql:// (python -m pip install PyMySQL)."
        raise DependencyError(words % error) from error
    raise invalid("ledger", "has an option that the driver does not take")


def _create_tables(engine: Engine) -> None:
    # Each of them, because MySQL commits each by itself.
    if all(map(inspect(engine).has_table, metadata.tables)):
        return
    for left in range(len(metadata.tables), -1, -1):
        try:
            with engine.begin() as connection:
                if engine.name == "sqlite":
                    # Otherwise SQLite commits each table by itself, as MySQL does.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                return metadata.create_all(connection)
        except exc.DBAPIError as error:
            # Another process created a table at the same moment. The next attempt finds it.
            created = isinstance(error, exc.IntegrityError) or "exist" in str(error.orig)
            if not (created and left):
                raise
