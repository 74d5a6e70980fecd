"""The file of results: one line for each id, whole or not at all."""

import errno
import os
import sys
from typing import Any, Optional

from ..errors import InvalidParameter
from .lines import CSV, Format, JSONLines, fields_of
from .outcome import Outcome
from .resume import locked, resumed
from .seen import OutputFailed, Seen


class Results:
    """A file of results that lines are added to; a context manager that closes it.

    JSONL, or CSV with a header, in UTF-8. A line's fields: ``certify_id``; ``passed`` (true, false,
    or null where there is no answer); ``error`` (its class), ``code``, ``message``;
    ``request_id``; ``retryable`` (true: a resumed run asks again); ``asked_at``; ``line`` (of the
    input). What cannot be an id has null as ``certify_id``. In CSV null is empty.

    Args:
        path: ``"-"`` is the standard output.
        kind: ``"jsonl"`` or ``"csv"``; None goes by the suffix: ``.csv``, or else JSONL.
        resume: take up the file of an earlier run, if it is there. ``seen`` then holds its ids,
            but for those that are to be asked again: their lines are dropped.

    Raises:
        InvalidParameter: the file is there and ``resume`` is False; or it is no file of results
            (and stays as it is), or another run writes to it.
        OutputFailed: it cannot be read or written.
    """

    def __init__(self, path: str, kind: Optional[str] = None, *, resume: bool = False) -> None:
        if kind not in ("jsonl", "csv", None):
            raise InvalidParameter("kind must be jsonl or csv", field="kind")
        if resume and path == "-":
            raise InvalidParameter("the standard output cannot be resumed", field="resume")
        self.path = path
        self.seen = Seen()
        #: Lines of an earlier run that were kept.
        self.kept = 0
        in_csv = path.lower().endswith(".csv") if kind is None else kind == "csv"
        self._format: Format = CSV() if in_csv else JSONLines()
        #: True while the file is new and without a result; such a one does not stay.
        self._unused = False
        self._stream: Any = None
        try:
            self._stream = self._open(resume)
            if path == "-" or not self._stream.tell():
                self._write(self._format.header)
        except OSError as error:
            self.close()
            raise self._failed(error) from error
        except BaseException:
            self.close()
            raise

    def write(self, outcome: Outcome, line: Optional[int] = None) -> None:
        """Add the line of one id.

        Raises:
            OutputFailed: the disk is full, for example.
        """
        try:
            self._write(self._format.write(fields_of(outcome, line)))
            self._unused = False
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """See to it that all of it is on the disk.

        Raises:
            OutputFailed: it is not.
        """
        self.seen.close()
        if self.path == "-" or self._stream is None or self._stream.closed:
            return
        with self._stream:
            try:
                os.fsync(self._stream.fileno())
                if self._unused:
                    os.unlink(self.path)
            except OSError as error:
                raise self._failed(error) from error

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _open(self, resume: bool) -> Any:
        if self.path == "-":
            if sys.stdout is None:  # closed by whoever started us
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return sys.stdout.buffer
        try:
            stream = locked(open(self.path, "xb", buffering=0), self.path)
            self._unused = True
            return stream
        except FileExistsError:
            if resume:
                stream, self.kept = resumed(self.path, self._format, self.seen)
                return stream
        raise InvalidParameter(
            "%s is there already. Resume it, or name another file." % self.path, field="output"
        )

    def _write(self, data: bytes) -> None:
        start = 0 if self.path == "-" else self._stream.tell()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._stream.write(rest):]
            self._stream.flush()
        except BaseException:
            if self.path != "-":
                self._stream.seek(start)
                self._stream.truncate()
            raise

    def _failed(self, error: OSError) -> OutputFailed:
        return OutputFailed(
            "The results cannot be written to %s: %s. The lines that are in it are whole; when it"
            " is mended, resume." % (self.path, error.strerror or type(error).__name__)
        )
