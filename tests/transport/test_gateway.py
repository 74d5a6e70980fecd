import types
from urllib.parse import parse_qsl

import pytest
from conftest import NAME, NUMBER, ROOT, run_python

from facecert.params import ServiceParameters
from facecert.transport import gateway
from facecert.transport.credentials import Snapshot

PARAMETERS = ServiceParameters({"method": "query", "sceneId": "1"})

COMMON = {
    "AccessKeyId", "Action", "Format", "RegionId", "Signature", "SignatureMethod",
    "SignatureNonce", "SignatureType", "SignatureVersion", "Timestamp", "Version",
}  # fmt: skip


def test_everything_travels_in_the_body(sandbox, client, person):
    client.init(**person)
    request = sandbox.requests[0]
    assert request.method == "POST" and request.query == {}
    assert set(request.form) == COMMON | {"Service", "ServiceParameters"}
    assert request.form["Service"] == "fin_face_verify"
    assert request.form["Version"] == "2017-03-31"
    assert request.form["Action"] == "ExecuteRequest"
    assert request.service_parameters["certName"] == NAME
    for name, value in request.headers.items():
        assert NAME not in value and NUMBER not in value and "sandbox-access" not in value, name


def test_an_sts_token_is_signed_in(sandbox, person):
    sandbox.allow("STS.x", "secret", "token+/=")
    with sandbox.client(credentials=("STS.x", "secret", "token+/=")) as client:
        client.init(**person)
    assert sandbox.requests[0].form["SecurityToken"] == "token+/="
    assert sandbox.requests[0].query == {}


def test_a_rotated_token_is_used_by_the_very_next_attempt(sandbox, client, person):
    from facecert.transport.credentials import Credentials

    keys = [("STS.1", "s1", "t1"), ("STS.2", "s2", "t2")]
    for key in keys:
        sandbox.allow(*key)

    class Rotating:
        def get_credential(self):
            key = types.SimpleNamespace()
            key.access_key_id, key.access_key_secret, key.security_token = keys.pop(0)
            return key

    client._gateway._credentials = Credentials(Rotating())
    sandbox.fail("throttled")
    client.init(**person)
    assert [request.form["SecurityToken"] for request in sandbox.requests] == ["t1", "t2"]


def test_each_attempt_is_signed_anew(sandbox, client, person):
    sandbox.fail("throttled", times=2)
    client.init(**person)
    nonces = {request.form["SignatureNonce"] for request in sandbox.requests}
    assert len(sandbox.requests) == len(nonces) == 3


def test_nonces_are_the_systems_random_numbers_not_the_sdks(monkeypatch):
    from aliyunsdkcore.utils import parameter_helper

    monkeypatch.setattr(parameter_helper, "get_uuid", lambda: "always the same")
    snapshot = Snapshot("id", "secret")
    nonces = set()
    for _ in range(10):
        # Once each: a server may take either of two.
        signed = gateway.sign(PARAMETERS, snapshot).value.decode("ascii")
        fields = parse_qsl(signed, keep_blank_values=True)
        assert {name for name, _ in fields} == COMMON | {"Service", "ServiceParameters"}
        assert len(fields) == len(COMMON) + 2
        nonces.add(dict(fields)["SignatureNonce"])
    assert len(nonces) == 10 and all(len(nonce) == 32 for nonce in nonces)


@pytest.mark.parametrize(
    "text", ["~", "*", "+", " ", "a b+c", "%7E", "&=", "张三", "𠮷", "\\u5f20", '"quoted"', "/"]
)
def test_signatures_of_awkward_texts_are_accepted(sandbox, client, text):
    assert client.init(cert_name="x" + text + "y", cert_no=NUMBER).certify_id
    assert sandbox.requests[0].service_parameters["certName"] == "x" + text + "y"


def test_bug_keys_of_the_environment_win_over_those_passed_in(sandbox, client, person, monkeypatch):
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_ID", "wrong")
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_SECRET", "wrong")
    client.init(**person)
    assert sandbox.requests[0].form["AccessKeyId"] == sandbox.access_key_id


