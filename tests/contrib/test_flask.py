import logging
import sys
import threading
import traceback
from urllib.parse import urlsplit

import pytest
from conftest import NAME, NUMBER
from strikes import struck

import facecert
from facecert.callback import make_token
from facecert.sandbox.callbacks import callback_address

flask = pytest.importorskip("flask")
pytest.importorskip("blinker")

from facecert.contrib import flask as extension  # noqa: E402
from facecert.contrib.flask import FaceCert, verified  # noqa: E402

SECRET = "a-secret-of-the-tests-only"
HERE = "http://127.0.0.1"  # tokens take all loopback hosts and ports as one


def make_app(sandbox, **config):
    app = flask.Flask("shop")
    app.config.update(
        FACECERT_SCENE_ID=sandbox.scene_id,
        FACECERT_ENDPOINT=sandbox.endpoint,
        FACECERT_CREDENTIALS=(sandbox.access_key_id, sandbox.access_key_secret),
        FACECERT_CALLBACK_SECRET=SECRET,
        FACECERT_PUBLIC_URL="https://shop.example",
        FACECERT_ATTEMPTS=1,
    )
    app.config.update(config)
    app.ext = FaceCert(app)
    return app


class Shop:
    """An app, the orders that its receiver has settled, and a platform that calls back."""

    def __init__(self, sandbox, **config):
        self.sandbox = sandbox
        self.app = make_app(sandbox, **config)
        self.told = []
        verified.connect(self.listen, self.app)

    def listen(self, app, outer_order_no, answer):
        assert app is self.app
        self.told.append((outer_order_no, answer.certify_id, answer.passed))

    def open(self):
        with self.app.test_request_context():
            return self.app.ext.init(cert_name=NAME, cert_no=NUMBER)

    def genuine(self, opened, passed=True):
        """Do what the person does, and return path and query of the callback."""
        if not self.sandbox.is_submitted(opened.certify_id):
            self.sandbox.complete(opened.certify_id, passed)
        verification = self.sandbox._service.find(opened.certify_id)
        parts = urlsplit(callback_address(verification))
        assert parts.netloc == "shop.example"
        return parts.path, parts.query

    def call(self, path, query="", **more):
        return self.app.test_client().open(path, query_string=query, **more)


@pytest.fixture
def shop(sandbox):
    shop = Shop(sandbox)
    yield shop
    with shop.app.app_context():
        shop.app.ext.client.close()


@pytest.mark.parametrize("passed", [True, False])
def test_a_genuine_callback_tells_the_truth(shop, passed):
    opened = shop.open()
    answer = shop.call(*shop.genuine(opened, passed))
    assert (answer.status_code, answer.data, answer.mimetype) == (200, b"ok\n", "text/plain")
    assert shop.told == [(opened.outer_order_no, opened.certify_id, passed)]


def test_a_posted_callback_is_one_too(shop):
    opened = shop.open()
    path, query = shop.genuine(opened)
    form = "application/x-www-form-urlencoded"
    assert shop.call(path, method="POST", data=query, content_type=form).status_code == 200
    # The same value in both places is one value.
    other = query.replace("passed=T", "passed=F")
    for data, status in ((query, 200), (other, 403)):
        answer = shop.call(path, query, method="POST", data=data, content_type=form)
        assert answer.status_code == status
    long = query + "&x=" + "x" * 9000
    assert shop.call(path, method="POST", data=long, content_type=form).status_code == 413
    assert shop.told == [(opened.outer_order_no, opened.certify_id, True)] * 2  # no ledger


def test_the_callback_url_holds_the_order_and_the_token(shop):
    opened = shop.open()
    verification = shop.sandbox._service.find(opened.certify_id)
    order = opened.outer_order_no
    assert verification.callback_url == "https://shop.example/facecert/callback/" + order
    assert verification.callback_token == make_token(SECRET, order, HERE)


