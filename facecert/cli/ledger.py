"""``facecert ledger``: list and export the ledger, and compare it with a bill."""

import json
import math
import os
import re
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Dict, Iterable, Iterator, List, Optional

import click

from ..batch.ids import read_ids
from ..batch.results_file import csv_line
from ..errors import InvalidParameter, invalid
from ..ledger.bill import Bill, month_bounds
from ..ledger.report import FIELDS, report as day_reports
from ..ledger.schema import Entry
from ..ledger.store import Ledger
from ..lifecycle import CHINA, STATES
from ..locale import Text, Text as _
from ..params import check_certify_id
from ..settings import from_environment
from .help import Command, Group
from .options import column_option, json_option, verbose_option
from .output import DONE, NOT_PASSED, Misuse, Output, plain, say, standard_output

_TITLES = {
    "missing_here": _("missing here (billed, and nowhere in the ledger)"),
    "missing_there": _("missing there (with an outcome, and on no bill)"),
    "never_finished_billed": _("never finished, but billed"),
    "never_finished_not_billed": _("never finished, not billed"),
}
_SUM = "(?i:(grand |sub)?total|sum|n/?a|null|none)\\W*"
_SHOWN = 20  # ids of each list in words; --json shows all


def _open_ledger() -> Ledger:
    try:
        ledger = Ledger(os.environ.get("FACECERT_LEDGER", ""))
        if not ledger.database.is_there:
            # A new file would make a mistyped path look like an empty ledger.
            raise InvalidParameter("the file is not there")
        return ledger
    except InvalidParameter as error:
        raise invalid("FACECERT_LEDGER", "must name the ledger: %s" % error)


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look into the ledger of all verifications.

    The variable FACECERT_LEDGER names the ledger: the path of an SQLite file, or a database URL.
    There is no option for it, because a URL may hold a password.

    Example: facecert ledger unsettled
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _day(ctx: click.Context, option: click.Parameter, value: Optional[str]) -> Optional[datetime]:
    if value is None:
        return None
    with suppress(ValueError):
        if re.fullmatch(r"2\d{3}-\d\d-\d\d", value):
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=CHINA)
    raise Misuse(_("--since and --until must be days like 2026-10-01."))


def _filters(function: Any) -> Any:
    """Add the options whose values ``_filtered`` takes."""
    until = click.option("--until", metavar="DAY", callback=_day,
                         help="The last day, China's time.")
    since = click.option("--since", metavar="DAY", callback=_day,
                         help="The first day, like 2026-10-01.")
    state = click.option("--state", "states", type=click.Choice(STATES), multiple=True,
                         help="Only this state. Can be repeated.")
    return state(since(until(function)))


def _filtered(states: Iterable[str], since: Any, until: Any) -> Iterator[Entry]:
    end = until and until + timedelta(days=1)
    return _open_ledger().entries(states=list(states) or STATES, since=since, until=end)


@command.command("list", cls=Command)
@_filters
@json_option
@verbose_option
def list_(output: Output, **filters: Any) -> None:
    """List the verifications, oldest first.

    Example: facecert ledger list --state unknown --since 2026-10-01
    """
    _show(_filtered(**filters), output)


@command.command(cls=Command)
@_filters
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv",
              show_default=True, help="The output format.")
@verbose_option
def export(form: str, **filters: Any) -> None:
    """Write the verifications to standard output, with all fields.

    Example: facecert ledger export --since 2026-10-01 --until 2026-10-31 > october.csv
    """
    stream = standard_output()
    records = (plain(entry._asdict()) for entry in _filtered(**filters))
    if form == "csv":
        rows = chain([Entry._fields], (record.values() for record in records))
        stream.writelines(map(csv_line, rows))
    else:
        stream.writelines(json.dumps(record) + "\n" for record in records)
    stream.flush()  # Otherwise a full disk would be noticed after the exit code is set.


@command.command(cls=Command)
@json_option
@verbose_option
def unsettled(output: Output) -> int:
    """List the verifications that need attention.

    sent, unknown: look in the console for outer_order_no, because it may have been opened.
    opened: it has expired without a query; run facecert query --ledger-pending.

    Exit code 0: there are none. Exit code 1: there are some.

    Example: facecert ledger unsettled
    """
    return NOT_PASSED if _show(_open_ledger().unsettled(), output) else DONE


_HEAD = _("day         opened passed failed never-finished unknown   rate median  inits")
_INDENT = "\n" + 12 * " "
_LINE = Text("%(day)s  %(opened)6d %(passed)6d %(failed)6d %(never_finished)14d %(unknown)7d")
_LINE += " %(rate)6s %(median)6s  %(budget)s" + _INDENT + "%(bar)s"


