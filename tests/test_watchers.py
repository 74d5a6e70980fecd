"""What log handlers, APM agents, crash reporters and debug pages show of calls and settings.

The caller's frames (``attempt`` and the lambdas below) hold no canary, so all that a watcher shows
is searched. README.rst of the watchers' packages: each is set as its users set it.
"""

import contextlib
import importlib.util
import io
import itertools
import json
import logging
import os
import re
import sys
import threading
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from canaries import (
    CALLBACK_SECRET, CALLBACK_TOKEN, CANARIES, SECRET, TOKEN, found_in, plant
)  # fmt: skip
from conftest import NAME, NUMBER

import facecert
from facecert.callback import check_token, make_token
from facecert.default import _DefaultClient
from facecert.lifecycle import BaseLedger
from facecert.sandbox.faults import FAULTS

for _package in ("flask", "blinker", "sqlalchemy"):
    pytest.importorskip(_package)

from facecert.contrib.flask import FaceCert, verified  # noqa: E402

ORDER = "order1"
PASSWORD = "canary-password-3c5e"
EVERYTHING = CANARIES + (PASSWORD, make_token(CALLBACK_SECRET, ORDER))
KEY = ("canary-id", SECRET, TOKEN)
DEEPEST = 6


# The functions whose values the caller's frames must not hold.


def person(**more):
    return dict(more, cert_name=NAME, cert_no=NUMBER)


def environment(**more):
    environ = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY[0], "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
        "ALIBABA_CLOUD_SECURITY_TOKEN": TOKEN, "FACECERT_CALLBACK_SECRET": CALLBACK_SECRET,
        "FACECERT_SCENE_ID": "1000000006", "NAME": NAME, "NUMBER": NUMBER,
    }  # fmt: skip
    return dict(environ, **more)


def callback(certify_id, order=ORDER, passed="T", token=None):
    return {"certifyId": certify_id, "passed": passed, "order": order,
            "CallbackToken": token or make_token(CALLBACK_SECRET, order)}  # fmt: skip


class Watch(logging.Handler):
    """Collects what one product makes of log records and errors of the test's own thread."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.thread = threading.get_ident()
        self.shown, self.records, self.errors, self.scenario = [], 0, 0, ""

    def emit(self, record):
        if record.thread == self.thread and not record.name.startswith(QUIET):
            self.records += 1
            self.logged(record)

    def attempt(self, call):
        """Run a part of a scenario; what it raises goes to the product."""
        __tracebackhide__ = True
        try:
            return call()
        except Exception as error:
            self.errors += 1
            self.raised(error)

    def keep(self, text):
        self.shown.append((self.scenario, text))

    def logged(self, record):
        """Show a log record."""

    def raised(self, error):
        """Show an error."""


#: Loggers of the sandbox's server and of the watchers themselves. Django's debug page, for one,
#: logs each variable that its template does not find, with a traceback.
QUIET = ("werkzeug", "elasticapm", "sentry_sdk", "asyncio", "django.template")


class LiveStack(Watch):
    """A handler that writes all that the variables of all live frames hold, containers' too."""

    def logged(self, record):
        self.keep("%s %s" % (record.getMessage(), record.args))
        if record.exc_info and record.exc_info[1]:
            self.raised(record.exc_info[1])
        frame = sys._getframe(1)
        while frame and frame.f_code.co_name != "attempt":  # SQLAlchemy 2.1 logs at close, too
            if frame.f_code.co_filename not in (__file__, logging.__file__):
                self.keep("%s %s" % (frame.f_code.co_name, deep(frame.f_locals)))
            frame = frame.f_back

    def raised(self, error):
        seen, todo = set(), [error]
        while todo:
            link = todo.pop()
            if link is not None and id(link) not in seen:
                seen.add(id(link))
                todo += [link.__cause__, link.__context__]
                self.keep("%s %r %s" % (link, link, deep(vars(link))))
                for frame, _ in traceback.walk_tb(link.__traceback__):
                    if frame.f_code.co_filename != __file__:
                        self.keep("%s %s" % (frame.f_code.co_name, deep(frame.f_locals)))


