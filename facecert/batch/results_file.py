"""The file of results: one line for each id, whole or not at all, resumed after a kill."""

import csv
import errno
import io
import json
import os
import re
import sqlite3
import stat
import sys
from contextlib import contextmanager, suppress
from typing import Any, ContextManager, Iterable, Iterator, Optional, Tuple

from ..errors import InvalidParameter, OutputFailed, invalid
from ..redact import UNPRINTABLE
from .many import BatchItem, is_hopeless

try:
    import fcntl
except ImportError:  # not POSIX: a second run is not noticed
    fcntl = None  # type: ignore[assignment]

FIELDS = "certify_id passed error code message request_id retryable asked_at line".split()

#: Bytes; a line of results has a few hundred.
_LONGEST_LINE = 64 * 1024

#: What begins a formula of a spreadsheet, at the start of a cell or behind a semicolon, because
#: some spreadsheets separate the cells there.
_FORMULA = "(^|;)(?= *[=+@＝＋－＠-])"


def csv_line(values: Iterable[Any]) -> str:
    """Return one line of CSV. Control characters become blanks, because some would end the line.

    An apostrophe keeps spreadsheets from reading a text as a formula.
    """
    texts = [re.sub(UNPRINTABLE, " ", one) if isinstance(one, str) else one for one in values]
    cells = [re.sub(_FORMULA, r"\1'", one) if isinstance(one, str) else one for one in texts]
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