@command.command(cls=Command)
@click.option("--month", metavar="MONTH", help="Like 2026-10; the default is the current one.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for a spreadsheet.")
@json_option
@verbose_option
def report(month: Optional[str], as_csv: bool, output: Output) -> None:
    """Count what became of the verifications of each day, in China's time.

    rate: the share of passed in passed and failed. median: seconds from the request to the
    decision. inits: what the daily budget has counted, and FACECERT_PER_DAY. A bar shows opened.

    Example: facecert ledger report --month 2026-10
    """
    bounds = month_bounds(month or datetime.now(CHINA).strftime("%Y-%m"))
    found = list(day_reports(_open_ledger(), *bounds))
    environ = {"FACECERT_PER_DAY": os.environ.get("FACECERT_PER_DAY")}
    per_day = from_environment(environ).get("per_day")
    stream, most = standard_output(), max([1] + [day["opened"] for day in found])
    if as_csv:
        stream.write(csv_line(FIELDS.split() + ["per_day"]))
    elif not output.as_json:
        say(_HEAD)
    for day in found:
        codes = sorted(day["refused"].items())
        refused = ", ".join("%s %d" % (code or "-", count) for code, count in codes)
        if as_csv:
            stream.write(csv_line(dict(day, refused=refused, per_day=per_day).values()))
            continue
        rate, median, inits = day["pass_rate"], day["median_seconds"], day["inits"]
        words = _LINE % dict(
            day, rate="-" if rate is None else "%.1f%%" % (100 * rate),
            median="-" if median is None else "%ds" % median,
            budget="-" if inits is None else _("%s of %s") % (inits, per_day or "?"),
            bar="#" * math.ceil(60 * day["opened"] / most),
        )  # fmt: skip
        words += refused and _("%srefused: %s") % (_INDENT, refused)
        output.show(dict(day, per_day=per_day), words)
    stream.flush()  # Otherwise a full disk would be noticed after the exit code is set.


@command.command("import-bill", cls=Command)
@click.argument("file", type=click.Path())
@click.option("--month", required=True, metavar="MONTH", help="The bill's month, like 2026-10.")
@column_option
@json_option
@verbose_option
def import_bill(file: str, month: str, column: str, output: Output) -> int:
    """Store a month's bill in the ledger, and compare the two.

    FILE is CSV (- is standard input). The export of Alibaba Cloud has no column certifyId: name
    the one that holds the ids, and leave other products out. Importing a file again does no harm.
    Which verifications are billed is not documented: a missing one is a question to ask.

    Exit code 0: nothing is missing on either side. Exit code 1: something is missing.

    Example: facecert ledger import-bill bill.csv --month 2026-10
    """
    bill = Bill(_open_ledger(), month)
    skipped: List[str] = []
    try:
        with tempfile.TemporaryFile("w+") as whole:  # a bad line must not leave half a bill
            whole.writelines(one + "\n" for one in _billed_ids(file, column, skipped))
            whole.seek(0)
            new = bill.add(map(str.strip, whole))
    except OSError as error:
        raise Misuse(_("The bill cannot be read: %s.") % error.strerror)
    lists: Dict[str, List[Optional[str]]] = {
        "missing_here": list(bill.missing_here()),
        "missing_there": [entry.certify_id for entry in bill.missing_there()],
        "never_finished_billed": [e.certify_id for e in bill.never_finished(billed=True)],
        "never_finished_not_billed": [e.certify_id for e in bill.never_finished(billed=False)],
    }
    lines = bill.count()
    words = _("The bill of %s has %d lines, %d of them new.") % (month, lines, new)
    if skipped:
        words += _("\nSkipped, because they have no id: %s.") % ", ".join(skipped[:_SHOWN])
    for name, ids in lists.items():
        words += _("\n%s: %d") % (_TITLES[name], len(ids))
        words += "".join("\n  %s" % one for one in ids[:_SHOWN])
        words += _("\n  ... (--json shows all)") if len(ids) > _SHOWN else ""
    output.show(dict(lists, month=month, lines=lines, new=new, skipped=skipped), words)
    return NOT_PASSED if lists["missing_here"] or lists["missing_there"] else DONE


def _billed_ids(file: str, column: str, skipped: List[str]) -> Iterator[str]:
    for line in read_ids(file, "csv", column):
        # A total or a remark: no letter or digit of ASCII, or an English word for a sum.
        if not re.search("[A-Za-z0-9]", line.certify_id) or re.fullmatch(_SUM, line.certify_id):
            skipped.append("line %d" % line.line)
            continue
        try:
            yield check_certify_id(line.certify_id, 20)
        except InvalidParameter as error:
            words = "line %d of the bill, column %s: %s" % (line.line, column, error)
            raise InvalidParameter(words, field="file")


def _show(entries: Iterable[Entry], output: Output) -> int:
    """Print the rows as they are read, and return how many there were."""
    count = 0
    for count, entry in enumerate(entries, 1):
        sent_at = entry.sent_at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        words = "%s  %-32s  %-7s  %s  %s" % (
            sent_at, entry.outer_order_no, entry.state, entry.certify_id or "-", entry.code or ""
        )  # fmt: skip
        output.show(entry._asdict(), words.rstrip())
    output.note(_("%d verifications, with times in China's time zone.") % count)
    return count
