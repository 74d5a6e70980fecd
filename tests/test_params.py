import json
import re
import types

import pytest
from conftest import NAME, NUMBER

from facecert import InvalidParameter, params
from facecert.redact import Private
from facecert.callback import make_token
from facecert.identity import Person

GOOD = {"cert_name": NAME, "cert_no": NUMBER, "scene_id": "1000000006"}
HERE = "http://127.0.0.1"  # tokens take all loopback hosts and ports as one


def init_parameters(cert_name, cert_no, **arguments):
    who = Person(cert_name, cert_no, encrypted=False, public_key=None)
    return params.init_parameters(who, **arguments)


def fields(**arguments):
    return json.loads(init_parameters(**dict(GOOD, **arguments)).json)


def test_the_documented_fields_of_init():
    assert fields(outer_order_no="order1") == {
        "method": "init",
        "sceneId": "1000000006",
        "outerOrderNo": "order1",
        "bizCode": "FACE",
        "identityType": "CERT_INFO",
        "certType": "IDENTITY_CARD",
        "certName": NAME,
        "certNo": NUMBER,
        "returnUrl": "",
    }


def test_optional_fields_of_init():
    given = fields(
        biz_code="FACE_SDK",
        return_url="myapp://back",
        callback_url="https://shop.example/verified",
        callback_token="token",
        extra={"newField": {"a": [1]}},
    )
    assert given["bizCode"] == "FACE_SDK"
    assert given["returnUrl"] == "myapp://back"
    assert given["callbackUrl"] == "https://shop.example/verified"
    assert given["callbackToken"] == "token"
    assert given["newField"] == {"a": [1]}


