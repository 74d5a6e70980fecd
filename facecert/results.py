"""What init and query return, read from an answer. Nothing is sent from here.

The fields of ``Data`` are those of help.aliyun.com 181863.
"""

from datetime import datetime
from typing import Any, Dict, NamedTuple, Optional

from .answers import Answer
from .errors import BadAnswer


class InitResult(NamedTuple):
    """An opened verification.

    Attributes:
        certify_id: the verification's id. The bill is by this id: store it.
        certify_url: where to send the person; several hundred characters, good for one submission.
        outer_order_no: your order number, or the one made for you.
        expires_at: aware UTC datetime after which ``certify_url`` is dead (30 minutes on).
        request_id: what Alibaba Cloud's support asks for.
        raw: the whole answer as it was read; not part of ``repr``.
    """

    certify_id: str
    certify_url: str
    outer_order_no: str
    expires_at: datetime
    request_id: Optional[str]
    raw: Dict[str, Any]

    def __repr__(self) -> str:
        return "InitResult(certify_id=%r, outer_order_no=%r, expires_at=%r, request_id=%r)" % (
            self.certify_id,
            self.outer_order_no,
            self.expires_at,
            self.request_id,
        )


class QueryResult(NamedTuple):
    """What is known of a verification. It is true (``if answer:``) only when it was passed.

    Attributes:
        passed: True when the person passed. False means failed *or not yet done*: it is final
            only after the callback came, or once the 30 minutes are over.
        certify_id: the id that was asked about.
        identity_info, material_info: reserved by the service, usually empty; not part of ``repr``.
        request_id: what Alibaba Cloud's support asks for.
        raw: the whole answer as it was read; not part of ``repr``.
    """

    passed: bool
    certify_id: str
    identity_info: Any
    material_info: Any
    request_id: Optional[str]
    raw: Dict[str, Any]

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return "QueryResult(passed=%r, certify_id=%r, request_id=%r)" % (
            self.passed,
            self.certify_id,
            self.request_id,
        )


def read_init(answer: Answer, *, outer_order_no: str, expires_at: datetime) -> InitResult:
    """Read the answer to an ``init``.

    Raises:
        BadAnswer: it lacks ``certifyId`` or ``certifyUrl``.
    """
    certify_id = answer.text("certifyId")
    certify_url = answer.text("certifyUrl")
    if certify_id is None or certify_url is None:
        raise _incomplete(answer, "certifyId and certifyUrl")
    return InitResult(
        certify_id, certify_url, outer_order_no, expires_at, answer.request_id, answer.envelope
    )


def read_query(answer: Answer, *, certify_id: str) -> QueryResult:
    """Read the answer to a ``query``. Only ``"T"`` is a pass.

    Raises:
        BadAnswer: it lacks ``passed``.
    """
    passed = answer.text("passed")
    if passed is None:
        raise _incomplete(answer, "passed")
    return QueryResult(
        passed == "T",
        certify_id,
        answer.data.get("identityInfo"),
        answer.data.get("materialInfo"),
        answer.request_id,
        answer.envelope,
    )


def _incomplete(answer: Answer, missing: str) -> BadAnswer:
    return BadAnswer(
        "The service answered 200 without %s. Report the RequestId to Alibaba Cloud if it happens"
        " again." % missing,
        http_status=200,
        request_id=answer.request_id,
    )
