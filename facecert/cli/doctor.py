"""``facecert doctor``."""

import click

from ..doctor import checks
from ..doctor.finding import OK, PROBLEM, WARNING
from .options import json_option, verbose_option
from .output import DONE, SETUP, Output

_COLOURS = {OK: "green", WARNING: "yellow", PROBLEM: "red"}


@click.command()
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
        verdict = click.style("%-7s" % finding.verdict, fg=_COLOURS[finding.verdict])
        words = "%s  %-11s  %s" % (verdict, finding.subject, finding.words)
        if finding.repair:
            words += "\n%s-> %s" % (" " * 22, finding.repair)
        output.show(finding._asdict(), words)
    output.note("%d problems found." % problems if problems else "No problem found.")
    return SETUP if problems else DONE