def deep(value, depth=0, seen=None):
    """Write a value, what containers hold, and the attributes of facecert's own objects."""
    seen = set() if seen is None else seen
    if depth > DEEPEST or id(value) in seen:
        return ""
    seen.add(id(value))
    try:
        text = repr(value)
    except Exception as error:
        text = "repr: %r" % error
    inner = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    elif type(value).__module__.partition(".")[0] == "facecert" and "sandbox" not in (
        type(value).__module__
    ):
        inner = list(getattr(value, "__dict__", {}).items())
        for kind in type(value).__mro__:
            names = getattr(kind, "__slots__", ())
            names = [names] if isinstance(names, str) else names
            inner += [getattr(value, name, None) for name in names]
    return "\n".join([text] + [deep(one, depth + 1, seen) for one in inner])


class Captured(Watch):
    """``TracebackException(capture_locals=True)``, as a log formatter or cgitb uses it."""

    def raised(self, error):
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        self.keep("".join(report.format()))

    def logged(self, record):
        frames = itertools.takewhile(
            lambda pair: pair[0].f_code.co_name != "attempt", traceback.walk_stack(sys._getframe(1))
        )
        stack = traceback.StackSummary.extract(frames, capture_locals=True)
        self.keep(record.getMessage() + "".join(stack.format()))


class Sentry(Watch):
    """sentry-sdk with ``attach_stacktrace``."""

    package = "sentry_sdk"

    def __init__(self):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports eventlet, which is deprecated
            import sentry_sdk
            from sentry_sdk.integrations.logging import EventHandler

        sentry_sdk.init(
            "http://key@127.0.0.1:9/1", attach_stacktrace=True,
            default_integrations=False, max_breadcrumbs=100, before_send=self.note,
        )  # fmt: skip
        self.handler = EventHandler(logging.DEBUG)
        self.logged = self.handler.emit

    def note(self, event, hint):
        """Keep the event; nothing is sent."""
        self.keep(json.dumps(event, default=repr, ensure_ascii=False))

    def raised(self, error):
        import sentry_sdk

        sentry_sdk.capture_exception(error)

    def close(self):
        import sentry_sdk

        sentry_sdk.init()
        super().close()


