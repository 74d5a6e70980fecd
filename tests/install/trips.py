"""A round trip of fifty customers at once: init, sandbox, callback, signal, state.

An app of this folder runs in a real web server, and keeps its states in a real database.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent))

import mariadb  # noqa: E402
import postgresql  # noqa: E402
import web_servers  # noqa: E402
from person import answer  # noqa: E402

CUSTOMERS = 50

FLASK = "flask_app:app"
DJANGO = "django_site:application"

#: Every driver and server.
TOOLS = ["PyMySQL", "mysqlclient", "psycopg2-binary", "gunicorn", "uwsgi", "gevent"]

#: Name of a database -> charset, and the first statement of each connection.
DATABASES = {
    "sqlite": ("", ""),
    "postgresql": ("", ""),
    "mariadb utf8mb4": ("utf8mb4", ""),
    "mariadb utf8mb3, repeatable read": (
        "utf8mb3", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    ),
    "mariadb latin1": ("latin1", ""),
    "mariadb gbk": ("gbk", ""),
    "mariadb with an empty sql_mode": ("utf8mb4", "SET SESSION sql_mode=''"),
    "mariadb with wait_timeout 2": ("utf8mb4", "SET SESSION wait_timeout=2"),
}  # fmt: skip

SERVERS = list(web_servers.SERVERS)


class Trip(NamedTuple):
    """Where an app runs. ``driver``: PyMySQL or mysqlclient, for MariaDB."""

    app: str
    server: str
    database: str
    driver: str = "PyMySQL"
    use_tz: bool = True


class Databases:
    """The database servers, each started when it is needed first."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self._addresses: Dict[str, str] = {}
        self._made = 0

    def make(self, trip: Trip) -> Tuple[Dict[str, object], str]:
        """Make an empty database; return Django's settings for it, and the ledger's URL."""
        self._made += 1
        name = "trip%d" % self._made
        kind = trip.database.split()[0]
        if kind == "sqlite":
            path = str(self._folder / name)
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": path,
                    "OPTIONS": {"timeout": 60}}, path  # fmt: skip
        module = {"mariadb": mariadb, "postgresql": postgresql}[kind]
        if kind not in self._addresses:
            start = getattr(module, kind)
            self._addresses[kind] = self._stack.enter_context(start())
        address = self._addresses[kind]
        if kind == "postgresql":
            folder = address.partition("host=")[2]
            createdb = [str(postgresql.PROGRAMS / "createdb"), "-h", folder, "-U", "ledger", name]
            subprocess.run(createdb, check=True, timeout=60)
            settings = {"ENGINE": "django.db.backends.postgresql", "NAME": name,
                        "USER": "ledger", "HOST": folder}  # fmt: skip
            return settings, address.replace("/postgres?", "/%s?" % name)
        charset, first = DATABASES[trip.database]
        mariadb.execute(address, "CREATE DATABASE %s CHARACTER SET %s" % (name, charset))
        scheme = {"PyMySQL": "mysql+pymysql", "mysqlclient": "mysql+mysqldb"}[trip.driver]
        url = "%s://ledger:canary-password@/%s?unix_socket=%s" % (scheme, name, address)
        options = {}
        if first:
            options["init_command"] = first
            url += "&init_command=" + urllib.parse.quote(first)
        if "repeatable" in trip.database:
            options = {"isolation_level": "repeatable read"}
        settings = {"ENGINE": "django.db.backends.mysql", "NAME": name, "USER": "ledger",
                    "PASSWORD": "canary-password", "HOST": address, "OPTIONS": options,
                    "CONN_MAX_AGE": 60}  # fmt: skip
        return settings, url


