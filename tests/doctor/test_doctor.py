import collections
import datetime
import ipaddress
import json
import os
import re
import socket
import ssl
import sys
import threading
import time

import pytest
from conftest import ROOT, run_python
from servers import TunnelProxy

from facecert.crypto import sm2
from facecert.doctor import checks as doctor, finding, packages as installed, network as reach
from facecert.transport import connect as pool
from facecert.doctor.checks import Case
from facecert.errors import ConnectionFailed
from facecert.sandbox import Sandbox

#: The example's key of GB/T 32918.5: a good key, and nobody's.
OTHER_KEY = doctor._EXAMPLE_KEY
REAL_ENDPOINT = {"FACECERT_ENDPOINT": "https://saf.cn-shanghai.aliyuncs.com"}

SHOW = (
    "import json, sys\n"
    "from facecert.doctor import checks as doctor\n"
    "print(json.dumps(list(doctor.examine(call='call' in sys.argv))))"
)


def case(environ=None, clock=time.time):
    return Case(environ or {}, clock)


def one(findings, verdict=None):
    """Return the only finding of this verdict."""
    (found,) = [found for found in findings if verdict in (None, found.verdict)]
    return found


def examined(env=None, code=SHOW):
    """Return what a fresh interpreter finds: the credential chain reads the environment once."""
    return [doctor.Finding(*found) for found in json.loads(run_python(code, env=env))]


def of(subject, findings, verdict=None):
    return one([found for found in findings if found.subject == subject], verdict)


# The whole of it


def test_nothing_is_wrong_with_a_sandbox(tls_sandbox):
    env = dict(tls_sandbox.environment, FACECERT_ENCRYPT="1")
    found = examined(env, SHOW.replace("'call' in sys.argv", "True"))
    assert [entry for entry in found if entry.verdict == "problem"] == []
    assert {entry.subject for entry in found if entry.verdict == "ok"} >= {
        "python", "packages", "settings", "credentials", "dns", "tls", "clock", "sm2", "call",
    }  # fmt: skip
    assert "not Alibaba Cloud" in of("endpoint", found, "warning").words
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in of("credentials", found).words
    # Only the last one is signed; the others are empty.
    asked = tls_sandbox.requests
    assert [bool(entry.form) for entry in asked] == [False, False, True]
    assert not any(entry.query for entry in asked)


def test_findings_come_as_they_are_found():
    findings = doctor.examine(environ={"FACECERT_ENDPOINT": "https://nowhere.invalid"})
    assert next(findings).subject == "python"
    findings.close()


def test_an_examination_that_breaks_off_stops_no_other(monkeypatch):
    def check_odd(case):
        yield doctor.Finding("odd", "ok", "the first half")
        raise RuntimeError("canary-secret")

    monkeypatch.setattr(doctor, "CHECKS", (check_odd, doctor.check_python))
    first, broken_off, python = doctor.examine()
    assert (first.verdict, python.subject) == ("ok", "python")
    assert (broken_off.subject, broken_off.verdict) == ("odd", "problem")
    assert "RuntimeError" in broken_off.words and "canary" not in str(broken_off)


def test_what_takes_too_long_is_given_up():
    gate = threading.Event()
    with pytest.raises(TimeoutError):
        finding.within(0.01, gate.wait)
    gate.set()
    assert finding.within(60, lambda: 5) == 5
    with pytest.raises(KeyError):
        finding.within(60, lambda: {}["x"])


# Python and packages


def pretend(monkeypatch, version):
    python = collections.namedtuple("python", "version_info executable modules")
    monkeypatch.setattr(installed, "sys", python(version, sys.executable, sys.modules))


@pytest.mark.parametrize("version, verdict", [((3, 13, 0), "ok"), ((3, 14, 0), "warning")])
def test_a_newer_python_is_not_tested(monkeypatch, version, verdict):
    pretend(monkeypatch, version)
    assert one(installed.check_python(case())).verdict == verdict


