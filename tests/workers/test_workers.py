"""Real gunicorn and uWSGI serve an app whose client was made before the server patched Python."""

import http.client
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT

pytest.importorskip("sqlalchemy")
from facecert.ledger import Ledger  # noqa: E402

pytestmark = pytest.mark.long

FOLDER = pathlib.Path(__file__).resolve().parent
GUNICORN = [sys.executable, "-m", "gunicorn", "app:app", "--workers", "2", "--bind", "unix:http"]
UWSGI = ["uwsgi", "--wsgi", "app:app", "--http-socket", "http", "--die-on-term", "--listen", "64"]
SERVERS = {
    "gunicorn-sync": GUNICORN + ["--preload"],
    "gunicorn-gthread": GUNICORN + ["--preload", "--worker-class", "gthread", "--threads", "50"],
    "gunicorn-gevent": GUNICORN + ["--preload", "--worker-class", "gevent"],
    "gunicorn-eventlet": GUNICORN + ["--preload", "--worker-class", "eventlet"],
    "uwsgi-prefork": UWSGI + ["--master", "--processes", "4"],
    "uwsgi-gevent": UWSGI + ["--master", "--gevent", "60", "--gevent-monkey-patch"],
    # Without a master it does not fork: the patch comes to the process that has used the client.
    "uwsgi-gevent-alone": UWSGI + ["--gevent", "60", "--gevent-monkey-patch"],
}
#: What a caller waits for a response at most, in seconds. Nothing that works takes so long.
LONGEST = 120


class Web:
    """A server with the app, reached by a socket in a folder of its own."""

    def __init__(self, command, environ):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="facecert-web-", dir="/tmp"))
        self._log = self._folder / "log"
        path = os.pathsep.join([str(ROOT), str(FOLDER)])
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=str(self._folder), stdout=log, stderr=log, start_new_session=True,
                env=dict(os.environ, PYTHONPATH=path, PYTHONUNBUFFERED="1", **environ),
            )  # fmt: skip

    def __enter__(self):
        deadline = time.monotonic() + LONGEST
        try:
            while not (self._folder / "http").exists():
                assert self._process.poll() is None and time.monotonic() < deadline, self.log
                time.sleep(0.05)
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
            shutil.rmtree(str(self._folder))

    @property
    def log(self):
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path):
        """Return the JSON of a response."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(LONGEST)
        try:
            connection.sock.connect(str(self._folder / "http"))
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read().decode("utf-8")
            assert response.status == 200, body
            return json.loads(body)
        except (AssertionError, OSError, http.client.HTTPException) as error:
            raise AssertionError("%r\n%s" % (error, self.log)) from None
        finally:
            connection.close()

    def get_all(self, paths):
        """Return the JSON of many responses, all asked for at once."""
        with ThreadPoolExecutor(len(paths)) as pool:
            return list(pool.map(self.get, paths))


@pytest.fixture
def gateway(request, scheme):
    return request.getfixturevalue({"http": "sandbox", "https": "tls_sandbox"}[scheme])


@pytest.fixture
def environ(gateway, used, tmp_path):
    timeout = {"FACECERT_READ_TIMEOUT": "60", "FACECERT_CONNECT_TIMEOUT": "60", "USED": used}
    return dict(gateway.environment, FACECERT_LEDGER=str(tmp_path / "ledger"), **timeout)


@pytest.fixture
def web(server, environ):
    command = SERVERS[server]
    here = pathlib.Path(sys.executable).parent / command[0]
    missing = shutil.which(str(here)) is None and shutil.which(command[0]) is None
    for module in {"gunicorn", "gevent", "eventlet"} & set(command):
        missing = missing or importlib.util.find_spec(module) is None
    if missing:
        assert not os.environ.get("CI"), "%s is missing" % server
        pytest.skip("%s is not installed" % server)
    command = [str(here) if here.exists() else command[0]] + command[1:]
    with Web(command, environ) as web:
        yield web


@pytest.mark.parametrize(
    "server, scheme, used",
    [(server, scheme, "used") for server in SERVERS for scheme in ("http", "https")]
    # Nothing was used before: greenlets make the first connections and locks at once.
    + [(server, "https", "") for server in SERVERS if "event" in server],
)
def test_bug_late_patch_froze_calls_or_failed_over_tls(web, environ, gateway):
    """Twenty calls at once, through a pace, the extension and query_many."""
    ledger = Ledger(environ["FACECERT_LEDGER"])
    opened = {}
    for by in ("paced", "extension"):
        orders = ["%s%02d" % (by, number) for number in range(20)]
        gateway.fail("slow", times=20, on="init", seconds=0.2)  # so that they overlap
        for order, result in zip(orders, web.get_all(["/%s/%s" % (by, it) for it in orders])):
            assert result.get("order") == order, (result, web.log)
            opened[order] = result["certify_id"]
    for order, certify_id in opened.items():
        assert gateway._service.find(certify_id).outer_order_no == order
        assert ledger.get(order).certify_id == certify_id
    ids = list(opened.values())
    passed = set(ids[::3])
    for certify_id in passed:
        gateway.complete(certify_id)
    several = [ids[number : number + 12] for number in range(20)]
    for asked, result in zip(several, web.get_all(["/query/" + ",".join(it) for it in several])):
        assert result == [[it, it in passed, "None"] for it in asked], (result, web.log)
    gateway.stop()
    orders = ["late%02d" % number for number in range(20)]
    for result in web.get_all(["/paced/" + order for order in orders]):
        assert result["outcome"] == "not sent", (result, web.log)
    states = {entry.outer_order_no: entry.state for entry in ledger.entries()}
    assert {states[order] for order in orders} == {"refused"}
    assert {states[order] for order in opened} == {"opened", "passed"}
    ledger.database.close()
