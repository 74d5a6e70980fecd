"""The ledger's database: its connections, and what is said when it cannot be used."""

import os
import sys
from contextlib import contextmanager
from typing import Any, Dict, Iterator

from ..errors import DependencyError, InvalidParameter, LedgerError
from .forks import sqlite_files
from ..redact import empty_frames
from .schema import metadata

# Below tables, which says what to do where SQLAlchemy is missing.
import sqlalchemy
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

#: Seconds that SQLite waits for another process's lock.
LONGEST_LOCK = 10


class RowExists(Exception):
    """There is a row with this key."""


class Database:
    """Connections to the database. May be shared by threads; after a fork the child opens its own.

    Args:
        url: as SQLAlchemy writes it, or the path of an SQLite file. Missing tables are made.
            Nothing is opened before it is used.

    Raises:
        InvalidParameter: it is no URL, or a database in memory.
    """

    def __init__(self, url: str) -> None:
        outer = sys.exc_info()[1]
        try:
            self._url = _read_url(url)
        except InvalidParameter as error:
            empty_frames(error, outer)
            raise error
        finally:
            # A crash report shows this frame's variables, and there may be a password.
            del url
        self._engines: Dict[int, Engine] = {}

    def __repr__(self) -> str:
        url = vars(self).get("_url")
        # Not what follows a question mark: drivers take passwords there, too.
        return url.set(query={}).render_as_string(hide_password=True) if url else "?"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with.

        Raises:
            LedgerError: the database's own trouble.
        """
        with self._in_use(), _as_ledger_error("read"):
            with self._engine().connect() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction that is committed at the end.

        Raises:
            LedgerError: the database's own trouble.
            RowExists: what was inserted has another row's key.
        """
        with self._in_use(), _as_ledger_error("written"):
            with self._engine().begin() as connection:
                yield connection

    @property
    def is_there(self) -> bool:
        """False for an SQLite file that nobody has made yet. A server is taken to be there."""
        sqlite = self._url.get_backend_name() == "sqlite"
        return not sqlite or os.path.exists(str(self._url.database))

    def close(self) -> None:
        """Close this process's connections. A later use opens new ones."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._url.get_backend_name() == "sqlite":
            with sqlite_files.use():
                yield
        else:
            yield

    def _engine(self) -> Engine:
        process = os.getpid()
        engine = self._engines.get(process)
        if engine is None:
            # A parent's engine stays referred to: closing its connections would close the parent's.
            fresh = _open_engine(self._url)
            engine = self._engines.setdefault(process, fresh)
            if engine is not fresh:
                fresh.dispose()  # another thread was faster
        return engine


@contextmanager
def _as_ledger_error(done: str) -> Iterator[None]:
    outer = sys.exc_info()[1]
    try:
        yield
    except IntegrityError as error:
        raise RowExists from error
    except SQLAlchemyError as error:
        empty_frames(error, outer)  # SQLAlchemy's and the driver's hold the password
        said = str(error.orig).strip() if isinstance(error, DBAPIError) else type(error).__name__
        raise LedgerError(
            "The ledger could not be %s: %s. Nothing is wrong with the service; look after the"
            " ledger's database." % (done, said.partition("\n")[0].rstrip("."))
        ) from error


def _read_url(url: str) -> URL:
    try:
        parsed = make_url(url) if "://" in url else URL.create("sqlite", database=url)
    except (ArgumentError, ValueError):
        # Not chained: the words would quote the password.
        parsed = None
    if parsed is None:
        raise InvalidParameter(
            "ledger must be a path, or a URL such as postgresql://user:password@host/database",
            field="ledger",
        )
    if "@" in (parsed.host or ""):
        # What follows it would be shown as the host's name.
        raise InvalidParameter(
            "ledger has an @ too many: in a password it is written %40", field="ledger"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InvalidParameter(
            "ledger must be a file or a server: a database in memory keeps nothing", field="ledger"
        )
    return parsed


def _open_engine(url: URL) -> Engine:
    # Stricter ones, which a server may have as its default, refuse two who write at once.
    options: Any = {"pool_pre_ping": True, "isolation_level": "READ COMMITTED"}
    if url.get_backend_name() == "sqlite":
        options = {"poolclass": NullPool, "connect_args": {"timeout": LONGEST_LOCK}}
    try:
        engine = sqlalchemy.create_engine(url, **options)
    except (ImportError, NoSuchModuleError) as error:
        raise DependencyError(
            "The ledger's database needs a driver that is not installed: %s. Install one (for"
            " PostgreSQL: python -m pip install psycopg2-binary), and name it in the URL"
            " (postgresql+psycopg2://...)." % error
        ) from error
    _create_tables(engine)
    if url.get_backend_name() == "sqlite":
        _let_readers_read(engine)
    return engine


def _create_tables(engine: Engine) -> None:
    if sqlalchemy.inspect(engine).has_table(metadata.sorted_tables[-1].name):
        return
    attempts = 1 + len(metadata.tables)
    for attempt in range(attempts):
        try:
            with engine.begin() as connection:
                if engine.name == "sqlite":
                    # Or it would commit each table by itself, as MySQL does.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                metadata.create_all(connection)
            return
        except DBAPIError as error:
            # Another process made a table at the same moment; whoever asks again finds it.
            made = isinstance(error, IntegrityError) or "exist" in str(error.orig)
            if not made or attempt + 1 == attempts:
                raise


def _let_readers_read(engine: Engine) -> None:
    """Have SQLite's readers and its one writer not wait for each other. It stays with the file."""
    with engine.connect() as connection:
        if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
            try:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except OperationalError:
                pass  # Another process is at work; without it they wait, nothing else.