@pytest.mark.parametrize("release", ["v20170331", "v20190521"])
def test_both_generations_of_saf_are_used(release):
    """saf 1.0.0 has v20170331 alone, later releases v20190521 alone; here each is made by hand."""
    code = (
        "import sys, types\n"
        "from aliyunsdkcore.request import RpcRequest\n"
        "class ExecuteRequestRequest(RpcRequest):\n"
        "    def __init__(self):\n"
        "        RpcRequest.__init__(self, 'saf', '2000-01-01', 'ExecuteRequest')\n"
        "for version in ('v20170331', 'v20190521'):\n"
        "    name = 'aliyunsdksaf.request.%%s.ExecuteRequestRequest' %% version\n"
        "    sys.modules[name] = None\n"
        "    if version == %r:\n"
        "        sys.modules[name.rpartition('.')[0]] = types.ModuleType('package')\n"
        "        sys.modules[name] = types.ModuleType('module')\n"
        "        sys.modules[name].ExecuteRequestRequest = ExecuteRequestRequest\n"
        "from facecert.transport import gateway\n"
        "from facecert.transport.credentials import Snapshot\n"
        "from facecert.params import ServiceParameters\n"
        "parameters = ServiceParameters({'method': 'query', 'sceneId': '1'})\n"
        "signed = gateway.sign(parameters, Snapshot('id', 'secret')).value\n"
        "print(gateway.ExecuteRequestRequest is ExecuteRequestRequest)\n"
        "print(b'Version=2017-03-31' in signed.split(b'&'))\n"
    ) % release
    assert run_python(code).split() == ["True", "True"]


CALL = (
    "import facecert\n"
    "try: facecert.Client('1', credentials=('a', 'b')).query('ab')\n"
    "except facecert.DependencyError as error: print(error)"
)


def copy_of_core(tmp_path):
    import shutil

    import aliyunsdkcore

    source = aliyunsdkcore.__path__[0]
    shutil.copytree(source, str(tmp_path / "aliyunsdkcore"))
    return tmp_path / "aliyunsdkcore"


def broken_core(tmp_path, monkeypatch_text):
    core = copy_of_core(tmp_path)
    monkeypatch_text(core)
    path = "%s:%s" % (tmp_path, ROOT)
    return run_python(CALL, env={"PYTHONPATH": path})


REPAIR = "python -m pip install --force-reinstall --no-deps aliyun-python-sdk-core"


def test_bug_a_mixed_up_aliyunsdkcore_names_the_repair(tmp_path):
    """What uninstalling one of the two distributions leaves behind."""
    said = broken_core(tmp_path, lambda core: (core / "vendored" / "six.py").unlink())
    assert REPAIR in said and "DependencyError" not in said


def test_bug_core_v3_on_python_3_12_names_the_repair(tmp_path):
    """Its vendored six has no find_spec, so six.moves is not found."""

    def old_six(core):
        (core / "vendored" / "six.py").write_text(
            "raise ModuleNotFoundError(\"No module named 'aliyunsdkcore.vendored.six.moves'\")\n"
        )

    said = broken_core(tmp_path, old_six)
    assert REPAIR in said and "six.moves" not in said


def test_a_missing_saf_is_named_with_its_repair():
    code = "import sys; sys.modules['aliyunsdksaf'] = None\n" + CALL
    assert "aliyun-python-sdk-saf" in run_python(code)


def test_apps_that_make_errors_of_warnings_can_still_sign():
    code = "import warnings; warnings.simplefilter('error')\nimport facecert.transport.gateway"
    assert run_python(code) == ""


def test_a_host_that_refuses_md5_gets_told_so(sandbox):
    """As in FIPS mode: the SDK's nonce, which facecert does not even use, needs MD5."""
    code = (
        "import hashlib\n"
        "def refuse(*args, **kwargs): raise ValueError('disabled for FIPS')\n"
        "hashlib.md5 = refuse\n"
        "import facecert\n"
        "client = facecert.Client(%r, endpoint=%r, credentials=(%r, %r))\n"
        "try: client.init(cert_name='a', cert_no='1')\n"
        "except facecert.DependencyError as error: print(error.outcome, '|', error)\n"
        "else: print('sent')\n"
    ) % (sandbox.scene_id, sandbox.endpoint, sandbox.access_key_id, sandbox.access_key_secret)
    said = run_python(code)
    if said.strip() == "sent":  # core-v3 makes its nonce without MD5
        return
    assert said.startswith("not sent |") and "MD5" in said and "nonce" in said
    assert sandbox.requests == []
