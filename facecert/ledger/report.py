"""What became of the verifications of each day, counted by the database."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Counter as CounterOf, Dict, Iterator, List, Optional

from sqlalchemy import Integer, case, func, literal_column, select

from ..lifecycle import FAILED, OPENED, PASSED, REFUSED, UNKNOWN
from .schema import days, verifications as table
from .store import Ledger, overdue

FIELDS = "day opened passed failed never_finished refused unknown pass_rate median_seconds inits"

#: SQL for the whole seconds from the request to the decision.
_SECONDS = {
    "sqlite": "CAST((julianday(decided_at) - julianday(sent_at)) * 86400 + 0.5 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM decided_at - sent_at) AS INTEGER)",
}
_SECONDS["mysql"] = _SECONDS["mariadb"] = "TIMESTAMPDIFF(SECOND, sent_at, decided_at)"


def report(
    ledger: Ledger, since: datetime, until: datetime, *, now: Optional[datetime] = None
) -> Iterator[Dict[str, Any]]:
    """Yield ``FIELDS`` for each day of China (UTC+8) on which verifications were sent.

    ``opened`` ones passed, failed, were ``never_finished`` (expired, and no query has settled
    them), or are still open. ``refused`` is a dict from code to number. ``unknown``: may have been
    opened. ``pass_rate``: ``passed`` in ``passed`` and ``failed``. ``median_seconds``: from the
    request to the decision. ``inits``: counted for the daily budget. None where there are none.

    Args:
        since, until: the first midnight in China, and the midnight after the last day.
        now: an aware datetime instead of the current time.
    """
    row = table.c
    no_response, never_finished = overdue(now)
    kind = case((never_finished, "never finished"), (no_response, UNKNOWN), else_=row.state)
    taken: Any = literal_column(_SECONDS[ledger.database.backend], Integer)
    sent = select(kind.label("kind"), row.code, taken.label("seconds"))
    while since < until:
        end, day = since + timedelta(days=1), str(since.date())
        one = sent.where(row.sent_at >= since, row.sent_at < end).subquery().c
        # Grouped by whole seconds, so that the database sends few rows, however many it counts.
        counts = select(*one, func.count()).group_by(*one).order_by(one.seconds)
        found = ledger.database.read(counts)
        if found:
            inits = ledger.database.read(select(days.c.inits).where(days.c.day == day))
            yield dict(zip(FIELDS.split(), (day, *_counted(found), inits[0][0] if inits else None)))
        since = end


def _counted(found: List[Any]) -> Iterator[Any]:
    states: CounterOf[str] = Counter()
    refused: CounterOf[str] = Counter()
    seconds: CounterOf[int] = Counter()
    for kind, code, taken, count in found:
        states[kind] += count
        if kind == REFUSED:
            refused[code or ""] += count
        if kind in (PASSED, FAILED) and taken is not None:
            seconds[taken] += count
    passed, failed, never = states[PASSED], states[FAILED], states["never finished"]
    yield from (passed + failed + never + states[OPENED], passed, failed, never)
    yield from (dict(refused), states[UNKNOWN])
    yield round(passed / (passed + failed), 4) if passed + failed else None
    middle = max(0, sum(seconds.values()) - 1) // 2
    yield next(islice(seconds.elements(), middle, None), None)  # in order, as the rows are
