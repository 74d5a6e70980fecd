"""What a command prints, and the exit code that it ends with.

Results go to standard output: words on a terminal, one JSON object a line with ``--json`` or where
there is no terminal. Everything else goes to standard error: words, or one JSON object a line with
``--json``. So standard output can always be parsed.
"""

import errno
import json
import os
import re
import sys
from typing import Any, Dict, Mapping, Optional, TextIO

import click

from ..errors import (
    UNKNOWN,
    ConnectionFailed,
    CredentialsError,
    DependencyError,
    FacecertError,
    InvalidParameter,
    LedgerError,
    Throttled,
)
from ..redact import UNPRINTABLE

DONE = 0
NOT_PASSED = 1
USAGE = 2
REFUSED = 3
OUTCOME_UNKNOWN = 4
UNREACHABLE = 5
SETUP = 6
BUG = 70
INTERRUPTED = 130
UNWRITTEN = 141


class Misuse(click.UsageError):
    """A usage error in words of facecert's own, which quote nothing of what was typed."""


class Output:
    """Where a command prints to.

    Args:
        asked: True when ``--json`` was given. Then errors are JSON too.
    """

    def __init__(self, asked: bool = False) -> None:
        self.errors_as_json = asked
        self.as_json = asked or not is_terminal(sys.stdout)

    def show(self, result: Mapping[str, Any], words: Optional[str] = None) -> None:
        """Print a result: its JSON, or its words (without any, one field a line).

        Raises:
            OSError: it cannot be printed; ``facecert.cli`` makes exit code 141 of that.
        """
        standard_output()
        if self.as_json:
            click.echo(json.dumps(result))
        else:
            click.echo(_lines(result) if words is None else words)

    def note(self, words: str) -> None:
        """Tell a person something by the way, if there is one on standard error."""
        if not self.errors_as_json and is_terminal(sys.stderr):
            click.echo(words, err=True)

    def complain(self, error: FacecertError, going_on: bool = False) -> int:
        """Print an error, and return the exit code that it stands for.

        Args:
            going_on: it is not the end; the command tries again.
        """
        kind, message, code = type(error).__name__, str(error), exit_code(error)
        certify_id = getattr(error, "certify_id", None)
        if certify_id:
            message += " (certify_id %s)" % certify_id
        fields: Dict[str, Any] = {
            "code": error.code,
            "request_id": error.request_id,
            "outcome": error.outcome,
            "retryable": error.retryable,
            "outer_order_no": error.outer_order_no,
            "certify_id": certify_id,
        }
        words = "%s: %s" % (kind, message)
        if going_on:
            fields["going_on"] = True
            words += " Trying again."
        self._error(kind, words, message, code, fields)
        return code

    def complain_in_words(self, kind: str, message: str, code: int) -> int:
        """Print an error that is none of facecert's own tree, and return its exit code.

        Args:
            kind: what stands for the error's class in JSON.
        """
        self._error(kind, message, message, code, {})
        return code

    def _error(
        self, kind: str, words: str, message: str, code: int, fields: Mapping[str, Any]
    ) -> None:
        if self.errors_as_json:
            click.echo(
                json.dumps(dict({"error": kind, "message": message, "exit_code": code}, **fields)),
                err=True,
            )
        else:
            click.echo("Error: %s" % words, err=True)


def standard_output() -> TextIO:
    """Return it.

    Raises:
        OSError: whoever started us has closed it; click would say nothing.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return sys.stdout


def exit_code(error: FacecertError) -> int:
    """Return the exit code that an error stands for."""
    if isinstance(error, InvalidParameter):
        return SETUP if error.field.startswith("FACECERT_") else USAGE
    if isinstance(error, (CredentialsError, DependencyError, LedgerError)):
        return SETUP
    if error.outcome == UNKNOWN:
        return OUTCOME_UNKNOWN
    # Both mean: nothing was done, and it may work later.
    if isinstance(error, (ConnectionFailed, Throttled)):
        return UNREACHABLE
    return REFUSED


def is_terminal(stream: Any) -> bool:
    """Tell whether a standard stream is there and a terminal."""
    return stream is not None and bool(stream.isatty())


def _lines(result: Mapping[str, Any]) -> str:
    width = max(map(len, result))
    shown = {name: "-" if value is None else str(value) for name, value in result.items()}
    return "\n".join(
        "%-*s  %s" % (width, name, re.sub(UNPRINTABLE, " ", value))
        for name, value in shown.items()
    )
