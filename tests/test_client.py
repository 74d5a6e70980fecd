import gc
import weakref
from datetime import datetime, timedelta, timezone

import pytest
from conftest import NAME, NUMBER, run_python

import facecert
import facecert.settings
from facecert import default as default_module
from facecert.sandbox.faults import FAULTS
from facecert.crypto.sm2 import published_key

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


def test_the_whole_way(sandbox, client, person):
    client._gateway.now = lambda: NOW
    opened = client.init(outer_order_no="order1", **person)
    assert opened.outer_order_no == "order1"
    assert opened.expires_at == NOW + timedelta(minutes=30)
    assert opened.certify_url.startswith(sandbox.endpoint)
    assert len(opened.certify_url) > 200
    assert not client.query(opened.certify_id).passed
    sandbox.complete(opened.certify_id, passed=True)
    answer = client.query(opened.certify_id)
    assert answer.passed and answer.certify_id == opened.certify_id and answer.request_id


def test_a_failed_verification(sandbox, client, person):
    opened = client.init(**person)
    sandbox.complete(opened.certify_id, passed=False)
    assert not client.query(opened.certify_id).passed


#: fault -> (error, outcome, can be tried again, for a query sent 3 times, has a request id)
MEANS = {
    "refused": ("ConnectionFailed", "not sent", True, False),
    "cut": ("NoAnswer", "unknown", True, False),
    "no-answer": ("NoAnswer", "unknown", True, False),
    "slow": (None, None, None, True),
    "html-502": ("BadAnswer", "unknown", True, False),
    "echo": ("GatewayError", "refused", False, True),
    "http-503": ("GatewayError", "unknown", True, True),
    "throttled": ("Throttled", "refused", True, True),
    "truncated": ("BadAnswer", "unknown", True, False),
    "data-string": (None, None, None, True),
    "data-null": ("BadAnswer", "unknown", True, True),
    "code-string": (None, None, None, True),
    "lower-case": (None, None, None, True),
    "extra-keys": (None, None, None, True),
    "code-400": ("ServiceError", "refused", False, True),
    "code-402": ("ServiceError", "refused", False, True),
    "code-403": ("ServiceError", "refused", False, True),
    "code-404": ("ServiceError", "refused", False, True),
    "code-500": ("ServiceError", "unknown", True, True),
    "code-501": ("ServiceError", "refused", False, True),
}


def test_every_fault_has_its_meaning_here():
    assert set(MEANS) == set(FAULTS)


@pytest.mark.parametrize("method", ["init", "query"])
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_faults(sandbox, client, person, fault, method):
    certify_id = client.init(**person).certify_id
    sandbox.requests.clear()
    call = {
        "init": lambda: client.init(outer_order_no="order2", **person),
        "query": lambda: client.query(certify_id),
    }[method]
    sandbox.fail(fault, times=3, on=None if fault == "refused" else method, seconds=0.05)
    kind, outcome, transient, has_request_id = MEANS[fault]
    if fault == "refused":
        sandbox.fail(fault, seconds=60)
    if fault == "no-answer":
        client._gateway.http._read_timeout = 0.2
    if kind is None:
        assert call().request_id
        assert len(sandbox.requests) == 1
        return

    with pytest.raises(getattr(facecert, kind)) as caught:
        call()
    error = caught.value
    assert type(error).__name__ == kind
    assert error.outcome == outcome
    may_be_repeated = method == "query" or outcome != "unknown"
    assert error.retryable == (transient and may_be_repeated)
    assert bool(error.request_id) == has_request_id
    assert error.outer_order_no == ("order2" if method == "init" else None)
    # init goes out once wherever the first one may have been taken.
    sent = 0 if fault == "refused" else 3 if error.retryable else 1
    assert len(sandbox.requests) == sent
    assert len(client.pauses) == (2 if error.retryable else 0)
    if method == "init" and outcome == "unknown":
        assert "order2" in str(error)

    sandbox.heal()
    opened = [item.outer_order_no for item in sandbox.verifications()]
    taken = method == "init" and fault in (
        "cut", "no-answer", "html-502", "truncated", "data-null"
    )  # fmt: skip
    assert opened.count("order2") == (1 if taken else 0)