class ElasticApm(Watch):
    """elastic-apm as it is by default: local variables with errors, stacks with log records."""

    package = "elasticapm"

    def __init__(self):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports eventlet, which is deprecated
            import elasticapm
            from elasticapm.handlers.logging import LoggingHandler

        watch, self.factory = self, logging.getLogRecordFactory()

        class Client(elasticapm.Client):
            def queue(self, event_type, data, flush=False):
                watch.keep(json.dumps(data, default=repr, ensure_ascii=False))

        self.client = Client(
            service_name="canary", server_url="http://127.0.0.1:9",
            metrics_interval="0s", central_config=False, cloud_provider="none",
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.logged = LoggingHandler(self.client).emit

    def raised(self, error):
        self.client.capture_exception(exc_info=(type(error), error, error.__traceback__))

    def close(self):
        self.client.close()
        logging.setLogRecordFactory(self.factory)
        super().close()


class Loguru(Watch):
    """loguru with ``diagnose=True``, its default."""

    package = "loguru"

    def __init__(self):
        super().__init__()
        from loguru import logger

        logger.remove()
        logger.add(self.keep_frames, diagnose=True, backtrace=True, level=0)
        self.logger = logger

    def keep_frames(self, text):
        # The values in a line of this file are the caller's.
        frames = re.split('\n(?=[> ] File ")', text)
        self.keep("\n".join(frame for frame in frames if __file__ not in frame.split(",")[0]))

    def logged(self, record):
        self.logger.opt(exception=record.exc_info).log("ERROR", "{}", record.getMessage())

    def raised(self, error):
        self.logger.opt(exception=error).error("it failed")

    def close(self):
        self.logger.remove()
        super().close()


class Rich(Watch):
    """rich with ``show_locals=True``."""

    package = "rich"

    def raised(self, error):
        from rich.console import Console
        from rich.traceback import Traceback

        class Plain(Traceback):
            """Without colours for the source, which take most of the time."""

            _guess_lexer = classmethod(lambda cls, filename, code: "text")

        page = io.StringIO()
        Console(file=page, width=5000).print(
            Plain.from_exception(
                type(error), error, error.__traceback__, show_locals=True, width=5000,
                locals_max_string=None, locals_max_length=None, max_frames=0,
            )  # fmt: skip
        )
        self.keep(page.getvalue())

    def logged(self, record):
        if record.exc_info and record.exc_info[1]:
            self.raised(record.exc_info[1])


class DjangoMail(Watch):
    """Django's AdminEmailHandler, HTML included, with DEBUG off."""

    debug = False

    def __init__(self):
        super().__init__()
        from django.utils.log import AdminEmailHandler

        watch = self

        class Handler(AdminEmailHandler):
            def send_mail(self, subject, message, *args, **kwargs):
                watch.keep(subject + message + str(kwargs.get("html_message")))

        self.handler = Handler(include_html=True)

    def logged(self, record):
        if record.levelno >= logging.ERROR:
            self.handler.emit(record)

    def raised(self, error):
        record = logging.LogRecord(
            "django.request", logging.ERROR, "", 0, "it failed", (),
            (type(error), error, error.__traceback__),
        )  # fmt: skip
        self.handler.emit(record)


class DjangoPage(Watch):
    """Django's page with DEBUG on."""

    debug = True

    def raised(self, error):
        from django.test import RequestFactory
        from django.views.debug import technical_500_response

        page = technical_500_response(
            RequestFactory().get("/"), type(error), error, error.__traceback__
        )
        self.keep(page.content.decode("utf-8"))

    def logged(self, record):
        if record.exc_info and record.exc_info[1]:
            self.raised(record.exc_info[1])


# What is watched. Each scenario gets the sandbox, ``attempt`` and a folder.


class Noisy(BaseLedger):
    """A ledger of the caller's that logs."""

    def _log(self, *args, **kwargs):
        logging.getLogger("app").exception("the ledger")

    keep_sent = keep_opening = keep_claim = keep_answer = _log


class Source:
    """Credentials of the caller's that log, and fail at last."""

    left = 12

    def get_credential(self):
        logging.getLogger("app").error("the credentials")
        self.left -= 1
        if not self.left:
            raise RuntimeError("the source is broken")
        return type("Credential", (), {})() if self.left == 1 else Shown()


class Shown:
    access_key_id = property(lambda self: KEY[0])
    access_key_secret = property(lambda self: SECRET)
    security_token = property(lambda self: TOKEN)


FEW = (None, "echo", "throttled", "code-500", "cut")


def calls(sandbox, attempt, tmp_path, faults=FEW):
    for encrypt, ledger in ((False, Noisy()), (True, str(tmp_path / "ledger.sqlite"))):
        client = sandbox.client(
            credentials=KEY, ledger=ledger, encrypt=encrypt, read_timeout=30, attempts=2,
            **secret()
        )  # fmt: skip
        client._gateway._sleep = lambda seconds: logging.getLogger("app").debug("a pause")
        with client:
            opened = attempt(lambda: client.init(**person(**urls())))
            assert opened
            for fault in faults:
                for call in (
                    lambda: client.init(**person(**urls())),
                    lambda: client.init(**person(**more_fields())),
                    lambda: client.query(opened.certify_id, **query_fields()),
                    lambda: client.confirm(callback(opened.certify_id, opened.outer_order_no)),
                ):
                    if fault:
                        sandbox.fail(fault, times=2, seconds=0.01)
                    attempt(call)
                    sandbox.heal()
            attempt(lambda: client.confirm(callback(opened.certify_id, "other")))
            for wrong in wrong_fields():
                attempt(lambda: client.init(**person(**wrong())))
            attempt(lambda: log_with(client, opened))


def log_with(client, opened):
    """As a helper of the caller's that has a client and results in its variables."""
    page = deep([vars(client), client, client.ledger, opened])
    assert found_in(page, EVERYTHING) == []


def secret():
    return {"callback_secret": CALLBACK_SECRET}


def urls():
    return {"callback_url": "https://shop.example/"}


def more_fields():
    return {"extra": {"more": [NAME]}, "callback_token": CALLBACK_TOKEN, **urls()}


def query_fields():
    return {"extra": {"more": {"x": NAME}}}


def wrong_fields():
    return [
        lambda: {"cert_name": "\ud800" + NAME},
        lambda: {"biz_code": NAME},
        lambda: {"callback_url": "http://%s/" % NUMBER},
        lambda: {"outer_order_no": NUMBER + "-"},
        lambda: {"scene_id": NUMBER},
        lambda: {"encrypt": NAME},
        lambda: {"extra": {"certNo": NUMBER}},
        lambda: {"extra": {"x": {NAME}}},
        lambda: {"wrong": NAME},
    ]


def sources(sandbox, attempt, tmp_path):
    for make in (Source, acs_client):
        client = sandbox.client(credentials=make(), attempts=2)
        client._gateway._sleep = lambda seconds: None
        for _ in range(8):
            sandbox.fail("throttled")
            attempt(lambda: client.init(**person()))
        client.close()
    with environ(environment(FACECERT_ENDPOINT=sandbox.endpoint)):
        for profile in ("", "canary"):  # "canary": the package, which finds nothing
            with environ({"ALIBABA_CLOUD_PROFILE": profile}):
                client = attempt(facecert.Client.from_environment)
                attempt(lambda: client.init(**person()))
                attempt(lambda: client.query("ab" * 16))
                client.close()


def acs_client():
    pytest.importorskip("aliyunsdkcore")
    from aliyunsdkcore.auth.credentials import StsTokenCredential
    from aliyunsdkcore.client import AcsClient

    return AcsClient(region_id="cn-shanghai", credential=StsTokenCredential(*KEY))


@contextlib.contextmanager
def environ(variables):
    before = dict(os.environ)
    os.environ.update(variables)
    del variables
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        del before


WRONG_VARIABLES = [
    ("READ_TIMEOUT", "10s"), ("CONNECT_TIMEOUT", "0"), ("ATTEMPTS", "many"), ("ENCRYPT", "perhaps"),
    ("SCENE_ID", "scene"), ("ENDPOINT", "ftp://x"), ("SM2_PUBLIC_KEY", "02ab"),
    ("CALLBACK_SECRET", "short"), ("LEDGER", ":memory:"), ("LEDGER", "mysql+none://u:%s@x/y"),
    ("LEDGER", "mysql+none://u:%s@@x/y"), ("LEDGER", "mysql+none://u:%s@x:port/y"),
    ("CALLBACK_SECRET", "%s-\udcff"),
]  # fmt: skip


def wrong(variable, value):
    secret = PASSWORD if variable == "LEDGER" else CALLBACK_SECRET
    return {"FACECERT_" + variable: value.replace("%s", secret)}


def settings(sandbox, attempt, tmp_path):
    for variable, value in WRONG_VARIABLES:
        endpoint = {"FACECERT_ENDPOINT": sandbox.endpoint}
        with environ(environment(**dict(endpoint, **wrong(variable, value)))):
            for make in (
                facecert.Client.from_environment,
                lambda: facecert.Client.from_environment(environment(**wrong(variable, value))),
                _DefaultClient,
            ):
                client = attempt(make)
                if client is not None:
                    attempt(lambda: client.init(**person()))
                    attempt(lambda: client.query("ab" * 16))
                    attempt(lambda: client.confirm(callback("ab" * 16)))
                    attempt(lambda: client.close())
    with environ(environment(ALIBABA_CLOUD_ACCESS_KEY_SECRET=SECRET + "\udcff")):
        client = _DefaultClient()
        attempt(lambda: client.query("ab" * 16))
        client.close()
    for arguments in (
        lambda: {"attempts": 0}, lambda: {"credentials": KEY + (1,)},
        lambda: {"credentials": (1, SECRET)}, lambda: {"credentials": {"secret": SECRET}},
        lambda: {"callback_secret": ["x" * 16, CALLBACK_SECRET + "\udcff"]},
        lambda: {"callback_secret": [CALLBACK_SECRET, 1]}, lambda: {"unknown": SECRET},
        lambda: {"endpoint": "https://u:%s@host" % SECRET}, lambda: {"read_timeout": SECRET},
    ):  # fmt: skip
        attempt(lambda: facecert.Client("1", **dict({"credentials": KEY}, **arguments())))


def ledger_trouble(sandbox, attempt, tmp_path):
    """Before the response it is raised, after it it is logged at ERROR."""
    from sqlalchemy.schema import DropTable

    from facecert.ledger import Ledger
    from facecert.ledger.schema import verifications

    class Dropping(Ledger):
        def keep_opening(self, *args):
            self.database.write(DropTable(verifications))
            super().keep_opening(*args)

        def keep_answer(self, *args, **kwargs):
            self.database.write(DropTable(verifications))
            super().keep_answer(*args, **kwargs)

    for number, method in enumerate(("init", "confirm", "echo")):
        ledger = Dropping("sqlite:///%s/dropped-%d.sqlite" % (tmp_path, number))
        client = sandbox.client(credentials=KEY, ledger=ledger, attempts=1, **secret())
        if method == "confirm":
            attempt(lambda: client.confirm(callback("ab" * 16)))
            client.ledger = None
            opened = client.init(**person())
            client.ledger = ledger
            attempt(lambda: client.confirm(callback(opened.certify_id, opened.outer_order_no)))
        else:
            if method == "echo":
                sandbox.fail("echo")
            attempt(lambda: client.init(**person(**urls())))
        attempt(lambda: client.init(**person(**urls())))  # the table is gone
        client.close()
        attempt(ledger.close)
    (tmp_path / "broken.sqlite").write_bytes(b"no database" * 1000)
    client = sandbox.client(credentials=KEY, ledger=str(tmp_path / "broken.sqlite"), **secret())
    attempt(lambda: client.init(**person(**urls())))
    client.close()
    for url in (
        "mysql+none://u:%s@x/y", "nothing://u:%s@x/y", "mysql+none://x/y?password=%s",
        "postgresql+psycopg2://u:%s@127.0.0.1:9/y",
        "postgresql+psycopg2://127.0.0.1:9/y?password=%s",
    ):  # fmt: skip
        ledger = attempt(lambda: Ledger(url.replace("%s", PASSWORD)))
        attempt(lambda: ledger.check())
        if ledger:
            attempt(lambda: log_with(client, ledger))


def functions(sandbox, attempt, tmp_path):
    from facecert.crypto import PictureKey

    for call in (
        lambda: facecert.parse_callback(callback("ab" * 16, "!")),
        lambda: facecert.parse_callback("https://x/?certifyId=a&CallbackToken=" + CALLBACK_TOKEN),
        lambda: facecert.parse_callback(callback("", token=CALLBACK_TOKEN)),
        lambda: facecert.parse_callback([CALLBACK_TOKEN]),
        lambda: facecert.parse_callback(dict(callback("ab"), callbacktoken=CALLBACK_TOKEN)),
        lambda: make_token(CALLBACK_SECRET + "\udcff", ORDER),
        lambda: make_token(CALLBACK_SECRET, 5),
        lambda: check_token([CALLBACK_SECRET, "short"], ORDER, CALLBACK_TOKEN),
        lambda: check_token(CALLBACK_SECRET, ORDER, CALLBACK_TOKEN.encode()),
        lambda: facecert.parse_callback(callback("ab" * 16)).check(CALLBACK_SECRET, "other"),
        lambda: facecert.parse_callback(callback("ab" * 16)).check([CALLBACK_SECRET, "x"], ORDER),
        lambda: facecert.alipay_link("ftp://" + NAME),
        lambda: facecert.alipay_link("https://" + NAME + "\udcff"),
        lambda: facecert.encrypt(NAME + "\ud800"),
        lambda: facecert.encrypt(NAME, SECRET),
        lambda: facecert.Ciphertext(NAME),
        lambda: PictureKey.restore(NAME + ".x"),
        lambda: facecert.init_request(scene_id=NUMBER, **person()),
        lambda: facecert.init_request(scene_id="1", extra={"x": {NAME}}, **person()),
        lambda: facecert.query_request("ab", scene_id="1", enc_token=SECRET),
        lambda: facecert.read_init({"Code": NUMBER, "Message": "=" + NAME}),
        lambda: facecert.read_init(NAME.encode()),
        lambda: facecert.read_query(5),
    ):
        attempt(call)


def flask_app(sandbox, attempt, tmp_path, **config):
    from flask import Flask

    app = Flask("shop", root_path=str(tmp_path))
    app.config.update(
        dict(
            {
                "SECRET_KEY": SECRET, "FACECERT_SCENE_ID": sandbox.scene_id,
                "FACECERT_ENDPOINT": sandbox.endpoint, "FACECERT_CREDENTIALS": KEY,
                "FACECERT_CALLBACK_SECRET": CALLBACK_SECRET, "FACECERT_ATTEMPTS": 1,
                "FACECERT_PUBLIC_URL": "https://shop.example",
            },
            **config
        )
    )  # fmt: skip
    return app


def extension(sandbox, attempt, tmp_path):
    def make(**config):
        return flask_app(sandbox, attempt, tmp_path, **config)

    def settled(app, **kwargs):
        logging.getLogger("app").error("settled")

    def failing(app, **kwargs):
        raise RuntimeError("the receiver failed")

    for variable, value in WRONG_VARIABLES:
        app = make(**wrong(variable, value))
        ext = FaceCert()
        if attempt(lambda: ext.init_app(app) or app):
            with app.app_context():
                attempt(lambda: ext.init(**person()))
    for config in (
        lambda: {"FACECERT_CALLBACK_SECRET": None}, lambda: {"FACECERT_PUBLIC_URL": "ftp://x"},
        lambda: {"FACECERT_CALLBACK_PATH": "x"}, lambda: {"FACECERT_CALLBACK_SECRET": {SECRET}},
        lambda: {"FACECERT_CREDENTIALS": (KEY[0], SECRET + "\udcff")},
        lambda: {"FACECERT_CREDENTIALS": {SECRET: TOKEN}},
    ):  # fmt: skip
        app = make(**config())
        attempt(lambda: FaceCert().init_app(app))
        attempt(lambda: FaceCert(app))
    for receiver in (None, settled, failing):
        app = make()
        ext = FaceCert(app)
        if receiver:
            verified.connect(receiver, app)
        with app.test_request_context("/"):
            opened = attempt(lambda: ext.init(**person()))
        sandbox.complete(opened.certify_id)
        for fault in (None, "throttled", "echo", "cut", "forged"):
            order = ORDER if fault == "forged" else opened.outer_order_no
            for method in ("GET", "POST"):
                with app.test_request_context("/", method=method, **carried(method, opened)):
                    if fault in FAULTS:
                        sandbox.fail(fault)
                    attempt(lambda: app.view_functions["facecert.callback"](order=order))
                    sandbox.heal()
        with app.app_context():
            ext.client.close()


def carried(method, opened):
    fields = callback(opened.certify_id, opened.outer_order_no)
    return {"query_string" if method == "GET" else "data": fields}


def site(sandbox, attempt, tmp_path):
    from django.core.checks import run_checks
    from django.db import connection, connections
    from django.test import RequestFactory, override_settings

    from facecert.contrib.django import conf, signals
    from facecert.contrib.django.models import Verification, open_verification
    from facecert.contrib.django.views import callback as view

    def options(**more):
        return dict(
            {
                "SCENE_ID": sandbox.scene_id, "ENDPOINT": sandbox.endpoint, "ACCESS_KEY": KEY,
                "CALLBACK_SECRET": CALLBACK_SECRET, "PUBLIC_URL": "https://shop.example",
                "ATTEMPTS": 1,
            },
            **more
        )  # fmt: skip

    def settled(sender, **kwargs):
        logging.getLogger("app").error("settled")

    def failing(sender, **kwargs):
        raise RuntimeError("the receiver failed")

    for wrong in (
        lambda: options(CREDENTIALS=KEY), lambda: options(CALLBACK_SECERT=CALLBACK_SECRET),
        lambda: options(ACCES=KEY), lambda: options(READ_TIMEOUT="10s"),
        lambda: options(SM2_PUBLIC_KEY="02"), lambda: options(ENDPOINT="ftp://x"),
        lambda: options(CALLBACK_SECRET="short"), lambda: options(CALLBACK_SECRET={SECRET}),
        lambda: options(ACCESS_KEY=(KEY[0], SECRET + "\udcff")), lambda: options(ATTEMPTS=0),
        lambda: list(options().items()), lambda: json.dumps(options()),
        lambda: options(nested={"a": [KEY]}), lambda: dict(options(), **{TOKEN: SECRET}),
    ):  # fmt: skip
        with override_settings(FACECERT=wrong()):
            attempt(lambda: open_verification(**person()))
            attempt(conf.client)
            attempt(conf.callback_url)
            attempt(lambda: conf.client().read_callback(callback("ab" * 16), ORDER))
            attempt(conf.arguments)
            attempt(lambda: run_checks())
            attempt(lambda: view(RequestFactory().post("/", callback("ab" * 16)), ORDER))
    with override_settings(FACECERT=options()):
        for receiver in (None, settled, failing):
            if receiver:
                signals.verified.connect(receiver)
            for fault in (None, "echo", "throttled", "cut", "table"):
                if fault in FAULTS:
                    sandbox.fail(fault, times=1)
                attempt(lambda: open_verification(**person()))
            row, opened = attempt(lambda: open_verification(**person()))
            sandbox.complete(opened.certify_id)
            for fault in (None, "echo", "throttled", "cut", "forged"):
                order = ORDER if fault == "forged" else opened.outer_order_no
                if fault in FAULTS:
                    sandbox.fail(fault, times=1)
                fields = lambda: callback(opened.certify_id, order)  # noqa: E731
                attempt(lambda: view(RequestFactory().post("/", fields()), opened.outer_order_no))
                sandbox.heal()
            if receiver:
                signals.verified.disconnect(receiver)
        # The database fails after the response.
        from facecert.contrib.django.models import ModelLedger

        table = Verification._meta.db_table
        original = ModelLedger.keep_opening

        def hide(self, *args):
            with connection.cursor() as cursor:
                cursor.execute("alter table %s rename to hidden" % table)
            try:
                original(self, *args)
            finally:
                with connection.cursor() as cursor:
                    cursor.execute("alter table hidden rename to %s" % table)

        ModelLedger.keep_opening = hide
        try:
            attempt(lambda: open_verification(**person()))
            sandbox.fail("echo")
            attempt(lambda: open_verification(**person()))
        finally:
            ModelLedger.keep_opening = original
        Verification.objects.all().delete()
    connections.close_all()


WATCHES = [LiveStack, Captured, Sentry, ElasticApm, Loguru, Rich, DjangoMail, DjangoPage]
SCENARIOS = [calls, sources, settings, ledger_trouble, functions, extension, site]


@pytest.fixture
def watching():
    """Return a context manager that gives every log record to a new watch, which it yields."""
    pytest.importorskip("django", reason="Django is an extra")
    import django_project

    django_project.start()
    from django.test import override_settings

    @contextlib.contextmanager
    def watching(kind):
        package = getattr(kind, "package", "logging")
        if importlib.util.find_spec(package) is None:
            # CI sets the variable in an environment that has all of them.
            assert not os.environ.get("FACECERT_WATCHERS"), "%s is missing" % package
            pytest.skip("%s is not installed" % package)
        watch, root = kind(), logging.getLogger()
        loggers = [root] + [logging.getLogger(one) for one in list(root.manager.loggerDict)]
        levels = [(logger, logger.level) for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        root.addHandler(watch)
        try:
            with override_settings(DEBUG=getattr(kind, "debug", False)):
                yield watch
        finally:
            root.removeHandler(watch)
            for logger, level in levels:
                logger.setLevel(level)
            watch.close()

    return watching


@pytest.mark.long
@pytest.mark.parametrize("kind", WATCHES)
def test_watchers_show_nothing_private(kind, watching, sandbox, tmp_path, capsys):
    sandbox.allow(*KEY)
    # In a thread, whose stack is without pytest's frames: most watchers look at each of them.
    with watching(kind) as watch, ThreadPoolExecutor(1) as thread:
        watch.thread = thread.submit(threading.get_ident).result()
        for scenario in SCENARIOS:
            watch.scenario, before = scenario.__name__, (watch.records, watch.errors)
            path = tmp_path / scenario.__name__
            path.mkdir()
            thread.submit(scenario, sandbox, watch.attempt, path).result()
            # Every scenario reaches the handler, or raises.
            assert before != (watch.records, watch.errors)
    leaks = [
        (scenario, canary, shown[max(0, shown.lower().index(spelling.lower()) - 300) :][:400])
        for scenario, shown in watch.shown
        for canary, spelling in found_in(shown, EVERYTHING)
    ]
    figures = (watch.records, watch.errors, len(watch.shown), len(leaks))
    with capsys.disabled():
        print("\n%s: %d log records, %d errors, %d texts, %d leaks" % ((kind.__name__,) + figures))
    assert leaks[:5] == [] and watch.records > 100 and watch.errors > 100


@pytest.mark.long
def test_every_fault_under_a_handler_that_walks_the_stack(watching, sandbox, tmp_path):
    sandbox.allow(*KEY)
    with watching(LiveStack) as watch:
        calls(sandbox, watch.attempt, tmp_path, sorted(set(FAULTS) - {"refused", "no-answer"}))
    assert watch.records > 100
    assert [found for _, shown in watch.shown for found in found_in(shown, EVERYTHING)] == []


@pytest.mark.parametrize("kind", WATCHES)
def test_each_watcher_shows_what_a_frame_holds(kind, watching):
    with watching(kind) as watch:
        watch.attempt(lambda: plant(NAME))
    assert NAME in "".join(shown for _, shown in watch.shown)
