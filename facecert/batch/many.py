"""Many queries: at a rate, by several threads, one outcome for each id."""

import math
import threading
from queue import Empty
from typing import Any, Iterable, Iterator, List, Optional

from ..params import check_scene_id
from ..client import Client
from ..errors import FacecertError, InvalidParameter
from .rate import Rate
from .desk import Desk, Item
from .outcome import Outcome, is_hopeless

#: So many errors in a row that are not about an id end a batch.
HOPELESS_IN_A_ROW = 20

#: Seconds between two looks at whether somebody stopped a batch that waits.
_LOOK = 0.1


def query_many(
    ids: Iterable[Item],
    *,
    client: Optional[Client] = None,
    qps: float = 20,
    threads: Optional[int] = None,
    scene_id: Optional[str] = None
) -> "Batch":
    """Ask about many verifications; yields one ``Outcome`` for each item, in no certain order.

    Args:
        ids: ``certify_id`` or ``(certify_id, scene_id)``; any iterable, taken from as it goes, in
            the thread that iterates. Outcomes wait while it waits for its next id.
        client: None is the client of ``facecert.query``.
        qps: calls a second, retries counted, 0.001 to 1000; see ``Rate``. The service takes 50
            from one account, all its programs together (help.aliyun.com, QPS limits).
        threads: how many calls may be under way, 1 to 256; by default ``qps``, at most 64.
        scene_id: for the ids that come without one, instead of the client's.

    Raises:
        InvalidParameter: an argument breaks a rule. (A bad id is an ``Outcome`` instead.)
        FacecertError: from the iterator, after the results under way, when 20 outcomes in a row,
            or all of a shorter batch, failed with an error that is not about the id: see
            ``is_hopeless``. It is the last of those errors.
        Exception: whatever ``ids`` raises, after the results under way.
    """
    rate = Rate(qps)
    if threads is None:
        threads = min(64, max(1, math.ceil(qps)))
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 256:
        raise InvalidParameter("threads must be a whole number from 1 to 256", field="threads")
    if scene_id is not None:
        check_scene_id(scene_id)
    if isinstance(ids, (str, bytes)):
        raise InvalidParameter("ids must be several ids, not one text", field="ids")
    if client is None:
        from ..default import default_client

        client = default_client
    return Batch(iter(ids), Desk(client.paced(rate), rate, scene_id), threads)


class Batch(Iterator[Outcome]):
    """The iterator that ``query_many`` returns; for one thread. A context manager that closes it.

    It asks nothing before it is iterated. Ctrl-C while it waits stops it. If anything else ends
    your loop early, ``stop()`` it and iterate on for what is under way, or ``close()`` it.
    """

    def __init__(self, ids: Iterator[Item], desk: Desk, threads: int) -> None:
        self._ids = ids
        self._desk = desk
        self._wanted = threads
        self._threads: List[threading.Thread] = []
        self._position = 0
        #: Items that were handed out and are not back.
        self._out = 0
        #: Threads that were told to end, and that said that they do.
        self._dismissed = self._gone = 0
        self._at_end = False
        self._failure: Optional[BaseException] = None
        self._hopeless: Optional[FacecertError] = None
        self._in_a_row = 0
        self._any_hope = False
        #: True while the next id is being waited for.
        self.reading = False

    def __next__(self) -> Outcome:
        try:
            return self._next()
        except Exception:
            raise
        except BaseException:  # Ctrl-C: an id or an outcome may have been in our hands
            self.stop()
            raise

    def stop(self) -> None:
        """Take no more ids. Iterating on yields what is under way, and ends.

        Ids that wait for their turn are not asked and have no outcome. Only sets a flag: may be
        called from a signal handler or another thread.
        """
        self._desk.stopped = True

    @property
    def stopped(self) -> bool:
        """True once it takes no more ids for another reason than that there are none."""
        return self._desk.stopped

    def close(self) -> None:
        """Stop, wait for the calls under way (no longer than their time-outs), drop the rest."""
        self.stop()
        self._failure = None
        for _ in self:
            pass

    def __enter__(self) -> "Batch":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "reading"):
            self.stop()
            self._dismiss()

    def _next(self) -> Outcome:
        while True:
            # Two for each thread: one lies ready while the outcome of the other is fetched.
            while not (self._at_end or self.stopped) and self._out < 2 * self._wanted:
                self._hand_out()
            if self.stopped:
                self._desk.rate.stop()
            if self.stopped or self._at_end:
                self._dismiss()
            working = self._gone < len(self._threads) and any(
                thread.is_alive() for thread in self._threads
            )
            try:
                came = self._desk.outcomes.get(timeout=_LOOK) if working else self._rest()
            except Empty:
                continue
            if isinstance(came, Outcome):
                self._out -= 1
                self._judge(came)
                return came
            self._gone += 1
            if came is not None:
                self._fail(came)

    def _hand_out(self) -> None:
        try:
            self.reading = True
            item = next(self._ids)
        except StopIteration:
            self._at_end = True
            return
        except Exception as error:
            self._at_end = True
            self._failure = error
            return
        finally:
            self.reading = False
        self._position += 1
        self._out += 1
        self._desk.items.put((self._position, item))
        if len(self._threads) < min(self._out, self._wanted):
            # A daemon: who drops this iterator half-way can leave the interpreter all the same.
            thread = threading.Thread(target=self._desk.work, name="facecert-batch", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _dismiss(self) -> None:
        """Let every thread end when there is nothing more to do for it."""
        while self._dismissed < len(self._threads):
            self._dismissed += 1
            self._desk.items.put(None)

    def _judge(self, outcome: Outcome) -> None:
        if is_hopeless(outcome.error):
            self._hopeless = outcome.error
            self._in_a_row += 1
            if self._in_a_row >= HOPELESS_IN_A_ROW and not self.stopped:
                self._fail(outcome.error)
        elif outcome.certify_id:
            self._in_a_row = 0
            self._any_hope = True

    def _fail(self, error: Optional[BaseException]) -> None:
        self._failure = error
        self.stop()

    def _rest(self) -> Any:
        """Return what the threads left behind, or end the iteration."""
        try:
            return self._desk.outcomes.get(block=False)
        except Empty:
            failure, self._failure = self._failure, None
        for thread in self._threads:
            thread.join()
        if failure is None and not (self._any_hope or self.stopped):
            failure, self._hopeless = self._hopeless, None
        raise StopIteration if failure is None else failure
