"""Name, number, secrets and tokens are found nowhere but in the body of a request."""

import base64
import gc
import io
import json
import logging
import sys
import traceback
import types
import warnings
from urllib.parse import quote

import pytest
from canaries import CALLBACK_TOKEN, CANARIES, SECRET, TOKEN, found_in, spellings
from conftest import NAME, NUMBER

import facecert
from facecert.crypto.pictures import PictureKey
from facecert.sandbox import Sandbox
from facecert.sandbox.faults import FAULTS


def test_the_search_finds_what_it_looks_for():
    for text in CANARIES:
        for wrapped in (
            "x%sx" % text,
            quote(quote(text, safe=""), safe=""),
            json.dumps({"a": text}),
            base64.b64encode(("ab" + text + "cd").encode()).decode(),
        ):
            assert found_in(wrapped), wrapped


@pytest.fixture
def everything_shown(monkeypatch):
    """Every log record of every logger, standard output and error, as one text."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s %(pathname)s"))
    root = logging.getLogger()
    levels = {root: root.level}
    for name in list(logging.Logger.manager.loggerDict):
        logger = logging.getLogger(name)
        levels[logger] = logger.level
        logger.setLevel(logging.DEBUG)
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", shown)
    yield shown
    root.removeHandler(handler)
    for logger, level in levels.items():
        logger.setLevel(level)


def show_error(shown, error):
    """Everything a log, a debug page, a crash reporter or a queue would make of an error."""
    logging.getLogger("app").exception("it failed", exc_info=error)
    todo, seen = [error], set()
    while todo:
        link = todo.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        print(str(link), repr(link), link.args, vars(link), file=shown)
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if frame.f_code.co_filename != __file__:
                print(frame.f_code.co_name, frame.f_locals, file=shown)
        todo += [link.__cause__, link.__context__]


@pytest.mark.parametrize("encrypt", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize("sts", [True, pytest.param(False, marks=pytest.mark.long)])
def test_personal_data_and_secrets_are_in_the_body_only(
    everything_shown, sts, encrypt, tls_sandbox
):
    shown = everything_shown
    key = ("canary-id", SECRET, TOKEN) if sts else ("canary-id", SECRET)
    tls_sandbox.allow(*key)
    person = {"cert_name": NAME, "cert_no": NUMBER, "callback_token": CALLBACK_TOKEN,
              "callback_url": "https://shop.example/"}  # fmt: skip
    errors = 0
    with tls_sandbox.client(credentials=key, read_timeout=60, encrypt=encrypt) as client:
        client._gateway._sleep = lambda seconds: None
        for fault in [None] + sorted(FAULTS):
            for method in ("init", "query"):
                opened = client.init(**person)
                print(opened, client, client.__dict__, file=shown)
                if fault:
                    tls_sandbox.fail(fault, times=3, seconds=0.01)
                if fault == "no-answer":
                    client._gateway.http._read_timeout = 0.5
                try:
                    if method == "init":
                        print(client.init(**person), file=shown)
                    else:
                        print(client.query(opened.certify_id), file=shown)
                except facecert.FacecertError as error:
                    errors += 1
                    show_error(shown, error)
                client._gateway.http._read_timeout = 60
                tls_sandbox.heal()
        for wrong in (
            {"cert_name": "\ud800" + NAME},
            {"biz_code": NAME},
            {"callback_url": "http://%s/" % NUMBER},
            {"outer_order_no": NUMBER + "-"},
            {"scene_id": NUMBER},
            {"extra": {"certNo": NUMBER}},
            {"extra": {"x": {NAME}}},
        ):
            with pytest.raises(facecert.InvalidParameter) as caught:
                client.init(**dict(person, **wrong))
            show_error(shown, caught.value)

    # A wrong secret: the gateway repeats the whole string to sign.
    tls_sandbox.allow("canary-id", "another secret", *key[2:])
    with tls_sandbox.client(credentials=key, encrypt=encrypt) as client:
        with pytest.raises(facecert.SignatureError) as caught:
            client.init(**person)
        show_error(shown, caught.value)

    assert errors >= 20
    for request in tls_sandbox.requests:
        assert request.query == {}
        print(request, request.method, request.headers, file=shown)
        assert not sts or request.form["SecurityToken"] == TOKEN
        if request.service_parameters["method"] == "init":
            assert (request.service_parameters["certName"] == NAME) is not encrypt
        if encrypt:
            fields = json.dumps(request.form)
            assert not any(spelling in fields for spelling in spellings(NAME))
            assert not any(spelling in fields for spelling in spellings(NUMBER))
    text = shown.getvalue()
    assert "it failed" in text and "facecert" in text
    assert found_in(text) == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, TimeoutError, RuntimeError])
@pytest.mark.parametrize("method", ["init", "query"])
def test_bug_an_interrupt_leaves_with_the_body_in_its_frames(
    client, monkeypatch, everything_shown, kind, method
):
    """As when Celery's soft time limit or Ctrl-C strikes while the answer is waited for."""
    import http.client

    def strike(self):
        raise kind("in the middle")

    certify_id = client.init(cert_name=NAME, cert_no=NUMBER).certify_id
    client.close()
    monkeypatch.setattr(http.client.HTTPResponse, "begin", strike)
    expected = facecert.NoAnswer if kind is TimeoutError else kind
    with pytest.raises(expected) as caught:
        if method == "init":
            client.init(cert_name=NAME, cert_no=NUMBER, extra={"more": NAME})
        else:
            client.query(certify_id, extra={"more": NAME})
    show_error(everything_shown, caught.value)
    assert found_in(everything_shown.getvalue()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"credentials": ("i", SECRET), "attempts": 0},
        {"credentials": ("i", SECRET, "t", "x")},
        {"credentials": ("i", SECRET + "\udcff")},
        {"credentials": {"secret": SECRET}},
    ],
)
def test_bug_a_client_that_cannot_be_made_shows_the_secret(everything_shown, arguments):
    with pytest.raises(facecert.FacecertError) as caught:
        facecert.Client("1", **arguments)
    show_error(everything_shown, caught.value)
    assert found_in(everything_shown.getvalue()) == []