#: Leaves the standard library, facecert and what the test lays out.
ALONE = (
    "import sys, json\n"
    "if sys.version_info < (3, 8):\n"
    "    import pkg_resources\n"
    "sys.path[:] = [path for path in sys.path if '-packages' not in path]\n"
    "if sys.version_info < (3, 8):\n"
    "    pkg_resources.working_set = pkg_resources.WorkingSet()\n"
    "from facecert.doctor import packages as installed\n"
    "class python: version_info, executable = %r, 'python'\n"
    "installed.sys = python\n"
    "print(json.dumps(list(installed.check_packages(None))))"
)


def core_finding(tmp_path, distributions, on_disk=None, whole=True, version=(3, 11, 0)):
    """Lay out distributions and an import package; return what is found about them."""
    for name, number in distributions.items():
        folder = tmp_path / ("%s-%s.dist-info" % (name.replace("-", "_"), number))
        folder.mkdir()
        (folder / "METADATA").write_text("Name: %s\nVersion: %s\n" % (name, number))
    if on_disk:
        signers = tmp_path / "aliyunsdkcore" / "auth" / "signers"
        signers.mkdir(parents=True)
        (tmp_path / "aliyunsdkcore" / "__init__.py").write_text('__version__ = "%s"\n' % on_disk)
        for folder in (signers.parent, signers):
            (folder / "__init__.py").write_text("")
        (signers / "sts_token_signer.py").write_text("")
        request = "" if whole else "from aliyunsdkcore.vendored.six.moves import urllib\n"
        (tmp_path / "aliyunsdkcore" / "request.py").write_text(request)
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    found = examined({"PYTHONPATH": paths}, ALONE % (version,))
    assert "Missing: aliyun-python-sdk-saf" in found[1].words and "gmssl" in found[1].repair
    return one(found[2:])


BOTH = {"aliyun-python-sdk-core": "2.16.1", "aliyun-python-sdk-core-v3": "2.13.33"}
V3 = {"aliyun-python-sdk-core-v3": "2.13.33"}
CORE = {"aliyun-python-sdk-core": "2.16.1"}


@pytest.mark.parametrize("on_disk, owner", [("2.16.1", "core"), ("2.13.33", "core-v3")])
def test_both_cores_that_can_be_imported(tmp_path, on_disk, owner):
    found = core_finding(tmp_path, BOTH, on_disk)
    words = "%s of aliyun-python-sdk-%s, and it can" % (on_disk, owner)
    assert found.verdict == "warning" and words in found.words
    assert "uninstall -y aliyun-python-sdk-core-v3 && " in found.repair


def test_both_cores_of_no_telling_version(tmp_path):
    found = core_finding(tmp_path, BOTH, "1.0")
    assert found.verdict == "warning" and "of unknown distribution" in found.words


@pytest.mark.long
@pytest.mark.parametrize(
    "distributions, on_disk, version, word",
    [
        (BOTH, "2.13.33", (3, 12, 1), "both installed"),
        (BOTH, "2.16.1", (3, 9, 0), "both installed"),
        (V3, "2.13.33", (3, 12, 1), "alone is installed"),
        (V3, "2.13.33", (3, 11, 0), "files are missing"),
        (CORE, "2.16.1", (3, 13, 0), "files are missing"),
    ],
)
def test_a_core_that_cannot_be_imported(tmp_path, distributions, on_disk, version, word):
    found = core_finding(tmp_path, distributions, on_disk, whole=False, version=version)
    assert (found.subject, found.verdict) == ("packages", "problem") and word in found.words
    assert "cannot be imported" in found.words
    assert found.repair.endswith("--force-reinstall --no-deps aliyun-python-sdk-core")


def test_no_core_at_all(tmp_path):
    found = core_finding(tmp_path, {})
    assert found.verdict == "problem" and "Neither" in found.words
    assert found.repair == "python -m pip install aliyun-python-sdk-core"


@pytest.mark.long
@pytest.mark.parametrize("distributions, on_disk", [(V3, "2.13.33"), (CORE, "2.16.1")])
def test_one_whole_core(tmp_path, distributions, on_disk):
    found = core_finding(tmp_path, distributions, on_disk)
    assert (found.verdict, found.repair) == ("ok", "") and on_disk in found.words


