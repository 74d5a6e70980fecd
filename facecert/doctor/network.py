"""The doctor's look at the way to the endpoint: name, TLS, and the clock at the other end."""

import socket
import ssl
import time
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from ..transport.answers import Response, skew_seconds
from ..errors import ConnectionFailed, FacecertError
from .finding import OK, PROBLEM, WARNING, Case, Finding, failed, within
from ..redact import Private
from ..links import is_loopback

#: Seconds for each name and each connection; the operator waits.
PATIENCE = 5.0

#: Seconds. The gateway refuses what lies further off (help.aliyun.com 48054).
TOO_FAR_OFF = 900.0
SUSPICIOUS = 60.0

SET_CLOCK = "timedatectl set-ntp true (a container takes the time from its host: do it there)"


def check_dns(case: Case) -> Iterator[Finding]:
    """Whether the endpoint's name, or the proxy's, has an address."""
    from ..transport.connect import proxy_address

    proxy = proxy_address(case.endpoint)
    host = urlsplit(proxy or case.endpoint).hostname or ""
    name = "the proxy's host %s" % host if proxy else host
    try:
        found = within(PATIENCE, lambda: socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        yield Finding(
            "dns",
            PROBLEM,
            "No address for %s: %s. It is the name, this machine's resolver or the network; not"
            " facecert, and not the AccessKey." % (name, why),
            "look into /etc/resolv.conf and try: getent hosts %s%s"
            % (host, "; or correct HTTPS_PROXY" if proxy else ""),
        )
        return
    addresses = sorted({str(entry[4][0]) for entry in found})
    words = "%s is %s." % (name, ", ".join(addresses[:8]))
    if proxy:
        words += " The proxy finds the endpoint's address by itself."
    yield Finding("dns", OK, words)


def check_tls(case: Case) -> Iterator[Finding]:
    """Whether a connection can be made as facecert makes it, proxy and certificates included."""
    endpoint = case.endpoint
    try:
        reply = _ask(endpoint)
    except ConnectionFailed as error:
        finding = _certificate_refused(case, error)
        yield finding or Finding("tls", PROBLEM, str(error), _way_out(endpoint))
        return
    except FacecertError as error:
        yield failed("tls", error)
        return
    words = "HTTP %d came back to an empty, unsigned request" % reply.status
    if endpoint.startswith("https://"):
        from ..transport.connect import ca_variable

        words += "; the certificate is good, going by %s" % (ca_variable() or "certifi's bundle")
    else:
        words += "; no TLS, as the endpoint is http:// on this machine"
    yield Finding("tls", OK, words + ".")


def check_clock(case: Case) -> Iterator[Finding]:
    """How far this machine's clock is off the other end's."""
    try:
        reply = _ask(case.endpoint)
    except FacecertError as error:
        words = "Not compared: no answer from the endpoint (%s); see tls." % type(error).__name__
        yield Finding("clock", WARNING, words)
        return
    ahead = skew_seconds(reply._replace(received_at=case.clock()))
    if ahead is None:
        yield Finding("clock", WARNING, "Not compared: the answer has no Date.")
        return
    words = "This machine's clock is %d seconds %s the endpoint's" % (
        abs(ahead), "behind" if ahead < 0 else "ahead of"
    )  # fmt: skip
    if abs(ahead) > TOO_FAR_OFF:
        words += ": the gateway refuses every request (InvalidTimeStamp.Expired, ClockSkew)."
        yield Finding("clock", PROBLEM, words, SET_CLOCK)
    elif abs(ahead) > SUSPICIOUS:
        words += ". The gateway takes up to %d, but NTP does not seem to run." % TOO_FAR_OFF
        yield Finding("clock", WARNING, words, SET_CLOCK)
    else:
        yield Finding("clock", OK, words + ".")


def _ask(endpoint: str) -> Response:
    """Send a request with nothing in it; the gateway refuses it, which is an answer."""
    from ..transport.http import Form, Http

    http = Http(endpoint, connect_timeout=PATIENCE, read_timeout=PATIENCE)
    try:
        return http.post(Form(b""))
    finally:
        http.close()


def _way_out(endpoint: str) -> str:
    if is_loopback(endpoint):
        return "start the sandbox, or unset FACECERT_ENDPOINT"
    return "let this machine, or HTTPS_PROXY, connect to %s" % urlsplit(endpoint).netloc


class _Certificate(NamedTuple):
    subject: str
    issuer: str
    begins: float
    ends: float


def _certificate_refused(case: Case, error: ConnectionFailed) -> Optional[Finding]:
    """Tell why TLS failed from the certificate that is shown; None when it is not about TLS."""
    from ..transport.connect import ca_variable, is_about_tls

    if not is_about_tls(error.__cause__):
        return None
    der = _presented(case.endpoint)
    if der is None:
        words = str(error) + " What answers shows no certificate: it is not the service."
        return Finding("tls", PROBLEM, words, "correct FACECERT_ENDPOINT or HTTPS_PROXY")
    host, shown, now = urlsplit(case.endpoint).hostname, _read(der), case.clock()
    words = "The certificate that is presented for %s (subject %s, issued by %s) " % (
        host, shown.subject, shown.issuer
    )  # fmt: skip
    if not shown.begins <= now <= shown.ends:
        words += "is good from %s to %s, and this machine's clock says %s: it ran out, or the" % (
            tuple(time.strftime("%Y-%m-%d", time.gmtime(moment)) for moment in shown[2:] + (now,))
        )
        words += " clock is wrong."
        return Finding("tls", PROBLEM, words, "look at the clock first: " + SET_CLOCK)
    if "match" in str(error):
        words += "is for another name: something else answers there, or intercepts TLS."
        return Finding("tls", PROBLEM, words, "correct FACECERT_ENDPOINT, DNS or HTTPS_PROXY")
    words += "is signed by no authority in %s: something intercepts TLS, or the bundle is not" % (
        ca_variable() or "certifi's bundle"
    )
    return Finding(
        "tls",
        PROBLEM,
        words + " complete. No request was sent.",
        "if whoever intercepts may do so: put their authority's certificate into a bundle (PEM)"
        " and name that in ALIBABA_CLOUD_CA_BUNDLE",
    )


def _presented(endpoint: str) -> Optional[bytes]:
    """Return the certificate (DER) that an ``https://`` endpoint presents, without verifying it.

    No request is sent. None: there was no connection, or the peer does not speak TLS.
    """
    from ..transport.connect import open_socket

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        connection: Any = open_socket(endpoint, context, PATIENCE)
    except (OSError, ValueError):
        return None
    with connection:
        certificate: Optional[bytes] = connection.getpeercert(binary_form=True)
        return certificate


def _read(der: bytes) -> _Certificate:
    # Late: cryptography is not cheap, and may be what is missing.
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(der)
    moments: List[float] = []
    for name in ("not_valid_before", "not_valid_after"):
        moment = getattr(certificate, name + "_utc", None) or getattr(certificate, name)
        moments.append(_epoch(moment.timetuple()))
    names: Tuple[str, ...] = tuple(
        (Private().shown(name.rfc4514_string()) or "nobody")[:200]
        for name in (certificate.subject, certificate.issuer)
    )
    return _Certificate(names[0], names[1], moments[0], moments[1])


def _epoch(moment: time.struct_time) -> float:
    import calendar

    return float(calendar.timegm(moment))
