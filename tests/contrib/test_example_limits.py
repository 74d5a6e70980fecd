"""Both example shops: how many verifications a session, an address and a day may open."""

import importlib
import re
import secrets
import sys
import types

import pytest
from conftest import NAME, NUMBER, ROOT

limits = pytest.importorskip("limits")
pytest.importorskip("blinker", reason="Flask and blinker are an extra")
pytest.importorskip("django", reason="Django is an extra")

SECRET = "a-secret-of-sixteen-and-more"


class FlaskShop:
    """examples/flask_app; a visitor is a client that has fetched the form once."""

    def __init__(self, sandbox, monkeypatch, proxies):
        pytest.importorskip("flask")
        monkeypatch.syspath_prepend(str(ROOT / "examples" / "flask_app"))
        for name in ("app", "orders", "quota"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        self._module = importlib.import_module("app")
        self.quota = importlib.import_module("quota")
        config = {
            "FACECERT_SCENE_ID": sandbox.scene_id,
            "FACECERT_ENDPOINT": sandbox.endpoint,
            "FACECERT_CREDENTIALS": (sandbox.access_key_id, sandbox.access_key_secret),
            "FACECERT_CALLBACK_SECRET": SECRET,
            "FACECERT_PUBLIC_URL": "https://shop.example",
            "SHOP_PROXIES": proxies,
        }
        self.app = self._module.create_app(config)

    def visitor(self):
        client = self.app.test_client()
        page = client.get("/", base_url="https://shop.example").get_data(as_text=True)
        return client, re.findall('name="csrf" value="([^"]+)"', page)[0]

    def submit(self, visitor, address, **headers):
        client, csrf = visitor
        return client.post(
            "/", data=dict(name=NAME, number=NUMBER, csrf=csrf, key=secrets.token_urlsafe(16)),
            base_url="https://shop.example", environ_base=dict(headers, REMOTE_ADDR=address)
        ).status_code  # fmt: skip

    def close(self):
        with self.app.app_context():
            self._module.face.client.close()
        for name in ("app", "orders", "quota"):
            del sys.modules[name]


class DjangoShop:
    """examples/django_site; its sessions are in cookies here, because that is faster."""

    def __init__(self, sandbox, monkeypatch, proxies):
        pytest.importorskip("django", reason="Django is an extra")
        import django_project

        django_project.start()
        from django.test import override_settings

        options = {
            "SCENE_ID": sandbox.scene_id,
            "ENDPOINT": sandbox.endpoint,
            "ACCESS_KEY": (sandbox.access_key_id, sandbox.access_key_secret),
            "CALLBACK_SECRET": SECRET,
            "PUBLIC_URL": "https://shop.example",
        }
        self._settings = override_settings(
            FACECERT=options, SHOP_PROXIES=proxies,
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        )  # fmt: skip
        self._settings.enable()
        from shop import quota

        self.quota = quota
        quota.storage.reset()

    def visitor(self):
        from django.test import Client

        return Client()

    def submit(self, visitor, address, **headers):
        fields = {"name": NAME, "number": NUMBER, "key": secrets.token_hex(16)}
        return visitor.post("/", fields, REMOTE_ADDR=address, **headers).status_code

    def close(self):
        from django.db import connections
        from shop.models import Order

        from facecert.contrib.django.models import Verification

        for model in (Order, Verification):
            model.objects.all().delete()
        connections.close_all()
        self.quota.storage.reset()
        self._settings.disable()


@pytest.fixture(params=[FlaskShop, DjangoShop])
def open_shop(request, sandbox, monkeypatch, clock):
    """Start a shop whose limits go by ``clock``: a session 3, an address 5, everybody 8."""
    monkeypatch.setattr("limits.storage.memory.time", types.SimpleNamespace(time=clock))
    shops = []

    def start(proxies=0):
        shops.append(request.param(sandbox, monkeypatch, proxies))
        for name, limit in dict(SESSION="3/hour", ADDRESS="5/day", EVERYBODY="8/day").items():
            monkeypatch.setattr(shops[0].quota, name, limits.parse(limit))
        return shops[0]

    yield start
    shops[0].close()


def opened(statuses):
    assert set(statuses) <= {302, 303, 429}
    return len(statuses) - statuses.count(429)


@pytest.mark.parametrize("tries", [20, pytest.param(300, marks=pytest.mark.long)])
def test_bug_an_anonymous_visitor_burned_the_bill(open_shop, sandbox, clock, tries):
    shop = open_shop()
    visitor = shop.visitor()
    assert opened([shop.submit(visitor, "203.0.113.1") for _ in range(tries)]) == 3
    # Without the cookie it is another session, of the same address.
    others = [shop.visitor() for _ in range(12)]
    assert opened([shop.submit(other, "203.0.113.1") for other in others]) == 2
    # Nothing of what was refused counts for others.
    theirs = ["2001:db8::%x:0:0:0:1" % number for number in range(12)]
    assert opened([shop.submit(*pair) for pair in zip(others, theirs)]) == 3
    assert len(sandbox.verifications()) == 8
    clock.now += 24 * 3600 - 1
    assert shop.submit(others[0], theirs[0]) == 429
    clock.now += 2
    assert shop.submit(others[0], theirs[0]) in (302, 303)
    assert len(sandbox.verifications()) == 9


def test_a_session_may_open_more_an_hour_later(open_shop, clock):
    shop = open_shop()
    visitor = shop.visitor()
    assert opened([shop.submit(visitor, "203.0.113.1") for _ in range(4)]) == 3
    clock.now += 3601
    assert opened([shop.submit(visitor, "203.0.113.1") for _ in range(4)]) == 2


def test_the_addresses_of_one_ipv6_network_are_one_visitors(open_shop):
    shop = open_shop()
    submit = [shop.submit(shop.visitor(), "2001:db8::%x" % number) for number in range(1, 8)]
    assert opened(submit) == 5
    network = shop.quota.network
    assert network("::ffff:203.0.113.1") == network("203.0.113.1") != network("203.0.113.2")
    assert network("203.0.113.1:5000") == network("") == network(None)


@pytest.mark.parametrize(
    "proxies, hops, passed",
    [
        (0, "10.0.0.%d", 5),
        (1, "10.0.0.%d", 7),
        (1, "10.0.0.%d, 203.0.113.1", 5),
        (2, "10.0.0.%d, 203.0.113.1", 7),
    ],
)
def test_the_address_is_what_the_outermost_of_our_proxies_saw(open_shop, proxies, hops, passed):
    shop = open_shop(proxies)
    headers = [{"HTTP_X_FORWARDED_FOR": hops % number} for number in range(7)]
    statuses = [shop.submit(shop.visitor(), "127.0.0.1", **each) for each in headers]
    assert opened(statuses) == passed