@pytest.mark.long
def test_metadata_without_files():
    code = (
        "import json, sys; sys.modules['aliyunsdksaf'] = None\n"
        "from facecert.doctor import checks as doctor\n"
        "print(json.dumps(list(doctor.examine())))"
    )
    env = {"FACECERT_ENDPOINT": "http://localhost:1"}
    found = of("packages", examined(env, code), "problem")
    assert "aliyunsdksaf" in found.words and "Repair" not in found.words
    assert found.repair.endswith("aliyun-python-sdk-saf")


def test_packages_of_extras_are_named_with_their_extra(monkeypatch):
    missing = {"cryptography", "segno"}
    version = installed._version
    monkeypatch.setattr(
        installed, "_version", lambda name: None if name in missing else version(name)
    )
    found = of("packages", list(installed.check_packages(case()))[:1], "ok")
    assert "segno (cli), " in found.words and "cryptography (pictures)." in found.words
    assert "urllib3" not in found.words


def test_the_oldest_releases_are_those_of_setup_cfg():
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8").split("test =\n")[0]
    bounds = re.findall(r"^    ([A-Za-z][A-Za-z0-9-]*)>=([0-9.]+)", text, re.M)
    oldest = {name.lower(): bound for name, bound in installed.OLDEST.items()}
    assert oldest == {name.lower(): bound for name, bound in bounds}


@pytest.mark.parametrize(
    "name, version, verdict",
    [
        ("SQLAlchemy", "1.3.24", "warning"),
        ("SQLAlchemy", "1.10", None),
        ("click", "6.7", "warning"),
        ("click", "7", None),
        ("Django", "1.11.dev2", None),
        ("alibabacloud-credentials", "0.0.3", "problem"),
        ("alibabacloud-credentials", "0.3.2", None),
    ],
)
def test_packages_that_are_too_old_are_found(monkeypatch, name, version, verdict):
    monkeypatch.setattr(installed, "_version", {name: version}.get)
    found = [entry for entry in installed.check_packages(case()) if "too old" in entry.words]
    assert [entry.verdict for entry in found] == [verdict] * bool(verdict)
    for entry in found:
        assert "%s %s is too old" % (name, version) in entry.words and name in entry.repair


# Settings and endpoint


def test_every_wrong_setting_is_named_and_none_shown():
    environ = {
        "FACECERT_ATTEMPTS": "canary", "FACECERT_ENCRYPT": "canary", "FACECERT_SCENE_ID": "canary",
        "FACECERT_SM2_PUBLIC_KEY": "canary", "FACECERT_CALLBACK_SECRET": "canary",
        "FACECERT_ENDPOINT": "https://user:canary@host", "FACECERT_READ_TIMEOUT": "canary",
    }  # fmt: skip
    found = list(doctor.check_settings(case(environ)))
    assert {entry.repair for entry in found} == {"correct or unset " + name for name in environ}
    assert {entry.verdict for entry in found} == {"problem"} and "canary" not in str(found)


def test_no_scene():
    found = list(doctor.check_settings(case()))
    assert [entry.verdict for entry in found] == ["ok", "warning"]
    assert "FACECERT_SCENE_ID" in found[1].repair


@pytest.mark.parametrize(
    "endpoint, verdict",
    [("", "ok"), ("http://127.0.0.1:8180", "warning"), ("https://gateway.test", "warning")],
)
def test_who_is_asked(endpoint, verdict):
    assert one(doctor.check_endpoint(case({"FACECERT_ENDPOINT": endpoint}))).verdict == verdict


def test_the_proxy_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://canary-user:canary@proxy.test:3128")
    found = list(doctor.check_endpoint(case()))
    assert "http://proxy.test:3128" in found[1].words and "canary" not in str(found)


