"""Report: what became of the verifications of each day, counted by the database."""

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any, Counter as CounterOf, Dict, Iterator, List, NamedTuple, Optional

from sqlalchemy import Integer, case, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from ..lifecycle import FAILED, GRACE, OPENED, PASSED, REFUSED, SENT, UNKNOWN
from .schema import days, verifications as table
from .store import Ledger


class DayReport(NamedTuple):
    """The verifications that were sent on one day of China (UTC+8).

    Attributes:
        day: like ``2026-10-01``.
        opened: how many were opened; they are passed, failed, never finished, or still open.
        never_finished: opened, expired, and no query has settled them.
        refused: the code of a refusal -> how many.
        unknown: it may have been opened; look the order number up in the console.
        pass_rate: the share of ``passed`` in ``passed`` and ``failed``; None without either.
        median_seconds: from the request to the decision, whole seconds; None without a decision.
        inits: how many inits the daily budget has counted; None when it counted none.
    """

    day: str
    opened: int
    passed: int
    failed: int
    never_finished: int
    refused: Dict[str, int]
    unknown: int
    pass_rate: Optional[float]
    median_seconds: Optional[int]
    inits: Optional[int]


class _Seconds(FunctionElement):  # type: ignore[type-arg]
    """The whole seconds from one time to a later one."""

    type = Integer()
    name = "seconds"
    inherit_cache = True


@compiles(_Seconds)
def _seconds(element: Any, compiler: Any, **kw: Any) -> str:
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return {
        "sqlite": "CAST(strftime('%s', {1}) AS INTEGER) - CAST(strftime('%s', {0}) AS INTEGER)",
        "postgresql": "CAST(EXTRACT(EPOCH FROM {1} - {0}) AS INTEGER)",
    }.get(compiler.dialect.name, "TIMESTAMPDIFF(SECOND, {0}, {1})").format(earlier, later)


def report(
    ledger: Ledger, since: datetime, until: datetime, *, now: Optional[datetime] = None
) -> Iterator[DayReport]:
    """Yield a report for each day with verifications.

    Args:
        since, until: the first midnight in China, and the midnight after the last day.
        now: an aware datetime instead of the current time.
    """
    over = (datetime.now(timezone.utc) if now is None else now) - GRACE
    row = table.c
    kind = case(
        ((row.state == OPENED) & (row.expires_at < over), "never finished"),
        ((row.state == SENT) & (row.sent_at < over), UNKNOWN),
        else_=row.state,
    )
    taken = _Seconds(row.sent_at, row.decided_at)
    while since < until:
        end = since + timedelta(days=1)
        sent = select(kind.label("kind"), row.code, taken.label("seconds"))
        one = sent.where(row.sent_at >= since, row.sent_at < end).subquery().c
        # Grouped by whole seconds, so that the database sends few rows, however many it counts.
        found = ledger.database.read(select(*one, func.count()).group_by(*one))
        inits = ledger.database.read(select(days.c.inits).where(days.c.day == str(since.date())))
        if found:
            yield _day(str(since.date()), found, inits[0][0] if inits else None)
        since = end


def _day(day: str, found: List[Any], inits: Optional[int]) -> DayReport:
    states: CounterOf[str] = Counter()
    refused: CounterOf[str] = Counter()
    seconds: CounterOf[int] = Counter()
    for kind, code, taken, count in found:
        states[kind] += count
        if kind == REFUSED:
            refused[code or ""] += count
        if kind in (PASSED, FAILED) and taken is not None:
            seconds[taken] += count
    decided = states[PASSED] + states[FAILED]
    opened = decided + states[OPENED] + states["never finished"]
    return DayReport(
        day, opened, states[PASSED], states[FAILED], states["never finished"], dict(refused),
        states[UNKNOWN], round(states[PASSED] / decided, 4) if decided else None,
        _median(seconds), inits
    )  # fmt: skip


def _median(counts: CounterOf[int]) -> Optional[int]:
    """Return the middle value (of two, the lower one)."""
    left = (sum(counts.values()) + 1) // 2
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return None
