"""Shared by all tests: loopback only, a clean environment, frozen clocks, sandboxes."""

import contextlib
import ipaddress
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys

import hypothesis
import mariadb as mariadb_server
import postgresql as postgresql_server
import pytest
from browser import _drivers, browser, browsers  # noqa: F401  (fixtures)
from redis_server import redis_server, redis_socket  # noqa: F401  (fixtures)

from facecert.sandbox.fixtures import facecert_sandbox  # noqa: F401  (a fixture)

# Before alibabacloud_credentials is imported: it reads the environment once, then.
for _variable in list(os.environ):
    if _variable.upper().startswith(("ALIBABA_CLOUD_", "ALIYUN_", "FACECERT_")) or (
        _variable.upper().endswith("_PROXY")
    ):
        del os.environ[_variable]
os.environ["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"
os.environ["LANGUAGE"] = "en"  # whatever the developer's locale is

#: What must never be seen outside a request's body.
NAME = "欧阳测试甲"
NUMBER = "11010119800101998X"

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")


def wants_long_tests(config):
    return config.getoption("long") or "long" in config.getoption("markexpr")


def pytest_configure(config):
    # A shell's background job ignores SIGINT, and so would the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Hypothesis reads the profile when a test module is imported.
    hypothesis.settings.register_profile("short", max_examples=20)
    if not wants_long_tests(config) and not config.getoption("hypothesis_profile", None):
        hypothesis.settings.load_profile("short")


def pytest_collection_modifyitems(config, items):
    """Deselect tests marked long, unless ``--long`` is given or ``-m`` names the marker."""
    if wants_long_tests(config):
        return
    config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("long")])
    items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch):
    """Refuse every connection that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            assert ipaddress.ip_address(host).is_loopback, "a test wants to reach %s" % host
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def homes():
    """The home directories of this session. Only the last one may be empty."""
    return []


@pytest.fixture(autouse=True)
def clean_home(monkeypatch, tmp_path_factory, homes):
    """Set HOME to an empty directory, because the credential chain reads profiles there."""
    if not homes or any(homes[-1].iterdir()):
        homes.append(tmp_path_factory.mktemp("home"))
    monkeypatch.setenv("HOME", str(homes[-1]))
    for variable in ("ALIBABA_CLOUD_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)


class Clock:
    """A clock that moves only when it is told."""

    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sandbox(facecert_sandbox):  # noqa: F811
    return facecert_sandbox


@pytest.fixture
def client(sandbox):
    """A client of the sandbox that notes its pauses in ``.pauses`` and does not wait."""
    with sandbox.client(read_timeout=60) as client:
        client.pauses = []
        client._gateway._sleep = client.pauses.append
        client._gateway._jitter = lambda: 0.5
        yield client


@pytest.fixture
def person():
    return {"cert_name": NAME, "cert_no": NUMBER}


@pytest.fixture
def open_many(sandbox, client, person):
    """Open verifications; every second one is passed."""

    def make(number):
        ids = [client.init(**person).certify_id for _ in range(number)]
        for certify_id in ids[::2]:
            sandbox.complete(certify_id)
        sandbox._exchange.requests.clear()
        return ids

    return make


@pytest.fixture(scope="session")
def authority():
    """A certificate authority of our own."""
    import trustme

    return trustme.CA()


@pytest.fixture
def tls_sandbox(authority, monkeypatch, tmp_path):
    """A sandbox over TLS for the names localhost, 127.0.0.1 and gateway.test, and trust in it."""
    from facecert.sandbox import Sandbox

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "gateway.test").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", str(bundle))
    with Sandbox(ssl_context=context) as sandbox:
        yield sandbox


@contextlib.contextmanager
def server(programs, driver, run):
    """Run a database server. Without its programs the test is skipped; in CI that is a failure."""
    if not programs:
        assert not os.environ.get("CI"), "%s is missing" % run.__name__
        pytest.skip("%s is not installed" % run.__name__)
    pytest.importorskip(driver, reason="the database's driver is not installed")
    with run() as address:
        yield address


@pytest.fixture(scope="session")
def mariadb():
    """The URL of an empty database; ``init_command`` may be added to it."""
    with server(all(mariadb_server.PROGRAMS), "pymysql", mariadb_server.mariadb) as address:
        mariadb_server.execute(address, "CREATE DATABASE ledger")
        yield "mysql+pymysql://ledger:canary-password@/ledger?unix_socket=" + address


@pytest.fixture(scope="session")
def postgresql():
    """The URL of an empty database."""
    with server(postgresql_server.PROGRAMS, "psycopg2", postgresql_server.postgresql) as url:
        yield url


def run_python(code, *, env=None, cwd=None, check=True, timeout=60):
    """Run code in a fresh interpreter and return its standard output."""
    environ = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8")
    environ.update(env or {})
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        cwd=str(cwd) if cwd else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=timeout,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout if check else done.stdout + done.stderr


def run_cli(*arguments, stdin=None, env=None):
    """Run the command line in this process; the result has exit_code, stdout and stderr."""
    from click.testing import CliRunner

    from facecert.cli.main import cli

    try:
        runner = CliRunner(mix_stderr=False)
    except TypeError:  # click 8.2 and newer never mix them
        runner = CliRunner()
    done = runner.invoke(cli, list(arguments), input=stdin, env=env or {})
    done.stderr_bytes = done.stderr_bytes or NoBytes()
    return done


class NoBytes(bytes):
    """An empty standard error that click 7.0 does not take for a missing one."""

    def __bool__(self):
        return True


@pytest.fixture
def commands(sandbox, monkeypatch):
    """The sandbox, which commands reach from this process; each call is sent once."""
    from facecert.client import Client
    from facecert.settings import from_environment

    monkeypatch.setenv("FACECERT_ATTEMPTS", "1")
    # Not from the chain: alibabacloud_credentials reads the environment only once.
    credentials = (sandbox.access_key_id, sandbox.access_key_secret)
    monkeypatch.setattr(
        Client,
        "from_environment",
        classmethod(lambda cls: cls(**dict(from_environment(os.environ), credentials=credentials))),
    )
    return sandbox


@pytest.fixture
def on_a_terminal(monkeypatch):
    """Commands believe that standard output is a terminal."""
    from facecert.cli import output

    monkeypatch.setattr(output, "is_terminal", lambda stream: True)


@pytest.fixture(scope="session")
def signed_requests():
    return json.loads((VECTORS / "signed_requests.json").read_text(encoding="utf-8"))


def real_inputs(run):
    """Return (input, expect, why) of the inputs that people reported, of one kind of ``run``."""
    rows = json.loads((VECTORS / "real_inputs.json").read_text(encoding="utf-8"))
    return [(row["input"], row["expect"], row["why"]) for row in rows if row["run"] == run]
