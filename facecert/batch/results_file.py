"""The file of results: one line for each id, whole or not at all, resumed after a kill."""

import csv
import errno
import io
import json
import os
import shutil
import sqlite3
import sys
from typing import Any, Iterator, Optional, Tuple

from ..errors import FacecertError, InvalidParameter, invalid
from .many import BatchItem, is_hopeless

try:
    import fcntl
except ImportError:  # not POSIX: a second run is not noticed
    fcntl = None  # type: ignore[assignment]

FIELDS = (
    "certify_id", "passed", "error", "code", "message", "request_id", "retryable", "asked_at",
    "line",
)  # fmt: skip

#: Bytes; a line of results has a few hundred.
_LONGEST_LINE = 64 * 1024


class OutputFailed(FacecertError):
    """The results cannot be written. The lines that are in the file are whole."""


class ResultsFile:
    """A file of results; a context manager that closes it. For one thread.

    JSONL, or CSV with a header, in UTF-8; mode 0600. A line's fields: ``certify_id`` (null for a
    malformed one); ``passed`` (true, false, or null after an error); ``error`` (its class),
    ``code``, ``message``; ``request_id``; ``retryable`` (true: a resumed run queries the id again);
    ``asked_at``; ``line`` (of the input). In CSV null is empty.

    Args:
        path: ``"-"`` is the standard output.
        kind: ``"jsonl"`` or ``"csv"``; None goes by the suffix: ``.csv``, or else JSONL.
        resume: continue the file of an earlier run, if there is one, without its torn last line
            and its lines that are ``retryable``.

    Raises:
        InvalidParameter: the file exists and ``resume`` is False; or it is not a file of results
            (it stays as it is); or another run writes to it.
        OutputFailed: it cannot be read or written.
    """

    def __init__(self, path: str, kind: Optional[str] = None, *, resume: bool = False) -> None:
        if kind not in ("jsonl", "csv", None):
            raise invalid("kind", "must be jsonl or csv")
        if resume and path == "-":
            raise InvalidParameter("the standard output cannot be resumed", field="resume")
        self.path = path
        #: Lines of an earlier run that were kept.
        self.kept = 0
        self._in_csv = kind == "csv" or kind is None and path.lower().endswith(".csv")
        #: How every file of this kind begins.
        self._head = (",".join(FIELDS) + "\n").encode() if self._in_csv else b'{"certify_id": '
        #: True for a new file without a result, which ``close`` removes again.
        self._unused = False
        self._file: Any = None
        # A temporary database on disk, because a million ids would take 100 MB of memory.
        self._claimed = sqlite3.connect("", isolation_level=None)
        try:
            self._claimed.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA cache_size = -2000;"  # KiB
                "CREATE TABLE ids (certify_id TEXT PRIMARY KEY) WITHOUT ROWID; BEGIN"
            )
            self._open(resume)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise self._failed(error) from error
            raise

    def claim(self, certify_id: str) -> bool:
        """Return True for an id without a line, the first time that it is asked for.

        Raises:
            OutputFailed: the temporary database of ids has no space.
        """
        try:
            done = self._claimed.execute("INSERT OR IGNORE INTO ids VALUES (?)", (certify_id,))
        except sqlite3.OperationalError as error:
            raise OutputFailed(
                "The temporary database of ids failed: %s. SQLITE_TMPDIR sets its folder." % error
            ) from error
        return done.rowcount == 1

    def write(self, item: BatchItem, line: Optional[int] = None) -> None:
        """Append the line of one id.

        Raises:
            OutputFailed: the disk is full, for example. Nothing was appended.
        """
        try:
            self._append(self._line(item, line))
        except OSError as error:
            raise self._failed(error) from error
        self._unused = False

    def close(self) -> None:
        """Write everything to the disk.

        Raises:
            OutputFailed: that failed.
        """
        self._claimed.close()
        if self.path == "-" or self._file is None or self._file.closed:
            return
        with self._file:
            try:
                os.fsync(self._file.fileno())
                if self._unused:
                    os.unlink(self.path)
            except OSError as error:
                raise self._failed(error) from error

    def __enter__(self) -> "ResultsFile":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _open(self, resume: bool) -> None:
        if self.path == "-":
            if sys.stdout is None:  # the parent process closed it
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._file = sys.stdout.buffer
        else:
            try:
                self._file = _locked(_opened(self.path, "xb"), self.path)
                self._unused = True
            except FileExistsError:
                if resume:
                    return self._resume(os.path.realpath(self.path))
                raise InvalidParameter(
                    "%s is there already. Resume it, or name another file." % self.path,
                    field="output",
                ) from None
        if self._in_csv:
            self._append(self._head)

    def _resume(self, path: str) -> None:
        """Replace the file of an earlier run by one with those of its lines that stay."""
        folder, name = os.path.split(path)
        beside = os.path.join(folder, ".%s.resuming" % name)
        with io.BufferedReader(_locked(_opened(path, "rb"), path)) as old:
            if os.path.lexists(beside):  # left by a run that was killed
                os.unlink(beside)
            # Locked before it gets its name, so that no other run can lock it first.
            self._file = _locked(_opened(beside, "xb"), beside)
            try:
                for line in self._lines_that_stay(old):
                    self._append(line)
                shutil.copymode(path, beside)
                os.fsync(self._file.fileno())
                os.replace(beside, path)
            except BaseException:
                self._file.close()
                os.unlink(beside)
                raise

    def _lines_that_stay(self, old: "io.BufferedReader") -> Iterator[bytes]:
        if self._in_csv:
            yield self._head
        number, line = 0, b""
        for number, line in enumerate(iter(lambda: old.readline(_LONGEST_LINE), b""), 1):
            if number == 1 and line == self._head:
                continue
            found = None if number == 1 and self._in_csv else self._parsed(line)
            if found is None:
                break
            certify_id, retryable = found
            if certify_id and not retryable and self.claim(certify_id):
                self.kept += 1
                yield line
        else:
            return
        # Only the last line may be torn. A first line must at least begin like one of ours.
        ours = number > 1 or line.startswith(self._head) or self._head.startswith(line)
        if not ours or old.read(1):
            raise InvalidParameter(
                "line %d of %s is no line of results of this kind. The file stays as it is; name"
                " another one." % (number, self.path),
                field="output",
            )

    def _parsed(self, line: bytes) -> Optional[Tuple[str, bool]]:
        """Return certify_id and retryable; None if it is not a whole line of ours."""
        try:
            text = line.decode("utf-8")
            if self._in_csv:
                (cells,) = csv.reader([text.rstrip("\n")], strict=True)
                fields: Any = dict(zip(FIELDS, cells)) if len(cells) == len(FIELDS) else {}
                fields["retryable"] = json.loads(fields["retryable"])
            else:
                fields = json.loads(text)
        except (ValueError, KeyError, RecursionError, csv.Error):
            return None
        if not (line.endswith(b"\n") and isinstance(fields, dict) and set(FIELDS) <= set(fields)):
            return None
        certify_id, retryable = fields["certify_id"] or "", fields["retryable"]
        ours = isinstance(certify_id, str) and isinstance(retryable, bool)
        return (certify_id, retryable) if ours else None

    def _line(self, item: BatchItem, line: Optional[int]) -> bytes:
        answer, error = item.answer, item.error
        values = (
            item.certify_id or None,
            None if answer is None else answer.passed,
            None if error is None else type(error).__name__,
            None if error is None else error.code,
            None if error is None else " ".join(str(error).split()),
            getattr(error if answer is None else answer, "request_id", None),
            # Wrong credentials say nothing about the id. Once they are right, it can be queried.
            error is not None and (error.retryable or is_hopeless(error)),
            item.asked_at.isoformat(),
            line,
        )
        text = io.StringIO()
        if self._in_csv:
            cells = [json.dumps(value) if isinstance(value, bool) else value for value in values]
            csv.writer(text, lineterminator="\n").writerow(cells)
        else:
            text.write(json.dumps(dict(zip(FIELDS, values)), ensure_ascii=False) + "\n")
        return text.getvalue().encode("utf-8", "backslashreplace")

    def _append(self, data: bytes) -> None:
        start = 0 if self.path == "-" else self._file.tell()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest):]
            self._file.flush()
        except BaseException:
            if self.path != "-":
                self._file.seek(start)
                self._file.truncate()
            raise

    def _failed(self, error: OSError) -> OutputFailed:
        return OutputFailed(
            "The results cannot be written to %s: %s. The lines that are in it are whole; repair"
            " the cause and resume." % (self.path, error.strerror or type(error).__name__)
        )


def _opened(path: str, mode: str) -> Any:
    """Open a file unbuffered; never through a symbolic link. A new one is its owner's only."""
    no_link = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
    return open(
        path, mode, buffering=0, opener=lambda name, flags: os.open(name, flags | no_link, 0o600)
    )


def _locked(file: Any, path: str) -> Any:
    """Return an open file that no other run has. The lock ends with the file or the process.

    Raises:
        InvalidParameter: another run has it, or has just replaced it.
    """
    busy = False
    try:
        if fcntl is not None:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        busy = True
    except OSError:
        pass  # a file system without locks
    if busy or not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
        file.close()
        raise InvalidParameter("another run writes to %s now" % path, field="output")
    return file
