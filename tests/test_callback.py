import base64
import hashlib
import hmac
import traceback
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facecert
from facecert import CallbackError, InvalidParameter, parse_callback
from facecert.redact import Private
from facecert.callback import Callback, check_secrets, check_token, make_token, url_with_order
from facecert.links import DEFAULT_ENDPOINT

SECRET = "a-secret-of-sixteen-and-more"
ID = "ab" * 16
PLAIN = {"certifyId": ID, "passed": "T", "CallbackToken": "tok", "order": "order1"}


class MultiDict:
    """As Django's QueryDict and werkzeug's MultiDict: iterated by name, all values by getlist."""

    def __init__(self, pairs):
        self.pairs = list(pairs)

    def __iter__(self):
        return iter(dict(self.pairs))

    def __getitem__(self, name):
        return dict(self.pairs)[name]

    def getlist(self, name):
        return [value for key, value in self.pairs if key == name]


SOURCES = [
    "https://shop.example/verified?" + urlencode(PLAIN),
    "/verified?" + urlencode(PLAIN),
    "?" + urlencode(PLAIN),
    urlencode(PLAIN),
    "/verified?" + urlencode(PLAIN) + "#fragment",
    PLAIN,
    {name: [value] for name, value in PLAIN.items()},
    {name.upper(): value for name, value in PLAIN.items()},
    MultiDict(PLAIN.items()),
    "https://shop.example/verified?order=order1?" + urlencode(
        {name: value for name, value in PLAIN.items() if name != "order"}
    ),
    dict({name: value for name, value in PLAIN.items() if name not in ("order", "certifyId")},
         order="order1?certifyId=" + ID),
]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=range(len(SOURCES)))
def test_every_source(source):
    callback = parse_callback(source)
    assert (callback.certify_id, callback.passed) == (ID, True)
    assert (callback.token, callback.outer_order_no) == ("tok", "order1")
    assert callback.others == {}
    assert "tok" not in repr(callback) and "not confirmed" in repr(callback)


def test_the_real_dicts_of_the_frameworks():
    from werkzeug.datastructures import MultiDict as Werkzeugs

    assert parse_callback(Werkzeugs(PLAIN)).certify_id == ID
    with pytest.raises(CallbackError):
        parse_callback(Werkzeugs(list(PLAIN.items()) + [("passed", "F")]))


def test_djangos_dict():
    pytest.importorskip("django", reason="Django is an extra")
    import django_project

    django_project.start()
    from django.http import QueryDict

    assert parse_callback(QueryDict(urlencode(PLAIN))).certify_id == ID
    with pytest.raises(CallbackError):
        parse_callback(QueryDict(urlencode(PLAIN) + "&PASSED=F"))


def test_unknown_parameters_are_kept():
    callback = parse_callback(dict(PLAIN, subcode="200", utm="x?y=z"))
    assert callback.others == {"subcode": "200", "utm": "x?y=z"}


@pytest.mark.parametrize("passed, claim", [("T", True), ("F", False), ("t", False), ("Y", False)])
def test_only_capital_t_claims_a_pass(passed, claim):
    assert parse_callback(dict(PLAIN, passed=passed)).passed is claim


@pytest.mark.parametrize(
    "source",
    [
        "",
        {},
        None,
        5,
        b"certifyId=x&passed=T",
        [("certifyId", ID)],
        {"certifyId": ID},
        dict(PLAIN, order=5),
        {"passed": "T"},
        dict(PLAIN, certifyId=""),
        dict(PLAIN, certifyId="x" * 65),
        dict(PLAIN, certifyId="a b"),
        dict(PLAIN, passed=""),
        dict(PLAIN, passed=True),
        dict(PLAIN, passed=["T", "F"]),
        dict(PLAIN, passed=[]),
        dict(PLAIN, PASSED="F"),
        dict(PLAIN, order="a-b"),
        dict(PLAIN, order="a" * 33),
        dict(PLAIN, CallbackToken="x" * 513),
        dict(PLAIN, order="order1?passed=F"),
        urlencode(PLAIN) + "&passed=F",
        "//[?certifyId=a",
        urlencode(PLAIN) + "&certifyid=" + "cd" * 16,
        urlencode(PLAIN) + "&x=" + "y" * 9000,
    ],
)
def test_what_is_no_callback(source):
    with pytest.raises(CallbackError) as caught:
        parse_callback(source)
    assert caught.value.outcome == "not sent" and not caught.value.retryable


def test_the_longest_that_is_read():
    longest = urlencode(PLAIN) + "&other=x" * 2000
    assert parse_callback(longest[:8192]).certify_id == ID
    with pytest.raises(CallbackError, match="The callback is too long"):
        parse_callback(longest[:8193])


