"""``facecert doctor``."""

import click

from ..doctor import checks as doctor
from ..doctor.finding import OK, PROBLEM, Finding
from .options import json_option, verbose_option
from .output import DONE, SETUP, Output

_COLOURS = {OK: "green", PROBLEM: "red"}


@click.command()
@click.option(
    "--call", is_flag=True, help="Also make one signed query about a verification nobody opened."
)
@json_option
@verbose_option
def command(call: bool, output: Output) -> int:
    """Find out why nobody can be verified from this machine.

    Looks at Python, the packages, the settings, the AccessKey's source (never its secret), the
    endpoint's name, TLS and clock, SM2 and the ledger, and says how to repair what is wrong. Run
    it as the app's own user and with its environment. Nothing is sent but empty requests; --call
    sends a signed one.

    Exit code 0: no problem. Exit code 6: there is one.

    Example: facecert doctor --call
    """
    problems = 0
    for finding in doctor.examine(call=call):
        problems += finding.verdict == PROBLEM
        output.show(finding._asdict(), _words(finding))
    output.note("%d problems found." % problems if problems else "No problem found.")
    return SETUP if problems else DONE


def _words(finding: Finding) -> str:
    verdict = click.style("%-7s" % finding.verdict, fg=_COLOURS.get(finding.verdict, "yellow"))
    words = "%s  %-11s  %s" % (verdict, finding.subject, finding.words)
    if finding.repair:
        words += "\n%s-> %s" % (" " * 22, finding.repair)
    return words
