"""Real web servers with an app, for tests and programs."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

#: What a caller waits for a response at most, in seconds. Nothing that works takes so long.
LONGEST = 120

GUNICORN = "{python} -m gunicorn {app} --bind 127.0.0.1:{port} --workers 2"
UWSGI = "{bin}/uwsgi --wsgi {app} --http-socket 127.0.0.1:{port} --listen 64 --die-on-term"
SERVERS = {
    "wsgiref": "{python} {here}/install/serve_app.py {app} {port}",
    "gunicorn sync": GUNICORN,
    "gunicorn gthread": GUNICORN + " --worker-class gthread --threads 50",
    "gunicorn gevent": GUNICORN + " --worker-class gevent",
    # The app is loaded before gunicorn forks, and before gevent or eventlet patches.
    "gunicorn sync --preload": GUNICORN + " --preload",
    "gunicorn gthread --preload": GUNICORN + " --preload --worker-class gthread --threads 50",
    "gunicorn gevent --preload": GUNICORN + " --preload --worker-class gevent",
    "gunicorn eventlet --preload": GUNICORN + " --preload --worker-class eventlet",
    "uwsgi": UWSGI + " --master --processes 4",
    "uwsgi --enable-threads": UWSGI + " --master --processes 2 --threads 8 --enable-threads",
    "uwsgi --gevent": UWSGI + " --master --gevent 60 --gevent-monkey-patch",
    "uwsgi --gevent-early": UWSGI + " --master --gevent 60 --gevent-early-monkey-patch",
    # For apps that keep their states in memory.
    "gunicorn gthread, one worker": GUNICORN + " --workers 1 --worker-class gthread --threads 60",
    "gunicorn gevent, one worker": GUNICORN + " --workers 1 --worker-class gevent",
    "uwsgi --gevent-early, one": UWSGI + " --gevent 110 --gevent-early-monkey-patch",
    # Without a master it does not fork: the patch comes to the process that has used the client.
    "uwsgi --gevent, no master": UWSGI + " --gevent 60 --gevent-monkey-patch",
}

#: gevent patches after the app was imported.
PATCH_LATE = ("gunicorn gevent --preload", "uwsgi --gevent", "uwsgi --gevent, no master")


def free_port():
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_until_listening(process, port, log=lambda: ""):
    """Return when something listens on a port; AssertionError with the log when it does not."""
    deadline = time.monotonic() + LONGEST
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), LONGEST).close()
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log()
            time.sleep(0.05)


class Web:
    """A server with an app, on a port of this machine, with a folder of its own.

    Args:
        server: a key of ``SERVERS``.
        app: ``module:variable``.
        environ: the server's environment; PYTHONPATH must lead to the app.
        port: where it listens.
        python: the interpreter that has the server and the app.
    """

    def __init__(self, server, app, environ, port, python=sys.executable):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="facecert-web-", dir="/tmp"))
        self.port = port
        here = pathlib.Path(__file__).resolve().parent
        command = SERVERS[server].format(
            python=python, bin=os.path.dirname(python), app=app, port=port, here=here
        )
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command.split(), cwd=str(self.folder), stdout=log, stderr=log,
                start_new_session=True, env=dict(environ, PYTHONUNBUFFERED="1"),
            )  # fmt: skip

    def __enter__(self):
        try:
            wait_until_listening(self._process, self.port, lambda: self.log)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info):
        try:
            self._process.terminate()
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            pass  # killed below, with its workers
        finally:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # all of them have ended
            self._process.wait()
            shutil.rmtree(str(self.folder))

    @property
    def log(self):
        """What the server has printed."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")
