"""The states of a verification, the rule that decides them, and the interface of a ledger."""

import abc
from datetime import datetime, timedelta, timezone
from typing import NamedTuple, Optional

from .errors import UNKNOWN as OUTCOME_UNKNOWN, BudgetSpent, FacecertError
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

#: Alibaba Cloud's days and months begin at midnight in China.
CHINA = timezone(timedelta(hours=8))


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

        An order number may be used again only when its row is ``refused``. With a daily budget
        the same transaction counts the init, and raises ``budget_spent`` if there is none left.
        """

    @abc.abstractmethod
    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store the outcome of init; a fast callback may have stored its own state already."""

    @abc.abstractmethod
    def keep_claim(self, outer_order_no: str, certify_id: str) -> None:
        """Store the certify_id that a callback names, whose token has proven the order.

        Raises:
            CallbackError: the row has another certify_id, or another row has this one. So one
                order's token and another order's verification settle nothing.
        """

    @abc.abstractmethod
    def keep_answer(
        self, answer: QueryResult, *, asked_at: datetime, claim: Optional[bool] = None
    ) -> None:
        """Store the state that ``decide`` derives from the result of a query.

        Args:
            asked_at: aware UTC datetime before the query was sent.
            claim: whether a genuine callback for this certify_id said that the person passed.
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
    state: str, answer: QueryResult, *, asked_at: datetime, expires_at: datetime,
    claim: Optional[bool] = None
) -> str:
    """Return the state of a verification after the result of a query; often it is unchanged.

    ``passed`` is never taken back, and replaces ``failed``. "Not passed" is final once a genuine
    callback has said so, or when the time is over; before, it may mean "not yet".
    """
    if answer.passed:
        return PASSED
    if state not in FINAL and (claim is False or asked_at >= expires_at + GRACE):
        return FAILED
    return state


def is_known(state: str, told: Optional[str], *, passed: bool) -> bool:
    """Tell whether the receivers of ``verified``, last told ``told``, know what a callback says.

    After ``failed`` only "passed" is news; a query must confirm it.
    """
    return state in FINAL and told == state and (state == PASSED or not passed)


def budget_spent(per_day: int, sent_at: datetime) -> BudgetSpent:
    """Return the error for an init beyond the daily budget."""
    now = sent_at.astimezone(CHINA)
    midnight = datetime(now.year, now.month, now.day, tzinfo=CHINA) + timedelta(days=1)
    text = "The budget of %d inits for %s (UTC+8) is spent. Raise per_day, or try again tomorrow."
    return BudgetSpent(text % (per_day, now.date()), retry_after=(midnight - now).total_seconds())
