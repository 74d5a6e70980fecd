"""Taking up the file of results that an earlier run left, perhaps killed."""

import os
import shutil
from typing import Any, BinaryIO, Iterator, Optional, Tuple

from ..errors import InvalidParameter
from .lines import Format
from .seen import Seen

try:
    import fcntl
except ImportError:  # not POSIX: two runs at once go unnoticed
    fcntl = None  # type: ignore[assignment]

#: Bytes. Ours have a few hundred.
_LONGEST_LINE = 64 * 1024


def locked(stream: Any, path: str) -> Any:
    """Return an open file that no other run has. The lock ends with the file or the process.

    Raises:
        InvalidParameter: another one has it, or put a new one in its place just now.
    """
    busy = False
    try:
        if fcntl is not None:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        busy = True
    except OSError:
        pass  # a file system without locks
    if not busy and os.path.samestat(os.fstat(stream.fileno()), os.stat(path)):
        return stream
    stream.close()
    raise InvalidParameter("another run writes to %s now" % path, field="output")


def resumed(path: str, format: Format, seen: Seen) -> Tuple[Any, int]:
    """Return a file of results, unbuffered and at its end, and how many lines it has.

    Dropped are a torn last line, and the lines of ids that are to be asked again; the ids of the
    others are added to ``seen``. A file from which something is dropped is replaced as a whole.

    Raises:
        InvalidParameter: a line is not one of ours; the file stays as it is.
        OSError: it cannot be read, or its successor not be written.
    """
    path = os.path.realpath(path)
    beside = os.path.join(os.path.dirname(path), ".%s.resuming" % os.path.basename(path))
    old = locked(open(path, "r+b", buffering=0), path)
    new: Any = None
    try:
        new = open(beside, "wb", buffering=0)
        kept = dropped = 0
        # Copies of the descriptors, since a buffered file closes what is below it.
        with open(os.dup(old.fileno()), "rb") as lines, open(os.dup(new.fileno()), "wb") as copy:
            for line, stays in _sifted(lines, path, format, seen):
                if stays:
                    copy.write(line)
                kept, dropped = kept + stays, dropped + (not stays)
        kept -= bool(kept and format.header)
        if not dropped:
            new.close()
            os.unlink(beside)
            old.seek(0, os.SEEK_END)
            return old, kept
        shutil.copymode(path, beside)
        os.fsync(new.fileno())
        # From before it has its name, so that nobody else gets it.
        locked(new, beside)
        os.replace(beside, path)
        _sync_folder(os.path.dirname(path))
        old.close()
        return new, kept
    except BaseException:
        old.close()
        if new is not None:
            new.close()
            if os.path.exists(beside):
                os.unlink(beside)
        raise


def _sifted(
    lines: BinaryIO, path: str, format: Format, seen: Seen
) -> Iterator[Tuple[bytes, bool]]:
    """Yield every line, and whether it stays."""
    strange: Optional[int] = None
    may_be_torn = False
    for number, line in enumerate(iter(lambda: lines.readline(_LONGEST_LINE), b""), 1):
        if strange is not None:
            may_be_torn = False  # only the last line may be
            break
        if number == 1 and format.header:
            if line != format.header:
                strange, may_be_torn = number, format.may_be_torn(line)
            else:
                yield line, True
            continue
        found = format.read(line) if line.endswith(b"\n") else None
        if found is None:
            strange, may_be_torn = number, number > 1 or format.may_be_torn(line)
        else:
            done = bool(found.certify_id) and not found.retryable
            yield line, done and seen.add(found.certify_id)
    if strange is None:
        return
    if may_be_torn:
        yield b"", False
        return
    raise InvalidParameter(
        "line %d of %s is no line of results of this kind. The file stays as it is; name another"
        " one." % (strange, path),
        field="output",
    )


def _sync_folder(path: str) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
