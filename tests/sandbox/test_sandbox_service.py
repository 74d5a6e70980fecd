import base64
import json
import sys

import pytest

from facecert import DependencyError, ServiceError, encrypt
from facecert.crypto.sm2 import published_key
from facecert.sandbox.service import LIFETIME, Service

GOOD = {
    "method": "init",
    "sceneId": "1",
    "outerOrderNo": "order1",
    "bizCode": "FACE",
    "identityType": "CERT_INFO",
    "certType": "IDENTITY_CARD",
    "certName": "张三",
    "certNo": "330103199001011230",
    "returnUrl": "",
}


@pytest.fixture
def service(clock):
    service = Service("1", clock)
    service.certify_url_base = "http://127.0.0.1:1"
    return service


def execute(service, fields=None, **changes):
    fields = dict(GOOD if fields is None else fields, **changes)
    fields = {name: value for name, value in fields.items() if value is not Ellipsis}
    return service.execute("fin_face_verify", json.dumps(fields))


def opened(service, **changes):
    code, message, data = execute(service, **changes)
    assert (code, message) == (200, "OK")
    return data


def passed(service, certify_id, scene_id="1"):
    query = {"method": "query", "certifyId": certify_id, "sceneId": scene_id}
    code, _, data = execute(service, query)
    return data["passed"] if code == 200 else code


def test_init_gives_an_id_and_a_long_url(service):
    data = opened(service)
    assert len(data["certifyId"]) == 32 and int(data["certifyId"], 16) >= 0
    assert data["certifyUrl"].startswith("http://127.0.0.1:1/gateway.do?")
    assert len(data["certifyUrl"]) > 200


@pytest.mark.parametrize(
    "field, value",
    [
        ("method", "other"),
        ("sceneId", "2"),
        ("sceneId", "x"),
        ("sceneId", 1),
        ("sceneId", ...),
        ("outerOrderNo", ""),
        ("outerOrderNo", "a" * 33),
        ("outerOrderNo", "a-b"),
        ("outerOrderNo", ...),
        ("bizCode", "FACES"),
        ("bizCode", ...),
        ("identityType", "x"),
        ("certType", "PASSPORT"),
        ("certName", ""),
        ("certName", " "),
        ("certName", ...),
        ("certNo", ""),
        ("certNo", 3),
        ("returnUrl", None),
        ("returnUrl", ...),
        ("callbackUrl", "http://shop.example"),
        ("callbackUrl", "https://"),
        ("callbackUrl", None),
        ("callbackToken", None),
        ("encryptType", "RSA"),
        ("encryptType", None),
    ],
)
def test_every_rule_of_init(service, field, value):
    code, message, data = execute(service, **{field: value})
    assert code == 400 and data is None and field in message
    assert service.newest_first() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"bizCode": "FACE_SDK"},
        {"certNo": "H12345678"},
        {"returnUrl": "myapp://x"},
        {"callbackUrl": "https://shop.example/x", "callbackToken": "t"},
        {"callbackUrl": "http://127.0.0.1:5000/x"},
        {"encryptType": ""},
        {"unknown": [1]},
        {"outerOrderNo": "a" * 32},
    ],
)
def test_what_init_allows(service, changes):
    assert opened(service, **changes)


def test_an_order_number_is_taken_once(service):
    opened(service)
    assert execute(service)[0] == 400
    opened(service, outerOrderNo="order2")


def test_other_services_and_nonsense(service):
    assert service.execute("other", "{}")[0] == 404
    for text in ("", "null", "[]", "{", "[" * 100000):
        assert service.execute("fin_face_verify", text)[0] == 400


def test_query_is_f_until_it_is_passed(service):
    certify_id = opened(service)["certifyId"]
    assert passed(service, certify_id) == "F"
    assert service.submit(certify_id, True)
    assert passed(service, certify_id) == "T"


def test_one_submission_only(service):
    certify_id = opened(service)["certifyId"]
    assert service.submit(certify_id, False)
    assert not service.submit(certify_id, True)
    assert passed(service, certify_id) == "F"