def test_a_ca_bundle_that_cannot_be_read(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    environ = {"FACECERT_ENDPOINT": "https://localhost:1"}
    found = of("endpoint", doctor.examine(environ=environ), "problem")
    assert "REQUESTS_CA_BUNDLE" in found.words


# Credentials


def test_no_credentials():
    found = one(examined(code=CHECK_CREDENTIALS))
    assert found.verdict == "problem"
    for word in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "config.json", "ECS"):
        assert word in found.words
    assert "ALIBABA_CLOUD_ACCESS_KEY_SECRET" in found.repair


KEY = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "canary-access-key-id",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "canary-secret",
}
CHECK_CREDENTIALS = (
    "import json\n"
    "from facecert.doctor import checks as doctor\n"
    "print(json.dumps(list(doctor.check_credentials(None))))"
)


def test_the_access_key_is_masked_and_its_source_named():
    found = one(examined(KEY, CHECK_CREDENTIALS))
    assert found.verdict == "ok" and "c******************d" in found.words
    assert "environment variable ALIBABA" in found.words and "no STS" in found.words
    assert "canary" not in str(found)


@pytest.mark.long
def test_a_profile_is_named_as_the_source(tmp_path):
    (tmp_path / ".alibabacloud").mkdir()
    (tmp_path / ".alibabacloud" / "credentials.ini").write_text(
        "[default]\ntype = access_key\naccess_key_id = canary-access-key-id\n"
        "access_key_secret = canary-secret\n"
    )
    found = one(examined({"HOME": str(tmp_path)}, CHECK_CREDENTIALS))
    assert found.verdict == "ok" and "canary" not in str(found)
    # 1.x names the profile; 0.3.x knows no more than the kind.
    assert "profile" in found.words or "access_key" in found.words


class Source:
    """As alibabacloud_credentials 1.x."""

    def __init__(self, *key):
        self.access_key_id, self.access_key_secret, self.security_token = key
        self.provider_name = "default/ecs_ram_role"

    def get_credential(self):
        return self


@pytest.fixture
def chain(monkeypatch):
    """Let the standard chain find this key."""

    def find(*key):
        found = Source(*key)
        chain = "facecert.transport.credentials._import_chain"
        monkeypatch.setattr(chain, lambda: lambda: found)

    return find


@pytest.mark.parametrize(
    "token, words, verdict",
    [("canary", "with an STS", "ok"), (None, "its token is missing", "problem")],
)
def test_an_sts_token_must_come_along(chain, token, words, verdict):
    chain("STS.canary-id", "canary-secret", token)
    found = one(doctor.check_credentials(case()))
    assert found.verdict == verdict and words in found.words
    assert ("ecs_ram_role" in found.words) == (verdict == "ok")
    assert "canary" not in str(found)


def test_a_token_that_the_old_chain_does_not_read(monkeypatch, chain):
    """alibabacloud_credentials 0.3.2 ignores it; facecert reads the environment itself."""
    for variable, value in KEY.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "canary-token")
    chain("canary-access-key-id", "canary-secret", None)
    found = one(doctor.check_credentials(case()))
    assert found.verdict == "ok" and "with an STS token" in found.words
    assert "canary" not in str(found)


