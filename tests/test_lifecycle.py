"""What becomes of a verification: told from errors, answers and the time."""

import datetime

import pytest

from facecert import lifecycle
from facecert.errors import BadAnswer, ConnectionFailed, NoAnswer, ServiceError, Throttled
from facecert.lifecycle import BaseLedger, Opening
from facecert.results import InitResult, QueryResult

EXPIRES = datetime.datetime(2026, 10, 1, 12, 30, tzinfo=datetime.timezone.utc)
OVER = EXPIRES + datetime.timedelta(minutes=5)
MOMENT = datetime.timedelta(microseconds=1)


def test_the_times_and_the_states():
    assert lifecycle.LIFETIME == datetime.timedelta(minutes=30)
    assert lifecycle.GRACE == datetime.timedelta(minutes=5)
    assert lifecycle.STATES == ("sent", "opened", "refused", "unknown", "passed", "failed")
    assert lifecycle.FINAL == ("passed", "failed")


def test_an_init_that_succeeded():
    result = InitResult(
        certify_id="c1", certify_url="u", outer_order_no="o1", expires_at=EXPIRES,
        request_id="r1", raw={},
    )  # fmt: skip
    assert lifecycle.opened(result) == Opening("opened", "c1", "r1", None, EXPIRES)


@pytest.mark.parametrize(
    "error, opening",
    [
        (ConnectionFailed("x"), Opening("refused", None, None, "ConnectionFailed", None)),
        (
            Throttled("x", code="Throttling", request_id="r1"),
            Opening("refused", None, "r1", "Throttling", None),
        ),
        (ServiceError("x", code=402), Opening("refused", None, None, "402", None)),
        (ServiceError("x", code=500, outcome="unknown"), Opening("unknown", code="500")),
        (NoAnswer("x"), Opening("unknown", None, None, "NoAnswer", None)),
        (
            BadAnswer("x", certify_id="c1", request_id="r1"),
            Opening("unknown", "c1", "r1", "BadAnswer", None),
        ),
        (KeyboardInterrupt(), Opening("unknown", None, None, "KeyboardInterrupt", None)),
        (ValueError("x"), Opening("unknown", None, None, "ValueError", None)),
    ],
)
def test_an_init_that_raised(error, opening):
    assert lifecycle.failed(error) == opening


def test_what_is_not_known_of_an_opening_is_none():
    assert Opening("unknown") == ("unknown", None, None, None, None)


@pytest.mark.parametrize(
    "before, passed, asked_at, claim, after",
    [
        ("opened", True, EXPIRES, None, "passed"),
        ("opened", True, EXPIRES, False, "passed"),
        ("sent", True, OVER, None, "passed"),
        ("opened", False, EXPIRES, None, "opened"),
        ("unknown", False, EXPIRES, True, "unknown"),
        ("opened", False, EXPIRES, False, "failed"),
        ("opened", False, OVER - MOMENT, None, "opened"),
        ("refused", False, OVER, None, "failed"),
        ("opened", False, OVER, True, "failed"),
        # A result is never taken back, but the service's "passed" replaces "failed".
        ("passed", False, OVER, False, "passed"),
        ("failed", False, OVER, False, "failed"),
        ("failed", True, OVER, False, "passed"),
    ],
)
def test_the_state_after_a_query(before, passed, asked_at, claim, after):
    answer = QueryResult(passed=passed, certify_id="c1")
    told = {} if claim is None else {"claim": claim}
    state = lifecycle.decide(before, answer, asked_at=asked_at, expires_at=EXPIRES, **told)
    assert state == after


@pytest.mark.parametrize(
    "state, told, passed, known",
    [
        ("passed", "passed", True, True),
        ("passed", "passed", False, True),
        ("failed", "failed", False, True),
        ("failed", "failed", True, False),
        ("passed", "failed", True, False),
        ("failed", None, False, False),
        ("opened", "", False, False),
        ("opened", "opened", False, False),
    ],
)
def test_what_the_receivers_know_is_not_news(state, told, passed, known):
    assert lifecycle.is_known(state, told, passed=passed) is known


@pytest.mark.parametrize("utc_hour, day, left", [(15.5, 1, 0.5), (16, 2, 24), (0, 1, 16)])
def test_a_budget_ends_at_midnight_in_china(utc_hour, day, left):
    sent_at = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
    error = lifecycle.budget_spent(100, sent_at + datetime.timedelta(hours=utc_hour))
    assert "100 inits for 2026-10-0%d" % day in str(error)
    assert (error.outcome, error.retryable, error.retry_after) == ("not sent", False, left * 3600)


def test_a_ledger_has_all_four():
    assert BaseLedger.__abstractmethods__ == {
        "keep_sent", "keep_opening", "keep_claim", "keep_answer",
    }  # fmt: skip
    with pytest.raises(TypeError):
        BaseLedger()
