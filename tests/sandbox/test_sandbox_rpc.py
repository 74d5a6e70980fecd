import base64
import calendar
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import urllib3
from conftest import VECTORS, Clock

import facecert
from facecert.sandbox import Sandbox
from facecert.sandbox.faults import FAULTS
from facecert.sandbox.rpc import AccessKey, Exchange, Gate, Refusal
from facecert.sandbox.service import Service


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


def encoded(vector, params=None):
    """Return query and body, with the parameters where that client puts them."""
    params = vector["params"] if params is None else params
    return (
        urlencode([(k, v) for k, v in params.items() if k in vector["query"]]),
        urlencode([(k, v) for k, v in params.items() if k not in vector["query"]]),
    )


def send(sandbox, method, query, form):
    """Send a request and return the status and the text of the response."""
    pool = urllib3.PoolManager()
    try:
        response = pool.request(
            method, sandbox.endpoint + "/" + ("?" + query if query else ""), body=form,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        return response.status, response.data.decode("utf-8")
    finally:
        pool.clear()


def exchange_for(vector, **settings):
    return Exchange(gate_for(vector), Service("1000000006", Clock()), **settings)


def answer_of(vector, query, form, method=None, exchange=None, **settings):
    """Return the response of a sandbox that does not listen."""
    exchange = exchange or exchange_for(vector, **settings)
    return exchange.answer(method or vector["method"], query, form, {}, ("127.0.0.1", 1))


RECORDED = json.loads((VECTORS / "signed_requests.json").read_text(encoding="utf-8"))
every_record = pytest.mark.parametrize(
    "vector", RECORDED, ids=["%d %s" % (n, it["client"][:12]) for n, it in enumerate(RECORDED)]
)


def test_there_are_records_of_six_languages_and_of_both_methods():
    clients = " ".join(vector["client"] for vector in RECORDED)
    assert len(RECORDED) == 19 and {vector["method"] for vector in RECORDED} == {"GET", "POST"}
    for language in ("Node.js", "Python", "Go", "C#", "PHP", "Java"):
        assert language in clients


@every_record
def test_requests_of_the_official_sdks_are_accepted(vector):
    with sandbox_for(vector) as sandbox:
        status, text = send(sandbox, vector["method"], *encoded(vector))
        answer = json.loads(text)
        sent = sandbox.requests[0].service_parameters
        if sent["method"] == "init":
            assert (status, answer["Code"], answer["Message"]) == (200, 200, "OK"), answer
            assert sandbox.verifications()[0].outer_order_no == sent["outerOrderNo"]
        else:  # of another sandbox's certify_id, so it passes the gateway and not the service
            assert (status, answer["Code"]) == (200, 400) and "certifyId" in answer["Message"]
        # The same once more: the nonce is used.
        status, text = send(sandbox, vector["method"], *encoded(vector))
        answer = json.loads(text)
        assert (status, answer["Code"]) == (400, "SignatureNonceUsed")
        assert answer["HostId"] and answer["RequestId"] and answer["Message"]


@pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.long)])
@every_record
def test_one_changed_character_anywhere_is_refused(vector, step):
    """In every place of the URL and of the body, as they are on the wire; or in some of them."""
    query, form = encoded(vector)
    exchange, tried = exchange_for(vector), 0
    for at_query, text in ((True, query), (False, form)):
        for position in range(0, len(text), step):
            new = "x" if text[position] != "x" else "y"
            changed = text[:position] + new + text[position + 1:]
            sent = (changed, form) if at_query else (query, changed)
            response = answer_of(vector, *sent, exchange=exchange)
            assert response.status in (400, 404) and '"Code": "' in response.text, changed
            tried += 1
    assert tried > 400 // step
    assert answer_of(vector, query, form, exchange=exchange).status == 200


@every_record
def test_another_method_and_one_more_parameter_are_refused(vector):
    params = vector["params"]
    assert answer_of(vector, *encoded(vector, dict(params, Added="x"))).status == 400
    other = {"GET": "POST", "POST": "GET"}[vector["method"]]
    refused = answer_of(vector, *encoded(vector), method=other)
    assert json.loads(refused.text)["Code"] == "SignatureDoesNotMatch"


@pytest.mark.parametrize("vector", [RECORDED[0], RECORDED[3]], ids=["body", "URL"])
def test_one_changed_character_is_refused_on_the_wire_too(vector):
    with sandbox_for(vector) as sandbox:
        for name in ("ServiceParameters", "Signature", "SignatureNonce", "Timestamp"):
            changed = dict(vector["params"])
            last = changed[name][-2]
            changed[name] = changed[name][:-2] + ("1" if last != "1" else "2") + changed[name][-1:]
            status, text = send(sandbox, vector["method"], *encoded(vector, changed))
            assert status == 400 and isinstance(json.loads(text)["Code"], str), (name, text)


def gate_for(vector):
    gate = Gate(lambda: at(vector))
    key = AccessKey(vector["access_key_secret"])
    gate.access_keys[vector["params"]["AccessKeyId"]] = key
    return gate


