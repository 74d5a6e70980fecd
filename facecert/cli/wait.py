"""``facecert wait``."""

from datetime import datetime
from typing import Any, Dict, Optional, Union

import click

from ..errors import FacecertError
from ..locale import Text as _
from ..results import QueryResult, parse_time
from .help import Command
from .options import connect, json_option, no_document_number, scene_option, verbose_option
from .output import DONE, INTERRUPTED, NOT_PASSED, Misuse, Output
from .query import NOT_YET, PASSED, as_result


def _moment(
    ctx: click.Context, option: click.Parameter, value: Optional[str]
) -> Optional[datetime]:  # fmt: skip
    try:
        return None if value is None else parse_time(value)
    except ValueError:
        raise Misuse(_("--expires-at must be a time with its zone, as init printed it.")) from None


@click.command(cls=Command)
@click.argument("certify_id", callback=no_document_number)
@scene_option
@click.option("--minutes", type=click.FloatRange(min=0), default=35, show_default=True,
              help="Wait no longer than this.")
@click.option("--expires-at", metavar="TIME", callback=_moment,
              help="As init printed it; default: 30 minutes from now.")
@json_option
@verbose_option
def command(
    certify_id: str, scene_id: Optional[str], minutes: float, expires_at: Optional[datetime],
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
    known: Dict[str, Any] = {"certify_id": certify_id, "passed": None, "request_id": None}

    def report(news: Union[QueryResult, FacecertError]) -> None:
        if isinstance(news, FacecertError):
            output.complain(news, going_on=True)
        else:
            known.update(as_result(news))

    with connect(scene_id) as client:
        words = _("Querying every few seconds, for %g minutes at most. Ctrl-C ends it.")
        output.note(words % minutes)
        try:
            result = client.wait(
                certify_id, seconds=minutes * 60, expires_at=expires_at, report=report
            )
            final, code = result is not None, DONE if result else NOT_PASSED
            words = PASSED if result else _("not passed; this is final") if final else NOT_YET
        except KeyboardInterrupt:
            words = _("interrupted; last result: %s") % (PASSED if known["passed"] else NOT_YET)
            if known["passed"] is None:
                words = _("interrupted; nothing is known yet")
            final, code = False, INTERRUPTED
    output.show(dict(known, final=final), words)
    return code
