"""The ledger's tables. They hold no personal data."""

import sys
from datetime import datetime, timezone
from typing import Any, NamedTuple, Optional

from ..errors import DependencyError, unimportable

try:
    from sqlalchemy.engine import URL  # noqa: F401  because SQLAlchemy 1.3 has none
    from sqlalchemy import Column, DateTime, Index, Integer, MetaData, String, Table
    from sqlalchemy.dialects import mysql
    from sqlalchemy.types import TypeDecorator
except ImportError as error:
    found = getattr(sys.modules.get("sqlalchemy"), "__version__", "")
    if found.startswith(("0.", "1.0", "1.1", "1.2", "1.3")):
        words = "SQLAlchemy %s is too old for the ledger, which needs 1.4 or later." % found
        words += " Use the Django model or a second environment."
        raise DependencyError(words) from error
    words = "The ledger needs SQLAlchemy 1.4 or later"
    raise unimportable(words, '"SQLAlchemy>=1.4"', error) from error


def _or_in_mysql(plain: Any, exact: Any) -> Any:
    return plain.with_variant(exact, "mysql").with_variant(exact, "mariadb")


def _text(length: int) -> Any:
    """Return the type of an ASCII column. MySQL compares it by bytes, not without case."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return _or_in_mysql(String(length), exact)


class _UTC(TypeDecorator):  # type: ignore[type-arg]
    """Aware datetimes, stored as UTC in a column without a time zone."""

    # MySQL rounds a plain DATETIME to whole seconds.
    impl = _or_in_mysql(DateTime(), mysql.DATETIME(fsp=6))
    cache_ok = True

    def process_bind_param(self, value: Optional[datetime], dialect: Any) -> Optional[datetime]:
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Any) -> Optional[datetime]:
        return None if value is None else value.replace(tzinfo=timezone.utc)


class Entry(NamedTuple):
    """A row of the ledger. Times are aware UTC datetimes.

    Attributes:
        state: ``sent`` (written before the request; no result is stored), ``opened``, ``refused``
            (certainly not opened), ``unknown`` (may have been opened), ``passed`` or ``failed``.
        code: the reason for ``refused`` or ``unknown``; otherwise None.
        told: the state that the receivers of ``verified`` were last told, or None.
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
    told: Optional[str]


metadata = MetaData()

verifications = Table(
    "facecert_verifications", metadata,
    Column("outer_order_no", _text(32), primary_key=True),
    Column("scene_id", _text(32), nullable=False),
    Column("state", _text(8), nullable=False),
    Column("certify_id", _text(64), index=True, unique=True),
    Column("request_id", _text(64)),
    Column("code", _text(64)),
    Column("sent_at", _UTC, nullable=False),
    Column("expires_at", _UTC, nullable=False),
    Column("decided_at", _UTC),
    Column("told", _text(8)),
    Index("ix_facecert_verifications_sent", "sent_at", "outer_order_no"),
)

#: How many inits were counted on a day of China, for the daily budget.
days = Table(
    "facecert_days", metadata,
    Column("day", _text(10), primary_key=True),
    Column("inits", Integer, nullable=False),
)

bill_lines = Table(
    "facecert_bill_lines", metadata,
    Column("month", _text(7), primary_key=True),
    Column("certify_id", _text(64), primary_key=True, index=True),
)
