"""``facecert query``."""

from typing import Any, Dict, Optional

import click

from ..results import QueryResult
from .options import connect, json_option, no_document_number, scene_option, verbose_option
from .output import DONE, NOT_PASSED, Misuse, Output

PASSED = "passed"
NOT_YET = "not passed (or not yet)"


def as_result(answer: QueryResult) -> Dict[str, Any]:
    """Return what is printed of an answer; nothing personal is in it."""
    return {
        "certify_id": answer.certify_id,
        "passed": answer.passed,
        "request_id": answer.request_id,
    }


@click.command()
@click.argument("certify_id", required=False, callback=no_document_number)
@click.option("--batch", metavar="FILE", help="Ask about every id in a file; - is standard input.")
@click.option("--ledger-pending", is_flag=True, help="Ask about what the ledger does not know.")
@click.option(
    "--batch-format", type=click.Choice(["text", "csv", "jsonl"]),
    help="What FILE is; else its suffix or first line tells.",
)  # fmt: skip
@click.option("--output", "path", metavar="FILE", default="-", help="Where the results go.")
@click.option(
    "--output-format", "form", type=click.Choice(["jsonl", "csv"]),
    help="How they are written; else the suffix tells, or JSONL.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the --output of an earlier run.")
@click.option(
    "--qps", type=click.FloatRange(0.001, 1000), default=20, show_default=True,
    help="Calls a second at most, retries too; the service takes 50 from an account.",
)  # fmt: skip
@scene_option
@json_option
@verbose_option
def command(
    certify_id: Optional[str],
    batch: Optional[str],
    ledger_pending: bool,
    scene_id: Optional[str],
    output: Output,
    **batch_options: Any
) -> int:
    """Ask whether the person passed; or about many persons.

    Exit code 0: passed. Exit code 1: not passed, or not yet: the service says the same for both
    until the verification's 30 minutes are over.

    FILE: ids as text (one a line), CSV (a column certifyId, perhaps sceneId) or JSONL. Each gets
    one line in the results as it comes, in any order. Ctrl-C and kill lose nothing: --resume skips
    what has its line, and asks again where an error may pass. Exit code 0: all were answered;
    4: some were not.

    Example: facecert query 0a1b2c3d4e5f60718293a4b5c6d7e8f9

    Example: facecert query --batch ids.csv --output results.jsonl --resume
    """
    if [certify_id is not None, batch is not None, ledger_pending].count(True) != 1:
        raise Misuse("Give one of these: a CERTIFY_ID, --batch FILE, --ledger-pending.")
    if certify_id is not None and (batch_options["resume"] or batch_options["path"] != "-"):
        raise Misuse("--output and --resume go with --batch or --ledger-pending.")
    with connect(scene_id) as client:
        if certify_id is None:
            return _many(client, batch, output, **batch_options)
        answer = client.query(certify_id)
    output.show(as_result(answer), PASSED if answer.passed else NOT_YET)
    return DONE if answer.passed else NOT_PASSED


def _many(
    client: Any, batch: Optional[str], output: Output, *, batch_format: Optional[str], **more: Any
) -> int:
    from ..batch.ids import read_ids  # here: the single question stays quick
    from . import batch_query

    if batch is None:
        ids, total = batch_query.from_ledger(client), None
    else:
        ids, total = read_ids(batch, batch_format), batch_query.count_lines(batch)
    return batch_query.ask(ids, client=client, total=total, output=output, **more)
