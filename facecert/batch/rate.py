"""Rate: no more calls in any second than are allowed, as the other side counts them."""

import math
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import Callable, Deque, Iterator, Optional

from ..errors import InvalidParameter
from ..transport.retry import Pace, Stopped

#: Seconds added to the one second: two clocks do not run at quite the same speed.
MARGIN = 0.01


class Rate(Pace):
    """At most ``qps`` calls a second, counted where they arrive. Shared by threads.

    A token bucket spaces the calls where they leave; on their way they may bunch. Here a call
    occupies one of ``floor(qps)`` slots, until one second after its answer. The proof:

    1. The server's stamp of an answered call lies between its sending and its answer.
    2. The next call in the same slot is sent a second after that answer, so stamped after that.
    3. So two stamps of one slot are at least a second apart, whatever the network does.
    4. So a window of one second (half open) holds at most one stamp of each slot.
    5. So it holds at most ``floor(qps)`` of them. (Below 1: one in ``1/qps`` seconds.)

    Two limits: a call that timed out may be stamped later than it was given up; and other
    processes count for themselves (the service's 50 a second are the whole account's). The price
    is a throughput of ``floor(qps) / (1 + seconds per answer)`` at the most.

    Args:
        qps: calls a second, 0.001 to 1000; 2.5 means at most 2 in any second.
        clock: returns seconds that only go forward.
        sleep: waits for so many seconds; the default one ends early when the rate is stopped.

    Raises:
        InvalidParameter: ``qps`` is no such number.
    """

    def __init__(
        self,
        qps: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Optional[Callable[[float], object]] = None
    ) -> None:
        if isinstance(qps, bool) or not isinstance(qps, (int, float)) or not 0.001 <= qps <= 1000:
            raise InvalidParameter("qps must be a number from 0.001 to 1000", field="qps")
        self.slots = max(1, math.floor(qps))
        self._gap = 1 / qps
        self._hold = max(1.0, self._gap) + MARGIN
        self._clock = clock
        self._stopping = threading.Event()
        self._wait = sleep or self._stopping.wait
        #: Held by the one whose turn is next, so that calls leave one after the other.
        self._door = threading.Lock()
        self._not_before = -math.inf
        #: When each of the slots that nobody occupies is free; the earliest first.
        self._idle: Deque[float] = deque([-math.inf] * self.slots)
        self._given_back = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn of one attempt; the block must end after the answer came, or failed.

        Raises:
            Stopped: before the turn came.
        """
        with self._door:
            free_at = self._take()
            try:
                # Turns are evenly spaced, but time that was lost is not caught up with.
                start = max(self._clock(), free_at, self._not_before)
                self._until(start)
            except BaseException:
                self._give_back(free_at, first=True)
                raise
            self._not_before = start + self._gap
        try:
            yield
        finally:
            self._give_back(self._clock() + self._hold)

    def sleep(self, seconds: float) -> None:
        """Wait between two attempts.

        Raises:
            Stopped: as soon as the rate is stopped.
        """
        self._until(self._clock() + seconds)

    def stop(self) -> None:
        """Let nobody through any more; who waits gets ``Stopped``. Calls under way go on."""
        self._stopping.set()
        with self._given_back:
            self._given_back.notify_all()

    def _take(self) -> float:
        with self._given_back:
            while not self._idle and not self._stopping.is_set():
                self._given_back.wait()
            self._check()
            return self._idle.popleft()

    def _give_back(self, free_at: float, first: bool = False) -> None:
        with self._given_back:
            if first:
                self._idle.appendleft(free_at)
            else:
                self._idle.append(free_at)
            self._given_back.notify()

    def _until(self, moment: float) -> None:
        self._check()
        # A loop, for a wait may end early when the machine's time is set.
        while self._clock() < moment:
            self._wait(moment - self._clock())
            self._check()

    def _check(self) -> None:
        if self._stopping.is_set():
            raise Stopped("Stopped while waiting for a turn. Nothing was sent.")
