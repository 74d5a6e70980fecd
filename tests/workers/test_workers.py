"""Real gunicorn and uWSGI serve an app whose client was made before the server patched Python."""

import contextlib
import html
import http.client
import http.cookiejar
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed
from urllib.parse import unquote, urlencode

import pytest
from conftest import NAME, NUMBER, ROOT
from web_servers import LONGEST, Web, free_port, wait_until_listening

pytest.importorskip("sqlalchemy")
from facecert.ledger import Ledger  # noqa: E402

pytestmark = pytest.mark.long

FOLDER = pathlib.Path(__file__).resolve().parent
SERVERS = [
    "gunicorn sync --preload", "gunicorn gthread --preload", "gunicorn gevent --preload",
    "gunicorn eventlet --preload", "uwsgi", "uwsgi --gevent", "uwsgi --gevent, no master",
]  # fmt: skip


def get(web, path):
    """Return the JSON of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=LONGEST)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read().decode("utf-8")
        assert response.status == 200, body
        return json.loads(body)
    except (AssertionError, OSError, http.client.HTTPException) as error:
        raise AssertionError("%r\n%s" % (error, web.log)) from None
    finally:
        connection.close()


def get_all(web, paths):
    """Return the JSON of many responses, all asked for at once."""
    with ThreadPoolExecutor(len(paths)) as pool:
        return list(pool.map(lambda path: get(web, path), paths))


def needs(server):
    """Skip the test where the server is not installed; in CI that is a failure."""
    missing = "uwsgi" in server and shutil.which(os.path.dirname(sys.executable) + "/uwsgi") is None
    for module in ("gunicorn", "gevent", "eventlet"):
        uses = module in server and "uwsgi" not in server
        missing = missing or uses and importlib.util.find_spec(module) is None
    if missing:
        assert not os.environ.get("CI"), "%s is missing" % server
        pytest.skip("%s is not installed" % server)


@pytest.fixture
def gateway(request, scheme):
    return request.getfixturevalue({"http": "sandbox", "https": "tls_sandbox"}[scheme])


@pytest.fixture
def environ(gateway, used, tmp_path):
    timeout = {"FACECERT_READ_TIMEOUT": "60", "FACECERT_CONNECT_TIMEOUT": "60", "USED": used}
    return dict(gateway.environment, FACECERT_LEDGER=str(tmp_path / "ledger"), **timeout)


@pytest.fixture
def web(server, environ):
    needs(server)
    path = os.pathsep.join([str(ROOT), str(FOLDER)])
    with Web(server, "app:app", dict(os.environ, PYTHONPATH=path, **environ), free_port()) as web:
        yield web


@pytest.mark.parametrize(
    "server, scheme, used",
    [(server, "https", "used") for server in SERVERS]
    # Nothing was used before: greenlets make the first connections and locks at once.
    + [(server, "https", "") for server in SERVERS if "event" in server]
    + [("gunicorn gevent --preload", "http", "used")],
)
def test_bug_late_patch_froze_calls_or_failed_over_tls(web, environ, gateway):
    """Twenty calls at once, through a pace, the extension and query_many."""
    ledger = Ledger(environ["FACECERT_LEDGER"])
    opened = {}
    for by in ("paced", "extension"):
        orders = ["%s%02d" % (by, number) for number in range(20)]
        gateway.fail("slow", times=20, on="init", seconds=0.2)  # so that they overlap
        for order, result in zip(orders, get_all(web, ["/%s/%s" % (by, it) for it in orders])):
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
    for asked, result in zip(several, get_all(web, ["/query/" + ",".join(it) for it in several])):
        assert result == [[it, it in passed, "None"] for it in asked], (result, web.log)
    gateway.stop()
    orders = ["late%02d" % number for number in range(20)]
    for result in get_all(web, ["/paced/" + order for order in orders]):
        assert result["outcome"] == "not sent", (result, web.log)
    states = {entry.outer_order_no: entry.state for entry in ledger.entries()}
    assert {states[order] for order in orders} == {"refused"}
    assert {states[order] for order in opened} == {"opened", "passed"}
    ledger.database.close()


def environ_of_the_example(gateway, public_url):
    """Return the environment in which a server finds the Flask example and its settings."""
    return dict(
        os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "examples" / "flask_app")]),
        FACECERT_CALLBACK_SECRET="a-secret-of-sixteen-and-more", FACECERT_READ_TIMEOUT="100",
        FACECERT_PUBLIC_URL=public_url, **gateway.environment
    )  # fmt: skip


class Customer:
    """A browser at the Flask example's shop, with cookies of its own."""

    def __init__(self, port, path=""):
        self._shop = "http://127.0.0.1:%d%s" % (port, path)
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._browser = urllib.request.build_opener(cookies)

    def get(self, path, form=None):
        data = None if form is None else urlencode(form).encode("utf-8")
        with self._browser.open(self._shop + path, data, timeout=LONGEST) as response:
            return response.geturl().replace(self._shop, ""), response.read().decode("utf-8")

    def book(self):
        """Submit the form; return the order's path and the link to the verification."""
        _, page = self.get("/")
        hidden = dict(re.findall('name="(key|csrf)" value="([^"]*)"', page))
        assert len(hidden) == 2, page
        path, page = self.get("/", dict(hidden, name=NAME, number=NUMBER))
        return path, html.unescape(re.search('id="here" href="([^"]*)"', page).group(1))


