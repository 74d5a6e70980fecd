"""Reading the envelope of an answer leniently, and turning a refusal into its error.

Sources disagree about the envelope, so its keys are taken in any case, ``Code`` as a number or a
string, ``Data`` as an object, a JSON string or null; unknown keys are kept. The numeric Codes are
those of help.aliyun.com 181863 and of its siblings on the same gateway, the dotted names those of
48054.
"""

import re
from datetime import timezone
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple, Type

from ..errors import (
    REFUSED,
    UNKNOWN,
    BadAnswer,
    ClockSkew,
    FacecertError,
    GatewayError,
    ServiceError,
    SignatureError,
    Throttled,
)
from ..redact import presentable, repeats
from ..results import Answer, mapping, pick, shown_id, text_of


class Reply(NamedTuple):
    """One HTTP answer as it came in. Its repr shows nothing of the body."""

    status: int
    body: bytes
    date: Optional[str] = None
    retry_after: Optional[str] = None
    received_at: float = 0.0

    def __repr__(self) -> str:
        return "<Reply HTTP %d, %d bytes>" % (self.status, len(self.body))


#: Code -> (what it means and what to do, outcome). Any other Code may hide a success.
SERVICE_CODES: Dict[int, Tuple[str, str]] = {
    400: (
        "The service found a field not valid. Check scene_id, that outer_order_no is new, and"
        " that certify_id belongs to scene_id.",
        REFUSED,
    ),
    402: ("Today's quota is used up. Try tomorrow, or have it raised.", REFUSED),
    403: (
        "The account is not entitled to the service, or it expired, or is in arrears. See the"
        " console.",
        REFUSED,
    ),
    404: ("The service fin_face_verify is not known at this endpoint. Check endpoint.", REFUSED),
    500: ("The service failed inside.", UNKNOWN),
    501: (
        "The service could not process the request; seen when SM2 ciphertext does not decrypt."
        " Check the public key.",
        REFUSED,
    ),
}

#: Pattern of a dotted name -> (error, what it means and what to do).
GATEWAY_CODES: Tuple[Tuple[str, Type[GatewayError], str], ...] = (
    ("Throttling.*", Throttled, "Too many calls a second for this account. Slow down."),
    (
        "SignatureDoesNotMatch|InvalidAccessKeyId.*|InvalidSecurityToken.*",
        SignatureError,
        "AccessKey id, secret and STS token do not fit together, or are not active. Check the"
        " credentials.",
    ),
    (r"InvalidTimeStamp\.Expired", ClockSkew, "This machine's clock is off; have NTP set it."),
    (
        "Forbidden.*|NoPermission.*",
        GatewayError,
        "The RAM user or role may not call this. Attach the policy in the RAM console.",
    ),
    (
        "Missing.*|Invalid.*|UnsupportedHTTPMethod.*",
        GatewayError,
        "The gateway found the request malformed. Check endpoint; if that is right, report it to"
        " facecert.",
    ),
)

#: Names after which the call may have been done, whatever the HTTP status.
MAYBE_DONE = "SignatureNonceUsed|InternalError.*|UnknownError.*|ServiceUnavailable.*"


def read(reply: Reply, private: Tuple[str, ...] = ()) -> Answer:
    """Return the answer of a call that the service answered with Code 200.

    Args:
        private: texts that must not be shown; a message that repeats one is withheld.

    Raises:
        ServiceError: another number as Code.
        GatewayError: a refusal by the gateway (or a kind of it).
        BadAnswer: neither; a proxy's page or half an answer.
    """
    envelope = mapping(reply.body)
    code = pick(envelope, "Code")
    if isinstance(code, str):
        code = code.strip()
        if re.fullmatch("-?[0-9]{1,18}", code):
            code = int(code)
    if type(code) is int and abs(code) > 999999 and repeats(str(code), private):
        # A document's number, which is no Code.
        code = str(code)
    if type(code) is int and 200 <= reply.status < 300:
        if code == 200:
            return Answer(envelope, private)
        raise _service_error(code, envelope, private)
    if type(code) is int or (isinstance(code, str) and code):
        raise _gateway_error(str(code), envelope, reply, private)
    raise BadAnswer(
        "HTTP %d came without the service's JSON: a proxy between here and there, a wrong"
        " endpoint, or an answer that was cut off." % reply.status,
        http_status=reply.status,
        retry_after=_retry_after(reply),
    )


def skew_seconds(reply: Reply) -> Optional[float]:
    """Return how far this machine's clock is ahead of the answer's Date; None where it has none."""
    gateways_time = _http_date(reply.date)
    return None if gateways_time is None else round(reply.received_at - gateways_time)


def _service_error(
    code: int, envelope: Mapping[str, Any], private: Tuple[str, ...]
) -> ServiceError:
    meaning, outcome = SERVICE_CODES.get(
        code, ("The service answered with a Code that its documentation does not list.", UNKNOWN)
    )
    return ServiceError(
        meaning,
        code=code,
        request_id=shown_id(envelope, "RequestId", private),
        outcome=outcome,
        retryable=code == 500,
        service_message=presentable(text_of(envelope, "Message"), private),
    )


def _gateway_error(
    code: str, envelope: Mapping[str, Any], reply: Reply, private: Tuple[str, ...]
) -> FacecertError:
    evidence: Dict[str, Any] = {
        "code": presentable(code, private),
        "request_id": shown_id(envelope, "RequestId", private),
        "http_status": reply.status,
        "retry_after": _retry_after(reply),
        "service_message": presentable(text_of(envelope, "Message"), private),
    }
    for pattern, kind, meaning in GATEWAY_CODES:
        if re.fullmatch(pattern, code):
            if kind is ClockSkew:
                evidence["skew_seconds"] = skew_seconds(reply)
            return kind(meaning, **evidence)
    if reply.status >= 500 or reply.status == 408 or re.fullmatch(MAYBE_DONE, code):
        return GatewayError(
            "The gateway failed, or had seen this request before.",
            outcome=UNKNOWN,
            retryable=True,
            **evidence
        )
    if reply.status < 300:
        return GatewayError("The answer has a Code of no known kind.", outcome=UNKNOWN, **evidence)
    return GatewayError("The gateway refused the request.", **evidence)


def _retry_after(reply: Reply) -> Optional[float]:
    """Return the seconds that Retry-After asks for; it holds them, or a date."""
    if reply.retry_after and re.fullmatch("[0-9]{1,9}", reply.retry_after):
        return float(reply.retry_after)
    moment = _http_date(reply.retry_after)
    return None if moment is None else max(0.0, moment - reply.received_at)


def _http_date(text: Optional[str]) -> Optional[float]:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