def test_a_chain_that_hangs(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr("facecert.transport.credentials._import_chain", lambda: gate.wait)
    monkeypatch.setattr(doctor, "PATIENCE", 0.01)
    found = one(doctor.check_credentials(case()))
    gate.set()
    assert found.verdict == "problem" and "METADATA_DISABLED" in found.repair


# DNS


def test_no_dns():
    found = one(reach.check_dns(case({"FACECERT_ENDPOINT": "https://nowhere.invalid"})))
    assert (found.subject, found.verdict) == ("dns", "problem")
    assert "nowhere.invalid" in found.words and "/etc/resolv.conf" in found.repair


def test_a_resolver_that_hangs(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: gate.wait())
    monkeypatch.setattr(reach, "PATIENCE", 0.01)
    found = one(reach.check_dns(case()))
    gate.set()
    assert found.verdict == "problem" and "no response within" in found.words


def test_with_a_proxy_it_is_the_proxys_name_that_counts(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://user:canary@nowhere.invalid:3128")
    found = one(reach.check_dns(case()))
    assert found.verdict == "problem" and "HTTPS_PROXY" in found.repair
    assert "the proxy's host nowhere.invalid" in found.words and "canary" not in str(found)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:3128")
    found = one(reach.check_dns(case()))
    assert found.verdict == "ok" and "127.0.0.1" in found.words


# TLS


def at(sandbox):
    return {"FACECERT_ENDPOINT": sandbox.endpoint}


def test_an_interceptors_certificate_is_named(tls_sandbox, monkeypatch):
    monkeypatch.delenv("ALIBABA_CLOUD_CA_BUNDLE")
    found = one(reach.check_tls(case(at(tls_sandbox))))
    assert (found.subject, found.verdict) == ("tls", "problem")
    assert "intercepts TLS" in found.words and "O=trustme" in found.words
    assert "issued by" in found.words and "ALIBABA_CLOUD_CA_BUNDLE" in found.repair
    assert tls_sandbox.requests == []
    clock = one(reach.check_clock(case(at(tls_sandbox))))
    assert clock.verdict == "warning" and "ConnectionFailed" in clock.words


def test_an_interceptor_behind_a_proxy_is_seen(tls_sandbox, monkeypatch):
    proxy = TunnelProxy(int(tls_sandbox.endpoint.rpartition(":")[2]))
    monkeypatch.setenv("https_proxy", "http://user:canary@" + proxy.address)
    certificate = reach.presented_certificate("https://gateway.test")
    proxy.close()
    assert "trustme" in reach._read(certificate)[0]
    assert proxy.asked[0].startswith("CONNECT gateway.test:443 ") and not tls_sandbox.requests


@pytest.mark.parametrize("years", [-40, 2000])
def test_a_certificate_out_of_its_time(tls_sandbox, monkeypatch, years):
    monkeypatch.delenv("ALIBABA_CLOUD_CA_BUNDLE")
    now = time.time() + years * 365 * 86400
    found = one(reach.check_tls(case(at(tls_sandbox), lambda: now)))
    assert found.verdict == "problem" and "expired, or the clock" in found.words
    assert str(time.gmtime(now).tm_year) in found.words and "timedatectl" in found.repair


def test_a_certificate_for_another_name(authority, tls_sandbox):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.test").configure_cert(context)
    with Sandbox(ssl_context=context) as other:
        found = one(reach.check_tls(case(at(other))))
    assert found.verdict == "problem" and "for another name" in found.words


@pytest.fixture
def no_cryptography(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)


def test_an_interceptor_without_cryptography(tls_sandbox, monkeypatch, no_cryptography):
    monkeypatch.delenv("ALIBABA_CLOUD_CA_BUNDLE")
    found = one(reach.check_tls(case(at(tls_sandbox))))
    assert found.verdict == "problem" and "intercepts TLS" in found.words
    assert "subject" not in found.words and "ALIBABA_CLOUD_CA_BUNDLE" in found.repair


def issued(authority, folder, last_year, identified=True):
    """Issue a certificate for 127.0.0.1 from 2001 on; identified: it names its authority's key."""
    from cryptography import x509
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1(), default_backend())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes(), default_backend())
    signer = serialization.load_pem_private_key(
        authority.private_key_pem.bytes(), None, default_backend()
    )
    builder = x509.CertificateBuilder(
        issuer.subject, name, key.public_key(), x509.random_serial_number(),
        datetime.datetime(2001, 1, 1), datetime.datetime(last_year, 12, 31),
    )  # fmt: skip
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = builder.add_extension(names, False)
    if identified:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
        builder = builder.add_extension(identifier, False)
    signed = builder.sign(signer, hashes.SHA256(), default_backend())
    file = folder / "issued.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return str(file)