@pytest.mark.parametrize("method", ["init", "query"])
@pytest.mark.parametrize("fault", ["throttled", "http-503", "cut"])
def test_fail_then_succeed(sandbox, client, person, fault, method):
    certify_id = client.init(**person).certify_id
    sandbox.fail(fault, times=2, on=method)
    if method == "query":
        assert client.query(certify_id).certify_id == certify_id
    elif fault == "throttled":
        assert client.init(outer_order_no="order2", **person).outer_order_no == "order2"
        assert client.pauses == [0.1, 0.2]


def test_refused_at_first_then_open(sandbox, client, person):
    sandbox.fail("refused", seconds=60)
    client._gateway._sleep = lambda seconds: sandbox.heal()
    assert client.init(**person).certify_id
    assert len(sandbox.requests) == 1


def test_attempts_1_never_sends_again(sandbox, person):
    with sandbox.client(attempts=1) as client:
        sandbox.fail("throttled")
        with pytest.raises(facecert.Throttled):
            client.init(**person)
    assert len(sandbox.requests) == 1


def test_a_wrong_secret_and_a_wrong_clock(sandbox, person, monkeypatch):
    with sandbox.client(credentials=(sandbox.access_key_id, "wrong")) as client:
        with pytest.raises(facecert.SignatureError) as caught:
            client.init(**person)
    assert caught.value.code == "SignatureDoesNotMatch" and caught.value.outcome == "refused"
    assert NAME not in str(caught.value)

    from facecert.sandbox import Sandbox
    import time

    with Sandbox(clock=lambda: time.time() + 20 * 60) as late, late.client() as client:
        with pytest.raises(facecert.ClockSkew) as caught:
            client.init(**person)
    assert -1203 < caught.value.skew_seconds < -1197


BAD = [
    ("scene_id", "abc"),
    ("outer_order_no", "a" * 33),
    ("outer_order_no", "a-b"),
    ("cert_name", ""),
    ("cert_no", "  "),
    ("callback_url", "http://shop.example/"),
    ("biz_code", "OTHER"),
    ("extra", {"certNo": "x"}),
]


@pytest.mark.parametrize("field, value", BAD)
def test_bad_input_is_found_before_anything_is_sent(sandbox, client, person, field, value):
    with pytest.raises(facecert.InvalidParameter) as caught:
        client.init(**dict(person, **{field: value}))
    assert caught.value.field == field
    assert sandbox.requests == []


def test_a_missing_scene_is_named(sandbox, person):
    with sandbox.client(scene_id=None) as client:
        for call in (lambda: client.init(**person), lambda: client.query("ab")):
            with pytest.raises(facecert.InvalidParameter) as caught:
                call()
            assert caught.value.field == "scene_id"
        assert client.init(scene_id=sandbox.scene_id, **person).certify_id


def test_names_and_numbers_cannot_be_swapped_by_position(client):
    with pytest.raises(TypeError):
        client.init(NAME, NUMBER)


@pytest.mark.parametrize(
    "arguments",
    [{"endpoint": "http://x.example"}, {"attempts": 0}, {"read_timeout": 0}, {"scene_id": "x"}],
)
def test_bad_arguments_of_a_client(arguments):
    with pytest.raises(facecert.InvalidParameter):
        facecert.Client(**arguments)


def test_the_default_client_is_the_same_methods(sandbox, person):
    opened = facecert.init(**person)
    sandbox.complete(opened.certify_id)
    assert facecert.query(opened.certify_id).passed
    assert facecert.init.__doc__ == facecert.Client.init.__doc__


