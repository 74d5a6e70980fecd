import logging
import os
import re
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import timedelta
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from browser import DESKTOP, PHONE
from conftest import NAME, NUMBER, ROOT
from web_servers import free_port

pytest.importorskip("django", reason="Django is an extra")

import django_project  # noqa: E402

django_project.start()

from django.contrib.sessions.models import Session  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, connections  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.utils import timezone  # noqa: E402
from shop import quota  # noqa: E402
from shop.models import Order  # noqa: E402

from facecert.contrib.django import conf  # noqa: E402
from facecert.contrib.django.models import Verification  # noqa: E402


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 32


class _Quiet(WSGIRequestHandler):
    paths = []

    def log_message(self, format, *args):
        self.paths.append(format % args)


class Shop:
    """The example's site on a port of this machine, and what it has stored."""

    def __init__(self, url):
        self.url = url
        self.paths = _Quiet.paths

    @property
    def orders(self):
        try:
            return list(Order.objects.order_by("created_at"))
        finally:
            connections.close_all()

    @property
    def verifications(self):
        try:
            return list(Verification.objects.order_by("created_at"))
        finally:
            connections.close_all()


@pytest.fixture
def shop(sandbox):
    server = _Server(("127.0.0.1", 0), _Quiet)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    url = "http://127.0.0.1:%d" % server.server_address[1]
    options = {
        "SCENE_ID": sandbox.scene_id,
        "ENDPOINT": sandbox.endpoint,
        "ACCESS_KEY": (sandbox.access_key_id, sandbox.access_key_secret),
        "CALLBACK_SECRET": "a-secret-of-sixteen-and-more",
        "PUBLIC_URL": url,
        "READ_TIMEOUT": 5,
    }
    del _Quiet.paths[:]
    quota.storage.reset()
    with override_settings(FACECERT=options):
        conf.client()._gateway._sleep = lambda seconds: None
        thread.start()
        try:
            yield Shop(url)
        finally:
            sandbox.wait_for_callbacks(5)
            server.shutdown()
            thread.join()
            server.server_close()
            for model in (Order, Verification, Session):
                model.objects.all().delete()
            connections.close_all()


def fill(browser, shop, name=NAME, number=NUMBER):
    browser.open(shop.url + "/")
    browser.one("#id_name").send_keys(name)
    browser.one("#id_number").send_keys(number)


def begin(browser, shop, **person):
    fill(browser, shop, **person)
    browser.one("#submit").click()
    browser.wait_for("待认证")
    return browser.url


@pytest.mark.long
@pytest.mark.parametrize(
    "size, passes, shown",
    [
        (PHONE, True, "认证通过"),
        (PHONE, False, "这次没有通过"),
        (DESKTOP, True, "认证通过"),
        (DESKTOP, False, "这次没有通过"),
    ],
)
def test_the_result_appears_without_reloading(shop, sandbox, browsers, size, passes, shown):
    browser = browsers(size)
    browser.open(shop.url + "/")
    assert not browser.overflows()
    browser.shoot("django-%d-form" % size[0])
    begin(browser, shop)
    phone = size == PHONE
    assert browser.one("#open").is_displayed() == phone
    assert browser.one(".qr svg").is_displayed() != phone
    assert not browser.overflows()
    browser.shoot("django-%d-waiting" % size[0])
    browser.driver.execute_script("window.stillTheSamePage = true")
    assert not shop.orders[0].may_be_sent
    sandbox.complete(shop.verifications[0].certify_id, passed=passes)
    browser.wait_for(shown)
    assert browser.driver.execute_script("return window.stillTheSamePage")
    assert ("已通过" if passes else "未通过") in browser.driver.title
    assert not browser.overflows()
    browser.shoot("django-%d-%s" % (size[0], "passed" if passes else "failed"))
    assert shop.orders[0].may_be_sent is passes
    browser.driver.refresh()
    browser.wait_for(shown)
    assert [one.status for one in sandbox.callbacks] == [200]
    logged = browser.driver.get_log("browser")
    assert [entry for entry in logged if "Content Security" in entry["message"]] == []


@pytest.mark.long
def test_on_a_phone_through_alipay_and_back(shop, sandbox, browsers):
    browser = browsers(PHONE)
    url = begin(browser, shop)
    browser.one("#open").click()
    browser.wait_for("通过刷脸")
    browser.one("button[value=pass]").click()
    browser.wait_for("认证通过")
    assert browser.url == url and shop.orders[0].may_be_sent


