"""A whole batch from a file of ids to a file of results, for the command line."""

import signal
import threading
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Tuple

from ..client import Client
from ..errors import FacecertError, InvalidParameter
from .ids import FileId
from ..params import check_certify_id
from .many import Batch, query_many
from .outcome import Outcome
from .output import Results


class Summary:
    """What was done so far.

    Attributes:
        answered: ids that got an answer.
        passed: those of them that were passed.
        failed: ids that got an error instead, bad ones not counted.
        invalid: lines without anything that could be an id.
        skipped: ids that had their line already, from an earlier run or further up in the input.
        interrupted: True after Ctrl-C.
        error: what ended it early, or None: an error that is not about an id, the input's, the
            output's.
    """

    def __init__(self) -> None:
        self.answered = self.passed = self.failed = self.invalid = self.skipped = 0
        self.interrupted = False
        self.error: Optional[Exception] = None

    @property
    def written(self) -> int:
        """The lines that this run wrote."""
        return self.answered + self.failed + self.invalid

    def count(self, outcome: Outcome) -> None:
        """Add one id's outcome."""
        self.answered += outcome.answer is not None
        self.passed += outcome.answer is not None and outcome.answer.passed
        self.failed += outcome.answer is None and bool(outcome.certify_id)
        self.invalid += not outcome.certify_id


def run_batch(
    ids: Iterable[FileId],
    results: Results,
    *,
    client: Optional[Client] = None,
    qps: float = 20,
    threads: Optional[int] = None,
    scene_id: Optional[str] = None,
    on_line: Callable[[Outcome, Summary], None] = lambda outcome, summary: None
) -> Summary:
    """Ask about every id that is not in ``results`` yet, and write a line for each.

    The first Ctrl-C takes no more ids, waits for the calls under way and writes their lines; the
    second one raises KeyboardInterrupt at once. (In the main thread, and where nobody else handles
    SIGINT.) Killed or interrupted, it goes on where it was with the same input and
    ``Results(path, resume=True)``.

    Args:
        ids: as ``read_ids`` yields them.
        results: open; closing it is yours.
        client, qps, threads, scene_id: see ``query_many``.
        on_line: called after each line was written, in this thread.

    Returns:
        What was done. Look at ``error`` and ``interrupted``: errors that end it early are not
        raised, so that there is a summary.

    Raises:
        InvalidParameter: an argument breaks a rule; nothing was asked.
    """
    summary = Summary()
    lines: Dict[int, int] = {}
    batch = query_many(
        _fresh(ids, results, summary, lines),
        client=client,
        qps=qps,
        threads=threads,
        scene_id=scene_id,
    )
    with batch, _first_ctrl_c_stops(batch, summary):
        while True:
            try:
                outcome = next(batch)
                results.write(outcome, lines.pop(outcome.position))
            except StopIteration:
                return summary
            except _Interrupted:
                continue
            except (FacecertError, OSError) as error:
                summary.error = error
                return summary
            summary.count(outcome)
            on_line(outcome, summary)


def _fresh(
    ids: Iterable[FileId], results: Results, summary: Summary, lines: Dict[int, int]
) -> Iterator[Tuple[str, Optional[str]]]:
    """Yield the ids that have no line yet, and note where in the input they are."""
    position = 0
    for certify_id, scene_id, line in ids:
        if _may_be_id(certify_id) and not results.seen.add(certify_id):
            summary.skipped += 1
            continue
        position += 1
        lines[position] = line
        yield certify_id, scene_id


def _may_be_id(certify_id: str) -> bool:
    try:
        return bool(check_certify_id(certify_id, 20))
    except InvalidParameter:
        return False


class _Interrupted(KeyboardInterrupt):
    pass


@contextmanager
def _first_ctrl_c_stops(batch: Batch, summary: Summary) -> Iterator[None]:
    """Let the first Ctrl-C stop the batch, and not break into the writing of a line."""

    def stop(signum: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        summary.interrupted = True
        batch.stop()
        if batch.reading:
            raise _Interrupted  # out of a read that may take for ever

    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