def resigned(vector, method="POST", **changes):
    """Return changed parameters, signed with another implementation."""
    params = dict(vector["params"], **changes)
    params = {name: value for name, value in params.items() if value is not None}
    params.pop("Signature")
    text = urlencode(sorted(params.items())).replace("+", "%20").replace("%7E", "~")
    text = "%s&%%2F&%s" % (method, urlencode([("", text)])[1:].replace("%7E", "~"))
    key = (vector["access_key_secret"] + "&").encode()
    digest = hmac.new(key, text.encode(), hashlib.sha1).digest()
    params["Signature"] = changes.get("Signature", base64.b64encode(digest).decode())
    return params


def code_of(vector, method="POST", **changes):
    """Return how changed parameters, signed with another implementation, are refused."""
    with pytest.raises(Refusal) as caught:
        gate_for(vector).check(method, resigned(vector, method, **changes).items())
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
        ({"AccessKeyId": "other"}, "InvalidAccessKeyId.NotFound", 404),
        ({"SecurityToken": "x"}, "InvalidSecurityToken.MismatchWithAccessKey", 400),
        ({"Signature": "nonsense"}, "SignatureDoesNotMatch", 400),
        ({"Signature": "签名"}, "SignatureDoesNotMatch", 400),
        ({"Signature": ""}, "MissingSignature", 400),
    ],
)
def test_refusals(signed_requests, changes, code, status):
    assert code_of(signed_requests[0], **changes) == (code, status)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "get", "", "TRACE"])
def test_other_methods_than_get_and_post_are_refused(signed_requests, method):
    expected = ("UnsupportedHTTPMethod", 403)
    assert code_of(signed_requests[0], method=method) == expected


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_bug_flask_and_http_server_answered_other_methods_with_pages(sandbox, method):
    status, text = send(sandbox, method, "Action=ExecuteRequest", None)
    assert (status, json.loads(text)["Code"]) == (403, "UnsupportedHTTPMethod")
    assert sandbox.requests[0].method == method


def test_bug_version_2019_05_21_was_refused_without_the_right_one(signed_requests):
    """The newest typed request classes send it unless they are told otherwise."""
    params = resigned(signed_requests[0], Version="2019-05-21")
    answer = json.loads(answer_of(signed_requests[0], *encoded(signed_requests[0], params)).text)
    assert answer["Code"] == "InvalidVersion" and "2017-03-31" in answer["Message"]


def test_a_long_get_is_judged_like_a_post(sandbox, client):
    """Its fields make a URL of 60,000 characters; 65,536 is where http.server itself ends."""
    fields = {"method": "query", "certifyId": "ab" * 16, "sceneId": sandbox.scene_id,
              "encToken": "A" * 60000}  # fmt: skip
    common = dict(RECORDED[3]["params"], ServiceParameters=json.dumps(fields))
    common["Timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    params = resigned(dict(RECORDED[3], params=common), "GET")
    status, text = send(sandbox, "GET", urlencode(params), None)
    answer = json.loads(text)
    assert (status, answer["Code"]) == (200, 400) and "certifyId" in answer["Message"]
    params["ServiceParameters"] += " "
    status, text = send(sandbox, "GET", urlencode(params), None)
    assert json.loads(text)["Code"] == "SignatureDoesNotMatch"
    assert [request.method for request in sandbox.requests] == ["GET", "GET"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_repeated_parameter_in_the_url_is_refused(signed_requests, method):
    vector = signed_requests[3]
    query, form = encoded(vector)
    response = answer_of(vector, query + "&Service=fin_face_verify", form, method=method)
    assert response.status == 400 and json.loads(response.text)["Code"] == "InvalidParameter"


@pytest.mark.parametrize("form", ["JSON", "json", "Json", "", None, "YAML"])
def test_json_is_the_format_unless_xml_is_asked_for(signed_requests, form):
    vector = signed_requests[0]
    response = answer_of(vector, *encoded(vector, resigned(vector, Format=form)))
    assert response.content_type.startswith("application/json")
    assert json.loads(response.text)["Code"] == 200
    refused = resigned(vector, Format=form, Signature="x")
    answer = json.loads(answer_of(vector, *encoded(vector, refused)).text)
    assert answer["Code"] == "SignatureDoesNotMatch"


def xml_of(response):
    assert response.content_type == "text/xml;charset=utf-8"
    assert response.text.startswith("<?xml version='1.0' encoding='UTF-8'?><")
    return ElementTree.fromstring(response.text.encode("utf-8"))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("form", ["XML", "xml"])
def test_an_answer_in_xml(signed_requests, method, form):
    vector = signed_requests[0]
    params = resigned(vector, method, Format=form)
    root = xml_of(answer_of(vector, *encoded(vector, params), method=method))
    assert root.tag == "ExecuteRequestResponse"
    assert [it.tag for it in root] == ["RequestId", "Message", "Code", "Data"]
    assert (root.findtext("Code"), root.findtext("Message")) == ("200", "OK")
    assert len(root.findtext("RequestId")) == 36 and len(root.findtext("Data/certifyId")) == 32
    assert "&sign=" in root.findtext("Data/certifyUrl")
    root = xml_of(
        answer_of(vector, *encoded(vector, params), method=method, data_as_text=True)
    )
    assert len(json.loads(root.findtext("Data"))["certifyId"]) == 32


@pytest.mark.parametrize("changes, code", [
    ({"Signature": "x"}, "SignatureDoesNotMatch"),
    ({"AccessKeyId": "other"}, "InvalidAccessKeyId.NotFound"),
    ({"Version": "2019-05-21"}, "InvalidVersion"),
    ({"SignatureNonce": None}, "MissingSignatureNonce"),
])  # fmt: skip
def test_bug_format_xml_hid_what_was_wrong(signed_requests, changes, code):
    """The sandbox refused the format itself, with a code that does not exist."""
    vector = signed_requests[0]
    params = resigned(vector, Format="XML", **changes)
    root = xml_of(answer_of(vector, *encoded(vector, params)))
    assert root.tag == "Error"
    assert [it.tag for it in root] == ["RequestId", "HostId", "Code", "Message"]
    assert root.findtext("Code") == code and root.findtext("Message")
    assert len(root.findtext("RequestId")) == 36


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {
    "refused", "cut", "no-answer", "slow", "html-502", "truncated", "http-503", "throttled", "echo"
}))  # fmt: skip
def test_what_faults_bend_is_well_formed_in_xml(signed_requests, fault):
    vector = signed_requests[0]
    exchange = exchange_for(vector)
    exchange.faults.add(fault, 1, None, None, 0.0)
    form = urlencode(resigned(vector, Format="XML"))
    root = xml_of(exchange.answer("POST", "", form, {}, ("127.0.0.1", 1)))
    assert root.tag == "ExecuteRequestResponse" and len(root) >= 3


