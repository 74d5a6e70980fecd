"""Keeping names, document numbers, tokens and secrets out of everything that is shown."""

import base64
import binascii
import re
from typing import Iterable, Iterator, List, Optional
from urllib.parse import unquote_plus

WITHHELD = "[withheld: it repeats personal data or a secret]"

_LONGEST_MESSAGE = 2000
_ESCAPE = r"\\+u([0-9a-fA-F]{4})"
_BASE64_RUN = "[A-Za-z0-9+/_-]{4,}"

#: Half of a pair of UTF-16, which no text in UTF-8 can hold.
LONE_SURROGATE = "[\ud800-\udfff]"

#: What would move a terminal's cursor or end a line, and what cannot be encoded.
UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"


def mask_name(name: str) -> str:
    """Show a name as its first character and asterisks: ``张*``."""
    return name[:1] + "*" * (len(name) - 1) if len(name) > 1 else "*"


def mask_number(number: str) -> str:
    """Show a document number as its first and last character with asterisks between."""
    if len(number) < 8:
        return "*" * len(number)
    return number[0] + "*" * (len(number) - 2) + number[-1]


def repeats(text: str, private: Iterable[str]) -> bool:
    """Tell whether ``text`` holds one of the ``private`` strings in some spelling.

    Looked for raw in either case, percent-encoded (up to four times over), ``\\u``-escaped and in
    Base64.
    """
    wanted = [value for value in private if value]
    if not wanted:
        return False
    readings = list(_readings(text))
    if any(value.lower() in reading.lower() for value in wanted for reading in readings):
        return True
    wanted_bytes = [value.encode("utf-8", "replace") for value in wanted]
    shortest = min(len(value) for value in wanted_bytes)
    return any(
        value in blob
        for reading in readings
        for blob in _base64_blobs(reading, shortest)
        for value in wanted_bytes
    )


def presentable(message: Optional[str], private: Iterable[str]) -> Optional[str]:
    """Make another side's words fit to be shown: one line, and nothing private in it.

    A message that repeats something private, or a string to sign, is withheld as a whole.
    """
    if not message:
        return None
    if len(message) > _LONGEST_MESSAGE:
        return "[withheld: %d characters]" % len(message)
    if "string to sign" in message.lower() or repeats(message, private):
        return WITHHELD
    return re.sub(UNPRINTABLE, " ", message).strip() or None


def forget_frames(error: BaseException, outer: Optional[BaseException] = None) -> None:
    """Drop the tracebacks of an error and of all its causes.

    Their frames keep every local variable alive: the request's body among them, which crash
    reporters and debug pages print.

    Args:
        outer: what the caller was already handling; it is not ours to touch.
    """
    seen = {id(None), id(outer)}
    pending: List[Optional[BaseException]] = [error]
    while pending:
        link = pending.pop()
        if id(link) not in seen and link is not None:
            seen.add(id(link))
            link.__traceback__ = None
            pending += [link.__cause__, link.__context__]


def _readings(text: str) -> Iterator[str]:
    for _ in range(5):
        yield text
        plain = _unescaped(text)
        if plain != text:
            yield plain
        decoded = unquote_plus(plain)
        if decoded == text:
            return
        text = decoded


def _unescaped(text: str) -> str:
    if "\\u" not in text:
        return text
    plain = re.sub(_ESCAPE, lambda match: chr(int(match.group(1), 16)), text)
    # Characters beyond U+FFFF come as two escapes.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _base64_blobs(text: str, shortest: int) -> Iterator[bytes]:
    """Decode what may hold ``shortest`` bytes: a Base64 character is six bits of them."""
    for run in re.findall(_BASE64_RUN, text):
        if len(run) * 6 < shortest * 8:
            continue
        run = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            part = run[start:]
            part = part[: len(part) - (len(part) % 4 == 1)]
            try:
                yield base64.b64decode(part + "=" * (-len(part) % 4))
            except binascii.Error:
                continue
