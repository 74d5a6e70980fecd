"""facecert without the names that only POSIX has. No Windows is at hand: nothing else is tried."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("click", reason="the command line is the extra `cli`")

#: What Python lacks on Windows, and what facecert, its packages or their neighbours may look up.
WITHOUT = '''
import os, select, signal, sys, time
for module in ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog"):
    sys.modules[module] = None
for module, names in (
    (os, "fork forkpty register_at_fork getuid geteuid getgid getegid fchmod fchown chown uname"
         " O_NOFOLLOW O_CLOEXEC O_DIRECTORY O_NONBLOCK wait killpg setsid mkfifo nice"),
    (select, "poll epoll kqueue"),
    (signal, "SIGALRM SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 SIGUSR2 SIGCHLD alarm setitimer pause"
             " pthread_sigmask siginterrupt set_wakeup_fd"),
    (time, "tzset"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
'''

CALLS = '''
import json
import facecert
from facecert.sandbox import Sandbox
from facecert.cli.main import cli

def run(*arguments):
    try:
        cli.main(list(arguments), prog_name="facecert")
    except SystemExit as done:
        print(json.dumps({"ran": arguments[0], "exit": done.code}), flush=True)

with Sandbox() as sandbox:
    os.environ.update(sandbox.environment, FACECERT_LEDGER="ledger.db")
    ids = []
    for turn in range(3):
        opened = facecert.init(cert_name="a", cert_no="1")
        sandbox.complete(opened.certify_id)
        ids.append(opened.certify_id)
    assert facecert.wait(ids[0]).passed
    with open("ids.txt", "w") as file:
        file.write("\\n".join(ids))
    run("query", "--batch", "ids.txt", "--output", "results.jsonl")
    run("query", "--batch", "ids.txt", "--output", "results.jsonl", "--resume")
    run("ledger", "list")
    run("doctor")
    run("demo")
'''


def start(code, folder, *arguments):
    """Start a program without those names, in a folder."""
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT + code] + list(arguments), cwd=str(folder),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8"),
    )  # fmt: skip


@pytest.mark.long
def test_nothing_needs_what_only_posix_has(tmp_path):
    pytest.importorskip("sqlalchemy")
    process = start(CALLS, tmp_path)
    said = process.communicate(timeout=120)[0].decode("utf-8")
    assert process.returncode == 0 and "Traceback" not in said, said
    ran = [json.loads(line) for line in said.splitlines() if line.startswith('{"ran"')]
    assert [one["ran"] for one in ran] == ["query", "query", "ledger", "doctor", "demo"], said
    assert [one["exit"] for one in ran] == [0, 0, 0, 0, 0], said
    lines = (tmp_path / "results.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 3 and all(json.loads(line)["passed"] for line in lines)


@pytest.mark.long
def test_the_sandbox_command_needs_nothing_of_posix_either(tmp_path):
    code = "sys.argv[0] = 'facecert'\nfrom facecert.__main__ import main\nmain()"
    process = start(code, tmp_path, "sandbox", "--port", "0")
    try:
        said = process.stdout.readline().decode("utf-8")
    finally:
        process.kill()
        process.communicate()
    assert said.startswith("The sandbox listens"), said
