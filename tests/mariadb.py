"""A real MariaDB for tests and programs, reached by a socket in a temporary folder."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

# Debian keeps the server out of the PATH of users.
PATH = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
PROGRAMS = [shutil.which(name, path=PATH) for name in ("mariadbd", "mariadb-install-db", "mariadb")]


@contextlib.contextmanager
def mariadb():
    """Run a server; yield the path of its socket. Its user ``ledger`` may do everything."""
    server, install, _ = PROGRAMS
    folder = tempfile.mkdtemp(prefix="facecert-db-", dir="/tmp")  # a socket's path must be short
    data, address = folder + "/data", folder + "/socket"
    # --no-defaults: the machine's own settings are not for this server.
    common = ["--no-defaults", "--datadir=" + data]
    if os.getuid() == 0:
        common.append("--user=root")
    # A server deletes the temporary tables that it finds there when it starts, other servers' too.
    environ = dict(os.environ, TMPDIR=folder)
    running = None
    try:
        subprocess.run(
            [install] + common + ["--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, cwd=folder, env=environ, timeout=300, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL
        )  # fmt: skip
        options = [
            "--socket=" + address, "--skip-networking", "--log-bin=log", "--max-connections=200",
            "--innodb-flush-log-at-trx-commit=0", "--log-error=" + folder + "/errors",
        ]  # fmt: skip
        running = subprocess.Popen([server] + common + options, cwd=folder, env=environ)
        end = time.monotonic() + 300
        while not os.path.exists(address):
            assert running.poll() is None and time.monotonic() < end, "MariaDB does not start"
            time.sleep(0.1)
        execute(address, "CREATE USER ledger@localhost IDENTIFIED BY 'canary-password'")
        execute(address, "GRANT ALL ON *.* TO ledger@localhost")
        yield address
    finally:
        if running is not None:
            running.kill()
            running.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def execute(address, statement):
    """Execute a statement with the server's own client."""
    command = [PROGRAMS[2], "--no-defaults", "--user=root", "--socket=" + address]
    subprocess.run(command + ["--execute=" + statement], check=True, timeout=60)
