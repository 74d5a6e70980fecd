"""A whole batch from a file of ids to a file of results, for the command line."""

import signal
import threading
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Tuple

from ..client import Client
from ..errors import FacecertError, InvalidParameter
from ..params import check_certify_id, check_scene_id
from .ids import FileId
from .many import Batch, BatchItem, query_many
from .results_file import ResultsFile


class Summary:
    """What a run has done so far.

    ``passed`` ids are ``answered``, too. ``failed`` ids are well-formed, and have an error.
    ``invalid`` lines have no well-formed id, or a malformed sceneId. ``skipped`` ids had a line.
    """

    def __init__(self) -> None:
        self.answered = self.passed = self.failed = self.invalid = self.skipped = 0
        #: True after Ctrl-C.
        self.interrupted = False
        #: What ended the run early, or None. It is not about an id.
        self.error: Optional[Exception] = None

    @property
    def written(self) -> int:
        """The lines that this run wrote."""
        return self.answered + self.failed + self.invalid


def run_batch(
    ids: Iterable[FileId], results: ResultsFile, *, client: Optional[Client] = None,
    on_line: Callable[[BatchItem, Summary], None] = lambda item, summary: None, **pace: Any
) -> Summary:
    """Query every id that has no line in ``results`` yet, and write a line for each.

    The first Ctrl-C reads no more ids, waits for the queries under way and writes their lines. The
    second one raises KeyboardInterrupt. (In the main thread, unless the program has its own handler
    of SIGINT.) An error that ends the run early is not raised: it is the summary's ``error``.

    Args:
        client, pace (qps, rate, threads): see ``query_many``.
        on_line: called after each line was written.
    """
    summary = Summary()
    lines: Dict[int, int] = {}  # of the input, for each position in the batch without an item

    def without_line() -> Iterator[Tuple[str, Optional[str]]]:
        position = 0
        for certify_id, scene_id, line in ids:
            with suppress(InvalidParameter):  # each malformed line of the input gets one of its own
                if scene_id:
                    check_scene_id(scene_id)
                if not results.claim(check_certify_id(certify_id, 20)):
                    summary.skipped += 1
                    continue
            position += 1
            lines[position] = line
            yield certify_id, scene_id

    batch = query_many(without_line(), client=client, **pace)
    with batch, _first_ctrl_c_stops(batch, summary):
        while True:
            try:
                item = next(batch)
                results.write(item, lines.pop(item.position))
            except StopIteration:
                return summary
            except _Interrupted:
                continue
            except (FacecertError, OSError) as error:
                summary.error = error
                return summary
            summary.answered += item.answer is not None
            summary.passed += item.answer is not None and item.answer.passed
            summary.failed += item.answer is None and item.certify_id != ""
            summary.invalid += item.certify_id == ""
            on_line(item, summary)


class _Interrupted(KeyboardInterrupt):
    pass


@contextmanager
def _first_ctrl_c_stops(batch: Batch, summary: Summary) -> Iterator[None]:
    """Let the first Ctrl-C stop the batch, without an exception that could strike anywhere."""
    default = signal.default_int_handler

    def stop(signum: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, default)
        summary.interrupted = True
        batch.stop()
        if batch.reading:
            raise _Interrupted  # because the read may block for ever

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not default:
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, default)
