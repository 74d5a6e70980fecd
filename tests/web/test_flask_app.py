"""examples/flask_app as people see it, the sandbox being the platform."""

import importlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from socketserver import BaseServer
from urllib.parse import parse_qs, quote
from urllib.request import urlopen

import pytest
from browser import DESKTOP, PHONE
from conftest import NAME, NUMBER, ROOT, Clock
from web_servers import free_port

from facecert.callback import make_token

pytest.importorskip("flask")
pytest.importorskip("segno")

SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


class Shop:
    """The example app on a port of its own; remembers what it was asked."""

    def __init__(self, module, sandbox):
        self.sandbox = sandbox
        self.clock = sandbox._service.clock = Clock(time.time())
        self.asked = []
        config = {
            "FACECERT_SCENE_ID": sandbox.scene_id,
            "FACECERT_ENDPOINT": sandbox.endpoint,
            "FACECERT_CREDENTIALS": (sandbox.access_key_id, sandbox.access_key_secret),
            "FACECERT_CALLBACK_SECRET": "a-secret-of-the-tests",
            "FACECERT_READ_TIMEOUT": 2,
        }
        # The port is known only once the server is there.
        self._server = module.make_shop_server(self._listening, 0)
        self.url = "http://127.0.0.1:%d" % self._server.server_port
        self.app = module.create_app(dict(config, FACECERT_PUBLIC_URL=self.url), self.clock)
        self._module = module
        # werkzeug's own serve_forever once took no interval.
        serve, arguments = BaseServer.serve_forever, (self._server, 0.02)
        self._thread = threading.Thread(target=serve, args=arguments)
        self._thread.start()

    def _listening(self, environ, start_response):
        asked = environ["PATH_INFO"] + "?" + environ.get("QUERY_STRING", "")
        self.asked.append((asked, environ.get("HTTP_COOKIE", "")))
        return self.app(environ, start_response)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self.app.app_context():
            self._module.face.client.close()

    def fill(self, browser, name=NAME, number=NUMBER):
        browser.open(self.url + "/")
        browser.one("#name").send_keys(name)
        browser.one("#number").send_keys(number)

    def order(self, browser):
        """Fill in the form and get to the order's page; return its number."""
        self.fill(browser)
        browser.one("form button").click()
        browser.wait_for("请完成实人认证")
        return browser.url.rpartition("/")[2]

    def verification(self, order):
        return next(it for it in self.sandbox.verifications() if it.outer_order_no == order)

    def state(self, order):
        return self.app.orders.state(self.app.orders.find(order))

    def session(self, cookie):
        """Return what a session cookie holds."""
        serializer = self.app.session_interface.get_signing_serializer(self.app)
        return serializer.loads(cookie)