@pytest.mark.long
def test_give_up_and_come_back(shop, sandbox, browsers):
    browser = browsers(PHONE)
    url = begin(browser, shop)
    browser.one("#open").click()
    browser.wait_for("放弃，以后再说")
    browser.one("button[value=give-up]").click()
    browser.wait_for("待认证")
    assert browser.url == url and sandbox.callbacks == []
    browser.one("#open").click()
    browser.wait_for("通过刷脸")
    browser.one("button[value=pass]").click()
    browser.wait_for("认证通过")
    assert len(shop.orders) == 1


@pytest.mark.long
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_expired(shop, sandbox, browsers, size):
    browser = browsers(size)
    begin(browser, shop)
    Verification.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    connections.close_all()
    browser.wait_for("认证已过期")
    assert not browser.overflows()
    browser.shoot("django-%d-expired" % size[0])
    browser.driver.refresh()
    browser.wait_for("认证已过期")
    assert not shop.orders[0].may_be_sent
    browser.one("#result .button").click()
    browser.wait_for("请先完成实名认证")


@pytest.mark.long
def test_a_lost_callback_is_made_up_for_in_the_end(shop, sandbox, browsers):
    browser = browsers()
    begin(browser, shop)
    sandbox.fail("http-503", times=9, on="query")  # three callbacks, three attempts each
    sandbox.complete(shop.verifications[0].certify_id)
    assert sandbox.wait_for_callbacks(10)
    assert [one.status for one in sandbox.callbacks] == [503] * 3
    assert "待认证" in browser.text
    Verification.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    connections.close_all()
    browser.wait_for("认证通过")
    assert shop.orders[0].may_be_sent


@pytest.mark.long
def test_reload_and_back_open_nothing(shop, sandbox, browsers):
    browser = browsers()
    url = begin(browser, shop)
    for _ in range(2):
        browser.driver.refresh()
        browser.wait_for("待认证")
    browser.driver.back()
    browser.wait_for("请先完成实名认证")
    browser.driver.forward()
    browser.wait_for("待认证")
    assert browser.url == url and len(sandbox.verifications()) == 1
    sandbox.complete(shop.verifications[0].certify_id)
    browser.wait_for("认证通过")
    browser.driver.back()
    browser.wait_for("请先完成实名认证")
    browser.driver.forward()
    browser.wait_for("认证通过")


@pytest.mark.long
def test_a_double_submit_opens_one_verification(shop, sandbox, browsers):
    browser = browsers()
    sandbox.fail("slow", seconds=1.0, on="init")
    fill(browser, shop)
    browser.driver.execute_script(
        "var f = document.forms[0], d = new FormData(f), o = {method: 'POST', body: d};"
        "fetch('/', o); fetch('/', o); HTMLFormElement.prototype.submit.call(f)"
    )
    browser.wait_for("待认证")
    assert len(shop.orders) == len(shop.verifications) == len(sandbox.verifications()) == 1
    browser.driver.back()
    browser.wait_for("请先完成实名认证")
    assert not browser.one("#submit").get_attribute("disabled")


@pytest.mark.long
def test_two_people_at_once(shop, sandbox, browsers):
    first, second = browsers(), browsers(PHONE)
    mine = begin(first, shop)
    theirs = begin(second, shop, name="李四")
    assert mine != theirs
    ids = [row.certify_id for row in shop.verifications]
    sandbox.complete(ids[1], passed=False)
    sandbox.complete(ids[0])
    first.wait_for("认证通过")
    second.wait_for("这次没有通过")
    assert [order.may_be_sent for order in shop.orders] == [True, False]
    for url in (mine, mine + "state/"):
        second.open(url)
        second.wait_for("没有这个页面")
    assert not second.overflows()
    second.shoot("django-390-not-found")
    second.open(mine.replace("/orders/", "/back/"))  # as the phone that scanned the code
    second.wait_for("请回到刚才下单的页面")
    second.shoot("django-390-back")


@pytest.mark.long
def test_wrong_entries_get_friendly_words_and_the_number_is_not_echoed(shop, sandbox, browsers):
    browser = browsers(PHONE)
    begin_with = [
        ("", "", "请填写证件上的姓名"),
        ("张", "1101", "位数不对"),
        ("张三", "11010119900101<b>", "只有数字和字母"),
        ("<i>张三", NUMBER, "不能用的字符"),
    ]
    for name, number, words in begin_with:
        fill(browser, shop, name, number)
        browser.one("#submit").click()
        browser.wait_for(words)
        assert browser.one("#id_number").get_attribute("value") == ""
        assert not number or number not in browser.driver.page_source
        assert not browser.overflows()
    browser.shoot("django-390-wrong")
    assert sandbox.requests == [] and shop.orders == []


