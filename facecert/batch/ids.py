"""Files of ids: text, CSV or JSONL, read line by line."""

import csv
import errno
import io
import json
import os
import sys
from contextlib import contextmanager
from itertools import chain
from typing import Any, Iterable, Iterator, List, Mapping, NamedTuple, Optional, TextIO, Tuple

from ..errors import InvalidParameter

KINDS = ("text", "csv", "jsonl")

_SUFFIXES = {".txt": "text", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_SEPARATORS = ",;\t"
_BLANK = " \t\r\n"

_Line = Tuple[int, str]


class FileId(NamedTuple):
    """One id as the file has it, good or not.

    Attributes:
        certify_id: a text; ``""`` where the line has none.
        scene_id: from a column of that name, or None.
        line: its line's number, from 1.
    """

    certify_id: str
    scene_id: Optional[str]
    line: int

    def __repr__(self) -> str:
        # Not the texts: they may be out of the wrong column.
        return "<FileId line %d>" % self.line


def read_ids(path: str, kind: Optional[str] = None) -> Iterator[FileId]:
    """Yield the ids of a file, reading as it goes.

    Text: an id on each line; blank lines and those that begin with ``#`` are skipped. CSV: with a
    header; the columns certifyId and, if there is one, sceneId (any case, also certify_id),
    separated by comma, semicolon or tab; one column without a header is text. JSONL: on each line
    an object with these keys, or a string. Ids are ASCII, so other columns may be in any encoding
    that leaves ASCII alone (UTF-8 with or without BOM, GBK).

    Args:
        path: ``"-"`` is the standard input.
        kind: ``"text"``, ``"csv"`` or ``"jsonl"``; None goes by the suffix, else by the first line.

    Raises:
        InvalidParameter: the file as a whole is of no use; names the line, never quotes it. (A
            line without an id comes as ``""``.)
        OSError: it cannot be read.
    """
    if kind not in KINDS + (None,):
        raise InvalidParameter("kind must be text, csv or jsonl", field="kind")
    return _ids(path, kind)


def _ids(path: str, kind: Optional[str]) -> Iterator[FileId]:
    with _opened(path) as stream:
        lines = _numbered(stream)
        first = next(((number, text) for number, text in lines if _counts(text)), None)
        if first is None:
            return
        kind = kind or _kind_by_suffix(path) or _sniff(first[1])
        separator = _separator(first[1])
        lines = chain([first], lines)
        if kind == "jsonl":
            yield from _from_jsonl(lines)
        elif kind == "csv" and separator is not None:
            yield from _from_csv(lines, separator, first[0] - 1)
        else:
            for number, text in lines:
                if _counts(text):
                    yield FileId(text.strip(_BLANK), None, number)


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    # Latin-1 takes every byte; what is not ASCII is looked at by nobody.
    if path != "-":
        with open(path, encoding="latin-1", newline="") as stream:
            yield stream
    else:
        if sys.stdin is None:  # closed by whoever started us
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        stream = io.TextIOWrapper(sys.stdin.buffer, encoding="latin-1", newline="")
        try:
            yield stream
        finally:
            stream.detach()  # or it would close the standard input


def _numbered(stream: TextIO) -> Iterator[_Line]:
    for number, text in enumerate(stream, 1):
        if number == 1:
            if text.startswith(("\xff\xfe", "\xfe\xff")) or "\x00" in text:
                raise InvalidParameter(
                    "The file of ids is in UTF-16, or no text at all. Save it as UTF-8 (in Excel:"
                    " CSV UTF-8).",
                    field="ids",
                )
            if text.startswith("\xef\xbb\xbf"):
                text = text[3:]
        yield number, text


def _counts(text: str) -> bool:
    text = text.strip(_BLANK)
    return bool(text) and not text.startswith("#")


def _kind_by_suffix(path: str) -> Optional[str]:
    return next((kind for end, kind in _SUFFIXES.items() if path.lower().endswith(end)), None)


def _sniff(first: str) -> str:
    if _has_header(first):
        return "csv"
    if first.lstrip(_BLANK).startswith("{") or isinstance(_json(first), str):
        return "jsonl"
    return "text" if _separator(first) is None else "csv"


def _has_header(first: str) -> bool:
    return "certifyid" in _columns(first, _separator(first) or ",")


def _separator(header: str) -> Optional[str]:
    """Return what separates the columns; None: there is one column, and it has no header."""
    for separator in _SEPARATORS:
        if "certifyid" in _columns(header, separator):
            return separator
    return next((separator for separator in _SEPARATORS if separator in header), None)


def _plain(name: Any) -> str:
    return str(name).strip(_BLANK).replace("_", "").lower()


def _columns(header: str, separator: str) -> List[str]:
    return [_plain(name) for name in next(csv.reader([header], delimiter=separator), [])]


def _from_csv(lines: Iterable[_Line], separator: str, skipped: int) -> Iterator[FileId]:
    # Strict: an open quotation mark would swallow the lines after it.
    reader = csv.reader((text for _, text in lines), delimiter=separator, strict=True)
    try:
        columns = [_plain(name) for name in next(reader)]
        if "certifyid" not in columns:
            raise InvalidParameter(
                "The CSV file's first line must name the columns, one of them certifyId or"
                " certify_id (and sceneId or scene_id, if it varies).",
                field="ids",
            )
        line = reader.line_num
        for row in reader:
            if row:
                yield _file_id(dict(zip(columns, row)), skipped + line + 1)
            line = reader.line_num
    except csv.Error:
        problem = "Line %d of the file of ids is no CSV (a quotation mark that is not closed?)." % (
            skipped + reader.line_num
        )
    else:
        return
    raise InvalidParameter(problem, field="ids")


def _from_jsonl(lines: Iterable[_Line]) -> Iterator[FileId]:
    for number, text in lines:
        if text.strip(_BLANK):
            value = _json(text)
            if isinstance(value, dict):
                yield _file_id({_plain(key): cell for key, cell in value.items()}, number)
            else:
                yield FileId(value if isinstance(value, str) else "", None, number)


def _file_id(cells: Mapping[str, Any], line: int) -> FileId:
    certify_id, scene_id = cells.get("certifyid"), cells.get("sceneid")
    return FileId(
        certify_id.strip(_BLANK) if isinstance(certify_id, str) else "",
        (scene_id.strip(_BLANK) or None) if isinstance(scene_id, str) else None,
        line,
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