class ResultsFile(ContextManager["ResultsFile"]):
    """A file of results; a context manager that closes it. For one thread.

    JSONL, or CSV with a header, in UTF-8; mode 0600. ``certify_id`` is null for a malformed one,
    ``passed`` after an error. A resumed run queries again what is ``retryable``. ``line`` is the
    input's. In CSV null is empty.

    Args:
        path: ``"-"`` is the standard output.
        kind: ``"jsonl"`` or ``"csv"``; None goes by the suffix: ``.csv``, or else JSONL.
        resume: continue the file of an earlier run, if there is one, without its torn last line
            and its lines that are ``retryable``. A file that is not one of results stays as it is.

    The methods raise OutputFailed when the file cannot be read or written.
    """

    def __init__(self, path: str, kind: Optional[str] = None, *, resume: bool = False) -> None:
        if kind not in ("jsonl", "csv", None):
            raise invalid("kind", "must be jsonl or csv")
        if resume and path == "-":
            raise InvalidParameter("the standard output cannot be resumed", field="resume")
        self.path = path
        self.kept = 0  # lines of an earlier run
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
            with self._reporting():
                self._open(resume)
        except BaseException:
            self.close()
            raise

    def claim(self, certify_id: str) -> bool:
        """Return True for an id without a line, the first time that it is asked for."""
        try:
            done = self._claimed.execute("INSERT OR IGNORE INTO ids VALUES (?)", (certify_id,))
        except sqlite3.OperationalError as error:
            words = "The temporary database of ids failed: %s. SQLITE_TMPDIR sets its folder."
            raise OutputFailed(words % error) from error
        return done.rowcount == 1

    def write(self, item: BatchItem, line: Optional[int] = None) -> None:
        """Append the line of one id. Nothing is appended if this raises."""
        with self._reporting():
            self._append(self._line(item, line))
        self._unused = False

    def close(self) -> None:
        """Write everything to the disk."""
        self._claimed.close()
        if self.path != "-" and self._file is not None and not self._file.closed:
            with self._reporting(), self._file:
                os.fsync(self._file.fileno())
                if self._unused:
                    os.unlink(self.path)

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _open(self, resume: bool) -> None:
        if self.path == "-":
            if sys.stdout is None:  # the parent process closed it
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._file = sys.stdout.buffer
        else:
            try:
                self._file = _opened(self.path, "xb")
                self._unused = True
            except FileExistsError:
                if resume:
                    return self._resume(os.path.realpath(self.path))
                words = "%s is there already. Resume it, or name another file." % self.path
                raise InvalidParameter(words, field="output") from None
        if self._in_csv:
            self._append(self._head)

    def _resume(self, path: str) -> None:
        """Replace the file of an earlier run by one with those of its lines that stay."""
        user = os.geteuid() if hasattr(os, "geteuid") else 0  # Windows says 0 of every file
        if os.path.islink(self.path) and os.lstat(self.path).st_uid != user:
            words = "%s is a symbolic link of another user. Name another file." % self.path
            raise InvalidParameter(words, field="output")
        folder, name = os.path.split(path)
        beside = os.path.join(folder, ".%s.resuming" % name)
        with io.BufferedReader(_opened(path, "rb")) as old:
            if os.path.lexists(beside):  # left by a run that was killed
                os.unlink(beside)
            # Locked before it gets its name, so that no other run can lock it first.
            self._file = _opened(beside, "xb")
            try:
                for line in self._lines_that_stay(old):
                    self._append(line)
                if hasattr(os, "fchown"):  # Windows has none
                    # Not by name, because a link may replace the file meanwhile.
                    was = os.fstat(old.fileno())
                    with suppress(PermissionError):  # only root may give a file away
                        os.fchown(self._file.fileno(), was.st_uid, was.st_gid)
                    os.fchmod(self._file.fileno(), stat.S_IMODE(was.st_mode))
                os.fsync(self._file.fileno())
                os.replace(beside, path)
            except BaseException:
                self._file.close()
                os.unlink(beside)
                raise

    def _lines_that_stay(self, old: "io.BufferedReader") -> Iterator[bytes]:
        if self._in_csv:
            yield self._head
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
            words = "is no line of results of this kind. The file stays as it is; name another one."
            place = "line %d of %s" % (number, self.path)
            raise InvalidParameter("%s %s" % (place, words), field="output")

    def _parsed(self, line: bytes) -> Optional[Tuple[str, bool]]:
        """Return certify_id and retryable; None if it is not a whole line of ours."""
        try:
            text = line.decode("utf-8")
            if self._in_csv:
                (values,) = csv.reader([text], strict=True)
                values[0] = values[0].lstrip("'")  # see csv_line
            else:
                fields = json.loads(text)
                values = [fields[name] for name in FIELDS]
            certify_id = values[0] or ""
            retryable = {True: True, "true": True, False: False, "false": False}[values[6]]
        except (ValueError, TypeError, LookupError, RecursionError, csv.Error):
            return None
        whole = line.endswith(b"\n") and len(values) == len(FIELDS) and isinstance(certify_id, str)
        return (certify_id, retryable) if whole else None

    def _line(self, item: BatchItem, line: Optional[int]) -> bytes:
        answer, error = item.answer, item.error
        # An error about a line of the input names it, because the message is shown alone.
        where = "line %d: " % line if line and not item.certify_id else ""
        values = (
            item.certify_id or None,
            None if answer is None else answer.passed,
            None if error is None else type(error).__name__,
            None if error is None else error.code,
            None if error is None else where + " ".join(str(error).split()),
            getattr(error if answer is None else answer, "request_id", None),
            # Wrong credentials say nothing about the id. Once they are right, it can be queried.
            error is not None and (error.retryable or is_hopeless(error)),
            item.asked_at.isoformat(),
            line,
        )
        if self._in_csv:
            text = csv_line(json.dumps(one) if isinstance(one, bool) else one for one in values)
        else:
            text = json.dumps(dict(zip(FIELDS, values)), ensure_ascii=False) + "\n"
        return text.encode("utf-8", "backslashreplace")

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

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            words = "The results cannot be written to %s: %s. Repair the cause and resume."
            reason = error.strerror or type(error).__name__
            raise OutputFailed(words % (self.path, reason)) from error


def _opened(path: str, mode: str) -> Any:
    """Open a file unbuffered and locked; never through a symbolic link.

    A new file is its owner's only. The lock ends with the file or the process.
    """
    # Windows has neither. O_NONBLOCK: to open a pipe could wait for ever.
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    file = open(
        path, mode, buffering=0, opener=lambda name, flags: os.open(name, flags | more, 0o600)
    )
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        words = "%s is no ordinary file, so it cannot be resumed. Name another one." % path
        raise InvalidParameter(words, field="output")
    busy = False
    try:
        if fcntl is not None:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        busy = isinstance(error, BlockingIOError)  # otherwise the file system has no locks
    if busy or not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
        file.close()
        raise InvalidParameter("another run writes to %s now" % path, field="output")
    return file