@pytest.mark.parametrize(
    "server",
    ["gunicorn gthread, one worker", "gunicorn gevent, one worker", "uwsgi --gevent-early, one"],
)
def test_fifty_customers_at_once_in_the_flask_example(server, tls_sandbox):
    """Each gets the right result; under gevent a slow response of the gateway delays only one."""
    needs(server)
    port = free_port()
    environ = environ_of_the_example(tls_sandbox, "http://127.0.0.1:%d" % port)
    with Web(server, "app:create_app()", environ, port) as web:
        customers = [Customer(port) for _ in range(50)]
        tls_sandbox.fail("slow", times=1, on="init", seconds=LONGEST)
        with ThreadPoolExecutor(50) as pool:
            booked = {pool.submit(one.book): one for one in customers}
            done = []
            for future in as_completed(booked, timeout=LONGEST):
                done.append((booked[future],) + future.result())
                if len(done) == 49:
                    tls_sandbox.heal()  # releases the slow response
        assert len(tls_sandbox.requests) == 50, web.log
        ids = [re.search("[0-9a-f]{32}", unquote(link)).group() for _, _, link in done]
        assert len(set(ids)) == 50
        for number, certify_id in enumerate(ids):
            tls_sandbox.complete(certify_id, number % 3 != 0)
        assert tls_sandbox.wait_for_callbacks(LONGEST)
        states = [json.loads(one.get(path + "/state")[1])["state"] for one, path, _ in done]
        assert states == ["passed" if number % 3 else "failed" for number in range(50)], web.log


NGINX = """
user root;
daemon off;
pid %(folder)s/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    server {
        listen 127.0.0.1:%(port)d;
        location /shop/ {
            proxy_pass http://127.0.0.1:%(app)d%(location)s;
            proxy_redirect %(location)s /shop/;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }
    }
}
"""


@contextlib.contextmanager
def nginx(folder, app, keeps):
    """Run nginx with an app below /shop, a path that it keeps or strips; yield its port."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        assert not os.environ.get("CI"), "nginx is missing"
        pytest.skip("nginx is not installed")
    port = free_port()
    numbers = {"folder": folder, "port": port, "app": app, "location": "/shop/" if keeps else "/"}
    (folder / "nginx.conf").write_text(NGINX % numbers)
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command) as running:
        try:
            wait_until_listening(running, port)
            yield port
        finally:
            running.terminate()


@pytest.mark.parametrize("keeps, path", [(True, ""), (True, "/shop"), (False, "/shop")])
def test_the_flask_example_below_a_path_of_nginx(keeps, path, sandbox, tmp_path):
    """``path`` is that of FACECERT_PUBLIC_URL. The app knows the path as SCRIPT_NAME, or not."""
    server = "gunicorn gthread, one worker"
    needs(server)
    app = free_port()
    with nginx(tmp_path, app, keeps) as port:
        shop = "http://127.0.0.1:%d/shop" % port
        environ = environ_of_the_example(sandbox, "http://127.0.0.1:%d%s" % (port, path))
        environ["SHOP_PROXIES"] = "1"
        if keeps:
            environ["SCRIPT_NAME"] = "/shop"
        with Web(server, "app:create_app()", environ, app) as web:
            customer = Customer(port, "/shop")
            order, _ = customer.book()
            sent = sandbox.requests[-1].service_parameters
            (opened,) = sandbox.verifications()
            sandbox.complete(opened.certify_id)
            assert sandbox.wait_for_callbacks(LONGEST), web.log
            assert sent["returnUrl"] == shop + order
            state = json.loads(customer.get(order + "/state")[1])["state"]
            assert state == "passed", (sent, web.log)


FORK_HOOKS = """
import os
for when in ("before", "after_in_parent", "after_in_child"):
    os.register_at_fork(**{when: lambda when=when: print("hook:" + when, flush=True)})
application = None
"""


@pytest.mark.parametrize("option, hooks", [
    ("py-call-uwsgi-fork-hooks", {"before", "after_in_parent", "after_in_child"}),
    ("py-call-osafterfork", {"after_in_child"}),
])  # fmt: skip
def test_the_guides_are_right_about_uwsgis_fork_hooks(option, hooks, tmp_path):
    needs("uwsgi")
    guide = ROOT / "examples" / "flask_app" / "README.rst"
    assert "``" + option in guide.read_text("utf-8")
    (tmp_path / "hooks.py").write_text(FORK_HOOKS)
    command = "timeout %d %s/uwsgi --wsgi hooks --master --http-socket 127.0.0.1:%d --%s" % (
        LONGEST, os.path.dirname(sys.executable), free_port(), option
    )
    said = ""
    with subprocess.Popen(
        command.split(), cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        universal_newlines=True, start_new_session=True,
    ) as server:  # fmt: skip
        try:
            for line in server.stdout:
                said += line
                # The master says the first after its own hooks, the worker says the second.
                if "spawned uWSGI worker 1" in said and "hook:after_in_child" in said:
                    break
        finally:
            os.killpg(server.pid, signal.SIGKILL)
    assert set(re.findall("hook:([a-z_]+)", said)) == hooks, said
