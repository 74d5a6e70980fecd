"""query_many: one item for each of many ids, by several threads, at a rate."""

import atexit
import copy
import math
import queue
import threading
import weakref
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable, ContextManager, Iterable, Iterator, List, NamedTuple, Optional
from typing import Tuple, Union

from ..client import Client
from ..errors import ClockSkew, CredentialsError, DependencyError, FacecertError, GatewayError
from ..errors import InvalidParameter, LedgerError, ServiceError, SignatureError, invalid
from ..params import check_certify_id, check_scene_id
from ..redact import empty_frames
from ..results import QueryResult
from ..settings import check_whole
from ..transport.retry import Stopped
from .rate import LOOK, Rate

Id = Union[str, Tuple[str, Optional[str]]]

#: So many errors in a row that are not about an id end a batch.
HOPELESS_IN_A_ROW = 20


class BatchItem(NamedTuple):
    """The answer or the error of one id.

    Attributes:
        certify_id: the id; ``""`` for a malformed one, which may be a name or a document number
            from the wrong column.
        answer: the QueryResult, or None.
        error: why there is no answer, or None.
        asked_at: aware UTC datetime of just before the query; the answer is not older.
        position: the id's place in the input, from 1.
    """

    certify_id: str
    answer: Optional[QueryResult]
    error: Optional[FacecertError]
    asked_at: datetime
    position: int


def query_many(
    ids: Iterable[Id], *, client: Optional[Client] = None, qps: float = 20,
    rate: Optional[Rate] = None, threads: Optional[int] = None, scene_id: Optional[str] = None
) -> "Batch":
    """Query many verifications. Yields one ``BatchItem`` for each id, in any order.

    Args:
        ids: ``certify_id`` or ``(certify_id, scene_id)``; any iterable. It is read lazily, in the
            thread that iterates. While it blocks, finished items wait.
        client: None means the client of ``facecert.query``.
        qps: requests a second, retries included, 0.001 to 1000; see ``Rate``. The service takes
            50 from one account, all its programs together (help.aliyun.com, QPS limits).
        rate: in place of ``qps``: a ``Rate`` or ``SharedRate`` that other callers use as well. The
            end of the batch does not stop it.
        threads: how many queries may be under way, 1 to 256; the default is ``qps``, at most 64.
        scene_id: overrides the client's for ids that come without one.

    Raises:
        InvalidParameter: an argument breaks a rule. (A malformed id is a ``BatchItem`` instead.)
        FacecertError: the iterator raises it after the items under way, when 20 items in a row, or
            all of a shorter batch, failed for a reason that ``is_hopeless``. It is the last error.
        Exception: what ``ids`` raised; the iterator raises it after the items under way.
    """
    rate = Rate(qps) if rate is None else copy.copy(rate)
    if threads is None:
        threads = min(64, math.ceil(rate.qps))
    check_whole(threads, "threads", 256)
    if scene_id is not None:
        check_scene_id(scene_id)
    if isinstance(ids, (str, bytes)):
        raise invalid("ids", "must be several ids, not one text")
    if client is None:
        from ..default import default_client
        client = default_client
    return Batch(enumerate(ids, 1), partial(_query, client.paced(rate), scene_id), rate, threads)


