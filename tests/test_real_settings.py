"""What people really export: each row a set of variables, what the call says, and why.

The doctor's verdict and the call's outcome agree for every row.
"""

import json
import os
import ssl

import pytest
from conftest import VECTORS, run_cli

from facecert import Client, InvalidParameter, settings
from facecert.doctor import checks
from facecert.doctor.finding import OK, PROBLEM
from facecert.transport import connect
from facecert.transport.credentials import Credentials

pytest.importorskip("click", reason="the command line is the extra `cli`")
pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")

HANDED = [
    (row["input"], row["expect"]["says"], row["why"])
    for row in json.loads((VECTORS / "real_inputs.json").read_text(encoding="utf-8"))
    if row["run"] == "facecert query ID, with these variables"
]
ID, SECRET = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
REAL = {"FACECERT_ENDPOINT": ""}  # the sandbox needs neither proxy nor CA bundle

#: Variables, words of the refusal, why. "{here}" is a folder.
REFUSED = HANDED + [
    ({ID: "'LTAI5tAbc'"}, ID + " has quotation marks", "docker --env-file keeps them"),
    ({ID: "“LTAI5tAbc”"}, ID + " has quotation marks", "a word processor made them"),
    ({SECRET: "<your-key>"}, SECRET + " is a placeholder", "copied from a guide"),
    ({ID: "YOUR_ACCESS_KEY_ID"}, ID + " is a placeholder", "copied from the vendor's guide"),
    ({ID: "LTAI****************"}, ID + " is a placeholder", "copied from the console's list"),
    ({SECRET: "$ALIYUN_SECRET"}, SECRET + " is a placeholder", "systemd expands no variables"),
    ({SECRET: "%ALIYUN_SECRET%"}, SECRET + " is a placeholder", "set in a PowerShell"),
    ({SECRET: "{{ vault.secret }}"}, SECRET + " is a placeholder", "an unrendered template"),
    ({SECRET: "secret word"}, SECRET + " contains a blank", "a blank inside"),
    ({SECRET: "\u200bsecret"}, SECRET + " contains a control or invisible", "pasted from a chat"),
    ({SECRET: "ab # prod"}, SECRET + " has a comment", "--env-file keeps comments"),
    ({"ALIBABA_CLOUD_SECURITY_TOKEN": "<token>"}, "SECURITY_TOKEN is a placeholder", "a guide"),
    ({ID: "", SECRET: "secretword"}, ID + " is not set", "half a pair"),
    ({ID: "", SECRET: "", "ALICLOUD_ACCESS_KEY": "x"}, "ALICLOUD_ACCESS_KEY", "Terraform's name"),
    ({ID: "", SECRET: "", "ALIYUN_ACCESS_KEY_ID": "x"}, "ALIYUN_ACCESS_KEY_ID", "an old name"),
    ({ID: "STS.abc"}, "its token is missing", "two of three parts were copied"),
    ({"FACECERT_SCENE_ID": "1000000006.0"}, "FACECERT_SCENE_ID must be", "a spreadsheet's number"),
    ({"FACECERT_SCENE_ID": "<scene id>"}, "FACECERT_SCENE_ID is a placeholder", "a guide"),
    ({"FACECERT_ENDPOINT": "'https://host'"}, "FACECERT_ENDPOINT has quotation", "an env file"),
    ({"FACECERT_ENCRYPT": '"1"'}, "FACECERT_ENCRYPT has quotation marks", "an env file"),
    ({"FACECERT_CALLBACK_SECRET": "${CALLBACK_SECRET}"}, "is a placeholder", "a template"),
    ({"FACECERT_CALLBACK_SECRET": "short"}, "callback_secret", "a short secret"),
    ({"FACECERT_PER_DAY": "5", "FACECERT_LEDGER": ""}, "per_day needs a ledger", "it counts"),
    ({"FACECERT_LEDGER": "postgres://u:secretword@h/d"}, "postgresql+psycopg2://", "Heroku's form"),
    ({"FACECERT_LEDGER": "'mysql+pymysql://u:secretword@h/d'"}, "has quotation marks", "env file"),
    ({"FACECERT_LEDGER": "mysql+pymysql://u:${PASSWORD}@h/d"}, "is a placeholder", "a template"),
    ({"FACECERT_LEDGER": "$HOME/led.db"}, "is a placeholder", "no shell expands it"),
    ({"FACECERT_LEDGER": "led.db # the ledger"}, "has a comment", "--env-file keeps comments"),
    ({"FACECERT_LEDGER": "sqlite://led.db"}, "sqlite:///path", "two slashes are a host"),
    (dict(REAL, HTTPS_PROXY='"http://127.0.0.1:1"'), "HTTPS_PROXY has quotation marks", "env file"),
    (dict(REAL, HTTPS_PROXY="http://u:12#secretword@127.0.0.1:1"), "write # in a", "a password"),
    (dict(REAL, HTTPS_PROXY="${PROXY}"), "HTTPS_PROXY is a placeholder", "a template"),
    (dict(REAL, HTTPS_PROXY="https://127.0.0.1:1"), "HTTPS_PROXY must be http://", "not spoken"),
    (dict(REAL, SSL_CERT_FILE="'/etc/ca.pem'"), "SSL_CERT_FILE has quotation marks", "env file"),
    (dict(REAL, SSL_CERT_FILE="{here}/der.pem"), "no certificate in PEM form", "exported as DER"),
    (dict(REAL, SSL_CERT_FILE="{here}/empty.pem"), "no certificate in PEM form", "a failed copy"),
]

