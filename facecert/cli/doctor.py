"""``facecert doctor``."""

import click

from ..doctor import checks
from ..doctor.finding import OK, PROBLEM, WARNING
from ..locale import Text as _, shown
from .help import Command
from .options import json_option, verbose_option
from .output import DONE, SETUP, Output

#: Verdict -> what is shown, always of the same width, and its colour.
_SHOWN = {
    OK: (_("ok     "), "green"), WARNING: (_("warning"), "yellow"), PROBLEM: (_("problem"), "red")
}  # fmt: skip


@click.command(cls=Command)
@click.option("--call", is_flag=True,
              help="Also make one signed query about an unknown verification.")
@json_option
@verbose_option
def command(call: bool, output: Output) -> int:
    """Find out why this machine cannot open a verification.

    Checks Python, the packages, the settings, the AccessKey's source (it never shows the secret),
    the endpoint's name, TLS and clock, SM2 and the ledger, and prints how to repair what is wrong.
    Run it as the app's user with the app's environment. It sends empty requests only; --call sends
    a signed one.

    Exit code 0: no problem. Exit code 6: there is one.

    Example: facecert doctor --call
    """
    problems = 0
    for finding in checks.examine(call=call):
        problems += finding.verdict == PROBLEM
        verdict, colour = _SHOWN[finding.verdict]
        words = click.style(shown(verdict), fg=colour)
        words += "  %-11s  %s" % (finding.subject, shown(finding.words))
        if finding.repair:
            words += "\n%s-> %s" % (" " * 22, shown(finding.repair))
        output.show(finding._asdict(), words)
    output.note(_("%d problems found.") % problems if problems else _("No problem found."))
    return SETUP if problems else DONE
