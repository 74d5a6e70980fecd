"""From a response to a decoded answer, or to the error that says why there is none.

The numeric Codes are those of help.aliyun.com 181863 and of its siblings on the same gateway, the
dotted names those of 48054.
"""

import re
from contextlib import suppress
from datetime import timezone
from typing import Any, Dict, NamedTuple, Optional, Tuple, Type

from ..errors import (
    REFUSED, UNKNOWN, BadAnswer, ClockSkew, FacecertError, GatewayError, ServiceError,
    SignatureError, Throttled,
)  # fmt: skip
from ..redact import WITHHELD, Private
from ..results import Answer

#: A code that may be shown: a dotted name, or 1 to 6 digits.
_CODE = "[A-Za-z][A-Za-z0-9._]{0,63}|-?[0-9]{1,6}"


class Response(NamedTuple):
    """One HTTP response as it was received. Its repr shows nothing of the body."""

    status: int
    body: bytes
    date: Optional[str] = None
    retry_after: Optional[str] = None
    received_at: float = 0.0

    def __repr__(self) -> str:
        return "<Response HTTP %d, %d bytes>" % (self.status, len(self.body))


#: Code -> what it means and what to do. Any other Code may hide a success.
SERVICE_CODES: Dict[int, str] = {
    400: "The service found a field not valid. Check scene_id, that outer_order_no is new, and that"
    " certify_id belongs to scene_id.",
    402: "Today's quota is used up. Try tomorrow, or have it raised.",
    403: "The account is not entitled to the service, or it expired, or is in arrears. See the"
    " console.",
    404: "This endpoint does not know the service fin_face_verify. Check endpoint.",
    500: "Internal service error.",
    501: "The service could not process the request; seen when SM2 ciphertext does not decrypt."
    " Check the public key.",
}

#: Pattern of a dotted name -> (error, what it means and what to do).
GATEWAY_CODES: Tuple[Tuple[str, Type[GatewayError], str], ...] = (
    ("Throttling.*", Throttled, "Too many calls a second for this account. Slow down."),
    ("MissingSecurityToken|IncompleteSignature.*", SignatureError,
     "The STS token was not sent, or the signature is incomplete. Set ALIBABA_CLOUD_SECURITY_TOKEN,"
     " or pass (id, secret, token) as credentials."),
    (r"InvalidSecurityToken\.Expired", SignatureError,
     "The STS token has expired. Fetch new credentials; a token in ALIBABA_CLOUD_SECURITY_TOKEN is"
     " not refreshed."),
    ("SignatureDoesNotMatch|InvalidAccessKeyId.*|InvalidSecurityToken.*", SignatureError,
     "AccessKey id, secret and STS token do not match, or are not active. Check the credentials."),
    (r"InvalidTimeStamp\.Expired", ClockSkew, "This machine's clock is off; have NTP set it."),
    ("Forbidden.*|NoPermission.*", GatewayError,
     "The RAM user or role may not call this. Attach the policy in the RAM console."),
    ("Missing.*|Invalid.*|UnsupportedHTTPMethod.*", GatewayError,
     "The gateway found the request malformed. Check endpoint; if that is right, report it to"
     " facecert."),
)  # fmt: skip

#: Names after which the call may have been done, whatever the HTTP status.
MAYBE_DONE = "SignatureNonceUsed|InternalError.*|UnknownError.*|ServiceUnavailable.*"


def read(response: Response, private: Optional[Private] = None) -> Answer:
    """Return the answer of a call that the service answered with Code 200, or raise."""
    answer = Answer(response.body, private)
    code, succeeded = answer.code, 200 <= response.status < 300
    if code is None or code == 200 and not succeeded:
        text = "HTTP %d came without the service's JSON: a proxy on the way, a wrong endpoint, or a"
        if code == 200:
            text = "HTTP %d came with Code 200: a proxy on the way, a wrong endpoint, or a"
        evidence = {
            "http_status": response.status, "retry_after": _retry_after(response),
            "certify_id": answer.id("certifyId"), "request_id": answer.request_id,
        }
        raise BadAnswer((text + " response that was cut off.") % response.status, evidence)
    # A longer number is no Code: it may be a document number.
    if not isinstance(code, int) or not succeeded or abs(code) > 999999:
        raise _gateway_error(str(code), answer, response)
    if code == 200:
        return answer
    text = SERVICE_CODES.get(code, "The service returned a Code that is not documented.")
    outcome = REFUSED if code in SERVICE_CODES and code != 500 else UNKNOWN
    raise ServiceError(text, code=code, request_id=answer.request_id, outcome=outcome,
                       service_message=answer.message, retryable=code == 500)


def skew_seconds(response: Response) -> Optional[float]:
    """Return how far this machine's clock is ahead of the Date header; None without one."""
    gateways_time = _http_date(response.date)
    return None if gateways_time is None else round(response.received_at - gateways_time)


def _gateway_error(code: str, answer: Answer, response: Response) -> FacecertError:
    evidence: Dict[str, Any] = {
        "code": answer.private.shown_name(code, _CODE) or WITHHELD,
        "request_id": answer.request_id,
        "http_status": response.status,
        "retry_after": _retry_after(response),
        "service_message": answer.message,
    }
    if code == "MissingParameter" and "SecurityToken" in (answer.message or ""):
        code = "MissingSecurityToken"  # an older gateway's name for the same refusal
    for pattern, kind, meaning in GATEWAY_CODES:
        if re.fullmatch(pattern, code):
            if kind is ClockSkew:
                evidence["skew_seconds"] = skew_seconds(response)
            return kind(meaning, evidence)
    text = "The gateway refused the request."
    if response.status >= 500 or response.status == 408 or re.fullmatch(MAYBE_DONE, code):
        evidence.update(outcome=UNKNOWN, retryable=True)
        text = "The gateway failed, or had received this request before."
    elif response.status < 300:
        evidence.update(outcome=UNKNOWN)
        text = "The response has a Code of no known kind."
    return GatewayError(text, evidence)


def _retry_after(response: Response) -> Optional[float]:
    """Return the seconds of Retry-After, which holds seconds or a date."""
    if response.retry_after and re.fullmatch("[0-9]{1,9}", response.retry_after):
        return float(response.retry_after)
    moment = _http_date(response.retry_after)
    return None if moment is None else max(0.0, moment - response.received_at)


def _http_date(text: Optional[str]) -> Optional[float]:
    from email.utils import parsedate_to_datetime

    with suppress(TypeError, ValueError, IndexError, OverflowError):
        moment = parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    return None