def test_characters_that_xml_does_not_allow_are_replaced(signed_requests):
    vector = signed_requests[0]
    response = answer_of(vector, "Format=XML&%00%0b%ff%ef%bf%bf=1&%00%0b%ff%ef%bf%bf=2", "")
    assert "parameter ??" in xml_of(response).findtext("Message")


def test_data_as_text(person):
    with Sandbox(data_as_text=True) as sandbox, sandbox.client() as client:
        opened = client.init(**person)
        sandbox.complete(opened.certify_id)
        assert client.query(opened.certify_id).passed
        with pytest.raises(facecert.ServiceError):  # Data is missing, not "null"
            client.query("0" * 32)


def test_data_as_text_is_a_string(signed_requests):
    vector = signed_requests[0]
    answer = json.loads(answer_of(vector, *encoded(vector), data_as_text=True).text)
    assert len(json.loads(answer["Data"])["certifyId"]) == 32
    vector = signed_requests[-3]  # a query with an unknown certify_id
    answer = json.loads(answer_of(vector, *encoded(vector), data_as_text=True).text)
    assert answer["Code"] == 400 and "Data" not in answer


def test_bug_a_refused_call_used_up_a_fault(sandbox, client, person):
    sandbox.fail("throttled", times=1)
    with sandbox.client(credentials=(sandbox.access_key_id, "wrong")) as wrong:
        with pytest.raises(facecert.SignatureError):
            wrong.init(**person)
    with sandbox.client(attempts=1) as right:
        with pytest.raises(facecert.Throttled):
            right.init(**person)
        right.init(**person)
    assert [request.fault for request in sandbox.requests] == [None, "throttled", None]


@pytest.mark.parametrize("value", [None, ...])
def test_bug_code_400_for_return_url_did_not_say_that_an_empty_text_is_wanted(value):
    fields = {"method": "init", "sceneId": "1", "outerOrderNo": "order1", "bizCode": "FACE",
              "identityType": "CERT_INFO", "certType": "IDENTITY_CARD", "certName": "张三",
              "certNo": "330103199001011230", "returnUrl": value}  # fmt: skip
    if value is ...:
        del fields["returnUrl"]
    code, message, _ = Service("1", Clock()).execute("fin_face_verify", json.dumps(fields))
    assert code == 400 and "returnUrl" in message and '""' in message


def test_the_time_window_is_15_minutes_either_way(signed_requests):
    vector = signed_requests[0]
    gate = gate_for(vector)
    gate.clock = lambda: at(vector) + 15 * 60
    assert gate.check("POST", vector["params"].items())


def test_a_nonce_may_come_again_after_31_minutes(signed_requests):
    vector = signed_requests[0]
    gate = gate_for(vector)
    now = [at(vector)]
    gate.clock = lambda: now[0]
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
        with pytest.raises(facecert.SignatureError, match="expired") as caught:
            client.init(**person)
        assert caught.value.code == "InvalidSecurityToken.Expired"
    # The client itself refuses an id that begins with STS. and has no token.
    sandbox.allow("temporary", "secretword", "tokenword")
    with sandbox.client(credentials=("temporary", "secretword")) as client:
        with pytest.raises(facecert.SignatureError, match="ALIBABA_CLOUD_SECURITY_TOKEN") as caught:
            client.init(**person)
        assert caught.value.code == "MissingSecurityToken"
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
