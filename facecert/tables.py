"""The ledger's tables, and the engine that reaches them. Nothing in them is personal."""

from datetime import datetime, timezone
from typing import Any, NamedTuple, Optional

from .errors import DependencyError, InvalidParameter

try:
    import sqlalchemy
    from sqlalchemy import Column, DateTime, Index, MetaData, String, Table
    from sqlalchemy.dialects import mysql
    from sqlalchemy.engine import URL, Engine, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.pool import NullPool
    from sqlalchemy.types import TypeDecorator
except ImportError as error:
    raise DependencyError(
        "The ledger needs SQLAlchemy 1.4 or later. Install it with:"
        ' python -m pip install "SQLAlchemy>=1.4"'
    ) from error

#: Seconds that SQLite waits for another process's lock.
LONGEST_LOCK = 10


class _UTC(TypeDecorator):  # type: ignore[type-arg]
    """Aware datetimes, stored as UTC in a column that knows no time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: Optional[datetime], dialect: Any) -> Optional[datetime]:
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Any) -> Optional[datetime]:
        return None if value is None else value.replace(tzinfo=timezone.utc)


def _text(length: int) -> Any:
    """ASCII; MySQL would take upper and lower case for the same."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(exact, "mysql").with_variant(exact, "mariadb")


class Entry(NamedTuple):
    """A row of the ledger. Times are aware UTC datetimes.

    Attributes:
        state: ``sent`` (nothing else is known), ``opened``, ``refused`` (surely not opened),
            ``unknown`` (perhaps opened), ``passed`` or ``failed``.
        code: why it is ``refused`` or ``unknown``.
    """

    outer_order_no: str
    scene_id: str
    state: str
    certify_id: Optional[str]
    request_id: Optional[str]
    code: Optional[str]
    sent_at: datetime
    expires_at: datetime
    decided_at: Optional[datetime]


metadata = MetaData()

verifications = Table(
    "facecert_verifications",
    metadata,
    Column("outer_order_no", _text(32), primary_key=True),
    Column("scene_id", _text(32), nullable=False),
    Column("state", _text(8), nullable=False),
    Column("certify_id", _text(64), index=True),
    Column("request_id", String(64)),
    Column("code", String(64)),
    Column("sent_at", _UTC, nullable=False),
    Column("expires_at", _UTC, nullable=False),
    Column("decided_at", _UTC),
    Index("ix_facecert_verifications_sent", "sent_at", "outer_order_no"),
)

bill_lines = Table(
    "facecert_bill_lines",
    metadata,
    Column("certify_id", _text(64), primary_key=True),
    Column("month", _text(7), primary_key=True),
)


def read_url(url: str) -> URL:
    """Return a database's URL; what has no ``://`` is the path of an SQLite file.

    Raises:
        InvalidParameter: it is none, or a database in memory, which would keep nothing.
    """
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
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InvalidParameter(
            "ledger must be a file or a server: a database in memory keeps nothing", field="ledger"
        )
    return parsed


def open_engine(url: URL) -> Engine:
    """Return an engine whose tables are there.

    Raises:
        DependencyError: the database's driver is not installed.
        sqlalchemy.exc.DBAPIError: the database's own trouble.
    """
    options: Any = {"pool_pre_ping": True}
    if url.get_backend_name() == "sqlite":
        options = {"poolclass": NullPool, "connect_args": {"timeout": LONGEST_LOCK}}
    try:
        engine = sqlalchemy.create_engine(url, **options)
    except (ImportError, NoSuchModuleError) as error:
        raise DependencyError(
            "The ledger's database %s needs a driver that is not installed (%s)."
            " Install it, for PostgreSQL: python -m pip install psycopg2-binary"
            % (url.get_backend_name(), error)
        ) from error
    _create_tables(engine)
    if url.get_backend_name() == "sqlite":
        _let_readers_read(engine)
    return engine


def _create_tables(engine: Engine) -> None:
    try:
        metadata.create_all(engine)
    except DBAPIError as error:
        # Another process made them at the same moment; whoever asks again finds them.
        if not isinstance(error, IntegrityError) and "exist" not in str(error.orig):
            raise
        metadata.create_all(engine)


def _let_readers_read(engine: Engine) -> None:
    """Have SQLite's readers and its one writer not wait for each other. It stays with the file."""
    with engine.connect() as connection:
        if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
            try:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except OperationalError:
                pass  # Another process is at work; without it they wait, nothing else.