def test_giving_up_is_not_a_submission(service):
    certify_id = opened(service)["certifyId"]
    service.give_up(certify_id)
    assert passed(service, certify_id) == "F"
    assert service.submit(certify_id, True)
    service.give_up(certify_id)
    assert passed(service, certify_id) == "T"


def test_thirty_minutes(service, clock):
    first, second = opened(service), opened(service, outerOrderNo="order2")
    clock.now += LIFETIME - 1
    assert service.submit(first["certifyId"], True)
    clock.now += 1
    assert not service.submit(second["certifyId"], True)
    assert passed(service, first["certifyId"]) == "T"
    assert passed(service, second["certifyId"]) == "F"


def test_query_wants_the_scene_of_init_and_a_known_id(service):
    certify_id = opened(service)["certifyId"]
    assert passed(service, certify_id, scene_id="2") == 400
    assert passed(service, "ab" * 16) == 400
    assert execute(service, {"method": "query", "certifyId": ["x"], "sceneId": "1"})[0] == 400


def sealed(service, **fields):
    key = service.sm2_keys.public_key_hex
    return {name: encrypt(text, key) for name, text in fields.items()}


def test_encrypted_fields_are_decrypted_and_checked(service):
    texts = sealed(service, certName="张三", certNo="330103199001011230")
    opened(service, encryptType="SM2", **texts)
    verification = service.newest_first()[0]
    assert (verification.masked_name, verification.masked_number) == ("张*", "3****************0")
    wrong = dict(texts, sceneId="2")
    assert execute(service, encryptType="SM2", outerOrderNo="order2", **wrong)[0] == 400


@pytest.mark.parametrize("field", ["certName", "certNo"])
@pytest.mark.parametrize("fault", ["plain", "missing", "number", "another key", "a bit"])
def test_what_cannot_be_decrypted_is_501(service, field, fault):
    texts = dict(sealed(service, certName="张三", certNo="330103199001011230"))
    raw = bytearray(base64.b64decode(texts[field]))
    raw[70] ^= 1
    texts[field] = {
        "plain": "张三",
        "missing": ...,
        "number": 5,
        "another key": encrypt("张三", published_key()),
        "a bit": base64.b64encode(raw).decode("ascii"),
    }[fault]
    assert execute(service, encryptType="SM2", **texts)[:2] == (501, "系统错误")


def test_ciphertext_without_encrypt_type_is_taken_for_a_name(service):
    """As the real one would: it cannot know."""
    texts = sealed(service, certName="张三", certNo="330103199001011230")
    assert opened(service, **texts)


@pytest.mark.parametrize("token", ["", "x", 5, "a" * 342 + "==", "é"])
def test_an_enc_token_of_another_key_is_not_valid(service, token):
    certify_id = opened(service)["certifyId"]
    query = {"method": "query", "certifyId": certify_id, "sceneId": "1", "encToken": token}
    code, message, _ = execute(service, query)
    assert code == 400 and "encToken" in message


def test_without_cryptography_only_pictures_are_missing(monkeypatch, sandbox, person):
    loaded = [module for module in sys.modules if module.startswith("cryptography.")]
    for module in ["cryptography"] + loaded:
        monkeypatch.setitem(sys.modules, module, None)
    with sandbox.client(encrypt=True) as client:
        certify_id = client.init(**person).certify_id
        assert client.query(certify_id).passed is False
        with pytest.raises(ServiceError) as caught:
            client.query(certify_id, enc_token="A" * 342 + "==")
    assert caught.value.code == 400
    with pytest.raises(DependencyError, match="pip install .*cryptography"):
        sandbox.picture_public_key


@pytest.mark.parametrize(
    "field, value",
    [
        ("certName", "张\ud800"),
        ("certNo", "\udcff"),
        ("returnUrl", "https://shop.example/\ud800"),
        ("callbackUrl", "https://shop.example/\ud800"),
        ("callbackToken", "\ud800"),
    ],
)
def test_bug_texts_that_are_no_unicode_broke_the_pages_and_the_callback(service, field, value):
    code, message, _ = execute(service, **{field: value})
    assert code == 400 and field in message