def test_a_parameter_without_a_value_is_kept():
    callback = parse_callback("?" + urlencode(PLAIN) + "&empty=&utm=x?y=")
    assert callback.others == {"empty": "", "utm": "x?y="}
    with pytest.raises(CallbackError):
        parse_callback("?certifyId=%s&passed=T&utm=x?order=" % ID)


def test_a_callback_of_ones_own():
    callback = Callback(ID, True)
    assert (callback.token, callback.outer_order_no, callback.others) == (None, None, {})
    others = {"a": "b"}
    callback = Callback(ID, False, "tok", "order1", others)
    assert (callback.token, callback.outer_order_no, callback.others) == ("tok", "order1", others)
    assert callback.others is not others
    assert repr(callback) == "<Callback certify_id=%s outer_order_no=order1, not confirmed>" % ID


@pytest.mark.parametrize(
    "order, token_of, asked, fits",
    [
        ("order1", "order1", None, True),
        ("order1", "order1", "order1", True),
        (None, "order1", "order1", True),
        ("order1", "order1", "order2", False),
        ("order2", "order1", "order1", False),
        ("order1", "order2", "order1", False),
        ("order1", None, "order1", False),
        (None, "order1", None, False),
        (None, None, None, False),
    ],
)
def test_whose_order_a_callback_is_about(order, token_of, asked, fits):
    callback = Callback(ID, True, token_of and make_token(SECRET, token_of), order)
    for certify_id in (None, ID):
        if fits:
            callback.check(Private(SECRET), asked, certify_id)
        else:
            with pytest.raises(CallbackError):
                callback.check(Private(SECRET), asked, certify_id)
    with pytest.raises(CallbackError, match="another verification"):
        callback.check(Private(SECRET), asked, "cd" * 16)


def test_a_callback_that_names_its_order_needs_nothing_else():
    Callback(ID, True, make_token(SECRET, "order1"), "order1").check(Private(SECRET))


def test_without_a_secret_a_callback_is_checked_by_its_certify_id():
    callback = Callback(ID, True, "any", "order1")
    callback.check(Private(), None, ID)
    callback.check(Private(), "order1", ID)
    with pytest.raises(CallbackError, match="another verification"):
        callback.check(Private(), None, "cd" * 16)
    with pytest.raises(CallbackError, match="another order"):
        callback.check(Private(), "order2", ID)
    with pytest.raises(InvalidParameter) as caught:
        callback.check(Private(), "order1")
    assert caught.value.field == "callback_secret"


@settings(deadline=None)  # machines differ
@given(st.text(max_size=80) | st.dictionaries(st.text(max_size=12), st.text(max_size=40)))
def test_no_input_makes_anything_but_a_callback_or_a_callback_error(source):
    try:
        repr(parse_callback(source))
    except CallbackError as error:
        str(error).encode("utf-8")


def test_the_token_is_the_documented_hmac():
    message = b"facecert callback of order1 at saf.cn-shanghai.aliyuncs.com"
    digest = hmac.new(SECRET.encode(), message, hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest[:20]).decode().rstrip("=")
    assert make_token(SECRET, "order1") == expected and len(expected) == 27


def test_tokens_fit_their_order_and_secret_only():
    token = make_token(SECRET, "order1")
    assert check_token(SECRET, "order1", token)
    assert check_token(["the-new-secret-of-today", SECRET], "order1", token)
    assert not check_token(SECRET, "order2", token)
    assert not check_token("another-secret-of-some-length", "order1", token)
    for wrong in ("", token[:-1], token + "x", token.swapcase(), "令牌", "\ud800"):
        assert not check_token(SECRET, "order1", wrong)


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("https://saf.example", "https://SAF.example:8443", True),
        ("http://127.0.0.1:8180", "https://localhost", True),
        ("http://[::1]:8180", "http://127.8.8.8", True),
        ("http://127.0.0.1:8180", "https://saf.example", False),
        ("https://saf.example", "https://saf2.example", False),
        ("https://saf.example", DEFAULT_ENDPOINT, False),
    ],
)
def test_bug_a_token_made_beside_a_sandbox_was_good_in_production(one, other, same):
    token = make_token(SECRET, "order1", one)
    assert check_token(SECRET, "order1", token, one)
    assert check_token(SECRET, "order1", token, other) is same
    callback = Callback(ID, True, token, "order1")
    callback.check(SECRET, endpoint=one)
    if not same:
        with pytest.raises(CallbackError):
            callback.check(SECRET, endpoint=other)


