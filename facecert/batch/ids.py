"""Files of ids: text, CSV or JSONL, read line by line."""

import csv
import errno
import io
import json
import os
import sys
from itertools import chain
from typing import Any, Iterator, Mapping, NamedTuple, Optional

from ..errors import InvalidParameter, invalid

_SUFFIXES = {".txt": "text", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_SEPARATORS = ",;\t"
_BLANK = " \t\r\n"


class FileId(NamedTuple):
    """One id as the file has it, well-formed or not.

    Attributes:
        certify_id: a text; ``""`` where the line has none.
        scene_id: from a column of that name, or None.
        line: the number of its line, from 1.
    """

    certify_id: str
    scene_id: Optional[str]
    line: int

    def __repr__(self) -> str:
        # Without the texts, which may come from the wrong column.
        return "<FileId line %d>" % self.line


def read_ids(path: str, kind: Optional[str] = None) -> Iterator[FileId]:
    """Yield the ids of a file, reading lazily.

    Text: one id on each line; blank lines and lines that begin with ``#`` are skipped. CSV: with a
    header; the columns certifyId and optionally sceneId (any case, also certify_id), separated by
    comma, semicolon or tab. A single column without a header is read as text. JSONL: each line is
    an object with these keys, or a string. Other columns may be in any encoding that leaves ASCII
    alone (UTF-8 with or without BOM, GBK).

    Args:
        path: ``"-"`` is the standard input.
        kind: ``"text"``, ``"csv"`` or ``"jsonl"``; None goes by the suffix, else by the first line.

    Raises:
        InvalidParameter: the file cannot be used. The message names the line and does not quote
            it. (A line without an id yields ``""`` instead.)
        OSError: it cannot be read.
    """
    if kind not in ("text", "csv", "jsonl", None):
        raise invalid("kind", "must be text, csv or jsonl")
    return _ids(path, kind)


def _ids(path: str, kind: Optional[str]) -> Iterator[FileId]:
    number = 0

    def read() -> Iterator[str]:
        nonlocal number
        for number, text in enumerate(stream, 1):
            yield _without_bom(text) if number == 1 else text

    stream = _opened(path)
    try:
        lines = read()
        first = next(filter(_counts, lines), None)
        if first is None:
            return
        lines = chain([first], lines)
        kind = kind or _SUFFIXES.get(os.path.splitext(path)[1].lower()) or _kind_by_line(first)
        separator = None if kind == "jsonl" else _separator(first)
        if kind == "jsonl":
            for text in lines:
                if text.strip(_BLANK):
                    value = _json(text)
                    cells = value if isinstance(value, dict) else {"certifyid": value}
                    yield _file_id({_plain(key): cells[key] for key in cells}, number)
        elif kind == "csv" and separator is not None:
            # Strict, because an open quotation mark would swallow the lines after it.
            rows = csv.reader(lines, delimiter=separator, strict=True)
            columns = [_plain(name) for name in next(rows)]
            if "certifyid" not in columns:
                rule = "must begin with a header that has the column certifyId or certify_id"
                raise invalid("ids", rule)
            before = number
            for row in rows:
                if row:
                    yield _file_id(dict(zip(columns, row)), before + 1)
                before = number
        else:
            for text in filter(_counts, lines):
                yield _file_id({"certifyid": text}, number)
    except csv.Error:
        words = (
            "Line %d of the file of ids cannot be read as CSV: a quotation mark is not closed, or a"
            " cell is longer than %d characters." % (number, csv.field_size_limit())
        )
        raise InvalidParameter(words, field="ids") from None
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


def _without_bom(first: str) -> str:
    if first.startswith(("\xff\xfe", "\xfe\xff")) or "\x00" in first:
        words = "must be a text file, not in UTF-16. Save it as UTF-8 (in Excel: CSV UTF-8)."
        raise invalid("ids", words)
    return first[3:] if first.startswith("\xef\xbb\xbf") else first


def _counts(text: str) -> bool:
    text = text.strip(_BLANK)
    return bool(text) and not text.startswith("#")


def _kind_by_line(first: str) -> str:
    value = _json(first)
    quoted_id = isinstance(value, str) and _plain(value) != "certifyid"
    if quoted_id or first.lstrip(_BLANK).startswith("{"):
        return "jsonl"
    return "text" if _separator(first) is None else "csv"


def _separator(header: str) -> Optional[str]:
    """Return what separates the columns; None for a single column without a header."""
    for separator in _SEPARATORS:
        if "certifyid" in map(_plain, next(csv.reader([header], delimiter=separator), ())):
            return separator
    return next((separator for separator in _SEPARATORS if separator in header), None)


def _plain(name: Any) -> str:
    return str(name).strip(_BLANK).replace("_", "").lower()


def _file_id(cells: Mapping[str, Any], line: int) -> FileId:
    found = [cells.get(name) for name in ("certifyid", "sceneid")]
    texts = [cell.strip(_BLANK) if isinstance(cell, str) else "" for cell in found]
    return FileId(texts[0], texts[1] or None, line)


def _json(text: str) -> Any:
    try:
        # Not as int, because Python 3.6 takes quadratic time for a long row of digits.
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