#: Variables that a call accepts, and why.
TAKEN = [
    ({}, "nothing is odd"),
    ({"FACECERT_SCENE_ID": " 1000000006\r"}, "a file with CRLF"),
    ({ID: "{id} \r", SECRET: "\t{secret}\r\n"}, "a file with CRLF"),
    ({"FACECERT_LEDGER": "~/led.db \r"}, "no shell expands ~"),
    ({"FACECERT_LEDGER": "sqlite:///~/led.db"}, "no shell expands ~"),
    ({"FACECERT_READ_TIMEOUT": "10\r"}, "a file with CRLF"),
    ({"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"}, "http:// to a sandbox needs no bundle"),
    ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "no proxy leads to this machine"),
    ({"ALIYUN_ACCESS_KEY_ID": "x"}, "it stands beside the right names"),
]


@pytest.fixture
def outcome(sandbox, monkeypatch, tmp_path):
    """Return what ``facecert query`` says with these variables, and the doctor's findings."""
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "der.pem").write_bytes(ssl.PEM_cert_to_DER_cert(PEM))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "CHECKS", tuple(
        check for check in checks.CHECKS
        if check.__name__ in ("check_settings", "check_endpoint", "check_credentials",
                              "check_sm2", "check_ledger")
    ))  # fmt: skip
    with sandbox.client() as client:
        certify_id = client.init(cert_name="张三", cert_no="330103199001011230").certify_id
    asked = len(sandbox.requests)

    def run(variables):
        environ = dict(sandbox.environment, FACECERT_ATTEMPTS="1", **variables)
        for name, value in environ.items():
            value = value.replace("{here}", str(tmp_path)).replace("{id}", sandbox.access_key_id)
            monkeypatch.setenv(name, value.replace("{secret}", sandbox.access_key_secret))
        done = run_cli("query", certify_id)
        findings = list(checks.examine())
        assert "secretword" not in done.stdout + done.stderr + str(findings)
        assert sandbox.access_key_secret not in done.stdout + done.stderr + str(findings)
        return done, len(sandbox.requests) - asked, findings

    return run


@pytest.mark.parametrize("variables, says, why", REFUSED)
def test_refused_by_the_call_and_by_the_doctor(outcome, variables, says, why, tmp_path):
    done, sent, findings = outcome(variables)
    assert (done.exit_code, sent) == (6, 0), done.stderr
    assert says in done.stderr
    assert says in str([found.words for found in findings if found.verdict == PROBLEM])
    assert [path.name for path in tmp_path.iterdir() if "led" in path.name] == []


@pytest.mark.parametrize("variables, why", TAKEN)
def test_taken_by_the_call_and_by_the_doctor(outcome, variables, why, tmp_path):
    done, sent, findings = outcome(variables)
    assert (done.exit_code, sent) == (1, 1), done.stderr  # not passed yet
    assert [found for found in findings if found.verdict == PROBLEM] == []
    assert {found.subject for found in findings if found.verdict == OK} >= {"credentials", "sm2"}
    assert not any("~" in path.name for path in tmp_path.iterdir())


