"""What becomes of a verification, and the interface of whatever keeps it durably."""

import abc
from datetime import datetime, timedelta
from typing import NamedTuple, Optional

from .errors import UNKNOWN as OUTCOME_UNKNOWN
from .errors import FacecertError
from .results import InitResult, QueryResult

SENT = "sent"
OPENED = "opened"
REFUSED = "refused"
UNKNOWN = "unknown"
PASSED = "passed"
FAILED = "failed"

STATES = (SENT, OPENED, REFUSED, UNKNOWN, PASSED, FAILED)

#: It is known whether the person passed.
FINAL = (PASSED, FAILED)

#: How long certify_id and certify_url are good for (help.aliyun.com 181863).
LIFETIME = timedelta(minutes=30)

#: How long after the 30 minutes "not passed" still may mean "not yet".
GRACE = timedelta(minutes=5)


class Opening(NamedTuple):
    """What came of one init.

    Attributes:
        state: ``opened``, ``refused`` (surely not opened) or ``unknown`` (perhaps opened).
        certify_id: the bill's key, if it is known.
        request_id: what Alibaba Cloud's support asks for.
        code: why it was not opened: the service's or gateway's code, or the error's name.
        expires_at: aware UTC datetime, if it was opened.
    """

    state: str
    certify_id: Optional[str] = None
    request_id: Optional[str] = None
    code: Optional[str] = None
    expires_at: Optional[datetime] = None


class BaseLedger(abc.ABC):
    """Keeps what became of every verification; ``Client(ledger=…)`` takes any.

    A row is named by its order number and begins as ``sent``. No method is given anything
    personal.
    """

    @abc.abstractmethod
    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Make the row durable, as ``sent``; whatever this raises keeps init from being sent.

        An order number may be used again only when its row is ``refused``.
        """

    @abc.abstractmethod
    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store what came of init, beside what a fast callback may have stored already."""

    @abc.abstractmethod
    def keep_answer(
        self,
        answer: QueryResult,
        *,
        asked_at: datetime,
        outer_order_no: Optional[str] = None,
        claim: Optional[bool] = None
    ) -> None:
        """Store what the service answered to a query, if ``decide`` makes a state of it.

        Args:
            asked_at: aware UTC datetime before the question was sent.
            outer_order_no: whose order it is, where a callback's token has proven that.
            claim: what that callback said.
        """


def opened(result: InitResult) -> Opening:
    """Return what an init that succeeded is kept as."""
    return Opening(OPENED, result.certify_id, result.request_id, None, result.expires_at)


def failed(error: BaseException) -> Opening:
    """Return what an init that raised is kept as; ``unknown`` if in doubt."""
    if not isinstance(error, FacecertError):  # a time-out's signal, Ctrl-C
        return Opening(UNKNOWN, code=type(error).__name__)
    return Opening(
        UNKNOWN if error.outcome == OUTCOME_UNKNOWN else REFUSED,
        certify_id=getattr(error, "certify_id", None),
        request_id=error.request_id,
        code=type(error).__name__ if error.code is None else str(error.code),
    )


def decide(
    answer: QueryResult, *, asked_at: datetime, expires_at: datetime, claim: Optional[bool] = None
) -> Optional[str]:
    """Return ``passed``, ``failed``, or None while "not passed" may mean "not yet".

    It is final once a genuine callback has said the same, or when the time is over.
    """
    if answer.passed:
        return PASSED
    if claim is False or asked_at >= expires_at + GRACE:
        return FAILED
    return None
