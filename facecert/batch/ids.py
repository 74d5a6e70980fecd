"""Files of ids: text, CSV or JSONL, read line by line."""

import csv
import errno
import io
import json
import os
import re
import sys
from contextlib import suppress
from itertools import chain, islice
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from ..errors import InvalidParameter, invalid

_SUFFIXES = {".txt": "text", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_SEPARATORS = ",;\t|"
_BLANK = " \t\r\n"

#: What stands around an id: blanks, what cannot be seen, quotation marks, a spreadsheet's ="".
_AROUND = _BLANK + "\x00\x85\xa0\xad\u3000\ufeff='\"`,;" + "".join(map(chr, range(0x2000, 0x2070)))


class FileId(NamedTuple):
    """One id as the file has it, well-formed or not; ``""`` where the line has none.

    ``scene_id`` is from a column of that name, or None. ``line`` counts from 1.
    """

    certify_id: str
    scene_id: Optional[str]
    line: int

    def __repr__(self) -> str:
        # Without the texts, which may come from the wrong column.
        return "<FileId line %d>" % self.line


def read_ids(path: str, kind: Optional[str] = None, column: str = "certifyId") -> Iterator[FileId]:
    """Yield the ids of a file, reading lazily.

    Text: one id on each line; blank lines and lines that begin with ``#`` are skipped. CSV: with a
    header on one of the first 50 lines; the columns certifyId and optionally sceneId (any case,
    also certify_id), separated by comma, semicolon, tab or ``|``. A single column without a header
    is read as text. JSONL: each line is an object with these keys, or a string. Other columns may
    be in any encoding that leaves ASCII alone (UTF-8 with or without BOM, GBK). Quotation marks and
    blanks of any kind around an id are dropped.

    Args:
        path: ``"-"`` is the standard input.
        kind: ``"text"``, ``"csv"`` or ``"jsonl"``; None goes by the suffix, else by the first line.
        column: the column or key that holds the ids.

    Raises:
        InvalidParameter: the file cannot be used. The message names the line and does not quote
            it. (A line without an id yields ``""`` instead.)
        OSError: it cannot be read.
    """
    if kind not in ("text", "csv", "jsonl", None):
        raise invalid("kind", "must be text, csv or jsonl")
    return _ids(path, kind, _plain(column))


def _ids(path: str, kind: Optional[str], column: str) -> Iterator[FileId]:
    number = 0

    def read() -> Iterator[str]:
        nonlocal number
        for number, text in enumerate(stream, 1):
            if number == 1:
                if text.startswith(("\xff\xfe", "\xfe\xff")) or "\x00" in text:
                    rule = "must be text, not in UTF-16. Save it as UTF-8 (in Excel: CSV UTF-8)."
                    raise invalid("ids", rule)
                text = re.sub("^(\xef\xbb\xbf)+", "", text)  # an export of an export has two
            yield text

    def file_id(cells: Mapping[str, Any], line: int) -> FileId:
        return FileId(_bare(cells.get(column)), _bare(cells.get("sceneid")) or None, line)

    stream = _opened(path)
    try:
        lines = read()
        first = next(filter(_counts, lines), None)
        if first is None:
            return
        lines = chain([first], lines)
        kind = kind or _kind(_SUFFIXES.get(os.path.splitext(path)[1].lower()), first, column)
        if kind == "jsonl":
            for text in lines:
                if text.strip(_BLANK):
                    value = _json(text)
                    cells = value if isinstance(value, dict) else {column: value}
                    yield file_id({_plain(key): cells[key] for key in cells}, number)
        elif kind == "csv" and not re.fullmatch("[A-Za-z0-9_-]{20,64}", _bare(first)):
            header, separator = _header(lines, column)
            # Strict, because an open quotation mark would swallow the lines after it.
            rows = csv.reader(chain([header], lines), delimiter=separator, strict=True)
            columns = [_plain(name) for name in next(rows)]
            before = number
            for row in rows:
                if row:
                    yield file_id(dict(zip(columns, row)), before + 1)
                before = number
        else:
            for text in filter(_counts, lines):
                yield file_id({column: text}, number)
    except csv.Error:
        words = "Line %d of the file of ids cannot be read as CSV: a quotation mark is not closed,"
        words += " or a cell is longer than %d characters."
        raise InvalidParameter(words % (number, csv.field_size_limit()), field="ids") from None
    finally:
        if path == "-":
            stream.detach()  # closing it would close the standard input
        else:
            stream.close()


def _opened(path: str) -> io.TextIOWrapper:
    # Latin-1 decodes every byte. Only ASCII is used.
    if path != "-":
        return open(path, encoding="latin-1", newline="")
    if sys.stdin is None:  # the parent process closed it
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return io.TextIOWrapper(sys.stdin.buffer, encoding="latin-1", newline="")


def _counts(text: str) -> bool:
    text = text.strip(_BLANK)
    return bool(text) and not text.startswith("#")


def _kind(kind: Optional[str], first: str, column: str) -> str:
    """Return the kind of a file by its suffix's ``kind`` and its first line."""
    is_quoted_id = isinstance(_json(first), str) and _plain(first) != column
    if kind is None and (is_quoted_id or first.lstrip(_BLANK).startswith("{")):
        return "jsonl"
    if kind in (None, "text") and _separator(first, column):
        return "csv"
    return kind or ("csv" if any(one in first for one in _SEPARATORS) else "text")


def _header(lines: Iterator[str], column: str) -> Tuple[str, str]:
    """Return the header and its separator. A title or a remark may stand above the header."""
    names: List[str] = []
    begun = ""
    for text in islice(filter(_counts, lines), 50):
        text, begun = begun + text, ""
        if re.search('(^|[,;\t|])"([^"]|"")*$', text):  # a cell of several lines
            begun = text.rstrip(_BLANK) + " "
            continue
        separator = _separator(text, column)
        if separator:
            return text, separator
        # Only such names are shown, because other cells may be a person's.
        names += re.findall(r"(?:^|[,;\t|])[\"\s]*([^\W\d]*(?<=[^A-Z])I[Dd])\b", _decoded(text))
    rule = "must have a header with the column certifyId or certify_id; --column names another one"
    raise invalid("ids", rule + (" (there is: %s)" % ", ".join(names[:20]) if names else ""))


def _separator(header: str, column: str) -> Optional[str]:
    """Return what separates the columns of a header, or None if ``column`` is not among them."""
    for separator in _SEPARATORS:
        if column in map(_plain, next(csv.reader([header], delimiter=separator), ())):
            return separator
    return None


def _plain(name: Any) -> str:
    """Return a column's name for comparisons: letters and digits, in lower case."""
    return "".join(filter(str.isalnum, _decoded(str(name)))).lower()


def _decoded(text: str) -> str:
    """Return a text, which was read as Latin-1, in its own encoding."""
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeError):
            return text.encode("latin-1").decode(encoding)
    return text


def _bare(cell: Any) -> str:
    return _decoded(cell).strip(_AROUND) if isinstance(cell, str) else ""


def _json(text: str) -> Any:
    with suppress(ValueError, RecursionError):
        # Not as int, because Python 3.6 takes quadratic time for a long row of digits.
        return json.loads(text, parse_int=float)
    return None
