"""The doctor's checks of the network: the endpoint, its name, TLS, and the clock."""

import re
import socket
import ssl
import time
from contextlib import closing, suppress
from datetime import timezone
from typing import Any, Iterator, Optional, Tuple
from urllib.parse import urlsplit

from ..errors import ConnectionFailed, FacecertError
from ..links import DEFAULT_ENDPOINT, is_loopback
from ..locale import Text, Text as _
from ..redact import UNPRINTABLE
from ..transport import connect
from ..transport.answers import Response, skew_seconds
from ..transport.http import Form, Http
from .finding import OK, PROBLEM, WARNING, Case, Finding, failed, within

#: Seconds for each name and each connection.
PATIENCE = 5.0
#: Seconds between the clocks: the gateway's limit (help.aliyun.com 48054), and NTP's failure.
TOO_FAR_OFF, SUSPICIOUS = 900.0, 60.0
SET_CLOCK = _("timedatectl set-ntp true (for a container: on its host)")

#: OpenSSL's X509_V_ERR codes (openssl-verification-options(1)).
_OUT_OF_TIME, _OTHER_NAME = (9, 10), (62, 64)
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21, 27)


def check_endpoint(case: Case) -> Iterator[Finding]:
    """Check the endpoint, the proxy and the CA bundle in the environment."""
    endpoint = case.endpoint
    if endpoint == DEFAULT_ENDPOINT:
        yield Finding("endpoint", OK, _("%s, Alibaba Cloud's endpoint.") % endpoint)
    else:
        kind = _("a sandbox on this machine") if is_loopback(endpoint) else _("another host")
        words = _("%s is %s: this is not Alibaba Cloud.") % (endpoint, kind)
        yield Finding("endpoint", WARNING, words, _("unset %s") % "FACECERT_ENDPOINT")
    proxy = connect.proxy_address(endpoint)
    if proxy:
        words = _("Connections use the proxy %s, from HTTPS_PROXY or ALL_PROXY.")
        yield Finding("endpoint", OK, words % proxy)
    if endpoint.startswith("https://"):
        connect.tls_context()  # reads the CA bundle; the error names the variable
        if connect.ca_variable():
            yield Finding("endpoint", OK, _("Certificates are verified by %s.") % _authorities())


