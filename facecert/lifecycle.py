"""The states of a verification, the rule that decides them, and the interface of a ledger."""

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

#: The states in which the result is known.
FINAL = (PASSED, FAILED)

#: How long certify_id and certify_url are good for (help.aliyun.com 181863).
LIFETIME = timedelta(minutes=30)

#: How long after the 30 minutes "not passed" still may mean "not yet".
GRACE = timedelta(minutes=5)


class Opening(NamedTuple):
    """The outcome of one init, for the ledger.

    ``state`` is ``opened``, ``refused`` (surely not opened) or ``unknown`` (perhaps opened).
    ``code`` says why it was not opened: the code of the service or gateway, or the error's name.
    """

    state: str
    certify_id: Optional[str] = None
    request_id: Optional[str] = None
    code: Optional[str] = None
    expires_at: Optional[datetime] = None


class BaseLedger(abc.ABC):
    """The interface of a durable record of all verifications; ``Client(ledger=…)`` takes any.

    A row has the order number as its key and begins as ``sent``. No method is given personal data.
    """

    @abc.abstractmethod
    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Make the row durable, as ``sent``. If this raises, init is not sent.

        An order number may be used again only when its row is ``refused``.
        """

    @abc.abstractmethod
    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store the outcome of init; a fast callback may have stored its own state already."""

    @abc.abstractmethod
    def keep_answer(
        self, answer: QueryResult, *, asked_at: datetime, outer_order_no: Optional[str] = None,
        claim: Optional[bool] = None
    ) -> None:
        """Store the result of a query, if ``decide`` derives a state from it.

        Args:
            asked_at: aware UTC datetime before the query was sent.
            outer_order_no: the order, if a callback's token has proven it.
            claim: whether that callback said that the person passed.
        """


def opened(result: InitResult) -> Opening:
    """Return the record of an init that succeeded."""
    return Opening(OPENED, result.certify_id, result.request_id, None, result.expires_at)


def failed(error: BaseException) -> Opening:
    """Return the record of an init that raised; ``unknown`` if in doubt."""
    if not isinstance(error, FacecertError):  # a time-out's signal, Ctrl-C
        return Opening(UNKNOWN, code=type(error).__name__)
    state = UNKNOWN if error.outcome == OUTCOME_UNKNOWN else REFUSED
    code = type(error).__name__ if error.code is None else str(error.code)
    return Opening(state, getattr(error, "certify_id", None), error.request_id, code)


def decide(
    answer: QueryResult, *, asked_at: datetime, expires_at: datetime, claim: Optional[bool] = None
) -> Optional[str]:
    """Return ``passed``, ``failed``, or None while "not passed" may mean "not yet".

    "Not passed" is final once a genuine callback has said so, or when the time is over.
    """
    if answer.passed:
        return PASSED
    if claim is False or asked_at >= expires_at + GRACE:
        return FAILED
    return None
