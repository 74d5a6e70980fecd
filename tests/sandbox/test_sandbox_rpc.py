import base64
import calendar
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import pytest
import urllib3

from facecert.sandbox import Sandbox
from facecert.sandbox.rpc import Gate, Refusal


def at(vector):
    return float(
        calendar.timegm(time.strptime(vector["params"]["Timestamp"], "%Y-%m-%dT%H:%M:%SZ"))
    )


def sandbox_for(vector):
    return Sandbox(
        access_key_id=vector["params"]["AccessKeyId"],
        access_key_secret=vector["access_key_secret"],
        clock=lambda: at(vector),
    )


def send(sandbox, vector, params):
    """Send the parameters where that client puts them."""
    pool = urllib3.PoolManager()
    try:
        query = urlencode([(k, v) for k, v in params.items() if k in vector["query"]])
        form = urlencode([(k, v) for k, v in params.items() if k not in vector["query"]])
        response = pool.request(
            vector["method"],
            sandbox.endpoint + "/" + ("?" + query if query else ""),
            body=form,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        return response.status, json.loads(response.data.decode("utf-8"))
    finally:
        pool.clear()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_requests_of_the_official_sdks_are_accepted(signed_requests, index):
    vector = signed_requests[index]
    with sandbox_for(vector) as sandbox:
        status, answer = send(sandbox, vector, vector["params"])
        assert (status, answer["Code"], answer["Message"]) == (200, 200, "OK"), answer
        # The same once more: the nonce is used.
        status, answer = send(sandbox, vector, vector["params"])
        assert (status, answer["Code"]) == (400, "SignatureNonceUsed")
        assert answer["HostId"] and answer["RequestId"] and answer["Message"]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_changed_character_anywhere_is_refused(signed_requests, index):
    vector = signed_requests[index]
    params = vector["params"]
    tried = 0
    for name, value in params.items():
        for position in range(len(value)):
            old = value[position]
            new = "x" if old != "x" else "y"
            changed = dict(params)
            changed[name] = value[:position] + new + value[position + 1 :]
            assert refused(vector, changed), (name, position)
            tried += 1
        for position in range(len(name)):
            changed = dict(params)
            changed[name[:position] + "_" + name[position + 1 :]] = changed.pop(name)
            assert refused(vector, changed), (name, position)
            tried += 1
    assert refused(vector, dict(params, Added="x"))
    assert not refused(vector, params)
    assert tried > 500


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_changed_character_is_refused_on_the_wire_too(signed_requests, index):
    vector = signed_requests[index]
    with sandbox_for(vector) as sandbox:
        for name in ("ServiceParameters", "Signature", "SignatureNonce", "Timestamp"):
            changed = dict(vector["params"])
            last = changed[name][-2]
            changed[name] = changed[name][:-2] + ("1" if last != "1" else "2") + changed[name][-1:]
            status, answer = send(sandbox, vector, changed)
            assert status == 400 and isinstance(answer["Code"], str), (name, answer)


def refused(vector, params):
    gate = gate_for(vector)
    try:
        gate.check(vector["method"], params.items())
    except Refusal:
        return True
    return False


def gate_for(vector):
    from facecert.sandbox.rpc import AccessKey

    gate = Gate(lambda: at(vector))
    gate.access_keys["testid"] = AccessKey(vector["access_key_secret"])
    return gate


def code_of(vector, method="POST", **changes):
    """Sign changed parameters with another implementation and return how they are refused."""
    params = dict(vector["params"], **changes)
    params = {name: value for name, value in params.items() if value is not None}
    params.pop("Signature")
    text = urlencode(sorted(params.items())).replace("+", "%20").replace("%7E", "~")
    text = "%s&%%2F&%s" % (method, urlencode([("", text)])[1:].replace("%7E", "~"))
    digest = hmac.new(b"testsecret&", text.encode(), hashlib.sha1).digest()
    params["Signature"] = changes.get("Signature", base64.b64encode(digest).decode())
    with pytest.raises(Refusal) as caught:
        gate_for(vector).check(method, params.items())
    return caught.value.code, caught.value.status


@pytest.mark.parametrize(
    "changes, code, status",
    [
        ({"Action": "Other"}, "InvalidAction.NotFound", 404),
        ({"Action": None}, "MissingAction", 400),
        ({"Version": "2019-05-21"}, "InvalidVersion", 400),
        ({"Timestamp": "2026-11-24 03:43:45"}, "InvalidTimeStamp.Format", 400),
        ({"Timestamp": "2026-11-24T03:28:44Z"}, "InvalidTimeStamp.Expired", 400),
        ({"Timestamp": "2026-11-24T03:58:46Z"}, "InvalidTimeStamp.Expired", 400),
        ({"SignatureMethod": "HMAC-MD5"}, "InvalidSignatureMethod", 400),
        ({"SignatureVersion": "3.0"}, "InvalidSignatureVersion", 400),
        ({"SignatureNonce": None}, "MissingSignatureNonce", 400),
        ({"Format": "XML"}, "InvalidParameter.Format", 400),
        ({"AccessKeyId": "other"}, "InvalidAccessKeyId.NotFound", 404),
        ({"SecurityToken": "x"}, "InvalidSecurityToken.MismatchWithAccessKey", 400),
        ({"Signature": "nonsense"}, "SignatureDoesNotMatch", 400),
        ({"Signature": "签名"}, "SignatureDoesNotMatch", 400),
        ({"Signature": ""}, "MissingSignature", 400),
    ],
)
def test_refusals(signed_requests, changes, code, status):
    assert code_of(signed_requests[0], **changes) == (code, status)


def test_get_is_refused(signed_requests):
    assert code_of(signed_requests[0], method="GET") == ("UnsupportedHTTPMethod", 400)


def test_get_is_refused_over_http(signed_requests):
    vector = dict(signed_requests[1], method="GET")
    with sandbox_for(vector) as sandbox:
        assert send(sandbox, vector, vector["params"])[1]["Code"] == "UnsupportedHTTPMethod"


def test_the_time_window_is_15_minutes_either_way(signed_requests):
    vector = signed_requests[0]
    gate = gate_for(vector)
    gate._clock = lambda: at(vector) + 15 * 60
    assert gate.check("POST", vector["params"].items())


def test_a_nonce_may_come_again_after_31_minutes(signed_requests):
    vector = signed_requests[0]
    gate = gate_for(vector)
    now = [at(vector)]
    gate._clock = lambda: now[0]
    gate.check("POST", vector["params"].items())
    now[0] += 31 * 60 - 1
    with pytest.raises(Refusal):
        gate._use_nonce(vector["params"]["SignatureNonce"])
    now[0] += 1
    gate._use_nonce(vector["params"]["SignatureNonce"])


def test_a_forged_request_does_not_use_up_a_nonce(signed_requests):
    vector = signed_requests[0]
    gate = gate_for(vector)
    with pytest.raises(Refusal):
        gate.check("POST", dict(vector["params"], Service="other").items())
    assert gate.check("POST", vector["params"].items())


def test_a_repeated_parameter_is_refused(signed_requests):
    vector = signed_requests[0]
    pairs = list(vector["params"].items())
    with pytest.raises(Refusal) as caught:
        gate_for(vector).check("POST", pairs + [("Service", "fin_face_verify")])
    assert caught.value.code == "InvalidParameter"


def test_keys_that_run_out(sandbox, person):
    import facecert

    sandbox.allow("STS.a", "secretword", "tokenword")
    with sandbox.client(credentials=("STS.a", "secretword", "tokenword")) as client:
        client.init(**person)
        sandbox.revoke("STS.a")
        with pytest.raises(facecert.SignatureError) as caught:
            client.init(**person)
        assert caught.value.code == "InvalidSecurityToken.Expired"
    sandbox.revoke(sandbox.access_key_id)
    with sandbox.client() as client:
        with pytest.raises(facecert.SignatureError) as caught:
            client.init(**person)
        assert caught.value.code == "InvalidAccessKeyId.Inactive"


@pytest.mark.parametrize("in_body", [True, False])
def test_the_official_client_is_served(sandbox, in_body):
    """The documented Python sample, with POST and Version 2017-03-31."""
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.request import RpcRequest

    class ExecuteRequest(RpcRequest):
        def __init__(self):
            RpcRequest.__init__(self, "saf", "2017-03-31", "ExecuteRequest")
            self.set_method("POST")
            self.set_protocol_type("http")
            self.set_accept_format("JSON")
            self.endpoint = sandbox.endpoint.split("//")[1]

    request = ExecuteRequest()
    add = request.add_body_params if in_body else request.add_query_param
    add("Service", "fin_face_verify")
    fields = {"method": "init", "sceneId": sandbox.scene_id, "outerOrderNo": "order1",
              "bizCode": "FACE", "identityType": "CERT_INFO", "certType": "IDENTITY_CARD",
              "certNo": "330103199001011230", "certName": "张三", "returnUrl": ""}  # fmt: skip
    add("ServiceParameters", json.dumps(fields))
    acs = AcsClient(sandbox.access_key_id, sandbox.access_key_secret, "cn-shanghai")
    answer = json.loads(acs.do_action_with_exception(request).decode("utf-8"))
    assert answer["Code"] == 200 and len(answer["Data"]["certifyId"]) == 32


def test_bug_a_repeated_name_that_is_no_unicode_was_answered_with_a_page():
    with Sandbox() as sandbox:
        pool = urllib3.PoolManager()
        response = pool.request("POST", sandbox.endpoint + "/?%FF=1&%FF=2")
        pool.clear()
    assert response.status == 400
    assert json.loads(response.data.decode("utf-8"))["Code"] == "InvalidParameter"