def test_bug_the_token_of_a_server_with_another_secret_seemed_to_be_of_another_order():
    callback = Callback(ID, True, make_token(SECRET, "order1"), "order1")
    with pytest.raises(CallbackError, match="another order, secret or endpoint"):
        callback.check("another-secret-of-some-length")


@pytest.mark.parametrize("endpoint", ["", "saf.example", "127.0.0.1:8180", "https://"])
def test_a_token_is_bound_to_no_endpoint_without_a_host(endpoint):
    with pytest.raises(InvalidParameter) as caught:
        make_token(SECRET, "order1", endpoint)
    assert caught.value.field == "endpoint"


@pytest.mark.parametrize(
    "secret", ["", " ", "short", "x" * 15, [], ["x" * 16, "short"], [5], (), "x" * 16 + " short",
               ["x" * 16 + " short"], [b"x" * 16]]
)  # fmt: skip
def test_secrets_that_are_too_short(secret):
    with pytest.raises(InvalidParameter) as caught:
        check_secrets(secret)
    assert caught.value.field == "callback_secret"
    assert "a blank separates several secrets" in str(caught.value)


def test_bug_two_secrets_in_a_string_refused_every_callback_in_flight(sandbox, keeper, person):
    _, genuine = opened_with_callback(sandbox, keeper, person)
    with sandbox.client(callback_secret="the-new-secret-of-today\t" + SECRET) as client:
        assert not client.confirm(genuine).passed
        _, newer = opened_with_callback(sandbox, client, person, "order2")
    with sandbox.client(callback_secret="the-new-secret-of-today") as client:
        assert not client.confirm(newer).passed


def test_bug_production_believed_a_callback_of_the_sandbox(sandbox, keeper, person):
    _, genuine = opened_with_callback(sandbox, keeper, person)
    with pytest.raises(CallbackError):
        facecert.Client("1", callback_secret=SECRET).confirm(genuine)


@pytest.mark.parametrize(
    "url, with_order",
    [
        ("https://x/verified", "https://x/verified?order=o1"),
        ("https://x/verified?a=b", "https://x/verified?a=b&order=o1"),
        ("https://x/verified/{order}", "https://x/verified/o1"),
        ("https://x/verified#part", "https://x/verified?order=o1#part"),
    ],
)
def test_the_order_number_goes_into_the_url(url, with_order):
    assert url_with_order(url, "o1") == with_order


@pytest.fixture
def keeper(sandbox):
    with sandbox.client(callback_secret=SECRET) as client:
        yield client


def opened_with_callback(sandbox, keeper, person, order="order1"):
    url = "https://shop.example/verified"
    opened = keeper.init(outer_order_no=order, callback_url=url, **person)
    fields = sandbox.requests[-1].service_parameters
    assert fields["callbackUrl"] == url + "?order=" + order
    genuine = fields["callbackUrl"] + "&" + urlencode(
        {"certifyId": opened.certify_id, "passed": "T", "CallbackToken": fields["callbackToken"]}
    )
    return opened, genuine


def test_a_genuine_callback_is_confirmed_by_a_query(sandbox, keeper, person):
    opened, genuine = opened_with_callback(sandbox, keeper, person)
    assert not keeper.confirm(genuine).passed  # it says T, the service says otherwise
    sandbox.complete(opened.certify_id)
    assert keeper.confirm(genuine).passed
    assert keeper.confirm(parse_callback(genuine), outer_order_no="order1").passed
    assert keeper.confirm(genuine, certify_id=opened.certify_id).certify_id == opened.certify_id


def test_forged_callbacks_are_not_even_asked_about(sandbox, keeper, person):
    opened, genuine = opened_with_callback(sandbox, keeper, person)
    _, another = opened_with_callback(sandbox, keeper, person, "order2")
    token, other_token = genuine.split("CallbackToken=")[1], another.split("CallbackToken=")[1]
    sandbox.complete(opened.certify_id)
    sandbox.requests.clear()
    for forged in (
        genuine.replace(token, ""),
        genuine.split("&CallbackToken")[0],
        genuine.replace(token, "x" * 27),
        genuine.replace(token, other_token),
        genuine.replace("order=order1", "order=order2"),
        genuine.replace("order=order1&", ""),
        genuine + "&passed=F",
    ):
        with pytest.raises(CallbackError):
            keeper.confirm(forged)
    with pytest.raises(CallbackError):
        keeper.confirm(genuine, outer_order_no="order2")
    with pytest.raises(CallbackError):
        keeper.confirm(genuine, certify_id="cd" * 16)
    assert sandbox.requests == []


