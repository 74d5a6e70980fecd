"""Rate: spaces the requests of one process evenly."""

import math
import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, Optional

from ..errors import invalid
from ..transport.retry import Pace, Stopped

#: Seconds between two looks at whether a rate was stopped.
LOOK = 0.1


class Rate(Pace):
    """Lets one request leave every ``1/qps`` seconds, retries included. Shared by threads.

    A turn that was not used in time is lost: no burst follows a pause. On their way requests may
    bunch, and other processes count for themselves.

    Args:
        qps: requests a second, 0.001 to 1000.
        clock: returns seconds that only go forward.
        sleep: waits for a number of seconds, or less; the default is ``time.sleep``.

    Raises:
        InvalidParameter: ``qps`` is not a number in these limits.
    """

    def __init__(
        self, qps: float, *, clock: Callable[[], float] = time.monotonic,
        sleep: Optional[Callable[[float], object]] = None
    ) -> None:
        if isinstance(qps, bool) or not isinstance(qps, (int, float)) or not 0.001 <= qps <= 1000:
            raise invalid("qps", "must be a number from 0.001 to 1000")
        self.qps = qps
        self._clock = clock
        self._sleep = sleep
        #: True after ``stop()``.
        self.stopped = False
        # In dicts, because a copy of a rate counts with it, and is stopped by itself.
        self._next = {"turn": -math.inf}
        self._locks: Dict[Any, Any] = {}

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn of one attempt; raise Stopped if it is stopped before."""
        # Made at first use in this process and since gevent or eventlet replaced Lock, because a
        # greenlet that waits for a plain lock stops all greenlets. setdefault is atomic.
        lock = self._locks.setdefault((os.getpid(), threading.Lock), threading.RLock())
        try:
            with lock:
                taken = self._take()
        finally:
            # Again, because a timeout's signal handler may raise before ``with`` releases the lock.
            with suppress(RuntimeError):  # this thread does not hold it any more
                lock.release()
        try:
            yield
        finally:
            self._end(taken)

    def _take(self) -> str:
        """Wait for a turn and return its name; one thread at a time does this."""
        start = max(self._clock(), self._next["turn"])
        self.sleep(start - self._clock())
        self._next["turn"] = start + 1 / self.qps
        return ""

    def _end(self, taken: str) -> None:
        """Note that the attempt of a turn has ended."""

    def sleep(self, seconds: float) -> None:
        """Wait between two attempts; raise Stopped if it is stopped before the end."""
        end = self._clock() + seconds
        while not self.stopped:
            left = end - self._clock()
            if left <= 0:
                return
            (self._sleep or time.sleep)(min(left, LOOK))
        raise Stopped("Stopped while waiting for a turn. Nothing was sent.")

    def stop(self) -> None:
        """End every wait, now and later, with ``Stopped``. Requests under way go on.

        Only sets a flag that waiting threads read every 0.1 seconds: a signal handler may call it.
        """
        self.stopped = True