def check_dns(case: Case) -> Iterator[Finding]:
    """Check that the host of the endpoint, or of the proxy, has an address."""
    proxy = connect.proxy_address(case.endpoint)
    host = urlsplit(proxy or case.endpoint).hostname or ""
    name = _("the proxy's host %s") % host if proxy else host
    try:
        found = within(PATIENCE, lambda: socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        words = _("No address for %s: %s. The name is wrong, or the resolver or network fails.")
        repair = _("look into /etc/resolv.conf and try: getent hosts %s") % host
        repair += _("; or correct HTTPS_PROXY") if proxy else ""
        words %= (name, getattr(error, "strerror", None) or error)
        yield Finding("dns", PROBLEM, words, repair)
        return
    addresses = sorted({str(entry[4][0]) for entry in found})
    words = _("%s has the address %s.") % (name, ", ".join(addresses[:8]))
    words += _(" The proxy resolves the endpoint's name.") if proxy else ""
    yield Finding("dns", OK, words)


def check_tls(case: Case) -> Iterator[Finding]:
    """Check the connection that facecert makes, with its proxy and its certificates."""
    try:
        status = _post_nothing(case.endpoint).status
    except ConnectionFailed as error:
        yield _connection_failure(case, error)
    except FacecertError as error:
        yield failed("tls", error)
    else:
        tls = case.endpoint.startswith("https://")
        how = _("no TLS for http://")
        how = _("the certificate is valid by %s") % _authorities() if tls else how
        yield Finding("tls", OK, _("HTTP %d for an empty, unsigned request; %s.") % (status, how))


def check_clock(case: Case) -> Iterator[Finding]:
    """Compare this machine's clock with the endpoint's."""
    try:
        reply = _post_nothing(case.endpoint)
    except FacecertError as error:
        words = _("Not compared: no response from the endpoint (%s); see tls.")
        yield Finding("clock", WARNING, words % type(error).__name__)
        return
    ahead = skew_seconds(reply._replace(received_at=case.clock()))
    if ahead is None:
        yield Finding("clock", WARNING, _("Not compared: the response has no Date."))
        return
    words = _("This machine's clock is %d seconds ahead of the endpoint's.") % ahead
    if ahead < 0:
        words = _("This machine's clock is %d seconds behind the endpoint's.") % -ahead
    if abs(ahead) > TOO_FAR_OFF:
        words += _(" The gateway refuses every request (InvalidTimeStamp.Expired, ClockSkew).")
        yield Finding("clock", PROBLEM, words, SET_CLOCK)
    elif abs(ahead) > SUSPICIOUS:
        words += _(" The gateway allows %d seconds, but NTP seems not to run.") % TOO_FAR_OFF
        yield Finding("clock", WARNING, words, SET_CLOCK)
    else:
        yield Finding("clock", OK, words)


def _post_nothing(endpoint: str) -> Response:
    """Send an empty request. The gateway refuses it, which is a response too."""
    with closing(Http(endpoint, connect_timeout=PATIENCE, read_timeout=PATIENCE)) as http:
        return http.post(Form(b""))


def _authorities() -> Text:
    variable = connect.ca_variable()
    return _("the bundle in %s") % variable if variable else _("the default authorities")


def _connection_failure(case: Case, error: ConnectionFailed) -> Finding:
    """Explain a failed connection, TLS by OpenSSL's reason and the certificate."""
    parts, words = urlsplit(case.endpoint), Text(error)
    cause: Any = error.__cause__
    if not connect.is_about_tls(cause):
        repair = _("let this machine, or HTTPS_PROXY, connect to %s") % parts.netloc
        if is_loopback(case.endpoint):
            repair = _("start the sandbox, or unset FACECERT_ENDPOINT")
        return Finding("tls", PROBLEM, words, repair)
    der = presented_certificate(case.endpoint)
    if der is None:
        words += _(" The endpoint presents no certificate: it is not the service.")
        return Finding("tls", PROBLEM, words, _("correct FACECERT_ENDPOINT or HTTPS_PROXY"))
    contents, begins, ends = _read(der)
    # OpenSSL's own error has the code; on Python 3.6 there is only the text.
    reason: Any = next((e for e in (cause, *cause.args) if hasattr(e, "verify_code")), None)
    code = reason and reason.verify_code
    if code in _OUT_OF_TIME or not begins <= case.clock() <= ends:
        today = time.strftime("%Y-%m-%d", time.gmtime(case.clock()))
        words = _("expired, or the clock is wrong: this machine's date is %s.") % today
        repair = _("check the clock first: ") + SET_CLOCK
    elif code in _OTHER_NAME or (code is None and "match" in words):
        words = _("is for another name: another server responds, or a proxy intercepts TLS.")
        repair = _("correct FACECERT_ENDPOINT, DNS or HTTPS_PROXY")
    elif code is None or code in _UNKNOWN_AUTHORITY:
        words = _("is signed by no authority in %s: a proxy intercepts TLS, or the bundle is"
                  " incomplete. No request was sent.") % _authorities()
        repair = _("if the proxy may intercept: name its CA bundle in ALIBABA_CLOUD_CA_BUNDLE")
    else:
        words = _("is refused. No request was sent.")
        repair = _("have the owner of the certificate issue a correct one")
    words = _("The certificate that is presented for %s%s %s") % (parts.hostname, contents, words)
    words += Text(" OpenSSL: %s.") % reason.verify_message if reason else ""
    return Finding("tls", PROBLEM, words, repair)


def presented_certificate(endpoint: str) -> Optional[bytes]:
    """Return the certificate (DER) that an endpoint presents, unverified; None without TLS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError, ValueError), connect.open_socket(endpoint, context, PATIENCE) as tls:
        return bytes(tls.getpeercert(binary_form=True))  # type: ignore[attr-defined]
    return None


def _read(der: bytes) -> Tuple[str, float, float]:
    """Return a certificate's contents in words, and the first and last second of its validity."""
    try:
        from cryptography import x509
        from cryptography.hazmat.backends import default_backend

        certificate = x509.load_der_x509_certificate(der, default_backend())
        names = tuple(
            re.sub(UNPRINTABLE, " ", name.rfc4514_string())[:200] or _("an empty name")
            for name in (certificate.subject, certificate.issuer)
        )
        begins, ends = (
            getattr(certificate, name + "_utc", None)
            or getattr(certificate, name).replace(tzinfo=timezone.utc)
            for name in ("not_valid_before", "not_valid_after")
        )
    except Exception:  # cryptography is missing or too old, or the certificate is malformed
        return "", float("-inf"), float("inf")
    words = _(" (subject %s, issued by %s, valid from %s to %s)")
    return words % (*names, begins.date(), ends.date()), begins.timestamp(), ends.timestamp()
