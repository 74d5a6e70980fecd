"""Which failures are retried, and after how long. Sleep and jitter are passed in."""

import abc
from typing import Callable, ContextManager, Optional, TypeVar

from ..errors import UNKNOWN, FacecertError

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0

#: Seconds. A Retry-After of the gateway must not hold a web worker for longer.
LONGEST_WAIT = 10.0

Result = TypeVar("Result")


class Stopped(FacecertError):
    """The pace was stopped while an attempt waited for its turn. The attempt was not sent."""


class Pace(abc.ABC):
    """Limits how fast attempts are sent, retries included; ``Client.paced`` takes any.

    ``facecert.batch.Rate`` is the implementation for the threads of one process. Both methods
    raise ``Stopped`` when the pace was stopped before the wait is over.
    """

    @abc.abstractmethod
    def turn(self) -> ContextManager[None]:
        """Return a context manager that waits for the turn of one attempt when it is entered."""

    @abc.abstractmethod
    def sleep(self, seconds: float) -> None:
        """Wait between two attempts."""


def pause(attempt: int, retry_after: Optional[float], jitter: float) -> float:
    """Return the seconds to wait after the ``attempt``-th failure: exponential, full jitter.

    Never less than ``retry_after``; ``jitter`` is a random number in [0, 1).
    """
    drawn = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << (attempt - 1))) * jitter
    return max(drawn, retry_after or 0.0)


def judge(error: FacecertError, repeatable: bool) -> None:
    """Make an error not retryable if its outcome is unknown and the call must not be repeated."""
    if not repeatable and error.outcome == UNKNOWN:
        error.add_evidence(retryable=False)


def call(
    send: Callable[[], Result], *, repeatable: bool, attempts: int, sleep: Callable[[float], None],
    jitter: Callable[[], float]
) -> Result:
    """Call ``send()`` until it returns, up to ``attempts`` times; the last failure is raised.

    A call that is not ``repeatable`` must not be done twice: see ``judge``.
    """
    attempt = 1
    while True:
        try:
            return send()
        except FacecertError as error:
            judge(error, repeatable)
            wait = pause(attempt, error.retry_after, jitter())
            if not error.retryable or attempt >= attempts or wait > LONGEST_WAIT:
                raise
        sleep(wait)
        attempt += 1