def test_the_default_client_is_made_from_the_environment_on_first_use(sandbox):
    code = (
        "import os, facecert\n"
        "os.environ['FACECERT_ENDPOINT'] = %r\n"
        "os.environ['FACECERT_SCENE_ID'] = %r\n"
        "os.environ['ALIBABA_CLOUD_ACCESS_KEY_ID'] = %r\n"
        "os.environ['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] = %r\n"
        "print(facecert.init(cert_name='a', cert_no='1').certify_id)"
    ) % (sandbox.endpoint, sandbox.scene_id, sandbox.access_key_id, sandbox.access_key_secret)
    assert run_python(code).strip() == sandbox.verifications()[0].certify_id


def test_a_bad_environment_is_told_at_first_use_and_can_be_mended(monkeypatch):
    default = default_module._DefaultClient()
    monkeypatch.setenv("FACECERT_ATTEMPTS", "many")
    with pytest.raises(facecert.InvalidParameter) as caught:
        default.query("ab", scene_id="1")
    assert caught.value.field == "FACECERT_ATTEMPTS"
    monkeypatch.setenv("FACECERT_ATTEMPTS", "1")
    monkeypatch.setenv("FACECERT_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(facecert.CredentialsError):
        default.query("ab", scene_id="1")


def test_the_default_client_has_no_other_attributes(sandbox):
    with pytest.raises(AttributeError):
        default_module.default_client.no_such_thing


def sent(sandbox):
    fields = sandbox.requests[-1].service_parameters
    return fields.get("encryptType"), fields["certName"], fields["certNo"]


def test_encrypt_from_the_api(sandbox, person):
    with sandbox.client(encrypt=True) as client:
        assert client.init(**person).certify_id
        assert sent(sandbox)[0] == "SM2" and sent(sandbox)[1].startswith("B")
        assert sandbox.verifications()[0].masked_name == "欧****"
        client.init(encrypt=False, **person)
        assert sent(sandbox) == (None, NAME, NUMBER)
    with sandbox.client() as client:
        client.init(encrypt=True, **person)
        assert sent(sandbox)[0] == "SM2"


def test_encrypt_from_the_environment(sandbox, person):
    key = (sandbox.access_key_id, sandbox.access_key_secret)
    arguments = facecert.settings.from_environment(dict(sandbox.environment, FACECERT_ENCRYPT="1"))
    with facecert.Client(credentials=key, **arguments) as client:
        assert client.init(**person).certify_id
    assert sent(sandbox)[0] == "SM2"


def test_stored_ciphertext(sandbox, client, person):
    name = facecert.encrypt(NAME, sandbox.sm2_public_key)
    number = facecert.encrypt(NUMBER, public_key=sandbox.sm2_public_key)
    assert client.init(cert_name=name, cert_no=number).certify_id
    assert sent(sandbox) == ("SM2", name, number)
    from_database = facecert.Ciphertext(str(name)), facecert.Ciphertext(str(number))
    assert client.init(cert_name=from_database[0], cert_no=from_database[1]).certify_id
    assert sandbox.verifications()[0].masked_number == "1****************X"


def test_ciphertext_for_another_key_is_the_501(client):
    with pytest.raises(facecert.ServiceError) as caught:
        key = published_key()
        client.init(
            cert_name=facecert.encrypt(NAME, key), cert_no=facecert.encrypt(NUMBER, key)
        )
    assert caught.value.code == 501 and caught.value.outcome == "refused"


def test_one_plain_and_one_encrypted_field_are_refused(sandbox, client):
    with pytest.raises(facecert.InvalidParameter) as caught:
        client.init(cert_name=facecert.encrypt(NAME), cert_no=NUMBER)
    assert caught.value.field == "cert_no" and sandbox.requests == []


@pytest.mark.parametrize("value", [None, "", "0", "false", "no", 0, 1])
def test_bug_a_wrong_encrypt_silently_sent_plaintext(sandbox, client, person, value):
    with pytest.raises(facecert.InvalidParameter) as caught:
        facecert.Client("1", encrypt=value)
    assert caught.value.field == "encrypt"
    if value is not None:
        with pytest.raises(facecert.InvalidParameter) as caught:
            client.init(encrypt=value, **person)
        assert caught.value.field == "encrypt" and sandbox.requests == []


def test_the_readmes_stored_ciphertext_works_with_the_environments_key(sandbox):
    """facecert.encrypt ignored FACECERT_SM2_PUBLIC_KEY, which the 501's advice is about."""
    assert facecert.init(cert_name=facecert.encrypt(NAME), cert_no=facecert.encrypt(NUMBER))
    assert sent(sandbox)[0] == "SM2"


def test_keys_in_every_form(sandbox, person):
    from facecert.crypto.sm2 import PublicKey

    for key in (PublicKey.parse(sandbox.sm2_public_key), " %s\n" % sandbox.sm2_public_key):
        with sandbox.client(encrypt=True, sm2_public_key=key) as client:
            assert client.init(**person).certify_id


def test_encrypt_from_the_environment_of_the_default_client():
    code = (
        "import os, facecert\n"
        "from facecert.sandbox import Sandbox\n"
        "with Sandbox() as sandbox:\n"
        "    os.environ.update(sandbox.environment, FACECERT_ENCRYPT='1')\n"
        "    facecert.init(cert_name='a', cert_no='1')\n"
        "    facecert.default.default_client.close()\n"
        "    print(sandbox.requests[0].service_parameters['encryptType'])"
    )
    assert run_python(code).strip() == "SM2"


def test_the_order_number_must_not_hold_what_is_sent_encrypted(client, sandbox, person):
    for order in (NUMBER, "x" + NUMBER.lower()):
        with pytest.raises(facecert.InvalidParameter) as caught:
            client.init(encrypt=True, outer_order_no=order, **person)
        assert caught.value.field == "outer_order_no" and sandbox.requests == []


@pytest.mark.parametrize("key", ["nonsense", "04" + "0" * 128, "02" * 33])
def test_a_wrong_sm2_key_is_found_when_the_client_is_made(key):
    with pytest.raises(facecert.InvalidParameter) as caught:
        facecert.Client("1", sm2_public_key=key)
    assert caught.value.field == "sm2_public_key"


def test_from_environment_takes_any_mapping():
    client = facecert.Client.from_environment({"FACECERT_SCENE_ID": "17"})
    assert client.scene_id == "17"
    assert client.endpoint == "https://saf.cn-shanghai.aliyuncs.com"
    assert repr(client) == (
        "<facecert.Client scene_id=17 endpoint=https://saf.cn-shanghai.aliyuncs.com>"
    )


def test_a_client_can_be_used_after_close(client, person):
    client.init(**person)
    client.close()
    assert client.init(**person).certify_id


def test_bug_close_left_the_connections_open(client, person):
    """urllib3 2 held them, as long as the process lived, by a pool that they referred to."""
    client.init(**person)
    (connection,) = client._gateway.http._kept._idle
    assert connection._socket.fileno() >= 0
    client.close()
    assert connection._socket.fileno() == -1
    dead = weakref.ref(connection)
    del connection
    gc.collect()
    assert dead() is None


def test_expiry_counts_from_sending(client, person, sandbox):
    moments = [NOW, NOW + timedelta(minutes=5)]
    client._gateway.now = lambda: moments.pop(0)
    assert client.init(**person).expires_at == NOW + timedelta(minutes=30)
    sandbox.fail("throttled")
    moments[:] = [NOW, NOW + timedelta(minutes=1)]
    assert client.init(**person).expires_at == NOW + timedelta(minutes=31)


def test_bug_a_second_thread_finds_the_default_client_half_made(monkeypatch):
    """The other thread finishes between the failed look-up and the check whether all is set."""
    default = default_module._DefaultClient()
    facecert.Client.__init__(default, "17")
    scene_id = vars(default).pop("scene_id")

    def other_thread_is_done(self, *args, **kwargs):
        raise AssertionError("made twice")

    monkeypatch.setattr(facecert.Client, "__init__", other_thread_is_done)
    vars(default)["scene_id"] = scene_id
    assert default.__getattr__("scene_id") == "17"


def test_a_repr_never_fails_and_reads_no_environment(monkeypatch):
    monkeypatch.setenv("FACECERT_ATTEMPTS", "many")
    assert "Client" in repr(default_module._DefaultClient())
    assert "Client" in repr(facecert.Client.__new__(facecert.Client))


def test_the_callers_own_exception_keeps_its_traceback(client, sandbox, person):
    sandbox.fail("code-402")
    try:
        raise KeyError("the app's own")
    except KeyError as outer:
        with pytest.raises(facecert.ServiceError):
            client.init(**person)
        assert outer.__traceback__ is not None


class Waiting:
    """A client whose queries take these steps and then go on as ``False``; no time goes by."""

    def __init__(self, *steps, ledger=None):
        self.steps, self.pauses, self.reported, self.scenes = list(steps), [], [], []
        self.start = self.now = datetime(2030, 1, 1, tzinfo=timezone.utc)
        self.client = facecert.Client("1", credentials=("i", "s"), ledger=ledger)
        self.client._gateway.now = lambda: self.now
        self.client._gateway._sleep = self.sleep
        self.client.query = self.query

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)

    def query(self, certify_id, scene_id=None):
        self.scenes.append(scene_id)
        step = self.steps.pop(0) if self.steps else False
        if isinstance(step, Exception):
            raise step
        return facecert.QueryResult(step, certify_id)

    def wait(self, **arguments):
        return self.client.wait("ab" * 16, report=self.reported.append, **arguments)


