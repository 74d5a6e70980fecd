"""Everything facecert raises::

    FacecertError             .code .request_id .outcome .retryable .retry_after
    |                         .outer_order_no .service_message
    |-- InvalidParameter      (also ValueError) one argument or setting is wrong   .field
    |-- CredentialsError      no AccessKey could be had
    |-- DependencyError       (also ImportError) an installed package is unusable
    |-- ConnectionFailed      refused, DNS, TLS: nothing was sent
    |-- NoAnswer              timed out or cut off after sending: outcome unknown
    |-- BadAnswer             an answer that cannot be read            .http_status .certify_id
    |-- GatewayError          the gateway refused the request                      .http_status
    |   |-- Throttled         too many calls; nothing was done
    |   |-- SignatureError    AccessKey id, secret and STS token do not fit together
    |   `-- ClockSkew         this machine's clock is off                          .skew_seconds
    |-- ServiceError          the service answered with a Code other than 200
    |-- LedgerError           the ledger could not be read or written
    `-- CallbackError         not a callback, or its token is missing or wrong

``outcome`` says what became of the call: ``"not sent"`` (it never left this process),
``"refused"`` (it arrived and was turned down) or ``"unknown"`` (it may have been done). An
``init`` whose outcome is unknown may have opened a verification under ``outer_order_no``.

No error carries a name, a document number, a token, a secret or a signature. All of them
survive pickle and copy.
"""

from typing import Optional, Union

NOT_SENT = "not sent"
REFUSED = "refused"
UNKNOWN = "unknown"


class FacecertError(Exception):
    """The base of every error raised by facecert.

    Attributes:
        code: the service's number (int, ``ServiceError``) or the gateway's dotted name (str).
        request_id: what Alibaba Cloud's support asks for; None when there was no answer.
        outcome: ``"not sent"``, ``"refused"`` or ``"unknown"``.
        retryable: True when the same call may be made again without harm and may then succeed.
        retry_after: seconds the other side asked us to wait, or None.
        outer_order_no: the order number of the ``init`` that failed, or None.
        service_message: the other side's own words (often Chinese), or None. Withheld when they
            repeat personal data or a secret.
    """

    code: Union[int, str, None] = None
    request_id: Optional[str] = None
    outcome: str = NOT_SENT
    retryable: bool = False
    retry_after: Optional[float] = None
    outer_order_no: Optional[str] = None
    service_message: Optional[str] = None

    def __init__(self, message: str = "", **evidence: object) -> None:
        super().__init__(message)
        for name, value in evidence.items():
            if not hasattr(type(self), name):
                raise TypeError("%s has no %s" % (type(self).__name__, name))
            setattr(self, name, value)

    def __str__(self) -> str:
        head = []
        if self.code is not None:
            head.append(str(self.code))
        if self.request_id:
            head.append("(RequestId %s)" % self.request_id)
        text = str(self.args[0]) if self.args else ""
        if self.service_message:
            text += " It said: %s" % self.service_message
        if self.outer_order_no and self.outcome == UNKNOWN:
            text += " (outer_order_no %s)" % self.outer_order_no
        return "%s: %s" % (" ".join(head), text) if head else text


class InvalidParameter(FacecertError, ValueError):
    """An argument or a setting breaks a rule; found before anything was sent.

    Attributes:
        field: the name of the argument or setting. Its value is never shown.
    """

    field: str = ""


class CredentialsError(FacecertError):
    """No usable AccessKey: the chain found nothing, or what it found is not complete."""


class DependencyError(FacecertError, ImportError):
    """A package that facecert stands on is missing or broken on disk."""


class ConnectionFailed(FacecertError):
    """No connection could be made, or it broke before the request was sent."""

    retryable = True


class NoAnswer(FacecertError):
    """The request was on its way, and no whole answer came back: it may have been done.

    ``retryable`` for ``query``. For ``init`` never: look up ``outer_order_no`` in the console
    before opening another verification.
    """

    outcome = UNKNOWN
    retryable = True


class BadAnswer(FacecertError):
    """Something answered, but not as the service does (a proxy's page, a cut-off text).

    Attributes:
        http_status: the HTTP status it came with.
        certify_id: the id of the verification where that much could be read, or None. Keep it.
    """

    outcome = UNKNOWN
    retryable = True
    http_status: int = 0
    certify_id: Optional[str] = None


class GatewayError(FacecertError):
    """The gateway in front of the service refused the request; ``code`` is its dotted name.

    Attributes:
        http_status: the HTTP status it came with.
    """

    outcome = REFUSED
    http_status: int = 0


class Throttled(GatewayError):
    """Too many calls a second for this account; refused before anything was done."""

    retryable = True


class SignatureError(GatewayError):
    """The AccessKey id is unknown or disabled, or the secret or STS token does not fit it."""


class ClockSkew(GatewayError):
    """The request's timestamp lies outside the gateway's window.

    Attributes:
        skew_seconds: how far this machine's clock is ahead of the gateway's (negative: behind);
            None when the answer had no Date.
    """

    skew_seconds: Optional[float] = None


class ServiceError(FacecertError):
    """The service itself answered with a Code other than 200; ``code`` is that number."""

    outcome = REFUSED


class CallbackError(FacecertError):
    """What came to the callback URL is not a callback, or does not prove its order."""


class LedgerError(FacecertError):
    """The ledger could not be read or written: a full disk, a lock, a database that is down.

    From ``init`` it means that nothing was sent, because there would be no record of it.
    """

    retryable = True
