"""A process of a soak: started, told what to do, heard, and surely ended."""

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
    """A program ended too early."""


class Program:
    """The soak's program again in a process (and process group) of its own, in another role."""

    def __init__(self, role, folder, told):
        self.role = role
        self.lines = queue.Queue()
        self.ended = False
        self._shown = open(os.path.join(folder, "%s.err" % role), "a")
        # Its secrets come by standard input: anyone may see a command line.
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
        """Return its next line. Raises queue.Empty when the time is over, Ended at its end."""
        line = self.lines.get(timeout=seconds)
        if line is None:
            raise Ended("The %s ended before its time; its output may say why." % self.role)
        return line

    def end(self, seconds=0.0):
        """Wait so long, then kill it with all that it forked. Return whether nothing was left."""
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
    """Return the environment without anybody's keys, proxies and settings."""
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