def test_the_order_may_come_from_the_path(sandbox, keeper, person):
    opened = keeper.init(
        outer_order_no="order1", callback_url="https://shop.example/v/{order}", **person
    )
    fields = sandbox.requests[-1].service_parameters
    assert fields["callbackUrl"] == "https://shop.example/v/order1"
    token = fields["callbackToken"]
    query = {"certifyId": opened.certify_id, "passed": "F", "CallbackToken": token}
    sandbox.complete(opened.certify_id)
    assert keeper.confirm(query, outer_order_no="order1").passed
    with pytest.raises(CallbackError):
        keeper.confirm(query)


def test_secrets_are_exchanged_without_losing_callbacks(sandbox, keeper, person):
    _, genuine = opened_with_callback(sandbox, keeper, person)
    with sandbox.client(callback_secret=["the-new-secret-of-today", SECRET]) as client:
        assert not client.confirm(genuine).passed
        _, newer = opened_with_callback(sandbox, client, person, "order2")
        assert not client.confirm(newer).passed
    with pytest.raises(CallbackError):
        keeper.confirm(newer)


def test_an_own_token_is_left_alone(sandbox, keeper, person):
    keeper.init(callback_url="https://shop.example/v", callback_token="mine", **person)
    fields = sandbox.requests[-1].service_parameters
    assert (fields["callbackUrl"], fields["callbackToken"]) == ("https://shop.example/v", "mine")
    keeper.init(**person)
    assert "callbackToken" not in sandbox.requests[-1].service_parameters


def test_without_a_secret_the_stored_id_must_be_given(sandbox, client, person):
    opened = client.init(**person)
    with pytest.raises(InvalidParameter) as caught:
        client.confirm({"certifyId": opened.certify_id, "passed": "T"})
    assert caught.value.field == "callback_secret"
    answer = client.confirm(
        {"certifyId": opened.certify_id, "passed": "T"}, certify_id=opened.certify_id
    )
    assert not answer.passed


def test_a_question_that_fails_is_told_so_that_the_platform_calls_again(sandbox, keeper, person):
    _, genuine = opened_with_callback(sandbox, keeper, person)
    keeper._gateway._sleep = lambda seconds: None
    sandbox.fail("http-503", times=3)
    with pytest.raises(facecert.GatewayError):
        keeper.confirm(genuine)
    assert not keeper.confirm(genuine).passed


def test_the_secret_is_not_shown(sandbox, everything=None):
    for secret in ("short-secret", [SECRET, "short-secret"]):
        with pytest.raises(InvalidParameter) as caught:
            facecert.Client("1", callback_secret=secret)
        assert "short-secret" not in str(caught.value)
    assert SECRET not in repr(facecert.Client("1", callback_secret=SECRET))


def test_settings_take_several_secrets():
    both = "a" * 16 + " " + "b" * 16
    arguments = facecert.settings.from_environment({"FACECERT_CALLBACK_SECRET": both})
    assert facecert.Client(**arguments)._callback_secrets.value == ("a" * 16, "b" * 16)


def test_bug_a_url_with_an_order_of_its_own_never_had_a_genuine_callback(sandbox, keeper, person):
    for url in ("https://shop.example/v?Order=2019", "https://shop.example/v?a=b&order=1"):
        with pytest.raises(InvalidParameter) as caught:
            keeper.init(callback_url=url, **person)
        assert caught.value.field == "callback_url"
    assert sandbox.requests == []


def test_bug_a_refused_callback_left_the_secret_in_the_frames(keeper):
    with pytest.raises(CallbackError) as caught:
        keeper.confirm(dict(PLAIN, CallbackToken="canary"))
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = repr([frame.locals for frame in frames.stack if "test_callback" not in frame.filename])
    assert SECRET not in shown and "canary" not in shown


def test_bug_a_secret_of_undecodable_bytes_was_in_the_error():
    """os.environ has lone surrogates for them; UnicodeEncodeError keeps the whole text."""
    secret = "secret-of-sixteen-\udcff"
    for use in (check_secrets, lambda secret: make_token(secret, "order1")):
        with pytest.raises(InvalidParameter) as caught:
            use(secret)
        assert caught.value.field == "callback_secret"
        assert "sixteen" not in str(caught.value) and caught.value.__context__ is None


def test_bug_an_order_that_is_no_unicode_ended_in_a_unicode_error():
    callback = parse_callback({"certifyId": ID, "passed": "T", "CallbackToken": "tok"})
    with pytest.raises(CallbackError):
        callback.check(Private(SECRET), outer_order_no="\udcff")
