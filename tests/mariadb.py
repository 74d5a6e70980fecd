"""A real MariaDB for the tests of the ledger, reached by a socket in a temporary folder.

Without its programs those tests are skipped; with ``CI`` set that is a failure.
"""

import os
import shutil
import subprocess
import tempfile
import time

import pytest


@pytest.fixture(scope="session")
def mariadb():
    """The URL of an empty database; ``init_command`` may be added to it."""
    # Debian keeps the server out of the PATH of users.
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    server, install = (shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db"))
    if not server or not install:
        assert not os.environ.get("CI"), "MariaDB is missing"
        pytest.skip("MariaDB is not installed")
    pymysql = pytest.importorskip("pymysql", reason="MySQL's driver is not installed")
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
        connection = pymysql.connect(unix_socket=address, user="root")
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE ledger")
            cursor.execute("CREATE USER ledger@localhost IDENTIFIED BY 'canary-password'")
            cursor.execute("GRANT ALL ON *.* TO ledger@localhost")
        connection.close()
        yield "mysql+pymysql://ledger:canary-password@/ledger?unix_socket=" + address
    finally:
        if running is not None:
            running.kill()
            running.wait(60)
        shutil.rmtree(folder, ignore_errors=True)
