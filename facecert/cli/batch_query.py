"""``facecert query`` for many ids: the bar, the summary, the exit code."""

import errno
import os
import sys
from typing import Any, Callable, Iterable, Iterator, Optional

from ..batch import Outcome
from ..batch.output import Results
from ..batch.run import Summary, run_batch
from ..batch.seen import OutputFailed
from ..client import Client
from ..errors import DependencyError, InvalidParameter
from ..batch.ids import FileId
from .output import DONE, INTERRUPTED, OUTCOME_UNKNOWN, UNWRITTEN, Misuse, Output, is_terminal


def from_ledger(client: Client) -> Iterator[FileId]:
    """Yield the ids in the client's ledger whose outcome is not known.

    Raises:
        InvalidParameter: it has none.
    """
    # Not by its class: a batch from a file needs no SQLAlchemy.
    pending = getattr(client.ledger, "pending", None)
    if pending is None:
        raise InvalidParameter("FACECERT_LEDGER is not set", field="FACECERT_LEDGER")
    for line, entry in enumerate(pending(), 1):
        yield FileId(str(entry.certify_id), entry.scene_id, line)


def ask(
    ids: Iterable[FileId],
    *,
    client: Client,
    path: str,
    form: Optional[str],
    resume: bool,
    qps: float,
    total: Optional[int],
    output: Output
) -> int:
    """Ask about all of them, show how far it is, and return the exit code.

    Args:
        path, form, resume: of the results; see ``Results``.
        total: how many ids there are, for the time left; None if nobody knows.
    """
    try:
        with Results(path, form, resume=resume) as results:
            kept = results.kept
            with _bar(total) as advance:
                summary = run_batch(ids, results, client=client, qps=qps, on_line=advance)
    except OutputFailed as error:
        return _unwritten(error, output)
    counts = {
        name: getattr(summary, name)
        for name in ("answered", "passed", "failed", "invalid", "skipped", "interrupted")
    }
    if path == "-":
        output.note(_words(summary, kept))
    else:
        output.show(dict(counts, output=path), _words(summary, kept))
    return _code(summary, output)


def count_lines(path: str) -> Optional[int]:
    """Return how many lines a file has; None for standard input and what is no plain file."""
    if path == "-" or not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _code(summary: Summary, output: Output) -> int:
    error = summary.error
    if isinstance(error, OutputFailed):
        return _unwritten(error, output)
    if isinstance(error, OSError):
        raise Misuse("The file of ids cannot be read: %s." % error.strerror)
    if error is not None:
        return output.complain(error)  # type: ignore[arg-type]
    if summary.interrupted:
        return INTERRUPTED
    missing = summary.failed + summary.invalid
    if not missing:
        return DONE
    words = "%d ids have no answer; their lines say why." % missing
    return output.complain_in_words("Incomplete", words, OUTCOME_UNKNOWN)


def _unwritten(error: OutputFailed, output: Output) -> int:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in (errno.EPIPE, errno.EBADF):
        raise cause  # the standard output is closed: cli knows what to say
    return output.complain_in_words(type(error).__name__, str(error), UNWRITTEN)


def _words(summary: Summary, kept: int) -> str:
    words = "%d answered (%d passed)" % (summary.answered, summary.passed)
    for count, what in (
        (summary.failed, "without an answer"),
        (summary.invalid, "lines without an id"),
        (summary.skipped, "skipped, as they had their line"),
        (kept, "kept from the run before"),
    ):
        if count:
            words += ", %d %s" % (count, what)
    if summary.interrupted:
        words += "; interrupted: the same command with --resume goes on"
    elif summary.failed:
        words += "; the same command with --resume asks again where that may help"
    return words + "."


class _bar:
    """A progress bar with rate and time left, where a person looks on."""

    def __init__(self, total: Optional[int]) -> None:
        self._bar: Any = None
        if is_terminal(sys.stderr):
            try:
                from tqdm import tqdm
            except ImportError as error:
                raise DependencyError(
                    "The progress bar needs tqdm. Install it with: python -m pip install tqdm"
                ) from error
            self._bar = tqdm(total=total, unit="id", file=sys.stderr, dynamic_ncols=True)

    def __enter__(self) -> Callable[[Outcome, Summary], None]:
        return self._advance

    def __exit__(self, *exc_info: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _advance(self, outcome: Outcome, summary: Summary) -> None:
        if self._bar is not None:
            self._bar.update(summary.written + summary.skipped - self._bar.n)