@pytest.fixture
def shop(sandbox, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    # They log what the person types.
    for name in ("selenium", "urllib3.connectionpool"):
        caplog.set_level(logging.WARNING, name)
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger().addHandler(handler)
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "flask_app"))
    for name in ("app", "orders", "quota"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    shop = Shop(importlib.import_module("app"), sandbox)
    yield shop
    shop.stop()
    logging.getLogger().removeHandler(handler)
    for name in ("app", "orders", "quota"):
        sys.modules.pop(name, None)
    for secret in (NAME, NUMBER):
        for asked, cookies in shop.asked:
            assert secret not in asked and quote(secret) not in asked
            for cookie in cookies.split("; "):
                if cookie.startswith("qinghe="):
                    assert set(shop.session(cookie[len("qinghe=") :])) <= {"owner", "csrf"}
        assert records or not shop.asked
        for record in records:
            shown = "%s %s %s" % (record.getMessage(), record.args, record.exc_text)
            assert secret not in shown and quote(secret) not in shown
            assert "CallbackToken" not in shown


@pytest.mark.long
@SIZES
@pytest.mark.parametrize(
    "button, shown, state",
    [("pass", "认证已通过", "passed"), ("fail", "认证未通过", "failed")],
)
def test_the_person_goes_there_and_comes_back(shop, browser, size, button, shown, state):
    browser.size(size)
    browser.open(shop.url + "/")
    assert not browser.overflows()
    browser.shoot("flask-%d-form" % size[0])
    order = shop.order(browser)
    assert not browser.overflows()
    browser.shoot("flask-%d-pending" % size[0])
    phone = size == PHONE
    assert browser.one("#open").is_displayed() is phone
    assert browser.one(".qr svg").is_displayed() is not phone
    if phone:
        browser.one("#open").click()
    else:
        browser.open(browser.one("#here").get_attribute("href"))
    browser.wait_for("通过刷脸")
    assert NUMBER not in browser.url and quote(NAME) not in browser.url
    browser.one("button[value=%s]" % button).click()
    browser.wait_for(shown)
    assert browser.url == shop.url + "/orders/" + order
    assert not browser.overflows() and shop.state(order) == state
    browser.shoot("flask-%d-%s" % (size[0], state))
    browser.driver.refresh()
    browser.wait_for(shown)
    assert shop.sandbox.wait_for_callbacks(60)
    assert [it.status for it in shop.sandbox.callbacks] == [200]


@pytest.mark.long
@SIZES
def test_the_result_appears_without_reloading(shop, browser, size):
    browser.size(size)
    order = shop.order(browser)
    browser.driver.execute_script("window.stillHere = true")
    shop.sandbox.complete(shop.verification(order).certify_id)
    browser.wait_for("认证已通过")
    assert "已通过" == browser.one("#state").text
    assert browser.driver.execute_script("return window.stillHere")
    asked = len(shop.asked)
    time.sleep(2.5)
    assert len(shop.asked) == asked  # it stops asking


@pytest.mark.long
def test_giving_up_and_coming_back(shop, browser):
    browser.size(PHONE)
    order = shop.order(browser)
    browser.one("#open").click()
    browser.one("button[value=give-up]").click()
    browser.wait_for("请完成实人认证")
    assert browser.url == shop.url + "/orders/" + order and shop.state(order) == "pending"
    assert shop.sandbox.callbacks == []
    browser.open(shop.url + "/")
    browser.wait_for("您有一个订单还没有完成认证")
    browser.shoot("flask-390-waiting")
    browser.one(".notice a").click()
    browser.one("#open").click()
    browser.one("button[value=pass]").click()
    browser.wait_for("认证已通过")
    assert len(shop.sandbox.verifications()) == 1


@pytest.mark.long
@SIZES
def test_expired(shop, browser, size):
    browser.size(size)
    order = shop.order(browser)
    shop.clock.now += 30 * 60
    browser.wait_for("认证已过期")
    browser.shoot("flask-%d-expired" % size[0])
    browser.driver.refresh()
    browser.wait_for("认证已过期")
    browser.open(shop.verification(order).certify_url)
    browser.wait_for("链接已过期")
    browser.open(shop.url + "/")
    browser.wait_for("预订确认")
    assert "还没有完成" not in browser.text


@pytest.mark.long
def test_back_button_and_reload_open_nothing(shop, browser):
    order = shop.order(browser)
    for _ in range(2):
        browser.driver.refresh()
        browser.wait_for("请完成实人认证")
    browser.driver.back()
    browser.wait_for("您有一个订单还没有完成认证")
    assert browser.one("#number").get_attribute("value") == ""
    browser.driver.forward()
    browser.wait_for("请完成实人认证")
    assert browser.url.endswith(order) and len(shop.sandbox.verifications()) == 1


@pytest.mark.long
def test_a_form_submitted_twice_opens_one_verification(shop, browser):
    shop.sandbox.fail("slow", on="init", seconds=1)
    shop.fill(browser)
    # Both are under way at once, as after a double click.
    pages = browser.driver.execute_async_script(
        """
        var done = arguments[0], body = new URLSearchParams(new FormData(document.forms[0]));
        function send() { return fetch("/", {method: "POST", body: body}); }
        Promise.all([send(), send(), send()]).then(function (answers) {
          return send().then(function (late) {
            done(answers.concat(late).map(function (it) { return it.url; })); }); });
        """
    )
    assert len(pages) == 4 and len(set(pages)) == 1
    assert len(shop.sandbox.requests) == 1
    browser.one("form button").click()
    browser.wait_for("请完成实人认证")
    assert browser.url == pages[0] and len(shop.sandbox.requests) == 1


@pytest.mark.long
def test_two_people_at_once(shop, browsers):
    one, two = browsers(PHONE), browsers(DESKTOP)
    orders = [shop.order(one), shop.order(two)]
    assert orders[0] != orders[1]
    two.open("%s/orders/%s" % (shop.url, orders[0]))
    two.wait_for("这里看不到这个订单")
    two.shoot("flask-1280-not-yours")
    two.open("%s/orders/%s/state" % (shop.url, orders[0]))
    two.wait_for("这里看不到这个订单")
    two.open("%s/orders/%s" % (shop.url, orders[1]))
    shop.sandbox.complete(shop.verification(orders[0]).certify_id, passed=True)
    one.wait_for("认证已通过")
    assert "请完成实人认证" in two.text and shop.state(orders[1]) == "pending"
    shop.sandbox.complete(shop.verification(orders[1]).certify_id, passed=False)
    two.wait_for("认证未通过")
    assert shop.state(orders[0]) == "passed"


@pytest.mark.long
@SIZES
def test_what_is_wrong_is_said_and_the_number_is_not_repeated(shop, browser, size):
    browser.size(size)
    shop.fill(browser, number="1234-" + NUMBER[5:])
    browser.one("form button").click()
    browser.wait_for("证件号码应为")
    assert browser.one("#name").get_attribute("value") == NAME
    assert NUMBER[5:] not in browser.driver.page_source and not browser.overflows()
    browser.shoot("flask-%d-wrong" % size[0])
    browser.one("#name").clear()
    browser.one("form button").click()
    browser.wait_for("请填写证件上的姓名")
    assert shop.sandbox.requests == []
    # The same form goes through once it is right.
    browser.one("#name").send_keys(NAME)
    browser.one("#number").send_keys(NUMBER)
    browser.one("form button").click()
    browser.wait_for("请完成实人认证")


@pytest.mark.long
@SIZES
@pytest.mark.parametrize(
    "fault, shown, state",
    [
        ("code-403", "认证服务暂时不可用", "unopened"),
        ("html-502", "认证服务没有答复", "unclear"),
        ("cut", "认证服务没有答复", "unclear"),
    ],
)
def test_the_service_is_down(shop, browser, size, fault, shown, state):
    browser.size(size)
    shop.sandbox.fail(fault, on="init")
    shop.fill(browser)
    browser.one("form button").click()
    browser.wait_for(shown)
    assert not browser.overflows()
    browser.shoot("flask-%d-%s" % (size[0], state))
    browser.driver.refresh()  # posts the form again
    browser.wait_for("没能发起认证" if state == "unopened" else "正在核实")
    browser.shoot("flask-%d-%s-order" % (size[0], state))
    assert len(shop.sandbox.requests) == 1
    (order,) = shop.app.orders._by_number
    assert shop.state(order) == state


@pytest.mark.long
@pytest.mark.parametrize("width", [320, 390, 767, 768, 1280])
def test_every_page_fits(shop, browser, width):
    browser.size((width, 800))
    browser.open(shop.url + "/")
    assert not browser.overflows()
    shop.order(browser)
    assert not browser.overflows()
    for state in ("opening", "passed", "failed", "expired", "unopened", "unclear"):
        browser.driver.execute_script("document.body.dataset.state = arguments[0]", state)
        assert not browser.overflows() and browser.one("h1")
    browser.open(shop.url + "/nowhere")
    assert not browser.overflows()


def form_of(client):
    """Return the hidden fields of a new form."""
    page = client.get("/").get_data(as_text=True)
    return dict(re.findall('type="hidden" name="([a-z]+)" value="([^"]+)"', page))


def test_a_mistyped_number_is_asked_for_again(shop):
    client = shop.app.test_client()
    wrong = NUMBER[:-1] + "1"
    answer = client.post("/", data=dict(form_of(client), name=NAME, number=wrong))
    page = answer.get_data(as_text=True)
    assert answer.status_code == 400 and "请核对后重新填写" in page and wrong not in page
    assert NAME in page and shop.sandbox.requests == []
    hidden = dict(re.findall('type="hidden" name="([a-z]+)" value="([^"]+)"', page))
    answer = client.post("/", data=dict(hidden, name=NAME, number=NUMBER))
    assert answer.status_code == 303 and len(shop.sandbox.requests) == 1


def test_without_the_forms_token_nothing_happens(shop):
    client = shop.app.test_client()
    person = {"name": NAME, "number": NUMBER}
    hidden = form_of(client)
    theirs = form_of(shop.app.test_client())
    for wrong in (
        {},
        {"key": hidden["key"]},
        dict(hidden, csrf=""),
        dict(hidden, csrf="ü"),
        dict(hidden, csrf=theirs["csrf"]),
        dict(hidden, key=""),
        dict(hidden, key="../" + hidden["key"]),
    ):
        answer = client.post("/", data=dict(person, **wrong))
        assert answer.status_code == 400 and NUMBER not in answer.get_data(as_text=True)
    assert shop.app.test_client().post("/", data=dict(person, **hidden)).status_code == 400
    assert client.post("/", data={"name": "x" * 20000}).status_code == 413
    assert shop.sandbox.requests == []
    assert client.post("/", data=dict(person, **hidden)).status_code == 303


def test_headers(shop):
    client = shop.app.test_client()
    nonces = set()
    for path in ("/", "/nowhere", "/orders/" + "0" * 20 + "/state"):
        headers = client.get(path).headers
        assert headers["X-Frame-Options"] == "DENY" and headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        nonces.add(policy.partition("'nonce-")[2].partition("'")[0])
    assert len(nonces) == 3 and "none" not in nonces
    cookie = shop.app.test_client().get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie


def test_a_forged_callback_changes_no_order(shop):
    client = shop.app.test_client()
    hidden = form_of(client)
    answer = client.post("/", data=dict(hidden, name=NAME, number=NUMBER))
    order = answer.headers["Location"].rpartition("/")[2]
    certify_id = shop.verification(order).certify_id
    path = "/facecert/callback/%s?certifyId=%s&passed=T" % (order, certify_id)
    for forged in (path, path + "&CallbackToken=" + "x" * 27, path + "&passed=T"):
        assert client.get(forged).status_code == 403
        assert client.get("/orders/%s/state" % order).get_json() == {"state": "pending"}


def test_another_verification_cannot_be_passed_off_as_the_orders(shop):
    """Even by somebody who has the order's own token."""
    orders = []
    for _ in range(2):
        client = shop.app.test_client()
        answer = client.post("/", data=dict(form_of(client), name=NAME, number=NUMBER))
        orders.append(answer.headers["Location"].rpartition("/")[2])
    mine, victims = orders
    certify_id = shop.verification(mine).certify_id
    shop.sandbox.complete(certify_id)
    token = make_token("a-secret-of-the-tests", victims, shop.sandbox.endpoint)
    path = "/facecert/callback/%s?certifyId=%s&passed=T&CallbackToken=%s"
    assert shop.app.test_client().get(path % (victims, certify_id, token)).status_code == 200
    assert shop.state(victims) == "pending"


def test_a_callback_faster_than_inits_answer_and_one_after_expiry(shop):
    orders = shop.app.orders

    class Opened:
        certify_id, certify_url = "a" * 32, "https://example/"

    fast, _ = orders.create("somebody", "1")
    orders.settle(fast.number, Opened.certify_id, True)
    orders.opened(fast, Opened)
    orders.settle(fast.number, Opened.certify_id, False)
    assert orders.state(fast) == "passed"
    strange, _ = orders.create("somebody", "2")
    orders.settle(strange.number, "b" * 32, True)
    orders.opened(strange, Opened)
    assert orders.state(strange) == "pending"
    shop.clock.now += 30 * 60
    orders.settle(strange.number, Opened.certify_id, False)
    assert orders.state(strange) == "expired"
    orders.settle(strange.number, Opened.certify_id, True)  # the gateway was down meanwhile
    assert orders.state(strange) == "passed"


@pytest.mark.long
def test_while_the_gateway_is_down_the_order_waits_and_then_knows(shop):
    client = shop.app.test_client()
    answer = client.post("/", data=dict(form_of(client), name=NAME, number=NUMBER))
    order = answer.headers["Location"].rpartition("/")[2]
    shop.sandbox.fail("code-500", on="query", times=3)
    shop.sandbox.complete(shop.verification(order).certify_id)
    assert shop.sandbox.wait_for_callbacks(10)
    assert [it.status for it in shop.sandbox.callbacks] == [503, 200]
    assert shop.state(order) == "passed"


def test_alipay_is_opened_where_it_is_not_a_sandbox(shop, monkeypatch):
    client = shop.app.test_client()
    answer = client.post("/", data=dict(form_of(client), name=NAME, number=NUMBER))
    monkeypatch.setitem(shop.app.config, "FACECERT_ENDPOINT", None)
    page = client.get(answer.headers["Location"]).get_data(as_text=True)
    assert 'href="alipays://platformapi/startapp?appId=20000067&amp;url=http%3A%2F%2F' in page
    assert "沙箱" not in page


@pytest.mark.long
def test_the_certify_urls_query_is_in_no_request_to_the_shop(shop, browser):
    order = shop.order(browser)
    secret = parse_qs(shop.verification(order).certify_url.partition("?")[2])["sign"][0]
    assert not any(secret in asked for asked, _ in shop.asked)


def start(*arguments, **environ):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "flask_app" / "app.py")] + list(arguments),
        env=dict(os.environ, PYTHONPATH=str(ROOT), **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )


def test_it_starts_with_one_command_and_stops():
    port = free_port()
    with start("--port", str(port), PYTHONIOENCODING="ascii") as shop:
        try:
            lines = [shop.stdout.readline(), shop.stdout.readline()]
            assert lines[1].startswith("Shop: http://127.0.0.1:%d/" % port), lines
            with urlopen("http://127.0.0.1:%d/" % port, timeout=10) as answer:
                assert "预订确认" in answer.read().decode("utf-8")
            shop.send_signal(signal.SIGINT)
            rest = shop.stdout.read()
            assert shop.wait(10) == 0 and "Traceback" not in rest
        finally:
            shop.kill()


@pytest.mark.long
@pytest.mark.parametrize(
    "environ, named",
    [
        ({}, "FACECERT_PUBLIC_URL"),
        ({"FACECERT_PUBLIC_URL": "https://shop.example"}, "FACECERT_CALLBACK_SECRET"),
    ],
)
def test_live_it_says_what_is_missing(environ, named):
    with start("--live", **environ) as shop:
        said = shop.stdout.read()
        assert shop.wait(20) == 1 and named in said and "Traceback" not in said