def forgeries(opened, other):
    """(path, query) of what somebody may try who knows every id but no secret."""
    order, theirs = opened.outer_order_no, make_token(SECRET, other.outer_order_no, HERE)
    path = "/facecert/callback/" + order
    genuine = "certifyId=%s&passed=T&CallbackToken=%s" % (
        opened.certify_id,
        make_token(SECRET, order, HERE),
    )
    told = "certifyId=%s&passed=T" % opened.certify_id
    return {
        "no token": (path, told),
        "empty token": (path, told + "&CallbackToken="),
        "wrong token": (path, told + "&CallbackToken=" + "x" * 27),
        "another secret's token": (
            path,
            told + "&CallbackToken=" + make_token("another-secret-of-theirs", order, HERE),
        ),
        "another order's token": (path, told + "&CallbackToken=" + theirs),
        "another order in the query": (path, genuine + "&order=" + other.outer_order_no),
        "another order's path": ("/facecert/callback/" + other.outer_order_no, genuine),
        "passed repeated": (path, genuine + "&passed=F"),
        "passed repeated in capitals": (path, genuine + "&PASSED=F"),
        "two tokens": (path, genuine + "&callbacktoken=x"),
        "no certifyId": (path, genuine.partition("&")[2]),
        "no passed": (path, genuine.replace("&passed=T", "")),
        "token too long": (path, told + "&CallbackToken=" + "x" * 600),
        "nothing": (path, ""),
    }


def test_a_forged_callback_is_refused_and_nothing_is_asked(shop, caplog):
    caplog.set_level(0)
    opened, other = shop.open(), shop.open()
    shop.sandbox.complete(other.certify_id)
    asked = len(shop.sandbox.requests)
    for what, (path, query) in forgeries(opened, other).items():
        for method in ("GET", "POST"):
            answer = shop.call(path, query, method=method)
            assert (answer.status_code, answer.data) == (403, b"refused\n"), what
    assert shop.told == [] and len(shop.sandbox.requests) == asked
    assert opened.certify_id not in caplog.text and "CallbackToken" not in caplog.text


def test_passed_in_the_callback_is_not_believed(shop):
    opened = shop.open()
    path, query = shop.genuine(opened, passed=False)
    assert "passed=F" in query
    # The service says F, which may mean "not yet": nobody is told, the platform calls again.
    assert shop.call(path, query.replace("passed=F", "passed=T")).status_code == 503
    assert shop.told == []
    assert shop.call(path, query).status_code == 200
    assert shop.told == [(opened.outer_order_no, opened.certify_id, False)]


def test_an_app_in_which_nobody_listens_does_not_say_ok(shop, caplog):
    opened = shop.open()
    call = shop.genuine(opened)
    receivers = dict(verified.receivers)
    verified.receivers.clear()
    try:
        assert shop.call(*call).status_code == 503
    finally:
        verified.receivers.update(receivers)
    assert opened.certify_id in caplog.text and opened.outer_order_no in caplog.text