def run(
    trip: Trip, databases: Databases, sandbox: Dict[str, str], python: str, environ: Dict[str, str]
) -> None:
    """Run a trip with an interpreter that has the app's packages.

    Raises:
        AssertionError: something came out wrong; the message has the server's log.
    """
    port = web_servers.free_port()
    settings, url = databases.make(trip)
    environ = dict(
        environ, DATABASE=json.dumps(settings), DRIVER=trip.driver, USE_TZ="1" * trip.use_tz,
        FACECERT_PUBLIC_URL="http://127.0.0.1:%d" % port, FACECERT_READ_TIMEOUT="60",
        FACECERT_CONNECT_TIMEOUT="60", **sandbox
    )  # fmt: skip
    environ["PYTHONPATH"] = os.pathsep.join([str(HERE), environ.get("PYTHONPATH", "")]).rstrip(":")
    django = trip.app == DJANGO
    if not django:
        environ["FACECERT_LEDGER"] = url
    with tempfile.TemporaryDirectory() as told:
        environ["TOLD"] = told
        if django:
            _program(python, environ, "prepare")
        with web_servers.Web(trip.server, trip.app, environ, port, python) as web:
            try:
                _customers(port, told)
                if "wait_timeout" in trip.database:
                    time.sleep(3)  # the database closes the kept connections
                    _customer(port, told, os.urandom(8).hex(), True)
            except Exception as error:
                raise AssertionError("%r\n%s" % (error, web.log)) from error
        if django:
            _program(python, environ, "admin")


def _program(python: str, environ: Dict[str, str], work: str) -> None:
    subprocess.run(
        [python, "-W", "ignore", str(HERE / "django_site.py"), work],
        env=environ, check=True, timeout=300, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _customers(port: int, told: str) -> None:
    # A database that ignores case would take the last two for one.
    unique = os.urandom(6).hex()
    orders = ["%s%02d" % (unique, number) for number in range(CUSTOMERS - 2)]
    orders += [unique + "last", unique + "LAST"]
    passes = [number % 3 != 0 for number in range(CUSTOMERS)]
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        list(pool.map(lambda found: _customer(port, told, *found), zip(orders, passes)))
    expected = {"%s-%s" % (order, _word(passed)) for order, passed in zip(orders, passes)}
    assert set(os.listdir(told)) == expected


def _customer(port: int, told: str, order: str, passes: bool) -> None:
    form = {"name": "张三", "number": "330103199001011230", "order": order}
    status, certify_url, _ = _http(port, "POST", "/verify", form)
    assert status == 302, status
    answer(certify_url, passes)
    path = os.path.join(told, "%s-%s" % (order, _word(passes)))
    deadline = time.monotonic() + web_servers.LONGEST
    while not os.path.exists(path):
        assert time.monotonic() < deadline, "%s was not told" % order
        time.sleep(0.05)
    wanted = "{0}, told {0}".format(_word(passes))
    while True:  # the row is marked as told after the receiver has returned
        _, _, state = _http(port, "GET", "/state/" + order)
        if state == wanted:
            return
        assert time.monotonic() < deadline, (order, state)
        time.sleep(0.05)


def _word(passes: bool) -> str:
    return "passed" if passes else "failed"


def _http(port: int, method: str, path: str, form: Dict[str, str] = {}) -> Tuple[int, str, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=web_servers.LONGEST)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}
    try:
        connection.request(method, path, urllib.parse.urlencode(form), headers)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
        return response.status, response.getheader("Location") or "", body
    finally:
        connection.close()


def others(trip: Trip) -> Iterator[Trip]:
    """Yield the trips that differ from one in the server alone, or in the database alone."""
    for server in SERVERS:
        if server != trip.server and not never(trip._replace(server=server)):
            yield trip._replace(server=server)
    for database in DATABASES:
        if database != trip.database:
            yield trip._replace(database=database)


def never(trip: Trip) -> str:
    """Return why a trip is never run, or ""."""
    if "eventlet" in trip.server:
        return "gunicorn has no eventlet workers any more"
    if trip.server == "wsgiref":
        return "not for production"
    if trip.app == DJANGO and trip.server in web_servers.PATCH_LATE:
        return "greenlets share Django's connections when gevent patches after Django's import"
    return ""


def tools(trip: Trip) -> List[str]:
    """Return the packages of a trip's server and driver."""
    driver = {"mariadb": [trip.driver], "postgresql": ["psycopg2-binary"]}
    return driver.get(trip.database.split()[0], []) + [
        name for name in ("gunicorn", "uwsgi", "gevent") if name in trip.server
    ]


def versions(trip: Trip, installed: Dict[str, str]) -> List[str]:
    """Return "name version" of the packages of a trip."""
    app = ["Django"] if trip.app == DJANGO else ["Flask", "SQLAlchemy"]
    known = {name.lower(): version for name, version in installed.items()}
    return ["%s %s" % (name, known[name.lower()]) for name in app + tools(trip)]
