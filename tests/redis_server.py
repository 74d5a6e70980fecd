"""A real Redis for the tests of task queues, by a socket in a temporary folder or by a port.

Without ``redis-server`` those tests are skipped; with ``CI`` set that is a failure.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time

import pytest
from web_servers import free_port


class Redis:
    """An empty Redis; what it holds is lost when it stops."""

    def __init__(self):
        # A socket's path must be short.
        self._folder = tempfile.mkdtemp(prefix="facecert-redis-", dir="/tmp")
        self.path = self._folder + "/redis.sock"
        self._port = free_port()
        self.url = "redis://127.0.0.1:%d/0" % self._port
        self._server = None

    def start(self):
        """Start the server, and wait until it responds."""
        command = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1"]
        command += ["--unixsocket", self.path, "--save", "", "--dir", self._folder]
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._server.poll() is None and time.monotonic() < deadline, (
                "Redis did not start"
            )
            time.sleep(0.05)

    def stop(self):
        """End the server."""
        self._server.terminate()
        self._server.wait(60)

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(self.path)
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info):
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def require_redis():
    """Skip the test where there is no ``redis-server``."""
    if shutil.which("redis-server") is None:
        assert not os.environ.get("CI"), "redis-server is missing"
        pytest.skip("redis-server is not installed")


@pytest.fixture(scope="session")
def redis_server():
    """A Redis that no test stops."""
    require_redis()
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_socket(redis_server):
    """The path of the socket of an empty Redis."""
    return redis_server.path