@pytest.mark.parametrize("readable", [True, False])
def test_an_expired_certificate(authority, tls_sandbox, tmp_path, request, readable):
    if not readable and sys.version_info < (3, 7):
        pytest.skip("Python 3.6 tells no reason")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued(authority, tmp_path, 2001))
    if not readable:
        request.getfixturevalue("no_cryptography")
    with Sandbox(ssl_context=context) as expired:
        found = one(reach.check_tls(case(at(expired))))
    assert found.verdict == "problem" and "expired, or the clock" in found.words
    assert ("subject CN=localhost, issued by" in found.words) == readable
    assert "timedatectl" in found.repair


@pytest.mark.parametrize(
    "code, message, words",
    [
        (9, "certificate is not yet valid", "expired, or the clock"),
        (10, "certificate has expired", "expired, or the clock"),
        (62, "Hostname mismatch", "for another name"),
        (64, "IP address mismatch", "for another name"),
        (18, "self-signed certificate", "signed by no authority"),
        (20, "unable to get local issuer certificate", "signed by no authority"),
        (85, "Missing Authority Key Identifier", "OpenSSL: Missing Authority Key Identifier."),
    ],
)
def test_openssls_reason_is_told(monkeypatch, code, message, words):
    reason = ssl.SSLError(message)
    reason.verify_code, reason.verify_message = code, message

    def refused(endpoint):
        raise ConnectionFailed("certificate verify failed: " + message) from reason

    monkeypatch.setattr(reach, "_post_nothing", refused)
    monkeypatch.setattr(pool, "is_about_tls", lambda error: error is reason)
    monkeypatch.setattr(reach, "presented_certificate", lambda endpoint: b"no DER")
    found = one(reach.check_tls(case(REAL_ENDPOINT)))
    assert found.verdict == "problem" and words in found.words
    assert found.words.endswith(" OpenSSL: %s." % message)
    assert ("signed by no authority" in found.words) == (words == "signed by no authority")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="older Pythons verify less strictly")
def test_a_certificate_that_only_the_strict_check_refuses(authority, tls_sandbox, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued(authority, tmp_path, 2900, identified=False))
    with Sandbox(ssl_context=context) as refused:
        found = one(reach.check_tls(case(at(refused))))
    assert found.verdict == "problem" and "OpenSSL: Missing Authority Key Identifier" in found.words
    assert "signed by no authority" not in found.words


def test_what_speaks_no_tls(sandbox):
    endpoint = sandbox.endpoint.replace("http://", "https://")
    found = one(reach.check_tls(case({"FACECERT_ENDPOINT": endpoint})))
    assert found.verdict == "problem" and "presents no certificate" in found.words


def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        found = one(reach.check_tls(case({"FACECERT_ENDPOINT": "http://127.0.0.1:%d" % port})))
    assert found.verdict == "problem" and "refused" in found.words
    assert "start the sandbox" in found.repair


def test_who_accepts_and_never_answers(monkeypatch):
    monkeypatch.setattr(reach, "PATIENCE", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        environ = {"FACECERT_ENDPOINT": "http://127.0.0.1:%d" % silent.getsockname()[1]}
        found = one(reach.check_tls(case(environ)))
        clock = one(reach.check_clock(case(environ)))
    assert found.verdict == "problem" and "no complete response" in found.words
    assert clock.verdict == "warning"


# Clock


@pytest.mark.parametrize(
    "minutes, verdict", [(20, "problem"), (-20, "problem"), (5, "warning"), (0, "ok")]
)
def test_this_machines_clock_is_off(sandbox, minutes, verdict):
    found = one(reach.check_clock(case(at(sandbox), lambda: time.time() + minutes * 60)))
    assert (found.subject, found.verdict) == ("clock", verdict)
    assert bool(found.repair) == (verdict != "ok")
    if verdict == "problem":
        assert ("ahead" if minutes > 0 else "behind") in found.words
        assert "InvalidTimeStamp.Expired" in found.words and "set-ntp true" in found.repair


def test_the_other_ends_clock_differs():
    with Sandbox(clock=lambda: time.time() + 1200) as ahead:
        found = one(reach.check_clock(case(at(ahead))))
    assert found.verdict == "problem" and "behind" in found.words


# SM2


def test_a_wrong_sm2_key():
    environ = dict(REAL_ENDPOINT, FACECERT_SM2_PUBLIC_KEY=OTHER_KEY, FACECERT_ENCRYPT="1")
    found = one(doctor.check_sm2(case(environ)), "warning")
    assert found.subject == "sm2" and "501" in found.words
    assert found.repair == "unset FACECERT_SM2_PUBLIC_KEY" and "is off" not in found.words


@pytest.mark.parametrize("key", ["canary", "04" + "0" * 127 + "1", OTHER_KEY[:-1] + "0"])
def test_an_sm2_key_that_is_none(monkeypatch, key):
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_sm2,))
    found = one(doctor.examine(environ={"FACECERT_SM2_PUBLIC_KEY": key}), "problem")
    assert "FACECERT_SM2_PUBLIC_KEY" in found.words and key not in str(found)