def test_a_made_order_number_is_new_every_time_and_within_the_rule():
    made = {fields()["outerOrderNo"] for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", number) for number in made)


def test_what_was_checked_is_returned():
    assert params.check_order_no("order1") == "order1"
    assert params.check_certify_id("ab" * 16) == "ab" * 16


def test_return_url_none_is_sent_as_empty_text_because_null_breaks_it():
    assert fields(return_url=None)["returnUrl"] == ""


@pytest.mark.parametrize(
    "number, sent",
    [
        ("11010119800101998x", "11010119800101998X"),
        ("  11010119800101998X\n", "11010119800101998X"),
        ("810000199408230021", "810000199408230021"),
        ("H1234567x", "H1234567x"),
    ],
)
def test_document_numbers(number, sent):
    assert fields(cert_no=number)["certNo"] == sent


def test_names_keep_everything_but_the_blanks_around_them():
    assert fields(cert_name=" 阿凡提·𠮷 x ")["certName"] == "阿凡提·𠮷 x"


BAD = [
    ("scene_id", None),
    ("scene_id", ""),
    ("scene_id", "10000 00006"),
    ("scene_id", "１０００"),
    ("scene_id", 1000000006),
    ("scene_id", "1000000006\n"),
    ("outer_order_no", "a" * 33),
    ("outer_order_no", "a-b"),
    ("outer_order_no", ""),
    ("outer_order_no", "订单"),
    ("outer_order_no", "abc\n"),
    ("outer_order_no", 17),
    ("outer_order_no", NUMBER),
    ("outer_order_no", "order" + NUMBER),
    ("outer_order_no", "order" + NUMBER.lower()),
    ("cert_name", ""),
    ("cert_name", " \t"),
    ("cert_name", None),
    ("cert_name", "x\ud800y"),
    ("cert_no", ""),
    ("cert_no", None),
    ("cert_no", 110101198001019980),
    ("biz_code", "FACES"),
    ("biz_code", ""),
    ("biz_code", None),
    ("return_url", 5),
    ("callback_url", "http://shop.example/verified"),
    ("callback_url", "http://127.0.0.1/verified"),
    ("callback_url", "https://"),
    ("callback_url", "https://[bad"),
    ("callback_url", "shop.example"),
    ("callback_url", "HTTPS://shop.example"),
    ("callback_url", ""),
    ("callback_url", 5),
    ("callback_token", ""),
    ("callback_token", 5),
    ("callback_token", "SECRETVALUE\n"),
    ("extra", {"certName": "SECRETVALUE"}),
    ("extra", {"callbackUrl": "http://SECRETVALUE"}),
    ("extra", {"encryptType": "SECRETVALUE"}),
    ("extra", {"encToken": "SECRETVALUE"}),
    ("extra", {"certifyId": "SECRETVALUE"}),
    ("extra", {5: "SECRETVALUE"}),
    ("extra", {"": "SECRETVALUE"}),
    ("extra", {"new": object()}),
    ("extra", {"new": float("nan")}),
    ("extra", ["SECRETVALUE"]),
]


@pytest.mark.parametrize("field, value", BAD)
def test_bad_input_names_the_field_and_never_the_value(field, value):
    with pytest.raises(InvalidParameter) as caught:
        init_parameters(**dict(GOOD, **{field: value}))
    error = caught.value
    assert error.field == field
    assert error.outcome == "not sent" and not error.retryable
    assert error.__cause__ is None and error.__context__ is None
    shown = str(error) + repr(error)
    assert "SECRETVALUE" not in shown and NAME not in shown and NUMBER not in shown
    if isinstance(value, str) and len(value.strip()) > 1 and value != "https://":
        assert value not in shown


def test_a_circular_extra_is_refused():
    circle = {}
    circle["new"] = circle
    with pytest.raises(InvalidParameter) as caught:
        init_parameters(**dict(GOOD, extra=circle))
    assert caught.value.field == "extra"


def test_http_callbacks_are_for_this_machine_with_a_sandbox_here():
    url = "http://localhost:5000/verified"
    assert fields(callback_url=url, endpoint=HERE)["callbackUrl"] == url
    with pytest.raises(InvalidParameter):
        fields(callback_url="http://shop.example/verified", endpoint=HERE)


def test_blanks_around_a_callback_url_are_not_sent():
    url = "https://shop.example/verified"
    assert fields(callback_url=" %s\n" % url)["callbackUrl"] == url


def test_query_fields():
    parameters = params.query_parameters("ab" * 16, scene_id="1", extra={"new": 1})
    assert json.loads(parameters.json) == {
        "method": "query",
        "certifyId": "ab" * 16,
        "sceneId": "1",
        "new": 1,
    }
    assert parameters.repeatable


@pytest.mark.parametrize("certify_id", ["", None, "a b", "x" * 65, "id&x", 5])
def test_query_refuses(certify_id):
    with pytest.raises(InvalidParameter) as caught:
        params.query_parameters(certify_id, scene_id="1")
    assert caught.value.field == "certify_id"


def test_only_query_may_be_repeated_and_neither_shows_anything():
    parameters = init_parameters(**dict(GOOD, outer_order_no="order1"))
    assert not parameters.repeatable
    assert repr(parameters) == "<ServiceParameters init order1>"


def test_what_must_not_be_shown():
    private = init_parameters(
        cert_name=NAME,
        cert_no="11010119800101998x ",
        scene_id="1",
        callback_token="tok",
        extra={"a": ["in depth"], "mobile": 13800138000},
    ).private
    expected = {NAME, "11010119800101998X", "11010119800101998x ", "tok", "in depth", "13800138000"}
    assert expected <= set(private.value)


def test_which_texts_of_extra_must_not_be_shown():
    deep = [("abcdef", {"d": "ghijkl"})]
    extra = {"a": "12345", "b": "123456", "c": deep, "e": 98765, "f": 1.2345}
    private = init_parameters(**dict(GOOD, extra=extra)).private
    assert set(private.value) == {NAME, NUMBER, "123456", "abcdef", "ghijkl", "1.2345"}
    query = params.query_parameters("ab" * 16, scene_id="1", extra=extra)
    assert query.private.value == ("123456", "abcdef", "ghijkl", "1.2345")


@pytest.mark.parametrize("name, order", [("Abcdefg", "xABCDEFG"), ("Abcdefgh", "xabcdefh")])
def test_an_order_number_may_hold_what_is_too_short_to_be_a_name(name, order):
    assert fields(cert_name=name, outer_order_no=order)["outerOrderNo"] == order


@pytest.mark.parametrize("order", ["xAbcdefghy", "xABCDEFGHy", "abcdefgh"])
def test_an_order_number_with_the_name_in_it_is_refused(order):
    with pytest.raises(InvalidParameter) as caught:
        fields(cert_name="Abcdefgh", outer_order_no=order)
    assert caught.value.field == "outer_order_no"


def test_the_text_that_travels_has_no_needless_blanks():
    text = init_parameters(**dict(GOOD, outer_order_no="order1", extra={"new": [1, 2]})).json
    assert text.startswith('{"method":"init","sceneId":"1000000006",') and '"new":[1,2]' in text


def test_what_a_call_says_of_itself():
    init = init_parameters(**dict(GOOD, outer_order_no="order1"))
    assert (init.method, init.scene_id, init.outer_order_no) == ("init", "1000000006", "order1")
    assert init.certify_id == "" and not init.repeatable
    query = params.query_parameters("ab" * 16, scene_id="1")
    assert (query.method, query.scene_id, query.certify_id) == ("query", "1", "ab" * 16)
    assert query.outer_order_no == "" and query.repeatable
    assert repr(query) == "<ServiceParameters query %s>" % ("ab" * 16)
    plain = params.ServiceParameters({"method": "m", "sceneId": "1"})
    assert plain.private.value == () and plain.repeatable is False


SECRET = "a-secret-of-sixteen-and-more"


def test_the_callbacks_token_is_made_where_there_is_a_secret_and_none_was_given():
    url = "https://shop.example/verified"
    given = dict(outer_order_no="order1", callback_secrets=Private(SECRET, "another" * 3))
    made = fields(callback_url=url, **given)
    assert made["callbackUrl"] == url + "?order=order1"
    assert made["callbackToken"] == make_token(SECRET, "order1")
    here = fields(callback_url=url, endpoint=HERE, **given)
    assert here["callbackToken"] == make_token(SECRET, "order1", HERE)
    own = fields(callback_url=url, callback_token="mine", **given)
    assert (own["callbackUrl"], own["callbackToken"]) == (url, "mine")
    assert not {"callbackUrl", "callbackToken"} & set(fields(**given))
    without = fields(callback_url=url)
    assert without["callbackUrl"] == url and "callbackToken" not in without
    for wrong in (5, ""):
        with pytest.raises(InvalidParameter) as caught:
            fields(callback_url=wrong, **given)
        assert caught.value.field == "callback_url"


@pytest.mark.parametrize(
    "url", ["ftp://localhost/v", "//localhost/v", "http://", "http://[bad", "http://shop.example/v"]
)
def test_what_is_no_callback_url_even_with_a_sandbox_here(url):
    with pytest.raises(InvalidParameter) as caught:
        fields(callback_url=url, endpoint=HERE)
    assert caught.value.field == "callback_url" and caught.value.__context__ is None


def test_extra_may_be_any_mapping():
    assert fields(extra=types.MappingProxyType({"new": 1}))["new"] == 1


def test_an_enc_token_goes_with_query():
    token = "a" * 342 + "=="
    parameters = params.query_parameters("ab" * 16, scene_id="1", enc_token=token)
    assert json.loads(parameters.json)["encToken"] == token and token in parameters.private.value


@pytest.mark.parametrize("token", ["", "a" * 344, "a" * 341 + "==", 5, "a" * 341 + "-=="])
def test_what_is_no_enc_token(token):
    with pytest.raises(InvalidParameter) as caught:
        params.query_parameters("ab" * 16, scene_id="1", enc_token=token)
    assert caught.value.field == "enc_token"
