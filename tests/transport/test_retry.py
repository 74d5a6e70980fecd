import pytest

from facecert.transport import retry
from facecert.errors import (
    ClockSkew,
    ConnectionFailed,
    GatewayError,
    NoAnswer,
    ServiceError,
    Throttled,
)


class Calls:
    """Fails with each error in turn, then returns "done"."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.made = 0
        self.pauses = []

    def __call__(self):
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, repeatable, attempts=3):
        return retry.call(
            self,
            repeatable=repeatable,
            attempts=attempts,
            sleep=self.pauses.append,
            jitter=lambda: 1.0,
        )


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("error", [ConnectionFailed, Throttled])
def test_what_surely_was_not_done_is_tried_again(repeatable, error):
    calls = Calls(error("x"), error("x"))
    assert calls.run(repeatable) == "done"
    assert calls.made == 3 and calls.pauses == [0.2, 0.4]


@pytest.mark.parametrize(
    "error",
    [
        NoAnswer("x"),
        ServiceError("x", outcome="unknown", retryable=True),
        GatewayError("x", outcome="unknown", retryable=True),
    ],
)
def test_an_init_that_may_have_been_taken_is_never_sent_again(error):
    calls = Calls(error)
    with pytest.raises(type(error)) as caught:
        calls.run(repeatable=False)
    assert calls.made == 1 and calls.pauses == []
    assert caught.value is error and not error.retryable


def test_after_a_harmless_failure_an_unknown_one_still_ends_it():
    last = NoAnswer("x")
    calls = Calls(ConnectionFailed("x"), last)
    with pytest.raises(NoAnswer) as caught:
        calls.run(repeatable=False)
    assert calls.made == 2 and caught.value is last


def test_a_query_is_tried_again_whatever_became_of_it():
    calls = Calls(NoAnswer("x"), NoAnswer("x"))
    assert calls.run(repeatable=True) == "done"


@pytest.mark.parametrize("error", [ServiceError("x"), GatewayError("x"), ClockSkew("x")])
def test_a_refusal_is_final(error):
    calls = Calls(error)
    with pytest.raises(type(error)):
        calls.run(repeatable=True)
    assert calls.made == 1


def test_the_last_failure_is_raised_after_the_last_attempt():
    errors = [ConnectionFailed("1"), ConnectionFailed("2"), ConnectionFailed("3")]
    calls = Calls(*errors)
    with pytest.raises(ConnectionFailed) as caught:
        calls.run(repeatable=True)
    assert caught.value is errors[2] and calls.made == 3 and len(calls.pauses) == 2


def test_fail_then_succeed_leaves_no_trace():
    assert Calls(Throttled("x")).run(repeatable=False, attempts=2) == "done"


@pytest.mark.parametrize(
    "attempt, longest", [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 2.0), (9, 2.0)]
)
def test_pause_doubles_up_to_two_seconds_with_full_jitter(attempt, longest):
    assert retry.pause(attempt, None, 1.0) == pytest.approx(longest)
    assert retry.pause(attempt, None, 0.0) == 0.0
    assert retry.pause(attempt, None, 0.25) == pytest.approx(longest / 4)


def test_retry_after_is_waited_for_but_does_not_hold_a_worker():
    assert retry.pause(1, 3.0, 0.5) == 3.0
    calls = Calls(Throttled("x", retry_after=3.0))
    assert calls.run(repeatable=True) == "done" and calls.pauses == [3.0]
    calls = Calls(Throttled("x", retry_after=60.0))
    with pytest.raises(Throttled) as caught:
        calls.run(repeatable=True)
    assert calls.made == 1 and caught.value.retryable and caught.value.retry_after == 60.0


@pytest.mark.parametrize("asked_for, made", [(10.0, 2), (10.001, 1)])
def test_ten_seconds_are_the_longest_that_is_waited(asked_for, made):
    calls = Calls(Throttled("x", retry_after=asked_for))
    if made == 2:
        assert calls.run(repeatable=True) == "done"
    else:
        with pytest.raises(Throttled):
            calls.run(repeatable=True)
    assert calls.made == made and calls.pauses == [asked_for] * (made - 1)