def test_log_records_carry_no_objects(client, sandbox, caplog):
    caplog.set_level(logging.DEBUG, "facecert")
    sandbox.fail("code-402")
    with pytest.raises(facecert.ServiceError):
        client.init(cert_name=NAME, cert_no=NUMBER)
    records = [record for record in caplog.records if record.name == "facecert"]
    assert records and all(type(part) is str for record in records for part in record.args)


def test_no_name_stays_on_any_object(sandbox):
    with sandbox.client(encrypt=True) as client:
        client.init(cert_name=NAME + "x", cert_no=NUMBER)
        seen, todo = set(), [client]
        while todo:
            thing = todo.pop()
            if id(thing) in seen or isinstance(thing, (type, types.ModuleType)):
                continue
            seen.add(id(thing))
            is_function = isinstance(thing, types.FunctionType)  # its globals are not looked at
            todo += (thing.__closure__ or ()) if is_function else gc.get_referents(thing)
            assert not (isinstance(thing, str) and NAME in thing)
            assert not (isinstance(thing, bytes) and NAME.encode() in thing)
    assert len(seen) > 30


@pytest.mark.parametrize(
    "call",
    [
        lambda: facecert.encrypt(NAME + "\ud800"),
        lambda: facecert.encrypt(NAME, "nonsense"),
        lambda: facecert.Ciphertext(NAME),
        lambda: facecert.Ciphertext(NUMBER),
        lambda: PictureKey.restore("x." + NAME),
        lambda: PictureKey.restore(NAME + ".x"),
        lambda: facecert.query("ab", scene_id="1", enc_token=NAME),
        lambda: facecert.Callback("ab", True, TOKEN).check([CALLBACK_TOKEN, "short"], "order1"),
    ],
)
def test_bug_refused_texts_stayed_in_the_frames(everything_shown, call):
    with pytest.raises(facecert.InvalidParameter) as caught:
        call()
    show_error(everything_shown, caught.value)
    assert found_in(everything_shown.getvalue()) == []


