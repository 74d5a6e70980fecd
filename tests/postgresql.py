"""A real PostgreSQL for tests and programs, reached by a socket in a temporary folder."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile


def _programs():
    found = shutil.which("initdb")
    # Debian keeps them out of the PATH.
    if found is None:
        return next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))), None)
    return pathlib.Path(found).resolve().parent


PROGRAMS = _programs()


def _as_its_user(command):
    """PostgreSQL does not run as root."""
    return ["runuser", "-u", "postgres", "--"] + command if os.getuid() == 0 else command


@contextlib.contextmanager
def postgresql():
    """Run a server; yield the URL of an empty database."""
    folder = tempfile.mkdtemp(prefix="facecert-pg-", dir="/tmp")  # a socket's path must be short
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")

    def run(program, *arguments):
        command = [str(PROGRAMS / program), "-D", folder + "/data"] + list(arguments)
        subprocess.run(
            _as_its_user(command), check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=120
        )

    try:
        run("initdb", "-A", "trust", "-U", "ledger", "--no-sync", "-E", "UTF8", "--locale=C")
        options = "-k %s -c listen_addresses='' -c max_connections=200" % folder
        run("pg_ctl", "-w", "-o", options, "-l", folder + "/log", "start")
        yield "postgresql+psycopg2://ledger:canary-password@/postgres?host=" + folder
    finally:
        if os.path.exists(folder + "/data/postmaster.pid"):
            run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
