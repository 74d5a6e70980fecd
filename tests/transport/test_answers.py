import base64
import json

import pytest
from conftest import NAME, NUMBER
from hypothesis import given, settings
from hypothesis import strategies as st

from facecert.transport import answers
from facecert.redact import WITHHELD, Private
from facecert.results import InitResult, QueryResult
from facecert.transport.answers import Response
from facecert.errors import (
    BadAnswer,
    ClockSkew,
    FacecertError,
    GatewayError,
    ServiceError,
    SignatureError,
    Throttled,
)

DATA = {"certifyId": "ab" * 16, "certifyUrl": "https://picker.example/gateway.do?x=1"}
OK = {"RequestId": "R-1", "Message": "OK", "Code": 200, "Data": DATA}


def reply(content, status=200, **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(status, body, **headers)


@pytest.mark.parametrize(
    "envelope",
    [
        OK,
        dict(OK, Code="200"),
        dict(OK, Data=json.dumps(DATA)),
        {"requestId": "R-1", "message": "OK", "code": 200, "data": DATA},
        {"REQUESTID": "R-1", "CODE": "200", "DATA": json.dumps(DATA)},
        {"RequestId": "R-1", "Message": "OK", "Code": "200", "certifyId": "ab" * 16},
        dict(OK, Code=" 200 "),
        dict(OK, Success=True, Unknown={"x": [None]}, Data=dict(DATA, subCode="")),
    ],
)
def test_every_envelope_that_some_source_shows_is_read(envelope):
    answer = answers.read(reply(envelope))
    assert answer.request_id == "R-1"
    assert answer.text("certifyId") == "ab" * 16
    assert answer.envelope == envelope


@pytest.mark.parametrize("status", [200, 201, 203])
def test_any_http_success_carries_a_business_answer(status):
    assert answers.read(reply(OK, status)).request_id == "R-1"


def test_the_documented_name_goes_before_the_same_in_another_case():
    assert answers.read(reply(dict(OK, code=500))).request_id == "R-1"


def test_a_byte_order_mark_is_no_trouble():
    assert answers.read(reply(b"\xef\xbb\xbf" + json.dumps(OK).encode())).request_id == "R-1"


@pytest.mark.parametrize("data", [None, "", "null", "[]", [], 7, True, "{broken"])
def test_data_that_holds_nothing(data):
    assert answers.read(reply(dict(OK, Data=data))).data == {}


@pytest.mark.parametrize(
    "code, outcome, retryable",
    [
        (400, "refused", False),
        (402, "refused", False),
        (403, "refused", False),
        (404, "refused", False),
        (500, "unknown", True),
        (501, "refused", False),
        (999, "unknown", False),
        (0, "unknown", False),
        (-1, "unknown", False),
        (999999, "unknown", False),
    ],
)
@pytest.mark.parametrize("spell", [int, str])
def test_service_codes(code, outcome, retryable, spell):
    with pytest.raises(ServiceError) as caught:
        answers.read(reply({"RequestId": "R-1", "Message": "系统错误", "Code": spell(code)}))
    error = caught.value
    assert (error.code, error.outcome, error.retryable) == (code, outcome, retryable)
    assert error.request_id == "R-1" and error.service_message == "系统错误"
    assert str(error).startswith("%d (RequestId R-1): " % code)


@pytest.mark.parametrize(
    "code, status, kind, outcome, retryable",
    [
        ("MissingTimestamp", 400, GatewayError, "refused", False),
        ("InvalidVersion", 400, GatewayError, "refused", False),
        ("InvalidAction.NotFound", 404, GatewayError, "refused", False),
        ("UnsupportedHTTPMethod", 400, GatewayError, "refused", False),
        ("InvalidAccessKeyId.NotFound", 404, SignatureError, "refused", False),
        ("InvalidAccessKeyId.Inactive", 400, SignatureError, "refused", False),
        ("SignatureDoesNotMatch", 400, SignatureError, "refused", False),
        ("InvalidSecurityToken.Expired", 400, SignatureError, "refused", False),
        ("MissingSecurityToken", 400, SignatureError, "refused", False),
        ("IncompleteSignature", 400, SignatureError, "refused", False),
        ("MissingParameter", 400, GatewayError, "refused", False),
        ("InvalidTimeStamp.Expired", 400, ClockSkew, "refused", False),
        ("InvalidTimeStamp.Format", 400, GatewayError, "refused", False),
        ("SignatureNonceUsed", 400, GatewayError, "unknown", True),
        ("Throttling", 400, Throttled, "refused", True),
        ("Throttling.User", 429, Throttled, "refused", True),
        ("Throttling.Api", 400, Throttled, "refused", True),
        ("Forbidden.RAM", 403, GatewayError, "refused", False),
        ("SomethingNew", 400, GatewayError, "refused", False),
        ("InternalError", 500, GatewayError, "unknown", True),
        ("InternalError", 400, GatewayError, "unknown", True),
        ("InternalError", 200, GatewayError, "unknown", True),
        ("ServiceUnavailable", 429, GatewayError, "unknown", True),
        ("RequestTimeout", 408, GatewayError, "unknown", True),
        ("OK", 200, GatewayError, "unknown", False),
        ("9" * 19, 200, GatewayError, "unknown", False),
        ("Throttling.User", 503, Throttled, "refused", True),
        ("UnknownError", 500, GatewayError, "unknown", True),
        ("ServiceUnavailable", 503, GatewayError, "unknown", True),
        ("503", 503, GatewayError, "unknown", True),
    ],
)
def test_gateway_codes(code, status, kind, outcome, retryable):
    envelope = {"RequestId": "R-1", "HostId": "h", "Code": code, "Message": "Words."}
    with pytest.raises(GatewayError) as caught:
        answers.read(reply(envelope, status))
    error = caught.value
    assert type(error) is kind
    shown = WITHHELD if code.isdigit() and len(code) > 6 else code
    assert (error.code, error.http_status, error.request_id) == (shown, status, "R-1")
    assert (error.outcome, error.retryable) == (outcome, retryable)


@pytest.mark.parametrize(
    "code, message, words",
    [
        ("MissingSecurityToken", "Words.", "ALIBABA_CLOUD_SECURITY_TOKEN"),
        ("IncompleteSignature", "Words.", "ALIBABA_CLOUD_SECURITY_TOKEN"),
        (
            "MissingParameter",
            'The input parameter "SecurityToken" that is mandatory is not supplied.',
            "ALIBABA_CLOUD_SECURITY_TOKEN",
        ),
        ("InvalidSecurityToken.Expired", "Words.", "expired"),
    ],
)
def test_bug_a_missing_or_expired_sts_token_was_no_fault_of_the_credentials(code, message, words):
    """It was taken for a malformed request, to be reported to facecert."""
    with pytest.raises(SignatureError, match=words) as caught:
        answers.read(reply({"RequestId": "R-1", "Code": code, "Message": message}, 400))
    assert caught.value.code == code and "facecert" not in str(caught.value)


def test_a_gateways_refusal_is_one_even_with_http_200():
    with pytest.raises(GatewayError):
        answers.read(reply({"Code": "Forbidden.RAM", "Message": "Words."}))


def test_clock_skew_says_by_how_much():
    envelope = {"Code": "InvalidTimeStamp.Expired", "Message": "Words."}
    date = "Tue, 24 Nov 2026 12:00:00 GMT"
    with pytest.raises(ClockSkew) as caught:
        answers.read(reply(envelope, 400, date=date, received_at=1795521600.0 + 1200))
    assert caught.value.skew_seconds == 1200
    with pytest.raises(ClockSkew) as caught:
        answers.read(reply(envelope, 400, date="never", received_at=1.0))
    assert caught.value.skew_seconds is None


@pytest.mark.parametrize(
    "header, seconds",
    [
        ("3", 3.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("²", None),
        ("soon", None),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        (None, None),
    ],
)
def test_retry_after(header, seconds):
    envelope = {"Code": "Throttling.User", "Message": "Words."}
    with pytest.raises(Throttled) as caught:
        answers.read(reply(envelope, 429, retry_after=header, received_at=1795521600.0))
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    "body, status",
    [
        (b"<html>502</html>", 502),
        (b"", 200),
        (b"null", 200),
        (b"[200]", 200),
        (b'{"Code": true}', 200),
        (b'{"Code": 200.5}', 200),
        (b'{"Code": NaN}', 200),
        (b'{"Code": ""}', 200),
        (b'{"Code": 200, "Da', 200),
        (b'{"Message": "OK"}', 200),
        (b"\xff\xfe{", 200),
        (b"[" * 100000, 200),
        (b'{"Code": ' + b"9" * 5000 + b"}", 302),
        (b"moved", 302),
    ],
)
def test_what_cannot_be_read_is_a_bad_answer(body, status):
    with pytest.raises((BadAnswer, GatewayError)) as caught:
        answers.read(reply(body, status))
    assert caught.value.http_status == status
    assert caught.value.outcome in ("unknown", "refused")


OPENED = b'"Data": {"certifyId": "0a1b2c3d4e5f60718293a4b5c6d7e8f9"}}'


@pytest.mark.parametrize("body, status", [(b"{", 200), (b'{"Code": 200, ', 404),
                                          (b'{"Code": 200, ', 307), (b'{"Code": 200, ', 500)])
def test_bug_a_readable_certify_id_was_lost_or_refused(body, status):
    with pytest.raises(BadAnswer) as caught:
        answers.read(reply(body + OPENED, status))
    assert caught.value.outcome == "unknown"
    assert caught.value.certify_id == "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


def test_bug_a_code_of_200_point_0_lost_the_result():
    assert answers.read(reply(b'{"Code": 200.0, ' + OPENED)).id("certifyId")


def test_bug_signature_does_not_match_repeats_name_and_number():
    message = (
        "Specified signature is not matched with our calculation. server string to sign is:"
        "POST&%2F&AccessKeyId%3Dx%26ServiceParameters%3D" + NUMBER
    )
    with pytest.raises(SignatureError) as caught:
        answers.read(reply({"Code": "SignatureDoesNotMatch", "Message": message}, 400))
    assert NUMBER not in str(caught.value) and "withheld" in str(caught.value)


@pytest.mark.parametrize("field", ["Message", "Code", "RequestId"])
def test_private_texts_in_a_refusal_are_withheld(field):
    envelope = {"RequestId": "R-1", "Code": "Other.Code", "Message": "Words."}
    for private in (NAME, NUMBER):
        envelope[field] = private
        with pytest.raises(GatewayError) as caught:
            answers.read(reply(envelope, 400), Private(NAME, NUMBER))
        assert private not in str(caught.value) + repr(vars(caught.value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["200", "T", "F", "Throttling", "ab" * 16]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["Code", "code", "Data", "data", "Message", "RequestId", "passed", "certifyId",
             "certifyUrl", "x"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(
    body=st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps({"Code": 200, "Data": value}).encode()),
    status=st.sampled_from([200, 200, 302, 400, 429, 500, 503]),
    date=st.none() | st.text(max_size=30),
)
def test_no_bytes_make_anything_but_a_result_or_a_facecert_error(body, status, date):
    came = Response(status, body, date=date, retry_after=date, received_at=0.0)
    for read in (
        lambda answer: InitResult.read(answer, outer_order_no="o", expires_at=None),
        lambda answer: QueryResult.read(answer, certify_id="c"),
    ):
        try:
            result = read(answers.read(came, Private(NAME)))
        except FacecertError as error:
            str(error).encode("utf-8")
        else:
            assert isinstance(result, (InitResult, QueryResult))
            repr(result)


@pytest.mark.parametrize("code", ["330103199001011230", 330103199001011230, "-330103199001011230"])
def test_bug_a_document_number_as_code_was_shown(code):
    with pytest.raises(GatewayError) as caught:
        answers.read(reply({"Code": code}), Private("330103199001011230"))
    assert caught.value.outcome == "unknown"
    assert "330103199001011230" not in str(caught.value) + repr(vars(caught.value))


def test_bug_a_name_in_base64_was_shown_as_request_id():
    encoded = base64.urlsafe_b64encode(NAME.encode()).decode()
    with pytest.raises(ServiceError) as caught:
        answers.read(reply({"Code": 400, "RequestId": encoded}), Private(NAME))
    assert caught.value.request_id is None


def test_bug_on_old_pythons_an_answer_of_digits_took_seconds():
    """int() of a megabyte of them: 4 s on 3.6. Since 3.7.14 int() itself refuses."""
    with pytest.raises(BadAnswer):
        answers.read(reply(b'{"Code":200,"Data":{"a":%s}}' % (b"9" * 4301)))
    assert answers.read(reply(b'{"Code":200,"Data":{"a":%s}}' % (b"9" * 4300))).data
