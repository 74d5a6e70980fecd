"""What the measuring programs have in common: child processes, medians, limits and output."""

import json
import statistics
import subprocess
from pathlib import Path


class Child:
    """A process that answers each line of JSON on its standard input with a line of JSON.

    Args:
        command: how to start it.
        environ: its environment; None is this process's.
    """

    def __init__(self, command, environ=None):
        self._command = command
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True,
            env=environ,
        )  # fmt: skip

    def ask(self, question):
        """Send one line and return the answer."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("This process ended early: %s" % " ".join(self._command))
        return json.loads(line)

    def close(self):
        """End the process by closing its standard input."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def median(values):
    """Return the median, or None when there is no value."""
    values = list(values)
    return statistics.median(values) if values else None


def verdict(value, limit):
    """Compare a figure with its limit; a value of None was not measured."""
    return {"value": value, "limit": limit, "holds": None if value is None else value <= limit}


def said(figure):
    """Return the words for a verdict."""
    words = {None: "not measured", True: "holds", False: "does not hold"}[figure["holds"]]
    return "wanted <= %g: %s" % (figure["limit"], words)


def number(value, form):
    """Format a value, or return a dash for None."""
    return "-" if value is None else form % value


def show_verdicts(verdicts):
    """Print verdicts that have a text."""
    for figure in verdicts:
        value = number(figure["value"], "%.2f")
        print("%-48s %6s, %s" % (figure["text"], value, said(figure)))


def write(path, result):
    """Write all figures as JSON, when a path was given."""
    if path:
        Path(path).write_text(json.dumps(result, indent=2) + "\n", "utf-8")
