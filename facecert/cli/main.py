"""The group of all commands, and how a command ends: its errors and exit codes."""

import errno
import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from typing import Any, Dict, Iterable, List, Optional, Tuple

import click

from .._version import __version__
from ..errors import FacecertError
from ..locale import Text as _, choose
from .help import Group
from .output import BUG, DONE, INTERRUPTED, SETUP, UNWRITTEN, Misuse, Output

#: Command -> the first line of its help. The command is ``cli/<name>.py``, imported when called.
COMMANDS: Dict[str, str] = {
    "demo": _("Show one verification from init to query, step by step."),
    "sandbox": _("Run the sandbox for other programs until Ctrl-C."),
    "init": _("Open a verification; it may cost money."),
    "query": _("Ask whether the person passed; or query many ids."),
    "wait": _("Wait until the person passed, or has finally not passed."),
    "link": _("Print the link that opens a certify_url in Alipay."),
    "qr": _("Print a certify_url as a QR code, to be scanned with Alipay."),
    "encrypt": _("Encrypt a name or a number with SM2."),
    "ledger": _("Look into the ledger of all verifications."),
    "doctor": _("Find out why this machine cannot open a verification."),
    "completion": _("Print the script that completes commands and options."),
}


class _Commands(Group):
    """Imports a command when it is called, and turns every exception into an exit code."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module("%s.%s" % (__package__, cmd_name)).command
        return command

    def lines(self, ctx: click.Context) -> Iterable[Tuple[str, str]]:
        """Yield them without an import of the commands."""
        return COMMANDS.items()

    def main(self, args: Any = None, prog_name: Any = None, *rest: Any, **more: Any) -> Any:
        """Run a command and exit with its code."""
        choose()
        if "_FACECERT_COMPLETE" in os.environ or not more.get("standalone_mode", True):
            return super().main(args, prog_name, *rest, **more)
        arguments = sys.argv[1:] if args is None else list(args)
        output = Output("--json" in arguments)
        try:
            code = self._run(prog_name or "facecert", arguments, output)
        except OSError as error:
            code = _unwritten(error, output)
        sys.exit(code)

    def _run(self, prog_name: str, arguments: List[str], output: Output) -> int:
        try:
            with self.make_context(prog_name, arguments) as ctx:
                return self.invoke(ctx) or DONE
        except click.exceptions.Exit as error:
            return error.exit_code
        except FacecertError as error:
            return output.complain(error)
        except click.UsageError as error:
            return output.complain_in_words("UsageError", _unquoted(error), error.exit_code)
        except click.ClickException as error:
            return output.complain_in_words("Error", error.message, error.exit_code)
        except (KeyboardInterrupt, EOFError, click.Abort):
            click.echo(err=True)
            return INTERRUPTED
        except UnicodeEncodeError as error:
            message = _("The output's encoding (%s) lacks a character. Try LC_ALL=C.UTF-8.")
            return output.complain_in_words("Error", message % error.encoding, SETUP)
        except OSError:
            raise
        except Exception as error:
            # Without the exception's message, because it may quote personal data.
            where = "".join(traceback.format_tb(error.__traceback__))
            message = _("This is a bug in facecert, please report it: %s\n%s")
            return output.complain_in_words("Bug", message % (type(error).__name__, where), BUG)


def _unquoted(error: click.UsageError) -> str:
    """Return a message that quotes nothing of the command line, which may hold a name."""
    if isinstance(error, Misuse):
        return error.message
    parameter = getattr(error, "param", None)
    name = parameter and parameter.human_readable_name
    if isinstance(parameter, click.Option):
        name = max(parameter.opts, key=len)
    message = _(
        "There is no such command, option or argument. Nothing was sent. If you typed a name or a"
        " number, consider it disclosed, because everyone who lists processes can read it, and"
        " remove it from the shell's history."
    )
    if isinstance(error, click.BadOptionUsage):
        message = _("%s needs a value, or takes none.") % error.option_name
    elif name:
        missing = isinstance(error, click.MissingParameter)
        message = (_("%s is missing.") if missing else _("The value of %s is not valid.")) % name
    return _("%s See: %s --help") % (message, error.ctx.command_path if error.ctx else "facecert")


def _unwritten(error: OSError, output: Output) -> int:
    """Report a failed write, but not a closed pipe, because a reader may stop at any time."""
    with suppress(OSError):  # standard error cannot be written either
        if error.errno != errno.EPIPE:
            message = _("Reading or writing failed: %s.") % error.strerror
            output.complain_in_words("OSError", message, UNWRITTEN)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            # The interpreter flushes again at its end, and would print another error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return UNWRITTEN


@click.group(cls=_Commands, invoke_without_command=True,
             context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="facecert")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Real-person verification with Alibaba Cloud, for servers.

    Start with: facecert demo

    \b
    Exit codes:
        0  passed, or done
        1  not passed, or not yet; of ledger: some verifications need attention
        2  the command line or the input is wrong; nothing was sent
        3  refused by the gateway or the service
        4  outcome unknown: it may have been done; of a batch: some ids have no result
        5  not reached, throttled, or no budget left: nothing was done, try later
        6  setup: AccessKey, a FACECERT_ variable, a missing package, the ledger
       70  a bug in facecert
      130  interrupted
      141  the output could not be written
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