def test_a_sandboxes_sm2_key_cannot_be_checked(sandbox):
    _, found = doctor.check_sm2(case(sandbox.environment))
    assert found.verdict == "ok" and "cannot be checked" in found.words


@pytest.mark.parametrize("environ", [{}, {"FACECERT_SM2_PUBLIC_KEY": sm2.PUBLISHED_KEY.upper()}])
def test_the_published_sm2_key(environ):
    works, found = doctor.check_sm2(case(environ))
    assert works.verdict == found.verdict == "ok" and "publishes" in found.words


def test_a_digest_that_is_damaged(monkeypatch):
    monkeypatch.setattr(sm2, "sm3", lambda: lambda data: bytes(31) + b"\x01")
    found = one(doctor.check_sm2(case()), "problem")
    assert "gmssl" in found.repair and not doctor.sm2_works()


# The signed question


@pytest.fixture
def ask(chain, sandbox, monkeypatch):
    """Let the doctor ask the sandbox with its own key, or another secret."""
    monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_ID")  # the environment would win

    def asked(secret=None, environ=None):
        chain(sandbox.access_key_id, secret or sandbox.access_key_secret, None)
        return one(doctor.check_call(case(dict(sandbox.environment, **(environ or {})))))

    return asked


def test_a_signed_question_comes_through(ask, sandbox):
    found = ask()
    assert (found.subject, found.verdict) == ("call", "ok")
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    "fault, word",
    [
        ("throttled", "Too many calls"),
        ("code-403", "ServiceError"),
        ("code-501", "501"),
        ("http-503", "ServiceUnavailable"),
        ("html-502", "proxy"),
        ("echo", "malformed"),
        ("truncated", "cut off"),
    ],
)
def test_a_signed_question_is_refused(ask, sandbox, fault, word):
    sandbox.fail(fault, times=3)
    found = ask()
    assert found.verdict == "problem" and word in found.words
    assert sandbox.access_key_secret not in str(found)


def test_a_signed_question_with_another_secret(ask):
    found = ask("canary-other-secret")
    assert found.verdict == "problem" and "do not match" in found.words
    assert "canary" not in str(found)


def test_a_signed_question_at_another_time(chain):
    with Sandbox(clock=lambda: time.time() + 1200) as sandbox:
        chain(sandbox.access_key_id, sandbox.access_key_secret, None)
        found = one(doctor.check_call(case(sandbox.environment)))
    assert found.verdict == "problem" and "InvalidTimeStamp.Expired" in found.words
    assert "set-ntp" in found.repair


def test_a_signed_question_that_is_passed_comes_from_somebody_else(ask, monkeypatch):
    answer = collections.namedtuple("answer", "passed")(True)
    monkeypatch.setattr("facecert.client.Client.query", lambda self, certify_id: answer)
    found = ask()
    assert found.verdict == "problem" and "not the service" in found.words


# Nothing private in any finding


SECRETS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "canary-access-key-id",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "canary-secret-4b1f0c",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "canary-sts-token-9d2e",
    "FACECERT_CALLBACK_SECRET": "canary-callback-secret-77a1",
    "FACECERT_SCENE_ID": "1000000006",
}