@pytest.mark.long
@pytest.mark.parametrize(
    "fault, words, again", [("http-503", "正在核实", False), ("code-402", "没有打开", True)]
)
def test_the_service_is_down(shop, sandbox, browsers, fault, words, again):
    browser = browsers(PHONE)
    fill(browser, shop)
    sandbox.fail(fault, times=3)
    browser.one("#submit").click()
    browser.wait_for("认证服务暂时没有回应")
    assert ("重复提交" in browser.text) is not again
    browser.shoot("django-390-unavailable-%s" % fault)
    sandbox.heal()
    browser.driver.refresh()  # sends the form again: the same order, not another verification
    browser.wait_for(words)
    browser.shoot("django-390-after-%s" % fault)
    assert len(shop.orders) == 1
    if again:
        browser.one("#result .button").click()
        begin(browser, shop)
    else:  # it may have been opened: nobody is asked to pay for a second one
        assert "重新" not in browser.one("#result").text


@pytest.mark.long
@pytest.mark.parametrize("width", [320, 800, 1280])
def test_the_pages_fit(shop, sandbox, browsers, width):
    browser = browsers((width, 900))
    begin(browser, shop, name="Maximilian von Hohenstein-Sigmaringen")
    assert not browser.overflows()
    browser.shoot("django-%d-fits" % width)


def test_headers_methods_and_csrf(shop, sandbox):
    client = Client(enforce_csrf_checks=True)
    page = client.get("/")
    assert "default-src 'none'" in page["Content-Security-Policy"]
    assert page["X-Content-Type-Options"] == "nosniff" and page["X-Frame-Options"] == "DENY"
    assert "no-store" in page["Cache-Control"] or "no-cache" in page["Cache-Control"]
    fields = {"name": NAME, "number": NUMBER, "key": "a" * 32}
    assert client.post("/", fields).status_code == 403  # without Django's token
    free = Client()
    for key in ("", "x" * 32, "a" * 31, "a" * 33):
        assert free.post("/", dict(fields, key=key)).status_code == 400
    assert sandbox.requests == []
    opened = free.post("/", fields)
    assert opened.status_code == 302 and free.post("/", fields)["Location"] == opened["Location"]
    other = Client()
    assert other.get(opened["Location"]).status_code == 404
    assert other.post("/", fields)["Location"] != opened["Location"]  # a key is one session's
    assert free.post(opened["Location"]).status_code == 405
    assert len(sandbox.verifications()) == 2


def test_live_the_button_leads_into_alipay(shop, sandbox, monkeypatch):
    client = Client()
    client.get("/")
    order = client.post("/", {"name": NAME, "number": NUMBER, "key": "a" * 32})["Location"]
    assert 'href="alipays://' not in client.get(order).content.decode()
    monkeypatch.setattr(conf.client(), "endpoint", "https://saf.cn-shanghai.aliyuncs.com")
    assert 'href="alipays://platformapi/startapp?appId=' in client.get(order).content.decode()


@pytest.mark.long
def test_nothing_personal_is_anywhere(shop, sandbox, browsers, caplog):
    caplog.set_level(logging.DEBUG)
    browser = browsers(PHONE)
    urls = [begin(browser, shop)]
    browser.one("#open").click()
    browser.wait_for("通过刷脸")
    urls.append(browser.url)
    browser.one("button[value=pass]").click()
    browser.wait_for("认证通过")
    urls.append(browser.url)
    sessions = [session.get_decoded() for session in Session.objects.all()]
    assert [sorted(session) for session in sessions] == [["owner"]]
    kept = repr(urls) + repr(shop.paths) + repr(sessions) + repr(browser.driver.get_cookies())
    for record in caplog.records:
        if not record.name.startswith("selenium"):  # it logs what it types
            kept += record.getMessage() + repr(vars(record))
    with open(connection.settings_dict["NAME"], "rb") as file:
        kept += file.read().decode("utf-8", "replace")
    for private in (NAME, NUMBER, urllib.request.quote(NAME)):
        assert private not in kept


@pytest.mark.long
def test_one_command_starts_it_and_ends_it(tmp_path):
    port = free_port()
    environ = dict(os.environ, TMPDIR=str(tmp_path), PYTHONIOENCODING="utf-8")
    environ.pop("PYTHONPATH", None)
    command = [
        sys.executable, str(ROOT / "examples" / "django_site" / "manage.py"),
        "demo", "--port", str(port),
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=str(tmp_path), env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as demo:
        try:
            page = _patiently("http://127.0.0.1:%d/" % port)
        finally:
            demo.terminate()
            words = demo.communicate(timeout=20)[0].decode("utf-8")
    assert "请先完成实名认证" in page, words
    assert re.search("沙箱 +http://127.0.0.1:[0-9]+/", words)
    assert list(tmp_path.iterdir()) == [] and demo.returncode == 0, words


def _patiently(url):
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read().decode("utf-8")
        except urllib.error.URLError:
            if time.monotonic() > end:
                return ""
            time.sleep(0.1)