def test_wait_pauses_longer_and_longer_and_ends_with_a_pass():
    waiting = Waiting(*[False] * 8 + [True])
    assert waiting.wait(scene_id="2").passed and waiting.scenes == ["2"] * 9
    assert waiting.pauses == [2, 3, 4.5, 6.75, 10.125, 15, 15, 15]
    assert [result.passed for result in waiting.reported] == [False] * 8 + [True]


@pytest.mark.parametrize("seconds, pauses", [(0, []), (1, [1]), (6.5, [2, 3, 1.5])])
def test_wait_sends_the_last_query_when_the_limit_is_over(seconds, pauses):
    waiting = Waiting()
    assert waiting.wait(seconds=seconds) is None and waiting.pauses == pauses
    waiting = Waiting(*[False] * len(pauses) + [True])
    assert waiting.wait(seconds=seconds).passed


@pytest.mark.parametrize(
    "expires_in, seconds",
    [(None, 2100), (600, 900), (0, 300), (-200, 100), (-300, 0), (-9999, 0), (99999, 2100)],
)
def test_wait_ends_when_not_passed_is_final(expires_in, seconds):
    waiting = Waiting()
    expires_at = None if expires_in is None else waiting.start + timedelta(seconds=expires_in)
    assert waiting.wait(expires_at=expires_at).passed is False
    assert sum(waiting.pauses) == seconds
    waiting = Waiting()
    assert waiting.wait(expires_at=expires_at, seconds=seconds).passed is False
    if seconds:
        assert Waiting().wait(expires_at=expires_at, seconds=seconds - 0.01) is None


