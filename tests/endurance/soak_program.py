"""A process of a soak: starts it, writes to it, reads from it, and ends it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading

from proof import ROOT

_SOAK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "soak.py")


class Ended(Exception):
    """A program ended early."""


class Program:
    """soak.py in another role, in a process and process group of its own."""

    def __init__(self, role, folder, told):
        self.role = role
        self.lines = queue.Queue()
        self.ended = False
        self._shown = open(os.path.join(folder, "%s.err" % role), "a")
        # Secrets go to standard input, because command lines are public.
        self.process = subprocess.Popen(
            [sys.executable, _SOAK, "--role", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._shown,
            env=clean_environment(folder),
            universal_newlines=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(folder,), daemon=True)
        self._reader.start()
        self.tell(json.dumps(told))

    def _read(self, folder):
        with open(os.path.join(folder, "%s.out" % self.role), "a") as shown:
            for line in self.process.stdout:
                shown.write(line)
                self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def tell(self, line):
        """Write a line to its standard input."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self, seconds):
        """Return its next line. Raises queue.Empty after ``seconds``, Ended when it has ended."""
        line = self.lines.get(timeout=seconds)
        if line is None:
            raise Ended("The %s ended early; its output may tell the cause." % self.role)
        return line

    def end(self, seconds=0.0):
        """Wait ``seconds``, then kill its process group. Return whether the group was empty."""
        self.ended = True
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        left = True
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            left = False
        self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
        self._shown.close()
        return not left


def clean_environment(folder):
    """Return the environment without keys, proxies and settings."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("ALIBABA_CLOUD_", "FACECERT_"))
        and not name.upper().endswith("_PROXY")
    }
    bundle = os.path.join(folder, "ca.pem")
    return dict(
        environ, PYTHONPATH=ROOT, HOME=folder, ALIBABA_CLOUD_CA_BUNDLE=bundle,
        PYTHONIOENCODING="utf-8",
    )  # fmt: skip
