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
    "passed, asked_at, claim, state",
    [
        (True, EXPIRES, None, "passed"),
        (True, EXPIRES, False, "passed"),
        (True, OVER, None, "passed"),
        (False, EXPIRES, None, None),
        (False, EXPIRES, True, None),
        (False, EXPIRES, False, "failed"),
        (False, OVER - MOMENT, None, None),
        (False, OVER, None, "failed"),
        (False, OVER, True, "failed"),
    ],
)
def test_when_an_answer_is_final(passed, asked_at, claim, state):
    answer = QueryResult(
        passed=passed, certify_id="c1", identity_info=None, material_info=None, request_id=None,
        raw={},
    )  # fmt: skip
    told = {} if claim is None else {"claim": claim}
    assert lifecycle.decide(answer, asked_at=asked_at, expires_at=EXPIRES, **told) == state


def test_a_keeper_keeps_all_three():
    assert BaseLedger.__abstractmethods__ == {"keep_sent", "keep_opening", "keep_answer"}
    with pytest.raises(TypeError):
        BaseLedger()