def test_wait_reports_errors_that_may_pass_and_goes_on():
    errors = [facecert.NoAnswer(), facecert.Throttled(retry_after=40.0)]
    waiting = Waiting(*errors, True)
    assert waiting.wait().passed
    assert waiting.reported[:2] == errors and waiting.pauses == [2, 40]


@pytest.mark.parametrize("error", [facecert.ServiceError(code=400), facecert.CredentialsError()])
def test_wait_raises_other_errors_at_once(error):
    waiting = Waiting(False, error, True)
    with pytest.raises(type(error)) as caught:
        waiting.wait()
    assert caught.value is error and waiting.pauses == [2]


def test_wait_raises_the_error_of_the_last_query():
    waiting = Waiting(facecert.NoAnswer(), facecert.ConnectionFailed())
    with pytest.raises(facecert.ConnectionFailed):
        waiting.wait(seconds=1)
    assert len(waiting.reported) == 1


def test_bug_wait_lost_a_pass_when_the_ledger_failed():
    class Ledger:
        keep_sent = None

        def find(self, certify_id):
            raise facecert.LedgerError("It is away.")

    waiting = Waiting(False, True, ledger=Ledger())
    assert waiting.wait().passed and waiting.pauses == [2]


def test_bug_an_error_in_report_was_taken_for_the_querys():
    error, waiting = facecert.NoAnswer(), Waiting(True)

    def report(news):
        waiting.reported.append(news)
        if len(waiting.reported) == 1:
            raise error

    with pytest.raises(facecert.NoAnswer) as caught:
        waiting.client.wait("ab" * 16, report=report)
    assert caught.value is error and len(waiting.scenes) == 1