@pytest.mark.long
@pytest.mark.parametrize(
    "env, broken",
    [
        ({"FACECERT_ENDPOINT": "https://user:canary@host"}, "settings endpoint dns tls call"),
        ({"FACECERT_ENDPOINT": "https://nowhere.invalid"}, "dns tls call"),
        ({"FACECERT_ENDPOINT": "http://127.0.0.1:1"}, "tls call"),
        ({"https_proxy": "http://user:canary@127.0.0.1:1"}, "tls call"),
        ({"https_proxy": "http://user:canary@nowhere.invalid:1"}, "dns tls call"),
        ({"https_proxy": "http://user:12#canary@127.0.0.1:1"}, "endpoint dns tls call"),
        ({"https_proxy": "http://user:can/ary@127.0.0.1:1"}, "endpoint dns tls call"),
        ({"ALIBABA_CLOUD_CA_BUNDLE": "/nowhere"}, "endpoint tls call"),
        ({"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "canary canary"}, "credentials call"),
        ({"FACECERT_SM2_PUBLIC_KEY": "canary", "FACECERT_ENCRYPT": "canary"}, "settings sm2"),
        ({"FACECERT_CALLBACK_SECRET": "canary"}, "settings call"),
    ],
)
def test_no_finding_shows_a_secret(env, broken):
    environ = dict(SECRETS, FACECERT_ENDPOINT="https://gateway.test")
    if "FACECERT_ENDPOINT" not in env and not any("proxy" in name for name in env):
        environ["FACECERT_ENDPOINT"] = "https://localhost:1"
    environ.update(env)
    code = SHOW.replace("'call' in sys.argv", "True").replace(
        "import json", "import logging, json; logging.basicConfig(level=0); import json"
    )
    shown = run_python(code, env=environ, check=False)
    line = next(line for line in shown.splitlines() if line.startswith("[["))
    problems = {entry[0] for entry in json.loads(line) if entry[1] == "problem"}
    assert problems >= set(broken.split())
    assert "canary" not in shown and "can/ary" not in shown and "12#" not in shown


@pytest.mark.long
def test_an_interceptor_learns_no_secret(tls_sandbox):
    env = dict(SECRETS, FACECERT_ENDPOINT=tls_sandbox.endpoint, ALIBABA_CLOUD_CA_BUNDLE="")
    found = examined(env, SHOW.replace("'call' in sys.argv", "True"))
    problems = {entry.subject for entry in found if entry.verdict == "problem"}
    # The oldest credential chain reads no token.
    assert {"tls", "call"} <= problems <= {"tls", "call", "credentials"}
    assert "canary" not in str(found) and tls_sandbox.requests == []


# The ledger


def test_without_a_ledger_it_says_who_has_to_keep_the_ids():
    assert "store every certify_id" in one(doctor.check_ledger(case()), "ok").words


def test_a_ledger_that_can_be_written(tmp_path):
    ledger = pytest.importorskip("facecert.ledger.store").Ledger(str(tmp_path / "ledger.db"))
    sent_at = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
    ledger.keep_sent("order1", scene_id="1", sent_at=sent_at)
    found = one(doctor.check_ledger(case({"FACECERT_LEDGER": str(tmp_path / "ledger.db")})), "ok")
    assert "1 verifications are unsettled" in found.words and "unsettled" in found.repair
    assert ledger.get("order1").state == "sent"


def test_a_ledger_that_is_not_there_yet(tmp_path):
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    path = tmp_path / "ledger.db"
    found = one(doctor.check_ledger(case({"FACECERT_LEDGER": str(path)})), "warning")
    assert "does not exist yet" in found.words and not path.exists()


def test_a_ledger_that_cannot_be_written(tmp_path, monkeypatch):
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    url = "sqlite:///%s" % tmp_path  # a folder
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_ledger,))
    found = one(doctor.examine(environ={"FACECERT_LEDGER": url}))
    assert (found.subject, found.verdict) == ("ledger", "problem")
    assert "unable to open database file" in found.words
