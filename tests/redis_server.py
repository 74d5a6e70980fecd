"""A real Redis for the tests of task queues, reached by a socket in a temporary folder.

Without ``redis-server`` those tests are skipped; with ``CI`` set that is a failure.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time

import pytest


@pytest.fixture(scope="session")
def redis_socket():
    """The path of the socket of an empty Redis."""
    program = shutil.which("redis-server")
    if program is None:
        assert not os.environ.get("CI"), "redis-server is missing"
        pytest.skip("redis-server is not installed")
    folder = tempfile.mkdtemp(prefix="facecert-redis-", dir="/tmp")  # a socket's path must be short
    path = folder + "/redis.sock"
    command = [program, "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _answers(path):
            assert server.poll() is None and time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.05)
        yield path
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(path):
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
