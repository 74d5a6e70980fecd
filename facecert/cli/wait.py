"""``facecert wait``."""

import time
from functools import partial
from typing import Any, Callable, Dict, Optional

import click

from ..errors import FacecertError
from ..lifecycle import FAILED, GRACE, LIFETIME
from ..results import QueryResult, parse_time
from .options import connect, json_option, no_document_number, scene_option, verbose_option
from .output import DONE, INTERRUPTED, NOT_PASSED, Misuse, Output
from .query import NOT_YET, PASSED, as_result

#: Seconds between two queries: the first pause, the factor by which it grows, the longest.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 2.0, 1.5, 15.0


def poll(
    query: Callable[[], QueryResult], *, seconds: float,
    decided: Callable[[QueryResult], bool], report: Callable[[FacecertError], Any]
) -> QueryResult:  # fmt: skip
    """Query until the result is decided, and once more when the time is over.

    Errors that are ``retryable`` are reported; other ones, and the last query's, are raised.
    """
    end, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        last, retry_after = time.monotonic() >= end, 0.0
        try:
            answer = query()
            if last or decided(answer):
                return answer
        except FacecertError as error:
            if last or not error.retryable:
                raise
            retry_after = error.retry_after or 0.0
            report(error)
        time.sleep(max(0.0, min(max(pause, retry_after), end - time.monotonic())))
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def seconds_until_decided(expires_at: Optional[float], now: float) -> float:
    """Return the seconds until "not passed" is final. An ``init`` is never later than ``now``."""
    latest = now + LIFETIME.total_seconds()
    return max(0.0, min(expires_at or latest, latest) + GRACE.total_seconds() - now)


def _moment(ctx: click.Context, option: click.Parameter, value: Optional[str]) -> Optional[float]:
    try:
        return None if value is None else parse_time(value).timestamp()
    except ValueError:
        raise Misuse("--expires-at must be a time with its zone, as init printed it.") from None


@click.command()
@click.argument("certify_id", callback=no_document_number)
@scene_option
@click.option("--minutes", type=click.FloatRange(min=0), default=35, show_default=True,
              help="Wait no longer than this.")
@click.option("--expires-at", metavar="TIME", callback=_moment,
              help="As init printed it; default: 30 minutes from now.")
@json_option
@verbose_option
def command(
    certify_id: str, scene_id: Optional[str], minutes: float, expires_at: Optional[float],
    output: Output
) -> int:  # fmt: skip
    """Wait until the person passed, or has finally not passed.

    "Not passed" is final five minutes after the verification's 30 minutes, or when a genuine
    callback reached the ledger. The 30 minutes are counted from now, unless --expires-at or the
    ledger says when they end. Errors that may pass are printed, and the command goes on.

    Exit code 0: passed. Exit code 1: not passed; with --json "final" tells whether that is final.
    Ctrl-C ends it with exit code 130 and prints what is known.

    Example: facecert wait 0a1b2c3d4e5f60718293a4b5c6d7e8f9 --minutes 10
    """
    now = time.time()
    known: Dict[str, Any] = {"certify_id": certify_id, "passed": None, "request_id": None}
    with connect(scene_id) as client:
        # A ledger of the user's own class may lack ``find``.
        find = getattr(client.ledger, "find", lambda certify_id: None)
        entry = find(certify_id)
        if entry is not None and expires_at is None:
            expires_at = entry.expires_at.timestamp()
        decided_after = seconds_until_decided(expires_at, now)
        seconds = min(decided_after, minutes * 60)
        end = time.strftime("%H:%M:%S", time.localtime(now + seconds))
        output.note("Querying every few seconds, until %s at most. Ctrl-C ends it." % end)

        def query() -> QueryResult:
            answer = client.query(certify_id)
            known.update(as_result(answer))
            return answer

        def decided(answer: QueryResult) -> bool:
            entry = find(certify_id)
            return answer.passed or (entry is not None and entry.state == FAILED)

        try:
            report = partial(output.complain, going_on=True)
            answer = poll(query, seconds=seconds, decided=decided, report=report)
            final = seconds >= decided_after or decided(answer)
            words = PASSED if answer.passed else "not passed; this is final" if final else NOT_YET
            code = DONE if answer.passed else NOT_PASSED
        except KeyboardInterrupt:
            state = "nothing is known yet" if known["passed"] is None else "last result: " + NOT_YET
            final, words, code = False, "interrupted; " + state, INTERRUPTED
    output.show(dict(known, final=final), words)
    return code
