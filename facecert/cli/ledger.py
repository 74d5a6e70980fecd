"""``facecert ledger``: what the ledger holds, and the bill beside it."""

import csv
import json
import os
import re
from datetime import datetime, timedelta
from typing import Any, Dict, Iterable, Iterator, List, Optional, TextIO, Tuple

import click

from ..params import check_certify_id
from ..ledger.bill import CHINA, Bill
from ..errors import InvalidParameter
from ..batch.ids import read_ids
from ..ledger.store import Ledger
from ..lifecycle import STATES
from ..ledger.schema import Entry
from .options import json_option, verbose_option
from .output import DONE, NOT_PASSED, Misuse, Output, standard_output

_TITLES = {
    "missing_here": "missing here (billed, and nowhere in the ledger)",
    "missing_there": "missing there (with an outcome, and on no bill)",
    "never_finished_billed": "never finished, but billed",
    "never_finished_not_billed": "never finished, not billed",
}

#: So many of what is missing are shown to people; --json shows all.
_SHOWN = 20


def open_ledger() -> Ledger:
    """Return the ledger that FACECERT_LEDGER names.

    Raises:
        InvalidParameter: the variable is not set, or names none.
    """
    url = os.environ.get("FACECERT_LEDGER", "").strip()
    try:
        ledger = Ledger(url)
        if not ledger.database.is_there:
            # A mistyped path would look like an empty ledger.
            raise InvalidParameter("the file is not there")
        return ledger
    except InvalidParameter as error:
        raise InvalidParameter.about("FACECERT_LEDGER", "must name the ledger: %s" % error)


def as_record(entry: Entry) -> Dict[str, Any]:
    """Return what is printed of a row; times in ISO 8601, UTC."""
    return {
        name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in entry._asdict().items()
    }


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look into the ledger of all verifications.

    FACECERT_LEDGER names it: the path of an SQLite file, or a database's URL. It is taken from
    nowhere else, since a URL may hold a password.

    Example: facecert ledger unsettled
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _day(ctx: click.Context, option: click.Parameter, value: Optional[str]) -> Optional[datetime]:
    if value is None:
        return None
    try:
        if re.fullmatch(r"2\d{3}-\d\d-\d\d", value):
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=CHINA)
    except ValueError:
        pass
    raise Misuse("--since and --until must be days like 2026-10-01.")


def _days(wanted: Any) -> Any:
    until = click.option(
        "--until", metavar="DAY", callback=_day, help="The last day, China's time."
    )
    since = click.option(
        "--since", metavar="DAY", callback=_day, help="The first day, like 2026-10-01."
    )
    states = click.option(
        "--state", "states", type=click.Choice(STATES), multiple=True,
        help="Only this state; may be repeated.",
    )  # fmt: skip
    return states(since(until(wanted)))


def _chosen(
    ledger: Ledger,
    states: Tuple[str, ...],
    since: Optional[datetime],
    until: Optional[datetime],
) -> Iterator[Entry]:
    if until is not None:
        until += timedelta(days=1)
    return ledger.entries(states=states or STATES, since=since, until=until)


@command.command("list")
@_days
@json_option
@verbose_option
def list_(
    states: Tuple[str, ...],
    since: Optional[datetime],
    until: Optional[datetime],
    output: Output,
) -> None:
    """List the verifications, oldest first.

    Example: facecert ledger list --state unknown --since 2026-10-01
    """
    _show(_chosen(open_ledger(), states, since, until), output)


@command.command()
@_days
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv",
              show_default=True, help="How each row is written.")  # fmt: skip
@verbose_option
def export(
    states: Tuple[str, ...], since: Optional[datetime], until: Optional[datetime], form: str
) -> None:
    """Write the verifications to standard output, all fields.

    Example: facecert ledger export --since 2026-10-01 --until 2026-10-31 > october.csv
    """
    stream = standard_output()
    records = map(as_record, _chosen(open_ledger(), states, since, until))
    if form == "csv":
        _write_csv(records, stream)
    else:
        for record in records:
            stream.write(json.dumps(record) + "\n")
    stream.flush()  # or a full disk would show only after the exit code


def _write_csv(records: Iterable[Dict[str, Any]], stream: TextIO) -> None:
    writer = csv.DictWriter(stream, Entry._fields, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(record)


@command.command()
@json_option
@verbose_option
def unsettled(output: Output) -> int:
    """List what somebody must look after.

    sent, unknown: it may have been opened; look for outer_order_no in the console. opened: the
    time is over and nobody asked; facecert query --ledger-pending does.

    Exit code 0: nothing. Exit code 1: something.

    Example: facecert ledger unsettled
    """
    return NOT_PASSED if _show(open_ledger().unsettled(), output) else DONE


@command.command("import-bill")
@click.argument("file", type=click.Path())
@click.option("--month", required=True, metavar="MONTH", help="Whose bill it is, like 2026-10.")
@json_option
@verbose_option
def import_bill(file: str, month: str, output: Output) -> int:
    """Keep a month's bill in the ledger, and compare them.

    FILE is CSV with a column certifyId (- is standard input). Importing it again does no harm.
    Which verifications are billed is not documented: what is missing is a question to ask.

    Exit code 0: nothing is missing on either side. Exit code 1: something is.

    Example: facecert ledger import-bill bill.csv --month 2026-10
    """
    bill = Bill(open_ledger(), month)
    try:
        new = bill.add(_billed_ids(file))
    except OSError as error:
        raise Misuse("The bill cannot be read: %s." % error.strerror)
    lists: Dict[str, List[Optional[str]]] = {
        "missing_here": list(bill.missing_here()),
        "missing_there": [entry.certify_id for entry in bill.missing_there()],
        "never_finished_billed": [e.certify_id for e in bill.never_finished(billed=True)],
        "never_finished_not_billed": [e.certify_id for e in bill.never_finished(billed=False)],
    }
    lines = bill.count()
    words = ["The bill of %s has %d lines, %d of them new." % (month, lines, new)]
    for name, ids in lists.items():
        words.append("%s: %d" % (_TITLES[name], len(ids)))
        words += ["  %s" % one for one in ids[:_SHOWN]]
        if len(ids) > _SHOWN:
            words.append("  ... (--json shows all)")
    output.show(dict(lists, month=month, lines=lines, new=new), "\n".join(words))
    return NOT_PASSED if lists["missing_here"] or lists["missing_there"] else DONE


def _billed_ids(file: str) -> Iterator[str]:
    for line in read_ids(file, "csv"):
        # A line without an id is a sum, or a remark.
        if line.certify_id:
            try:
                yield check_certify_id(line.certify_id, 20)
            except InvalidParameter as error:
                raise InvalidParameter("line %d of the bill: %s" % (line.line, error), field="file")


def _show(entries: Iterable[Entry], output: Output) -> int:
    """Print the rows as they come, and return how many there were."""
    count = 0
    for count, entry in enumerate(entries, 1):
        words = "%s  %-32s  %-7s  %s  %s" % (
            entry.sent_at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
            entry.outer_order_no,
            entry.state,
            entry.certify_id or "-",
            entry.code or "",
        )
        output.show(as_record(entry), words.rstrip())
    output.note("%d verifications (times are China's)." % count)
    return count
