"""Every error that facecert raises::

    FacecertError             .code .request_id .outcome .retryable .retry_after
    |                         .outer_order_no .service_message
    |-- InvalidParameter      (also ValueError) an argument or a setting is wrong   .field
    |-- CredentialsError      no AccessKey was found
    |-- DependencyError       (also ImportError) an installed package is unusable   .msg
    |-- ConnectionFailed      refused, DNS, TLS: nothing was sent
    |-- NoAnswer              timed out or cut off after sending: outcome unknown
    |-- BadAnswer             a response that cannot be read           .http_status .certify_id
    |-- GatewayError          the gateway refused the request                      .http_status
    |   |-- Throttled         too many calls; nothing was done
    |   |-- SignatureError    AccessKey id, secret and STS token do not match
    |   `-- ClockSkew         this machine's clock is off                          .skew_seconds
    |-- ServiceError          the service returned a Code other than 200
    |-- LedgerError           the ledger could not be read or written
    |-- BudgetSpent           the day's budget of inits is spent
    |-- OutputFailed          a file of results could not be written
    `-- CallbackError         not a callback, or its token is missing or wrong

``outcome`` says what became of the call: ``"not sent"`` (the request never left this process),
``"refused"`` (it arrived and was turned down) or ``"unknown"`` (it may have been done). An
``init`` whose outcome is unknown may have opened a verification under ``outer_order_no``.

No error carries a name, a document number, a token, a secret or a signature. Every error survives
pickle, copy, and a task queue that rebuilds ``cls(*args)`` from JSON, with all its attributes.
"""

import re
from typing import Any, Mapping, Optional, Union

NOT_SENT = "not sent"
REFUSED = "refused"
UNKNOWN = "unknown"


class FacecertError(Exception):
    """The base of every error that facecert raises. ``args`` is ``(message, evidence)``.

    Args:
        message: what happened and what to do.
        evidence: values of the attributes below, by name, as another process stored them. Unknown
            names are ignored, because another release of facecert may have stored them.
        more: the same as keywords; an unknown one is a TypeError.

    Attributes:
        code: the service's number (int, ``ServiceError``) or the gateway's dotted name (str).
        request_id: what Alibaba Cloud's support asks for; None when there was no response.
        outcome: ``"not sent"``, ``"refused"`` or ``"unknown"``.
        retryable: True when the same call may be sent again without harm and may then succeed.
        retry_after: seconds to wait before the next call, as the gateway asked, or None.
        outer_order_no: the order number of the ``init`` that failed, or None.
        service_message: the gateway's or the service's message (often Chinese), or None. What may
            repeat personal data or a secret is left out.
    """

    code: Union[int, str, None] = None
    request_id: Optional[str] = None
    outcome: str = NOT_SENT
    retryable: bool = False
    retry_after: Optional[float] = None
    outer_order_no: Optional[str] = None
    service_message: Optional[str] = None

    def __init__(
        self, message: str = "", evidence: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> None:
        # Without addresses of objects, because error trackers group errors by their message.
        text = re.sub(" at 0x[0-9A-Fa-f]+", "", str(message))
        super().__init__(text)
        self.args = (text, {})
        known = {name: value for name, value in (evidence or {}).items() if self._declares(name)}
        self.add_evidence(**dict(known, **more))

    def add_evidence(self, **evidence: Any) -> None:
        """Set attributes of the error, here and in ``args``, so that serialisers keep them."""
        for name, value in evidence.items():
            if not self._declares(name):
                raise TypeError("%s has no %s" % (type(self).__name__, name))
            if not isinstance(value, (str, int, float, type(None))):
                value = str(value)  # because JSON cannot express it, and would lose all evidence
            setattr(self, name, value)
            self.args[1][name] = value

    def _declares(self, name: str) -> bool:
        """Tell whether a name is an annotated attribute of the class or of one of its bases."""
        return any(name in getattr(kind, "__annotations__", {}) for kind in type(self).__mro__)

    def __str__(self) -> str:
        request_id = self.request_id and "(RequestId %s)" % self.request_id
        head = [str(part) for part in (self.code, request_id) if part not in (None, "")]
        text = str(self.args[0]) if self.args else ""
        if self.service_message:
            text += " Message: %s" % self.service_message
        if self.outer_order_no and self.outcome == UNKNOWN:
            text += " (outer_order_no %s)" % self.outer_order_no
        return "%s: %s" % (" ".join(head), text) if head else text


class InvalidParameter(FacecertError, ValueError):
    """An argument or a setting breaks a rule; found before anything was sent."""

    #: The name of the argument or setting. Its value is never shown.
    field: str = ""


def invalid(field: str, rule: str) -> InvalidParameter:
    """Return the error that says which rule an argument or a setting breaks."""
    return InvalidParameter("%s %s" % (field, rule), field=field)


class CredentialsError(FacecertError):
    """The credential chain found no AccessKey, or an incomplete one."""


class DependencyError(FacecertError, ImportError):
    """A package that facecert needs is missing or broken on disk. ``msg`` is the message."""


def unimportable(what: str, install: str, error: ImportError) -> DependencyError:
    """Return the error for an import that failed: ``what``, the cause, ``pip install`` it."""
    text = "%s: %s. Install or repair it with: python -m pip install %s"
    text %= (what, str(error).rstrip("."), install)
    if "interpreter" in str(error):
        # mod_wsgi runs each app in a sub-interpreter, which some compiled packages refuse.
        text += ". Under mod_wsgi, set WSGIApplicationGroup %{GLOBAL} instead."
    return DependencyError(text)


class ConnectionFailed(FacecertError):
    """No connection could be made, or it broke before the request was sent."""

    retryable = True


class NoAnswer(FacecertError):
    """The request was sent, and no complete response came back: the call may have been done.

    ``retryable`` for ``query``. For ``init`` never: look up ``outer_order_no`` in the console
    before you open another verification.
    """

    outcome = UNKNOWN
    retryable = True


class BadAnswer(FacecertError):
    """A response came, but not one of the service (a proxy's page, a cut-off text)."""

    outcome = UNKNOWN
    retryable = True
    http_status: int = 0
    #: The id of the verification if that much could be read, or None. Store it.
    certify_id: Optional[str] = None


class GatewayError(FacecertError):
    """The gateway in front of the service refused the request; ``code`` is its dotted name."""

    outcome = REFUSED
    http_status: int = 0


class Throttled(GatewayError):
    """Too many calls a second for this account; refused before anything was done."""

    retryable = True


class SignatureError(GatewayError):
    """The AccessKey id is unknown or disabled, or secret or STS token is wrong or missing."""


class ClockSkew(GatewayError):
    """The timestamp of the request lies outside the gateway's window."""

    #: How far this machine's clock is ahead of the gateway's (negative: behind), or None.
    skew_seconds: Optional[float] = None


class ServiceError(FacecertError):
    """The service returned a Code other than 200; ``code`` is that number."""

    outcome = REFUSED


class CallbackError(FacecertError):
    """The request to the callback URL is not a callback, or does not prove its order."""


class LedgerError(FacecertError):
    """The ledger could not be read or written: a full disk, a lock, a database that is down.

    From ``init`` it means that nothing was sent, because there would be no record of it.
    """

    retryable = True


class BudgetSpent(FacecertError):
    """``init`` was not sent, because the day's budget (``per_day``) is spent.

    ``retry_after`` is the time until the next day of China (UTC+8).
    """


class OutputFailed(FacecertError):
    """The results of a batch cannot be written. The lines that are in the file are whole."""
