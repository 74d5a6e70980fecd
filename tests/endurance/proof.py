"""Shared by the programs of this folder: faults for a sandbox, and a table of checks."""

import pathlib
import random
import sys

ROOT = str(pathlib.Path(__file__).resolve().parent.parent.parent)
sys.path.insert(0, ROOT)

#: Failed checks that are printed. Further ones are only counted.
_MANY = 20


def free_port():
    """Return a port below the range of outgoing connections.

    Another program could take a port of that range while the sandbox does not listen.
    """
    return random.SystemRandom().randrange(20000, 32000)


def meet_every_fault(sandbox, share, seconds=0.2):
    """Let a share of the calls meet each fault, except the one that stops listening."""
    from facecert.sandbox.faults import FAULTS, REFUSED

    for fault in FAULTS:
        if fault != REFUSED:
            sandbox.fail(fault, share=share, seconds=seconds)


def close_the_door(sandbox, ended, seconds=0.02, every=2.0, note=lambda fault: None):
    """Stop listening for ``seconds`` again and again, until the event ``ended`` is set."""
    from facecert.sandbox.faults import REFUSED

    while not ended.wait(every):
        sandbox.fail(REFUSED, seconds=seconds)
        note(REFUSED)


def memory(process, field):
    """Return a field of /proc/…/status in bytes."""
    text = pathlib.Path("/proc/%s/status" % process).read_text()
    return int(text.split(field + ":")[1].split()[0]) * 1024


class Proof:
    """Prints a table and the checks that fail."""

    def __init__(self):
        self.rows = []
        self.wrong = []

    def row(self, name, what, value):
        self.rows.append([name, what, value])
        print("%-9s %-52s %s" % (name, what, value), flush=True)

    def check(self, holds, text):
        """Count a failed check and print it."""
        if not holds:
            self.wrong.append(text)
            if len(self.wrong) <= _MANY:
                print("DOES NOT HOLD: %s" % text, flush=True)

    def verdict(self):
        """Print the last line and return the exit status."""
        print("DOES NOT HOLD: %d" % len(self.wrong) if self.wrong else "all of it holds")
        return 1 if self.wrong else 0
