"""The official request around an app's own AcsClient, against the sandbox."""

import json

import pytest
from conftest import NAME, NUMBER

import facecert
from facecert.callback import make_token

SECRET = "a-secret-of-sixteen-and-more"
INIT = {"Code": 200, "Data": {"certifyId": "ab" * 16, "certifyUrl": "https://x/y"}}


@pytest.fixture
def acs(sandbox):
    """What an app has: the SDK's own client, and its way to send a request."""
    from aliyunsdkcore.client import AcsClient

    client = AcsClient(sandbox.access_key_id, sandbox.access_key_secret, "cn-shanghai")

    def send(request):
        request.set_endpoint(sandbox.endpoint.partition("://")[2])
        request.set_protocol_type("http")
        return client.do_action_with_exception(request)

    return send


def test_init_and_query_through_the_apps_own_client(sandbox, acs, person):
    request = facecert.init_request(scene_id=sandbox.scene_id, outer_order_no="order1", **person)
    opened = facecert.read_init(acs(request), request)
    assert opened.outer_order_no == "order1" and opened.certify_url.startswith(sandbox.endpoint)
    sandbox.complete(opened.certify_id)
    request = facecert.query_request(opened.certify_id, scene_id=sandbox.scene_id)
    result = facecert.read_query(acs(request), request)
    assert result.passed and result.certify_id == opened.certify_id
    for received in sandbox.requests:
        assert received.method == "POST" and "ServiceParameters" not in received.query


def test_encryption_and_callback_are_those_of_the_client(sandbox, acs, person):
    from facecert.redact import Private

    request = facecert.init_request(
        scene_id=sandbox.scene_id, encrypt=True, sm2_public_key=sandbox.sm2_public_key,
        callback_url="https://shop.example/{order}", outer_order_no="order2",
        callback_secrets=Private(SECRET), endpoint=sandbox.endpoint, **person
    )  # fmt: skip
    opened = facecert.read_init(acs(request), request)
    fields = sandbox.requests[0].service_parameters
    assert fields["encryptType"] == "SM2" and NAME not in json.dumps(fields, ensure_ascii=False)
    assert fields["callbackUrl"] == "https://shop.example/order2"
    assert fields["callbackToken"] == make_token(SECRET, "order2", sandbox.endpoint)
    assert "欧" in sandbox.verifications()[0].masked_name and opened.certify_id


@pytest.mark.parametrize("spell", [json.dumps, lambda fields: json.dumps(fields).encode(), dict])
def test_text_bytes_and_dict_are_read(spell):
    opened = facecert.read_init(spell(INIT))
    assert opened.certify_id == "ab" * 16 and opened.outer_order_no == ""
    result = facecert.read_query(spell({"Code": "200", "Data": json.dumps({"passed": "T"})}))
    assert result.passed and result.certify_id == ""


def test_rules_are_those_of_the_client(person):
    with pytest.raises(facecert.InvalidParameter) as caught:
        facecert.init_request(scene_id="x", **person)
    assert caught.value.field == "scene_id"
    with pytest.raises(facecert.InvalidParameter) as caught:
        facecert.query_request(NUMBER, scene_id="1")
    assert caught.value.field == "certify_id" and NUMBER not in str(caught.value)


def test_a_refusal_is_an_error_that_quotes_nothing_private(person):
    request = facecert.init_request(scene_id="1", outer_order_no="order3", **person)
    answer = {"Code": 400, "Message": "ServiceParameters参数不合法: %s" % NAME, "RequestId": "R-1"}
    with pytest.raises(facecert.ServiceError) as caught:
        facecert.read_init(answer, request)
    error = caught.value
    assert (error.code, error.request_id, error.outer_order_no) == (400, "R-1", "order3")
    assert NAME not in str(error) and NAME not in repr(request)
    with pytest.raises(facecert.SignatureError):
        facecert.read_query({"Code": "SignatureDoesNotMatch", "Message": "string to sign"})


@pytest.mark.parametrize("read, retryable", [("read_init", False), ("read_query", True)])
def test_only_a_query_may_be_repeated_after_an_unknown_outcome(read, retryable):
    with pytest.raises(facecert.ServiceError) as caught:
        getattr(facecert, read)({"Code": 500})
    assert (caught.value.outcome, caught.value.retryable) == ("unknown", retryable)
    for response in ("<html>", b"", {}, '{"Code": 200}'):
        with pytest.raises(facecert.BadAnswer):
            getattr(facecert, read)(response)
