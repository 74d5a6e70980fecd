"""``facecert query``: one id, or many from a file or the ledger."""

import errno
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, Optional

import click

from ..client import Client
from ..errors import OutputFailed, invalid, unimportable
from ..locale import Text as _
from ..results import QueryResult
from .help import Command
from .options import column_option, connect, json_option, no_document_number, scene_option
from .options import verbose_option
from .output import DONE, INTERRUPTED, NOT_PASSED, OUTCOME_UNKNOWN, UNWRITTEN, Misuse, Output
from .output import is_terminal

if TYPE_CHECKING:  # otherwise imported when needed, so that a single query stays quick
    from ..batch.ids import FileId
    from ..batch.run import Summary

PASSED, NOT_YET = _("passed"), _("not passed (or not yet)")


def as_result(answer: QueryResult) -> Dict[str, Any]:
    """Return the fields of an answer that are printed. None of them is personal."""
    return {name: getattr(answer, name) for name in ("certify_id", "passed", "request_id")}


@click.command(cls=Command)
@click.argument("certify_id", required=False, callback=no_document_number)
@click.option("--batch", metavar="FILE", help="Query every id in a file; - is standard input.")
@click.option("--ledger-pending", is_flag=True, help="Query what the ledger has no outcome of.")
@click.option("--batch-format", type=click.Choice(["text", "csv", "jsonl"]),
              help="What FILE is; else by its suffix or first line.")
@column_option
@click.option("--output", "path", metavar="FILE", default="-", help="Where the results go.")
@click.option("--output-format", "form", type=click.Choice(["jsonl", "csv"]),
              help="How they are written; else by the suffix, or JSONL.")
@click.option("--resume", is_flag=True, help="Continue the --output of an earlier run.")
@click.option("--qps", type=click.FloatRange(0.001, 1000), default=20, show_default=True,
              help="Requests a second, retries included; the service takes 50 from an account.")
@click.option("--rate", "redis_url", metavar="URL", envvar="FACECERT_RATE",
              help="Count --qps in this Redis, with all programs that do. A URL with a password"
                   " belongs into FACECERT_RATE.")
@scene_option
@json_option
@verbose_option
def command(
    certify_id: Optional[str], batch: Optional[str], ledger_pending: bool, scene_id: Optional[str],
    output: Output, **batch_options: Any
) -> int:
    """Ask whether the person passed; or query many ids.

    Exit code 0: passed. Exit code 1: not passed, or not yet: the service says the same for both
    until the verification's 30 minutes are over.

    FILE: ids as text (one a line), CSV (a column certifyId, perhaps sceneId) or JSONL. Each id gets
    one line in the results as soon as it is known, in any order. Ctrl-C and kill lose nothing:
    --resume skips ids that have a line, and queries again where the error may be temporary. Exit
    code 0: all ids have an answer; 4: some do not.

    Example: facecert query 0a1b2c3d4e5f60718293a4b5c6d7e8f9

    Example: facecert query --batch ids.csv --output results.jsonl --resume
    """
    if [certify_id is not None, batch is not None, ledger_pending].count(True) != 1:
        raise Misuse(_("Give one of these: a CERTIFY_ID, --batch FILE, --ledger-pending."))
    if certify_id is not None and (batch_options["resume"] or batch_options["path"] != "-"):
        raise Misuse(_("--output and --resume go with --batch or --ledger-pending."))
    with connect(scene_id) as client:
        if certify_id is None:
            return _many(client, batch, output, **batch_options)
        answer = client.query(certify_id)
    output.show(as_result(answer), PASSED if answer.passed else NOT_YET)
    return DONE if answer.passed else NOT_PASSED


def _many(
    client: Client, batch: Optional[str], output: Output, *, batch_format: Optional[str], path: str,
    form: Optional[str], resume: bool, qps: float, column: str, redis_url: Optional[str]
) -> int:
    from ..batch.ids import read_ids
    from ..batch.results_file import ResultsFile
    from ..batch.run import run_batch
    from ..batch.shared import SharedRate

    rate = SharedRate(qps, redis_url) if redis_url else None
    ids = _pending(client) if batch is None else read_ids(batch, batch_format, column)
    try:
        with ResultsFile(path, form, resume=resume) as results, _bar(batch) as on_line:
            summary = run_batch(ids, results, client=client, qps=qps, rate=rate, on_line=on_line)
        words = _in_words(summary)
        if path == "-":
            output.note(words)
        else:
            names = ("answered", "passed", "failed", "invalid", "skipped", "interrupted")
            output.show(dict({name: getattr(summary, name) for name in names}, output=path), words)
        if isinstance(summary.error, OSError):
            raise Misuse(_("The file of ids cannot be read: %s.") % summary.error.strerror)
        if summary.error is not None:
            raise summary.error
    except OutputFailed as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in (errno.EPIPE, errno.EBADF):
            raise cause  # the standard output is closed: the main command reports it
        return output.complain_in_words("OutputFailed", str(error), UNWRITTEN)
    missing = summary.failed + summary.invalid
    if missing and not summary.interrupted:
        words = _("%d ids have no answer; their lines say why.") % missing
        return output.complain_in_words("Incomplete", words, OUTCOME_UNKNOWN)
    return INTERRUPTED if summary.interrupted else DONE


def _pending(client: Client) -> "Iterator[FileId]":
    """Yield the ids in the client's ledger whose outcome is not known."""
    from ..batch.ids import FileId

    # Not checked by class, because a batch from a file needs no SQLAlchemy.
    pending = getattr(client.ledger, "pending", None)
    if pending is None:
        raise invalid("FACECERT_LEDGER", "is not set")
    for line, entry in enumerate(pending(), 1):
        yield FileId(str(entry.certify_id), entry.scene_id, line)


def _in_words(summary: "Summary") -> str:
    words = _("%d answered (%d passed), %d without an answer, %d lines without an id, %d skipped.")
    words %= (summary.answered, summary.passed, summary.failed, summary.invalid, summary.skipped)
    if summary.interrupted:
        words += _(" Interrupted: the same command with --resume goes on.")
    elif summary.failed:
        words += _(" The same command with --resume queries again where that may help.")
    return words


@contextmanager
def _bar(path: Optional[str]) -> Iterator[Callable[..., Any]]:
    """Show a progress bar with rate and time left on a terminal; yield what moves it."""
    if not is_terminal(sys.stderr):
        yield lambda item, summary: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise unimportable("The progress bar needs tqdm", "tqdm", error) from error
    total = None
    if path not in (None, "-") and os.path.isfile(path):
        with open(path, "rb") as file:
            total = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    with tqdm(total=total, unit="id", file=sys.stderr, dynamic_ncols=True) as bar:
        yield lambda item, summary: bar.update(summary.written + summary.skipped - bar.n)