def test_delivered_three_times_says_the_same_three_times(shop):
    opened = shop.open()
    call = shop.genuine(opened)
    threads = [threading.Thread(target=shop.call, args=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shop.told == [(opened.outer_order_no, opened.certify_id, True)] * 3


@pytest.mark.parametrize("fault", ["http-503", "throttled", "html-502", "cut", "code-500"])
def test_while_the_gateway_is_down_the_platform_is_told_to_call_again(shop, caplog, fault):
    opened = shop.open()
    path, query = shop.genuine(opened)
    shop.sandbox.fail(fault, on="query")
    answer = shop.call(path, query)
    assert (answer.status_code, shop.told) == (503, [])
    assert opened.certify_id.encode() not in answer.data
    assert "may call again" in caplog.text and "Token" not in caplog.text
    assert shop.call(path, query).status_code == 200
    assert shop.told == [(opened.outer_order_no, opened.certify_id, True)]


def test_a_receiver_that_raises_makes_the_platform_call_again(shop):
    opened = shop.open()
    call = shop.genuine(opened)
    broken = []

    def raises(app, **arguments):
        broken.append(arguments)
        raise OSError("the database is gone")

    with verified.connected_to(raises, shop.app):
        assert shop.call(*call).status_code == 500
    assert shop.call(*call).status_code == 200
    assert len(broken) == 1
    assert shop.told[-1] == (opened.outer_order_no, opened.certify_id, True)


def test_two_apps_keep_to_themselves(sandbox):
    one = Shop(sandbox)
    two = Shop(
        sandbox,
        FACECERT_CALLBACK_SECRET="the-other-app's-secret",
        FACECERT_CALLBACK_PATH="/hooks/face/",
        FACECERT_PUBLIC_URL="https://shop.example/two/",
    )
    opened = two.open()
    path, query = two.genuine(opened)
    assert path == "/two/hooks/face/" + opened.outer_order_no
    path = path[len("/two") :]
    assert one.call(path, query).status_code == 404
    assert one.call("/facecert/callback/" + opened.outer_order_no, query).status_code == 403
    assert two.call(path, query).status_code == 200
    assert (one.told, len(two.told)) == ([], 1)
    with one.app.app_context():
        first = one.app.ext.client
        assert one.app.ext.client is first
        first.close()
    with two.app.app_context():
        assert two.app.ext.client is not first
        two.app.ext.client.close()


def test_one_extension_serves_several_apps(sandbox):
    ext = FaceCert()
    clients = set()
    for number in range(2):
        app = flask.Flask("shop%d" % number)
        app.config.update(FACECERT_CALLBACK_SECRET=SECRET, FACECERT_ENDPOINT=sandbox.endpoint)
        ext.init_app(app)
        with app.app_context():
            clients.add(ext.client)
    assert len(clients) == 2


def test_the_client_is_made_once_by_however_many_threads(shop):
    clients, barrier = [], threading.Barrier(8)

    def ask():
        barrier.wait(10)
        with shop.app.app_context():
            clients.append(shop.app.ext.client)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 8 and len(set(map(id, clients))) == 1


def test_bug_without_a_public_url_the_orders_token_went_to_whatever_host_said(sandbox):
    for endpoint in (None, "https://saf.cn-shanghai.aliyuncs.com", "https://sandbox.example"):
        for url in (None, ""):
            with pytest.raises(facecert.InvalidParameter) as caught:
                make_app(sandbox, FACECERT_PUBLIC_URL=url, FACECERT_ENDPOINT=endpoint)
            assert caught.value.field == "FACECERT_PUBLIC_URL"
            assert "FACECERT_PUBLIC_URL" in str(caught.value)
        make_app(sandbox, FACECERT_ENDPOINT=endpoint)


def test_without_a_public_url_the_request_tells_a_sandbox(sandbox):
    app = make_app(sandbox, FACECERT_PUBLIC_URL=None)
    with app.test_request_context(base_url="https://www.shop.example/app"):
        opened = app.ext.init(cert_name=NAME, cert_no=NUMBER)
        app.ext.client.close()
    assert sandbox._service.find(opened.certify_id).callback_url == (
        "https://www.shop.example/app/facecert/callback/" + opened.outer_order_no
    )


def test_settings_may_be_texts_from_the_environment(sandbox):
    app = make_app(
        sandbox,
        FACECERT_SCENE_ID=int(sandbox.scene_id),
        FACECERT_ENCRYPT="0",
        FACECERT_CALLBACK_SECRET=["the-new-secret-of-all", SECRET],
        FACECERT_READ_TIMEOUT="7.5",
        FACECERT_CONNECT_TIMEOUT=2,
    )
    with app.app_context():
        client = app.ext.client
    assert client.scene_id == sandbox.scene_id and client.encrypt is False
    assert client._callback_secrets.value == ("the-new-secret-of-all", SECRET)


@pytest.mark.parametrize(
    "name, value",
    [
        ("FACECERT_CALLBACK_SECRET", None),
        ("FACECERT_CALLBACK_SECRET", ""),
        ("FACECERT_CALLBACK_SECRET", "fifteen-letters"),
        ("FACECERT_CALLBACK_SECRET", [SECRET, "short"]),
        ("FACECERT_CALLBACK_SECRET", SECRET + " short"),
        ("FACECERT_CALLBACK_SECRET", SECRET.encode()),
        ("FACECERT_SCENE_ID", "my scene"),
        ("FACECERT_ENDPOINT", "http://saf.example"),
        ("FACECERT_ENCRYPT", "perhaps"),
        ("FACECERT_ATTEMPTS", 0),
        ("FACECERT_READ_TIMEOUT", "-1"),
        ("FACECERT_PUBLIC_URL", "http://shop.example"),
        ("FACECERT_PUBLIC_URL", "shop.example"),
        ("FACECERT_PUBLIC_URL", "https://shop.example/?a=b"),
        ("FACECERT_PUBLIC_URL", "https://[::1"),
        ("FACECERT_ENCRYPT", object()),
        ("FACECERT_CALLBACK_PATH", "facecert"),
        ("FACECERT_CALLBACK_PATH", "/"),
        ("FACECERT_CALLBACK_PATH", "/a/<b>"),
        ("FACECERT_CALLBACK_PATH", "/face cert"),
        ("FACECERT_CALLBACK_PATH", 5),
        ("FACECERT_LEDGER", "sqlite://"),
        ("FACECERT_PER_DAY", 5),
    ],
)
def test_an_app_with_bad_settings_does_not_start(sandbox, name, value):
    with pytest.raises(facecert.InvalidParameter) as caught:
        make_app(sandbox, **{name: value})
    assert caught.value.field == name and name in str(caught.value)
    assert name != "FACECERT_CALLBACK_SECRET" or not value or str(value) not in str(caught.value)


def test_bug_credentials_of_a_wrong_type_were_told_to_a_customer(sandbox):
    with pytest.raises(facecert.CredentialsError):
        make_app(sandbox, FACECERT_CREDENTIALS=object())


def test_bug_a_callback_url_that_the_app_never_passed_was_wrong(sandbox):
    """What is wrong is FACECERT_PUBLIC_URL, or that the endpoint is not the sandbox."""
    with pytest.raises(facecert.InvalidParameter) as caught:
        make_app(sandbox, FACECERT_PUBLIC_URL="http://127.0.0.1:5000", FACECERT_ENDPOINT=None)
    assert caught.value.field == "FACECERT_PUBLIC_URL"
    assert "FACECERT_ENDPOINT" in str(caught.value)
    app = make_app(sandbox, FACECERT_PUBLIC_URL=None)
    with app.test_request_context(base_url="http://192.168.1.5:5000"):
        with pytest.raises(facecert.InvalidParameter) as caught:
            app.ext.init(cert_name=NAME, cert_no=NUMBER)
        assert caught.value.field == "FACECERT_PUBLIC_URL"
        app.ext.init(cert_name=NAME, cert_no=NUMBER, callback_url="https://shop.example/mine")
        app.ext.client.close()


def test_an_endpoint_in_the_environment_that_is_ignored_is_a_warning(sandbox, caplog, monkeypatch):
    caplog.set_level("WARNING")
    # Because Flask before 1.0 does not propagate what its own logger gets.
    monkeypatch.setattr(flask.Flask, "logger", logging.getLogger("the tests"))
    make_app(sandbox)  # whose endpoint is that of the environment
    assert "FACECERT_ENDPOINT" not in caplog.text
    make_app(sandbox, FACECERT_ENDPOINT=None)
    assert "FACECERT_ENDPOINT in the environment is ignored" in caplog.text


@pytest.mark.parametrize(
    "public_url, prefix, path",
    [
        # A proxy that keeps the prefix, or says it in X-Forwarded-Prefix: SCRIPT_NAME is set.
        ("https://shop.example", "/app", "/app"),
        ("https://shop.example/app/", "/app", "/app"),
        (None, "/app", "/app"),
        # A proxy that strips it: only FACECERT_PUBLIC_URL has it.
        ("https://shop.example/app", "", "/app"),
        ("https://shop.example", "", ""),
    ],
)
def test_bug_the_path_before_the_app_was_missing_or_twice(sandbox, public_url, prefix, path):
    app = make_app(sandbox, FACECERT_PUBLIC_URL=public_url)
    app.add_url_rule("/orders/<number>", "show", lambda number: app.ext.url_for("show", number=7))
    with app.test_request_context(base_url="https://shop.example" + prefix):
        opened = app.ext.init(cert_name=NAME, cert_no=NUMBER)
        app.ext.client.close()
    sent = sandbox.requests[-1].service_parameters
    assert sent["callbackUrl"] == "https://shop.example%s/facecert/callback/%s" % (
        path, opened.outer_order_no
    )  # fmt: skip
    page = app.test_client().get("/orders/7", base_url="https://shop.example" + prefix)
    assert page.data.decode() == "https://shop.example%s/orders/7" % path


@pytest.mark.parametrize("root", [None, "/app"])
def test_bug_url_for_had_two_hosts_outside_of_a_request(sandbox, root):
    more = {"APPLICATION_ROOT": root} if root else {}
    app = make_app(sandbox, SERVER_NAME="internal:5000", **more)
    app.add_url_rule("/orders/<number>", "show", str)
    app.add_url_rule("/o/<number>", "elsewhere", str, subdomain="m")
    base = "https://shop.example" + (root or "")
    with app.app_context():
        assert app.ext.url_for("show", number=7) == base + "/orders/7"
    with app.test_request_context(base_url="http://internal:5000"):
        assert app.ext.url_for("show", number=7, _external=True) == "https://shop.example/orders/7"
        assert app.ext.url_for("elsewhere", number=7) == "https://shop.example/o/7"


def test_what_looks_like_a_mistake_is_a_warning(sandbox, caplog, monkeypatch):
    monkeypatch.setattr(flask.Flask, "logger", logging.getLogger("the tests"))
    make_app(sandbox)
    assert not caplog.records
    make_app(sandbox, FACECERT_SCENE_ID="", FACECERT_PERDAY=1)
    assert "FACECERT_SCENE_ID is missing" in caplog.text and "FACECERT_PERDAY" in caplog.text


def test_bug_the_person_was_in_a_frame_while_the_callback_url_was_made(shop, monkeypatch):
    shown, url = [], extension._State.url

    def walk(state, path):
        shown.append(repr(sys._getframe(1).f_locals))
        return url(state, path)

    monkeypatch.setattr(extension._State, "url", walk)
    shop.open()
    assert shown and NUMBER not in shown[0]


def test_outside_of_a_request_the_prefix_is_the_application_root(sandbox):
    app = make_app(sandbox, APPLICATION_ROOT="/app")
    with app.app_context():
        app.ext.init(cert_name=NAME, cert_no=NUMBER)
        app.ext.client.close()
    sent = sandbox.requests[-1].service_parameters
    assert sent["callbackUrl"].startswith("https://shop.example/app/facecert/callback/")


def test_an_app_without_the_extension_is_told_so():
    with flask.Flask("bare").app_context(), pytest.raises(RuntimeError, match="init_app"):
        FaceCert().client


def test_an_error_of_init_keeps_the_person_to_itself(shop):
    shop.sandbox.fail("http-503", on="init")
    with pytest.raises(facecert.GatewayError) as caught:
        shop.open()
    error = caught.value
    frames = traceback.TracebackException(
        type(error), error, error.__traceback__, capture_locals=True
    )
    ours = [str(frame.locals) for frame in frames.stack if "/facecert/contrib/" in frame.filename]
    assert len(ours) == 1 and NUMBER not in ours[0] and NAME not in ours[0]


@pytest.fixture
def keeping(sandbox, tmp_path):
    """A shop with a ledger."""
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    shop = Shop(sandbox, FACECERT_LEDGER=str(tmp_path / "ledger.db"))
    with shop.app.app_context():
        shop.ledger = shop.app.ext.client.ledger
    yield shop
    with shop.app.app_context():
        shop.app.ext.client.close()
    shop.ledger.close()


def settle(shop):
    """Run ``flask facecert-settle``."""
    from click.testing import CliRunner
    from flask.cli import ScriptInfo

    command = shop.app.cli.commands["facecert-settle"]
    return CliRunner().invoke(command, [], obj=ScriptInfo(create_app=lambda info=None: shop.app))


def test_bug_the_only_copy_of_an_id_was_neither_stored_nor_logged(shop, caplog):
    opened = shop.open()
    path, query = shop.genuine(opened)
    shop.sandbox.fail("http-503", times=1)
    assert shop.call(path, query).status_code == 503
    assert opened.certify_id in caplog.text and opened.outer_order_no in caplog.text


def test_a_final_row_that_was_told_is_answered_without_a_query(keeping):
    opened = keeping.open()
    path, query = keeping.genuine(opened)
    assert keeping.call(path, query).status_code == 200
    asked = len(keeping.sandbox.requests)
    assert keeping.call(path, query).status_code == 200
    # Only a genuine one, and only one about this verification.
    assert keeping.call(path, query.replace("CallbackToken=", "CallbackToken=x")).status_code == 403
    other = query.replace(opened.certify_id, "0" * 32)
    assert keeping.call(path, other).status_code == 403
    assert len(keeping.sandbox.requests) == asked
    assert keeping.told == [(opened.outer_order_no, opened.certify_id, True)]
    entry = keeping.ledger.get(opened.outer_order_no)
    assert (entry.state, entry.told) == ("passed", "passed")


def test_bug_one_orders_token_settled_another_orders_verification(keeping):
    opened, other = keeping.open(), keeping.open()
    path, query = keeping.genuine(opened)
    keeping.genuine(other)
    assert keeping.call(path, query.replace(opened.certify_id, other.certify_id)).status_code == 403
    assert keeping.told == [] and not list(keeping.ledger.untold())


def raises(app, **arguments):
    raise OSError("the shop's database is gone")


def test_bug_a_receiver_that_raised_was_not_called_again(keeping):
    opened = keeping.open()
    call = keeping.genuine(opened)
    with verified.connected_to(raises, keeping.app):
        assert keeping.call(*call).status_code == 500
        entry = keeping.ledger.get(opened.outer_order_no)
        assert (entry.state, entry.told) == ("passed", None)
        del keeping.told[:]
        assert keeping.call(*call).status_code == 500
    del keeping.told[:]
    assert keeping.call(*call).status_code == 200
    assert keeping.told == [(opened.outer_order_no, opened.certify_id, True)]
    assert not list(keeping.ledger.untold())


def test_each_change_of_the_result_is_told(keeping):
    opened = keeping.open()
    path, query = keeping.genuine(opened, passed=False)
    assert keeping.call(path, query).status_code == 200
    keeping.sandbox._service.find(opened.certify_id).state = "passed"
    assert keeping.call(path, query.replace("passed=F", "passed=T")).status_code == 200
    told = [passed for _, _, passed in keeping.told]
    assert told == [False, True]
    assert keeping.call(path, query).status_code == 200 and len(keeping.told) == 2


def test_a_result_that_was_not_stored_is_not_told(keeping, monkeypatch):
    """The platform calls again, and the row is told when it is final."""
    opened = keeping.open()
    call = keeping.genuine(opened)
    with monkeypatch.context() as patch:
        patch.setattr(keeping.ledger, "keep_answer", lambda answer, **more: None)
        assert keeping.call(*call).status_code == 503
    assert keeping.told == []
    assert keeping.call(*call).status_code == 200 and len(keeping.told) == 1


def test_a_verification_that_is_older_than_the_ledger_is_told(keeping):
    with keeping.app.app_context():
        client = keeping.app.ext.client
    client.ledger = None
    opened = keeping.open()
    client.ledger = keeping.ledger
    assert keeping.call(*keeping.genuine(opened)).status_code == 200
    assert keeping.told == [(opened.outer_order_no, opened.certify_id, True)]


def test_settle_makes_up_for_callbacks_that_were_missed(keeping, caplog):
    missed, failing, pending = keeping.open(), keeping.open(), keeping.open()
    call = keeping.genuine(failing)
    with verified.connected_to(raises, keeping.app):
        assert keeping.call(*call).status_code == 500
        keeping.sandbox.complete(missed.certify_id)
        done = settle(keeping)
        assert (done.exit_code, done.output) == (1, "0 told, 2 failed\n")
    assert missed.outer_order_no in caplog.text and "OSError" in caplog.text
    del keeping.told[:]
    done = settle(keeping)
    assert (done.exit_code, done.output) == (0, "2 told, 0 failed\n")
    assert sorted(keeping.told) == sorted(
        (one.outer_order_no, one.certify_id, True) for one in (missed, failing)
    )
    assert [one.certify_id for one in keeping.ledger.pending()] == [pending.certify_id]
    assert settle(keeping).output == "0 told, 0 failed\n" and len(keeping.told) == 2
    keeping.sandbox.fail("http-503", on="query")
    assert settle(keeping).output == "0 told, 1 failed\n"


def test_settle_does_nothing_without_a_receiver_or_a_ledger(keeping, shop):
    opened = keeping.open()
    keeping.sandbox.complete(opened.certify_id)
    asked, receivers = len(keeping.sandbox.requests), dict(verified.receivers)
    verified.receivers.clear()
    try:
        assert "no receiver" in str(settle(keeping).exception)
    finally:
        verified.receivers.update(receivers)
    assert len(keeping.sandbox.requests) == asked
    assert keeping.ledger.get(opened.outer_order_no).state == "opened"
    assert settle(shop).exception.field == "FACECERT_LEDGER"


def test_bug_a_timeout_at_the_first_call_left_the_app_locked(sandbox):
    """At any step; every later request waited for ever."""
    app, step, found = make_app(sandbox), 1, []

    def use():
        with app.app_context():
            found.append(app.ext.client)

    while struck(extension.__file__, use, step):
        other = threading.Thread(target=use, daemon=True)
        other.start()
        other.join(30)
        assert not other.is_alive(), step
        assert len(set(map(id, found))) == 1, step
        app = make_app(sandbox)
        found.clear()
        step += 1
    assert step > 5