def test_bug_an_interrupted_encrypt_showed_text_and_nonce(everything_shown, monkeypatch):
    def strike(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("facecert.crypto.sm2.octets", strike)
    with pytest.raises(KeyboardInterrupt) as caught:
        facecert.encrypt(NAME)
    show_error(everything_shown, caught.value)
    assert found_in(everything_shown.getvalue()) == []
    assert "'nonce'" not in everything_shown.getvalue()


def test_bug_a_cut_off_picture_stayed_in_the_frames(everything_shown):
    from facecert.sandbox.keys import PictureLock

    lock = PictureLock()
    key = PictureKey.generate(lock.public_key)
    sealed = lock.encrypt((NAME * 10).encode("utf-8"), key.enc_token)
    with pytest.raises(facecert.InvalidParameter) as caught:
        key.decrypt(sealed[:-16])
    show_error(everything_shown, caught.value)
    shown = everything_shown.getvalue()
    assert found_in(shown) == [] and repr(NAME.encode("utf-8"))[2:-1] not in shown


def test_the_chain_of_causes_is_kept_but_not_its_frames(sandbox, client):
    sandbox.fail("cut", times=3)
    with pytest.raises(facecert.NoAnswer) as caught:
        client.init(cert_name=NAME, cert_no=NUMBER)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert {"init", "call", "attempt", "post"} <= set(names)
    for error in (caught.value, caught.value.__cause__):
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        ours = [frame for frame in frames if "facecert/" in frame.f_code.co_filename]
        # The decorator's own frame was alive when it emptied the others.
        assert all(
            not frame.f_locals for frame in ours if frame.f_code.co_name != "entrance"
        )


def test_the_sandboxs_pages_mask_name_and_number(sandbox, client):
    import urllib3

    opened = client.init(cert_name=NAME, cert_no=NUMBER)
    pool = urllib3.PoolManager()
    for url in (sandbox.endpoint + "/", opened.certify_url):
        page = pool.request("GET", url).data.decode("utf-8")
        assert "欧****" in page and "1****************X" in page
        assert found_in(page) == []
    pool.clear()


def test_warnings_are_errors_here():
    with pytest.raises(UserWarning):
        warnings.warn("x")


def test_no_real_keys_reach_a_sandbox_by_mistake(sandbox):
    with pytest.raises(ValueError):
        Sandbox(access_key_id="LTAI5tAbcdefgh")
    with pytest.raises(ValueError):
        sandbox.allow("STS.NUgYrLnoC37mZZCNnAbez", "s", "t")
    with sandbox.client(credentials=("LTAI5tAbcdefgh", "secretword")) as client:
        with pytest.raises(facecert.SignatureError) as caught:
            client.query("ab")
    assert "sandbox" in str(caught.value)
    assert sandbox.requests == []


class Walker(logging.Handler):
    """As an APM agent: writes the variables of all live frames at every log record."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.seen = []

    def emit(self, record):
        self.seen.append(record.getMessage())
        frame = sys._getframe(1)
        while not frame.f_code.co_name.startswith("test_"):  # beyond it are the caller's frames
            if frame.f_code.co_filename not in (__file__, logging.__file__):
                self.seen.append("%s %r" % (frame.f_code.co_name, frame.f_locals))
            frame = frame.f_back


@pytest.mark.parametrize("encrypt", [False, True])
def test_live_frames_show_nothing_at_any_log_record(sandbox, encrypt):
    """init, query and confirm, refused, cut off and with a ledger that complains."""
    from facecert.lifecycle import BaseLedger

    log = logging.getLogger("facecert")

    class Complaining(BaseLedger):
        def keep_sent(self, outer_order_no, **more):
            log.error("keep_sent")

        def keep_opening(self, outer_order_no, opening):
            log.error("keep_opening")

        def keep_claim(self, outer_order_no, certify_id):
            log.error("keep_claim")

        def keep_answer(self, answer, **more):
            log.error("keep_answer")

    sandbox.allow("canary-id", SECRET, TOKEN)
    walker, level = Walker(), log.level
    log.addHandler(walker)
    log.setLevel(logging.DEBUG)
    secret = "canary-callback-secret-0815"
    client = sandbox.client(
        credentials=("canary-id", SECRET, TOKEN), ledger=Complaining(), encrypt=encrypt,
        callback_secret=secret, attempts=2,
    )  # fmt: skip
    client._gateway._sleep = lambda seconds: None
    try:
        with client:
            for fault in (None, "throttled", "code-500", "cut", "echo"):
                if fault:
                    sandbox.fail(fault)
                try:
                    opened = client.init(
                        cert_name=NAME, cert_no=NUMBER, extra={"more": NAME},
                        callback_url="https://shop.example/",
                    )  # fmt: skip
                except facecert.FacecertError:
                    pass
            token = facecert.callback.make_token(secret, opened.outer_order_no, client.endpoint)
            sandbox.fail("throttled")
            client.confirm(
                {"certifyId": opened.certify_id, "passed": "F", "CallbackToken": token,
                 "order": opened.outer_order_no}
            )  # fmt: skip
    finally:
        log.removeHandler(walker)
        log.setLevel(level)
    text = "\n".join(walker.seen)
    assert "keep_opening" in text and "keep_answer" in text and len(walker.seen) > 50
    assert found_in(text) == []
    for private in (secret, token):
        assert private not in text
    assert secret not in repr(vars(client))
