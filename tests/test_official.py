"""The official request around an app's own AcsClient, against the sandbox."""

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import NAME, NUMBER, ROOT

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


MIGRATION = ROOT / "examples" / "from_acs_client"


@pytest.mark.long
@pytest.mark.parametrize("script", ["before", "step1", "step2"])
def test_the_migrated_script_does_what_the_old_one_did(sandbox, script):
    environ = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8", PYTHONWARNINGS="")
    environ.update(sandbox.environment)
    process = subprocess.Popen(
        [sys.executable, str(MIGRATION / (script + ".py"))], env=environ, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        process.stdin.write(("%s\n%s\n" % (NAME, NUMBER)).encode("utf-8"))
        process.stdin.flush()
        said = [process.stdout.readline(), process.stdout.readline().strip().decode("ascii")]
        sandbox.complete(said[1])
        said.append(process.communicate(b"\n", timeout=60)[0].decode("utf-8"))
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0 and "passed: True" in said[2], said
    methods = [request.service_parameters["method"] for request in sandbox.requests]
    assert methods == ["init", "query"]
    for request in sandbox.requests:
        assert ("ServiceParameters" in request.query) is (script == "before")


@pytest.mark.long
@pytest.mark.parametrize(
    "script, words",
    [
        ("before", "Throttling.User: "),
        ("step1", "Throttling.User\n"),
        ("step2", "Throttling.User ("),
    ],
)
def test_the_migrated_script_fails_as_the_old_one_did(sandbox, script, words):
    sandbox.fail("throttled", times=10)
    done = subprocess.run(
        [sys.executable, str(MIGRATION / (script + ".py"))], input=b"a\n1\n",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONWARNINGS="", **sandbox.environment),
    )  # fmt: skip
    assert done.returncode == 1 and words in done.stderr.decode("utf-8"), done.stderr


@pytest.mark.parametrize("page", ["README.rst", "README.zh.rst"])
def test_the_migrations_table_of_errors_is_true(page):
    table = re.findall(
        "^``([A-Za-z.]+)`` +``([A-Za-z]+)``", (MIGRATION / page).read_text("utf-8"), re.M
    )
    assert len(table) == 8
    for code, kind in table:
        with pytest.raises(facecert.FacecertError) as caught:
            facecert.read_query({"Code": code})
        assert type(caught.value).__name__ == kind, code
