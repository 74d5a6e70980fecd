"""The lines of a file of results: written, and read again to see what is done."""

import csv
import io
import json
from typing import Any, Dict, NamedTuple, Optional, Union

from .outcome import Outcome, is_hopeless

FIELDS = (
    "certify_id", "passed", "error", "code", "message", "request_id", "retryable", "asked_at",
    "line",
)  # fmt: skip


class Line(NamedTuple):
    """What a resumed run has to know of a line.

    Attributes:
        certify_id: ``""`` for what could not be one.
        retryable: True when the id is to be asked again.
    """

    certify_id: str
    retryable: bool


class JSONLines:
    """An object on each line."""

    header = b""
    _BEGINNING = b'{"certify_id": '

    def write(self, fields: Dict[str, Any]) -> bytes:
        """Return a line with its end."""
        return _encode(json.dumps(fields, ensure_ascii=False) + "\n")

    def read(self, line: bytes) -> Optional[Line]:
        """Return what a line says, or None when it is not one of ours."""
        try:
            fields = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or not set(FIELDS) <= set(fields):
            return None
        return _checked(fields["certify_id"] or "", fields["retryable"])

    def may_be_torn(self, line: bytes) -> bool:
        """Tell whether it may be the first part of a line of ours."""
        return line.startswith(self._BEGINNING) or self._BEGINNING.startswith(line)


class CSV:
    """A header, and a row on each line."""

    header = (",".join(FIELDS) + "\n").encode("ascii")

    def write(self, fields: Dict[str, Any]) -> bytes:
        """Return a line with its end."""
        text = io.StringIO()
        cells = ["" if value is None else _cell(value) for value in fields.values()]
        csv.writer(text, lineterminator="\n").writerow(cells)
        return _encode(text.getvalue())

    def read(self, line: bytes) -> Optional[Line]:
        """Return what a line says, or None when it is not one of ours."""
        try:
            cells = next(csv.reader([line.decode("utf-8").rstrip("\n")], strict=True), [])
        except (ValueError, csv.Error):
            return None
        if len(cells) != len(FIELDS):
            return None
        fields = dict(zip(FIELDS, cells))
        return _checked(
            fields["certify_id"], {"true": True, "false": False}.get(fields["retryable"])
        )

    def may_be_torn(self, line: bytes) -> bool:
        """Tell whether it may be the first part of a line of ours."""
        return self.header.startswith(line)


Format = Union[JSONLines, CSV]


def fields_of(outcome: Outcome, line: Optional[int]) -> Dict[str, Any]:
    """Return the fields of a line, in their order."""
    answer, error = outcome.answer, outcome.error
    values = (
        outcome.certify_id or None,
        None if answer is None else answer.passed,
        None if error is None else type(error).__name__,
        None if error is None else error.code,
        None if error is None else " ".join(str(error).split()),
        getattr(error if answer is None else answer, "request_id", None),
        # A wrong AccessKey says nothing of the id: mended, it is worth asking again.
        error is not None and (error.retryable or is_hopeless(error)),
        outcome.asked_at.isoformat(),
        line,
    )
    return dict(zip(FIELDS, values))


def _checked(certify_id: Any, retryable: Any) -> Optional[Line]:
    if isinstance(certify_id, str) and isinstance(retryable, bool):
        return Line(certify_id, retryable)
    return None


def _cell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
