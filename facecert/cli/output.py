"""What a command prints, and its exit code.

Results go to standard output: words on a terminal; elsewhere, and with ``--json``, one JSON object
a line. Errors go to standard error: words, or with ``--json`` one JSON object a line.
"""

import errno
import json
import os
import re
import sys
from datetime import datetime
from typing import Any, Dict, Mapping, Optional, TextIO

import click

from .. import errors
from ..errors import FacecertError
from ..locale import Text, Text as _, shown
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
    """A usage error whose message quotes nothing of the command line."""


class Output:
    """Prints the results, notes and errors of a command; ``asked``: ``--json`` was given."""

    def __init__(self, asked: bool = False) -> None:
        self.errors_as_json = asked
        self.as_json = asked or not is_terminal(sys.stdout)

    def show(self, result: Mapping[str, Any], words: Optional[str] = None) -> None:
        """Print a result as JSON, or as words (default: one line a field), or raise OSError."""
        standard_output()
        fields = plain(result)
        if self.as_json:
            words = json.dumps(fields)
        elif words is None:
            width = max(map(len, fields))
            texts = ("-" if value is None else str(value) for value in fields.values())
            words = "\n".join(
                "%-*s  %s" % (width, name, re.sub(UNPRINTABLE, " ", text))
                for name, text in zip(fields, texts)
            )
        say(words)

    def note(self, words: str) -> None:
        """Print a remark on standard error if that is a terminal."""
        if not self.errors_as_json and is_terminal(sys.stderr):
            say(words, err=True)

    def complain(self, error: FacecertError, going_on: bool = False) -> int:
        """Print an error and return its exit code; ``going_on``: the command tries again."""
        names = ("code", "request_id", "outcome", "retryable", "outer_order_no", "certify_id")
        fields = {name: getattr(error, name, None) for name in names}
        kind, message = type(error).__name__, str(error)
        if fields["certify_id"]:
            message += " (certify_id %s)" % fields["certify_id"]
        words = Text("%s: %s") % (kind, message)
        if going_on:
            fields["going_on"] = True
            words += _(" Trying again.")
        return self.complain_in_words(kind, message, exit_code(error), words, fields)

    def complain_in_words(
        self, kind: str, message: str, code: int, words: str = "", fields: Mapping[str, Any] = {}
    ) -> int:
        """Print an error, as ``words`` or as JSON with ``fields``, and return its exit code."""
        text: str = _("Error: %s") % (words or message)
        if self.errors_as_json:
            text = json.dumps(dict(error=kind, message=message, exit_code=code, **fields))
        say(text, err=True)
        return code


def say(words: str, err: bool = False) -> None:
    """Print words in the user's language."""
    click.echo(shown(words), err=err)


def plain(fields: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the fields with their times in ISO 8601."""
    return {
        name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in fields.items()
    }


def standard_output() -> TextIO:
    """Return standard output, or raise OSError when it is closed, because click would not."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return sys.stdout


def exit_code(error: FacecertError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, errors.InvalidParameter):
        return SETUP if error.field.isupper() else USAGE  # a variable, or an argument
    if isinstance(error, (errors.CredentialsError, errors.DependencyError, errors.LedgerError)):
        return SETUP
    if error.outcome == errors.UNKNOWN:
        return OUTCOME_UNKNOWN
    if isinstance(error, (errors.BudgetSpent, errors.ConnectionFailed, errors.Throttled)):
        return UNREACHABLE
    return REFUSED


def is_terminal(stream: Any) -> bool:
    """Tell whether a standard stream exists and is a terminal."""
    return stream is not None and bool(stream.isatty())
