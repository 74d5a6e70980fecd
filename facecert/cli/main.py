"""The command line: its commands by name, and how every one of them ends.

Exit codes: 0 passed, or done; 1 not passed (or not yet); 2 usage; 3 refused; 4 outcome unknown;
5 nothing was done, try later; 6 setup; 70 a bug; 130 interrupted; 141 the output was not taken.
"""

import errno
import os
import sys
import traceback
from importlib import import_module
from typing import Any, Dict, List, Optional

import click

from .._version import __version__
from .output import BUG, DONE, INTERRUPTED, SETUP, UNWRITTEN, Misuse, Output
from ..errors import FacecertError

#: Command -> its help in one line. The command is ``cli/<name>.py``, imported when called.
COMMANDS: Dict[str, str] = {
    "demo": "Show one verification from init to query, step by step.",
    "sandbox": "Run the sandbox for other programs until Ctrl-C.",
    "init": "Open a verification; it may cost money.",
    "query": "Ask whether the person passed; or about many persons.",
    "wait": "Wait until the person passed, or surely did not.",
    "link": "Print the link that opens a certify_url in Alipay.",
    "qr": "Print a certify_url as a QR code, to be scanned with Alipay.",
    "encrypt": "Encrypt a name or a number with SM2.",
    "ledger": "Look into the ledger of all verifications.",
    "doctor": "Find out why nobody can be verified from this machine.",
    "completion": "Print the script that completes commands and options.",
}


class _Commands(click.Group):
    """Imports a command when it is called, and turns whatever it raises into an exit code."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        if cmd_name not in COMMANDS:
            return None
        command = import_module("%s.%s" % (__package__, cmd_name)).command
        command.name = cmd_name
        return command  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, args: Any = None, prog_name: Any = None, *rest: Any, **more: Any) -> Any:
        """Run, and exit with one of the codes in this module's docstring."""
        if "_FACECERT_COMPLETE" in os.environ or not more.get("standalone_mode", True):
            return super().main(args, prog_name, *rest, **more)
        arguments = sys.argv[1:] if args is None else list(args)
        output = Output("--json" in arguments)
        try:
            code = self._run(prog_name or "facecert", arguments, output)
        except OSError as error:
            code = _not_taken(error, output)
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
            return output.complain_in_words(
                "Error",
                "The encoding of this output (%s) lacks a character; try it with LC_ALL=C.UTF-8."
                % error.encoding,
                SETUP,
            )
        except OSError:
            raise
        except Exception as error:
            # Without its message: nobody knows what that quotes.
            where = "".join(traceback.format_tb(error.__traceback__))
            message = "This is a bug in facecert, please report it: %s\n%s"
            return output.complain_in_words("Bug", message % (type(error).__name__, where), BUG)


def _unquoted(error: click.UsageError) -> str:
    """Say what is wrong with a command line, without repeating what may be somebody's name."""
    if isinstance(error, Misuse):
        return error.message
    see = " See: %s --help" % (error.ctx.command_path if error.ctx else "facecert")
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return "%s is missing.%s" % (_name(error.param), see)
    if isinstance(error, click.BadParameter) and error.param is not None:
        return "The value of %s is not valid.%s" % (_name(error.param), see)
    if isinstance(error, click.BadOptionUsage):
        return "%s needs a value, or takes none.%s" % (error.option_name, see)
    return "There is no such command, option or argument.%s" % see


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return parameter.human_readable_name


def _not_taken(error: OSError, output: Output) -> int:
    """Say so unless it is a closed pipe, which is the other side's good right."""
    try:
        if error.errno != errno.EPIPE:
            output.complain_in_words(
                "OSError", "Reading or writing failed: %s." % error.strerror, UNWRITTEN
            )
    except OSError:
        pass  # standard error is gone as well
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            # Or the interpreter would try again when it ends, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return UNWRITTEN


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="facecert")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Real-person verification with Alibaba Cloud, from the server's side.

    Start with: facecert demo

    \b
    Exit codes:
        0  passed, or done
        1  not passed, or not yet; of ledger: there is something to look after
        2  the command line or the input is wrong; nothing was sent
        3  refused by the gateway or the service
        4  outcome unknown: it may have been done; of a batch: some have no answer
        5  not reached, or throttled: nothing was done, try later
        6  setup: AccessKey, a FACECERT_ variable, a missing package, the ledger
       70  a bug in facecert
      130  interrupted
      141  the output could not be written
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run() -> None:
    """Run the command line of this process."""
    try:
        cli(prog_name="facecert")
    except RuntimeError as error:
        # click on Python 3.6 without a locale; its message says what to set.
        if "ASCII" not in str(error):
            raise
        sys.exit(str(error))