class Batch(Iterator[BatchItem], ContextManager["Batch"]):
    """The iterator that ``query_many`` returns; for one thread. A context manager that closes it.

    It sends nothing before it is iterated. Ctrl-C while it waits stops it. After another early end
    of your loop call ``close()``; or call ``stop()`` and iterate on for the items under way.
    """

    def __init__(
        self, ids: Iterator[Tuple[int, Id]], query: Callable[[int, Id], BatchItem], rate: Rate,
        threads: int
    ) -> None:
        self._ids, self._rate = ids, rate
        # Not an executor: all executors share one lock, made at the import of their module, and
        # after a late patch by gevent or eventlet it would stop all greenlets.
        self._threads: List[threading.Thread] = []
        at_exit = atexit.register(partial(_end, rate, self._threads))
        # The threads hold no reference to the batch, so that dropping it half-way stops them.
        weakref.finalize(self, _drop, rate, at_exit).atexit = False
        # Ctrl-C leaves no lock behind in a SimpleQueue. Python 3.6 has none. eventlet replaces
        # Queue only, and a greenlet that waits for a plain SimpleQueue stops all greenlets.
        plain = queue.Queue.__module__ == "queue"
        new_queue: Any = getattr(queue, "SimpleQueue", queue.Queue) if plain else queue.Queue
        self._submitted, self._finished = new_queue(), new_queue()
        # One thread waits for an id at a time, because a SimpleQueue from which two threads take
        # can forget a timeout (CPython: it waits for a negative rest, which means for ever).
        waiting = threading.Lock()
        self._work = partial(_work, waiting, self._submitted, self._finished, query, rate)
        self._most_threads = threads
        #: Ids that were submitted and whose items were not yet taken from the queue. At most two
        #: for each thread: the next one is ready when the thread has finished one.
        self._out, self._most_out = 0, 2 * threads
        #: True while the next id is being read.
        self.reading = False
        #: True after ``stop()``, Ctrl-C, or an error that ended the batch.
        self.stopped = False
        self._failure: Optional[BaseException] = None
        self._hopeless: Optional[FacecertError] = None
        self._in_a_row = 0
        self._at_end = self._any_hope = False

    def __next__(self) -> BatchItem:
        try:
            return self._next()
        except StopIteration:
            raise
        except BaseException:
            self.stop()  # After Ctrl-C or a timeout, the count of the items may be wrong.
            raise

    def stop(self) -> None:
        """Read no more ids. Iterating on yields the items under way, and ends.

        Ids that wait for their turn are not sent and have no item. Only sets flags: a signal
        handler or another thread may call it.
        """
        self.stopped = True
        self._rate.stop()

    def close(self) -> None:
        """Stop, wait for the queries under way (at most their timeouts), drop their items."""
        self.stop()
        self._failure = None
        for _ in self:
            pass

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _next(self) -> BatchItem:
        while True:
            while not (self._at_end or self.stopped) and self._out < self._most_out:
                self._submit()
            working = self._out > 0 and not self.stopped
            if not working:
                self._submitted.put(None)
                # Afterwards every item is in the queue. Ctrl-C may have spoiled the count of them.
                _join(self._threads)
            try:
                # With a timeout, because Windows delivers Ctrl-C only between two waits.
                found = self._finished.get(working, 1 if working else None)
            except queue.Empty:
                if working:
                    continue
                failure, self._failure = self._failure, None
                if failure is None and not (self._any_hope or self.stopped):
                    failure, self._hopeless = self._hopeless, None
                raise StopIteration if failure is None else failure
            self._out -= 1
            if isinstance(found, BatchItem):
                self._judge(found)
                return found
            if not (self.stopped and isinstance(found, Stopped)):
                self._failure = found
                self.stop()

    def _submit(self) -> None:
        try:
            self.reading = True
            numbered = next(self._ids)
            self.reading = False
            if len(self._threads) < self._most_threads:
                thread = threading.Thread(target=self._work, name="facecert-batch", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._submitted.put(numbered)
            self._out += 1
        except Exception as error:
            self._at_end = True
            self._failure = None if isinstance(error, StopIteration) else error
        finally:
            self.reading = False

    def _judge(self, item: BatchItem) -> None:
        """Stop the batch after too many hopeless errors in a row."""
        if is_hopeless(item.error):
            self._hopeless = item.error
            self._in_a_row += 1
            if self._in_a_row >= HOPELESS_IN_A_ROW and not self.stopped:
                self._failure = item.error
                self.stop()
        elif item.certify_id:
            self._in_a_row = 0
            self._any_hope = True


def _join(threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        if thread.is_alive():  # The last one may have failed to start.
            thread.join()


def _end(rate: Rate, threads: Iterable[threading.Thread]) -> None:
    """End a batch at the interpreter's exit, and wait for the queries under way."""
    rate.stop()
    _join(threads)


def _drop(rate: Rate, at_exit: Callable[[], None]) -> None:
    rate.stop()
    atexit.unregister(at_exit)


def _work(
    waiting: ContextManager[Any], submitted: Any, finished: Any,
    query: Callable[[int, Id], BatchItem], rate: Rate
) -> None:
    """Worker loop: puts an item, or the error that ends the batch, for each submitted id."""
    while True:
        try:
            with waiting:
                # Nothing more comes when the batch was dropped, or when the interpreter exits.
                block = not rate.stopped
                # gevent refuses a timeout for what does not block (Python 3.8).
                task = submitted.get(block, LOOK if block else None)
        except queue.Empty:
            if rate.stopped:
                return
            continue
        if task is None:
            submitted.put(None)  # for the next thread
            return
        try:
            finished.put(query(*task))
        except BaseException as error:
            empty_frames(error)
            finished.put(error)


def _query(client: Client, scene_id: Optional[str], position: int, item: Any) -> BatchItem:
    asked_at = datetime.now(timezone.utc)
    certify_id, answer, failure = "", None, None
    try:
        if isinstance(item, (tuple, list)) and len(item) == 2:
            item, own = item
            scene_id = check_scene_id(own, "sceneId") if own else scene_id
        certify_id = check_certify_id(item, 20)
        answer = client.query(certify_id, scene_id=scene_id)
    except Stopped:
        raise
    except FacecertError as error:
        empty_frames(error)
        # Without its own traceback, which leads back here: an item would be a reference cycle.
        failure = error.with_traceback(None)
    return BatchItem(certify_id, answer, failure, asked_at, position)


def is_hopeless(error: Optional[FacecertError]) -> bool:
    """Return True for an error that is not about the id: the next id will meet it too."""
    if isinstance(error, InvalidParameter):
        return error.field not in ("certify_id", "sceneId")
    if isinstance(error, ServiceError):  # the quota is used up; not booked or not paid; not there
        return error.code in (402, 403, 404)
    if str(error and error.code).startswith(("Forbidden", "NoPermission")):
        return isinstance(error, GatewayError)
    setup = (CredentialsError, SignatureError, ClockSkew, DependencyError, LedgerError)
    return isinstance(error, setup)