@pytest.mark.parametrize("wrong", [b"ledger.db", 5, object()])
def test_bug_a_ledger_of_a_wrong_type_was_told_at_the_first_call(wrong):
    with pytest.raises(facecert.InvalidParameter) as caught:
        facecert.Client("1", ledger=wrong)
    assert caught.value.field == "ledger"


def test_bug_the_order_number_stayed_out_of_a_callback_url_with_a_token_of_ones_own(
    sandbox, client, person
):
    url = "https://shop.example/called/{order}/"
    opened = client.init(callback_url=url, callback_token="mine", **person)
    sent = sandbox.requests[-1].service_parameters
    assert sent["callbackUrl"] == "https://shop.example/called/%s/" % opened.outer_order_no


#: Import hooks are foreign code; those of APM agents log.
HOOKED = """
import sys

found = []


class Hook:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while frame:
            found.extend(name for value in frame.f_locals.values() if "canary" in repr(value))
            frame = frame.f_back


import facecert

sys.meta_path.insert(0, Hook())
key = [("canary-id", "canary-secret", "canary-token"), "canary-callback-secret"]
facecert.Client("1", credentials=key.pop(0), callback_secret=key.pop())
print(found)
"""


def test_bug_the_first_client_showed_its_secrets_while_the_sdk_was_imported():
    assert run_python(HOOKED) == "[]\n"


@pytest.mark.parametrize("state, pauses", [("failed", []), ("opened", [2, 3, 4.5])])
def test_wait_believes_the_ledger(state, pauses):
    class Row:
        pass

    class Ledger:
        keep_sent = None

        def find(self, certify_id):
            return Row

    Row.state, waiting = state, Waiting(ledger=Ledger())
    Row.expires_at = waiting.start - timedelta(seconds=290.5)
    assert waiting.wait().passed is False and waiting.pauses == pauses
    assert waiting.now == min(waiting.now, Row.expires_at + timedelta(minutes=5))


@pytest.mark.parametrize(
    "field, value",
    [
        ("certify_id", NUMBER), ("seconds", -1), ("seconds", "9"), ("seconds", float("nan")),
        ("expires_at", datetime(2030, 1, 1)), ("expires_at", "2030-01-01"),
    ],
)  # fmt: skip
def test_wait_checks_its_arguments_before_a_query(field, value):
    waiting = Waiting()
    with pytest.raises(facecert.InvalidParameter) as caught:
        waiting.client.wait(**dict({"certify_id": "ab"}, **{field: value}))
    assert caught.value.field == field and waiting.scenes == [] and NUMBER not in str(caught.value)


def test_wait_of_the_shared_client(sandbox, monkeypatch, person):
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    client = type(facecert.wait.__self__)()
    opened = client.init(**person)
    assert client.wait(opened.certify_id, seconds=0) is None
    sandbox.complete(opened.certify_id)
    assert client.wait(opened.certify_id).passed
    client.close()


def test_bug_a_late_patch_of_sleep_was_not_seen_by_retries(monkeypatch):
    client, pauses = facecert.Client("1", credentials=("i", "s")), []
    monkeypatch.setattr("time.sleep", pauses.append)
    client._gateway.sleep(3)
    assert pauses == [3]
