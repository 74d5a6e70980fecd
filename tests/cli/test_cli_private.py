"""A name and a number show neither in ps, nor on the terminal, nor in the shell's history."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
import time

import pytest
from conftest import NAME, NUMBER, ROOT

pytest.importorskip("click", reason="the command line is the extra `cli`")

PROC = pathlib.Path("/proc")
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(
    not (PROC / "self" / "cmdline").exists() and "CI" not in os.environ,
    reason="only Linux shows command lines in /proc"
)

#: Makes the terminal on standard input the controlling one, as a login does.
LOGIN = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


class Ps(threading.Thread):
    """Reads every command line that can be seen, again and again, as a neighbour would."""

    def __enter__(self):
        self.seen, self.over = set(), threading.Event()
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.is_set():
            for process in PROC.glob("[0-9]*"):
                try:
                    self.seen.add((process / "cmdline").read_bytes())
                except OSError:
                    pass  # it ended meanwhile
            time.sleep(0.01)

    def check(self):
        # It did see the command, and nothing of the person.
        assert any(b"facecert" in line and b"init" in line for line in self.seen)
        for line in self.seen:
            assert NAME.encode("utf-8") not in line and NUMBER.encode("ascii") not in line


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command, environ):
        self._keyboard, inside = pty.openpty()
        self.screen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN] + command,
            stdin=inside, stdout=inside, stderr=inside, env=environ, start_new_session=True,
        )  # fmt: skip
        os.close(inside)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)

    def wait_for(self, words):
        """Read until the screen shows something new that matches."""
        begin = len(self.screen)
        while not re.search(words, self.screen[begin:]):
            assert select.select([self._keyboard], [], [], 60)[0], self.screen
            try:
                read = os.read(self._keyboard, 65536)
            except OSError:  # that is how Linux says that the program is gone
                read = b""
            assert read, self.screen
            self.screen += read

    def type(self, line):
        os.write(self._keyboard, line.encode("utf-8") + b"\n")


def environ(sandbox, **more):
    return dict(
        os.environ, PYTHONPATH=str(ROOT), LC_ALL="C.UTF-8", PYTHONIOENCODING="utf-8",
        **dict(sandbox.environment, **more)
    )  # fmt: skip


def test_at_a_prompt(sandbox):
    sandbox.fail("slow", seconds=0.3)
    with Ps(daemon=True) as ps:
        with Terminal([sys.executable, "-m", "facecert", "init"], environ(sandbox)) as terminal:
            terminal.wait_for(b"Name:")
            terminal.type(NAME)
            terminal.wait_for(b"Document number:")
            terminal.type(NUMBER)
            terminal.wait_for(b"request_id +\\S+\r\n")
            assert terminal.process.wait(timeout=60) == 0
    ps.check()
    assert NUMBER.encode("ascii") not in terminal.screen
    assert NAME.encode("utf-8") not in terminal.screen
    sent = sandbox.requests[0].service_parameters
    assert (sent["certName"], sent["certNo"]) == (NAME, NUMBER)


@pytest.mark.long
def test_through_standard_input(sandbox):
    sandbox.fail("slow", seconds=0.3)
    with Ps(daemon=True) as ps:
        process = subprocess.Popen(
            [sys.executable, "-m", "facecert", "init"],
            env=environ(sandbox), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        person = {"cert_name": NAME, "cert_no": NUMBER}
        printed = process.communicate(json.dumps(person).encode("utf-8"), timeout=60)[0]
    ps.check()
    assert process.returncode == 0 and json.loads(printed.decode("ascii"))["certify_id"]
    assert sandbox.requests[0].service_parameters["certNo"] == NUMBER


@pytest.mark.long
@pytest.mark.skipif(not BASH and "CI" not in os.environ, reason="no bash here")
def test_a_shells_history(sandbox, tmp_path):
    history = tmp_path / "history"
    shell = environ(sandbox, HISTFILE=str(history), HISTSIZE="100", PS1="READY> ", TERM="dumb")
    with Terminal([BASH, "--norc", "--noprofile", "-i"], shell) as terminal:
        terminal.wait_for(b"READY> ")
        terminal.type("%s -m facecert init" % sys.executable)
        terminal.wait_for(b"Name:")
        terminal.type(NAME)
        terminal.wait_for(b"Document number:")
        terminal.type(NUMBER)
        terminal.wait_for(b"request_id +\\S+\r\n(.|\n)*READY> ")
        terminal.type("exit")
        terminal.process.wait(timeout=60)
    kept = history.read_text(encoding="utf-8")
    assert "facecert init" in kept
    assert NAME not in kept and NUMBER not in kept
    assert NAME.encode("utf-8") not in terminal.screen


def test_encrypt_asks_without_echo(sandbox):
    with Terminal([sys.executable, "-m", "facecert", "encrypt"], environ(sandbox)) as terminal:
        terminal.wait_for(b"Text:")
        terminal.type(NAME)
        terminal.wait_for(b"B[A-Za-z0-9+/]{100,}=*\r\n")
    assert NAME.encode("utf-8") not in terminal.screen


def test_a_locale_without_the_characters_at_a_prompt(sandbox):
    ascii_only = dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    shell = dict(environ(sandbox), **ascii_only)
    with Terminal([sys.executable, "-m", "facecert", "init"], shell) as terminal:
        terminal.wait_for(b"Name:")
        terminal.type(NAME)
        terminal.wait_for(b"LC_ALL=C.UTF-8")
        assert terminal.process.wait(timeout=60) == 2
    assert b"Traceback" not in terminal.screen and sandbox.requests == []
    assert NAME.encode("utf-8") not in terminal.screen


def test_ctrl_c_at_a_prompt(sandbox):
    with Terminal([sys.executable, "-m", "facecert", "init"], environ(sandbox)) as terminal:
        terminal.wait_for(b"Name:")
        terminal.type(NAME)
        terminal.wait_for(b"Document number:")
        os.write(terminal._keyboard, b"\x03")
        assert terminal.process.wait(timeout=60) == 130
    assert b"Traceback" not in terminal.screen and sandbox.requests == []
