"""``facecert wait``."""

import re
import time
from datetime import datetime
from typing import Any, Callable, Dict, Optional

import click

from ..client import Client
from ..errors import FacecertError
from ..lifecycle import FAILED, GRACE, LIFETIME
from ..results import QueryResult
from .options import certify_id_argument, connect, json_option, scene_option, verbose_option
from .output import DONE, INTERRUPTED, NOT_PASSED, Misuse, Output
from .query import NOT_YET, PASSED, as_result

#: Seconds between two questions: the first pause, what each one grows by, the longest.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 2.0, 1.5, 15.0

_TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)"


def poll(
    ask: Callable[[], QueryResult],
    *,
    seconds: float,
    decided: Callable[[QueryResult], bool],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    report: Callable[[FacecertError], Any]
) -> QueryResult:
    """Ask until it is decided or the time is over; the last question is asked after that.

    Args:
        seconds: from now on; 0 asks once.
        clock: any that does not go backwards, in seconds.
        report: told of every failure after which it goes on.

    Raises:
        FacecertError: a failure that is not ``retryable``, or that of the last question.
    """
    end = clock() + seconds
    pause = FIRST_PAUSE
    while True:
        last = clock() >= end
        asked_to_wait = 0.0
        try:
            answer = ask()
            if last or decided(answer):
                return answer
        except FacecertError as error:
            if last or not error.retryable:
                raise
            asked_to_wait = error.retry_after or 0.0
            report(error)
        sleep(max(0.0, min(max(pause, asked_to_wait), end - clock())))
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def seconds_until_decided(expires_at: Optional[float], now: float) -> float:
    """Return after how many seconds an F is final, at the latest: nobody waits for a past init."""
    latest = now + LIFETIME.total_seconds()
    return max(0.0, min(expires_at or latest, latest) + GRACE.total_seconds() - now)


def _entry(client: Client, certify_id: str) -> Any:
    """Return the row in the client's ledger, or None; not every keeper can look for one."""
    find = getattr(client.ledger, "find", None)
    return find and find(certify_id)


def _has_failed(client: Client, certify_id: str) -> bool:
    entry = _entry(client, certify_id)
    return entry is not None and entry.state == FAILED


def _moment(ctx: click.Context, option: click.Parameter, value: Optional[str]) -> Optional[float]:
    if value is None:
        return None
    match = re.fullmatch(_TIME, value)
    try:
        if match:
            zone = match.group(2).replace(":", "").replace("Z", "+0000")
            return datetime.strptime(match.group(1) + zone, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        pass
    raise Misuse("--expires-at must be a time with its zone, as init printed it.")


@click.command()
@certify_id_argument
@scene_option
@click.option(
    "--minutes", type=click.FloatRange(min=0), default=35, show_default=True,
    help="Wait no longer than this.",
)  # fmt: skip
@click.option(
    "--expires-at", metavar="TIME", callback=_moment,
    help="As init printed it; else 30 minutes from now.",
)  # fmt: skip
@json_option
@verbose_option
def command(
    certify_id: str,
    scene_id: Optional[str],
    minutes: float,
    expires_at: Optional[float],
    output: Output,
) -> int:
    """Wait until the person passed, or surely did not.

    A "not passed" is final once the verification's 30 minutes are over, and five more to be sure,
    or when a genuine callback reached the ledger. If neither that nor --expires-at tells when they
    are over, they are counted from now. Failures that may pass are shown, and it goes on.

    Exit code 0: passed. Exit code 1: not passed; with --json "final" tells whether that is final.
    Ctrl-C ends it with exit code 130 and what is known.

    Example: facecert wait 0a1b2c3d4e5f60718293a4b5c6d7e8f9 --minutes 10
    """
    now = time.time()
    known: Dict[str, Any] = {"certify_id": certify_id, "passed": None, "request_id": None}
    with connect(scene_id) as client:
        entry = _entry(client, certify_id)
        if entry is not None and expires_at is None:
            expires_at = entry.expires_at.timestamp()
        decided_after = seconds_until_decided(expires_at, now)
        seconds = min(decided_after, minutes * 60)
        end = time.strftime("%H:%M:%S", time.localtime(now + seconds))
        output.note("Asking every few seconds, until %s at most. Ctrl-C ends it." % end)

        def ask() -> QueryResult:
            answer = client.query(certify_id)
            known.update(as_result(answer))
            return answer

        try:
            answer = poll(
                ask,
                seconds=seconds,
                decided=lambda answer: answer.passed or _has_failed(client, certify_id),
                clock=time.monotonic,
                sleep=time.sleep,
                report=lambda error: output.complain(error, going_on=True),
            )
        except KeyboardInterrupt:
            if known["passed"] is None:
                words = "interrupted; nothing is known yet"
            else:
                words = "interrupted; when last asked: %s" % NOT_YET
            output.show(dict(known, final=False), words)
            return INTERRUPTED
        final = answer.passed or seconds >= decided_after or _has_failed(client, certify_id)
    if answer.passed:
        words = PASSED
    else:
        words = "not passed; this is final" if final else NOT_YET
    output.show(dict(as_result(answer), final=final), words)
    return DONE if answer.passed else NOT_PASSED