def test_a_ledger_below_the_home(sandbox, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (row,) = [
        row for row in json.loads((VECTORS / "real_inputs.json").read_text(encoding="utf-8"))
        if row["run"].startswith("init with FACECERT_LEDGER=input")
    ]  # fmt: skip
    given = settings.from_environment(dict(sandbox.environment, FACECERT_LEDGER=row["input"]))
    key = (sandbox.access_key_id, sandbox.access_key_secret)
    with Client(credentials=key, **given) as client:
        client.init(cert_name="张三", cert_no="330103199001011230")
        client.ledger.close()
    assert os.path.exists(row["expect"]["file"].replace("$HOME", str(tmp_path)))


def test_a_ledger_in_a_missing_folder(sandbox, outcome, monkeypatch, tmp_path, person):
    """A query gives its result all the same; an init is not sent, and the doctor says so."""
    _, _, findings = outcome({"FACECERT_LEDGER": str(tmp_path / "none" / "led.db")})
    (found,) = [found for found in findings if found.verdict == PROBLEM]
    assert found.subject == "ledger" and "its folder is missing" in found.words
    with Client.from_environment() as client, pytest.raises(Exception, match="unable to open"):
        client.init(**person)


@pytest.mark.parametrize(
    "path, content, says",
    [
        (".aliyun/config.json", '{"current": "default",', "config.json is malformed"),
        (".aliyun/config.json", '\ufeff{"current": "default"}', "(JSONDecodeError)"),
        (".aliyun/config.json", '{"current": "x", "profiles": []}', "has no usable profile"),
        (".alibabacloud/credentials.ini", "access_key_id = x\n", "(MissingSectionHeaderError)"),
        (".alibabacloud/credentials.ini", "[other]\ntype = access_key\n", "has no usable profile"),
        ("mine.ini", None, "mine.ini is malformed or cannot be read (FileNotFoundError)"),
    ],
)
def test_profiles_that_give_no_key(monkeypatch, tmp_path, path, content, says):
    def chain():
        raise RuntimeError("secretword")

    monkeypatch.setattr("facecert.transport.credentials._import_chain", lambda: chain)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / path
    if content is None:
        monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", str(file))
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    with pytest.raises(Exception, match="found no AccessKey") as caught:
        Credentials().snapshot()
    assert says in str(caught.value) and "secretword" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "s3cr3t-with-$dollar-and-100%", "a<b>c", "led.db", "/var/lib/my app's/led#1.db",
        "postgresql://u:p%24%7Bx%7D@h/d", "C:\\Users\\x\\led.db", "sqlite:////srv/led.db",
        "https://host:8443", "张三的账本.db", "$abcdefgh12345678", "xx", "yourself",
    ],
)  # fmt: skip
def test_forms_that_a_value_may_have(value):
    assert settings.check_form(" %s\r\n" % value, "x") == value


def test_a_list_of_secrets_is_judged_word_by_word():
    with pytest.raises(InvalidParameter, match="has quotation marks"):
        settings.from_environment({"FACECERT_CALLBACK_SECRET": ["a" * 16, '"%s"' % ("b" * 16)]})


def test_no_frame_of_a_refusal_holds_the_environment():
    environ = {"FACECERT_READ_TIMEOUT": "10s", "FACECERT_CALLBACK_SECRET": "secretword"}
    with pytest.raises(InvalidParameter, match="seconds") as caught:
        settings.from_environment(environ)
    frames = []
    trace = caught.value.__traceback__.tb_next  # without the test's own frame
    while trace:
        frames.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert frames and "secretword" not in "".join(frames)


def test_a_bundle_below_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").write_text(PEM)
    monkeypatch.setenv("SSL_CERT_FILE", "~/ca.pem\r")
    assert connect.tls_context().get_ca_certs()


#: A certificate authority that nobody uses.
PEM = """\
-----BEGIN CERTIFICATE-----
MIIByjCCAW+gAwIBAgIUCEetCvvw/fhG6nQ9FR8Ds/vv7DswCgYIKoZIzj0EAwIw
QDEXMBUGA1UECgwOdHJ1c3RtZSB2MS4yLjExJTAjBgNVBAsMHFRlc3RpbmcgQ0Eg
I1dPR0VxM1E0RURNdlVtRVQwIBcNMDAwMTAxMDAwMDAwWhgPMzAwMDAxMDEwMDAw
MDBaMEAxFzAVBgNVBAoMDnRydXN0bWUgdjEuMi4xMSUwIwYDVQQLDBxUZXN0aW5n
IENBICNXT0dFcTNRNEVETXZVbUVUMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
H3xMafaecSE98edn0UqDok+xOA05N7gi5PSvskPNFhJbDuI4nf+Jrrda/87lachz
USAlnnuhsgxfSsftvmUc+aNFMEMwHQYDVR0OBBYEFM4ip/N8HwhZH7Fk1C/sooaI
HBBjMBIGA1UdEwEB/wQIMAYBAf8CAQkwDgYDVR0PAQH/BAQDAgGGMAoGCCqGSM49
BAMCA0kAMEYCIQCgqaKJ9PA79ZQ7Mon80ag6ZApijOfSTHZag55zesHNmwIhAIwk
NZtMIZ7uWm0cmG+eeSV1cjODIni7o0b/4QRxrudV
-----END CERTIFICATE-----
"""
