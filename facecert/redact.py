"""What may be shown: private values, the gateway's texts, masks, and the frames of an error.

Log handlers and crash reporters print the variables of live frames and of tracebacks. So private
values travel in objects whose repr is empty, and ``guarded`` functions empty the frames below them.
"""

import base64
import functools
import re
import sys
import traceback
import unicodedata
from typing import Any, Callable, Iterator, Optional, TypeVar, cast
from urllib.parse import unquote

WITHHELD = "[withheld: it may repeat personal data or a secret]"

#: Characters of a message that is shown at most.
_LONGEST_MESSAGE = 1000

#: What begins an echo of a request: a form, JSON, percent-encoding, HTML, an escape.
_ECHO = r"[={&<\\]|%(?=[0-9A-Fa-f])"

#: More digits than this may be a document number in any spelling.
_MOST_DIGITS = 8
_LONG_WORD = "[A-Za-z0-9+/_-]{41,}"

_ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")

#: Half of a pair of UTF-16, which no text in UTF-8 can hold.
LONE_SURROGATE = "[\ud800-\udfff]"

#: What would move a terminal's cursor or end a line, and what cannot be encoded.
UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"

Function = TypeVar("Function", bound=Callable[..., Any])


class Hidden:
    """A value that no serialiser shows, neither by repr nor by attributes: a closure holds it."""

    __slots__ = ("_read",)

    _read: Callable[[], Any]

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def value(self) -> Any:
        """The hidden value."""
        return self._read()

    @value.setter
    def value(self, value: Any) -> None:
        self._read = lambda: value

    def __getstate__(self) -> Any:
        return (self.value,)

    def __setstate__(self, state: Any) -> None:
        (self.value,) = state

    def __repr__(self) -> str:
        return "<%s>" % type(self).__name__

    def take(self) -> Any:
        """Return the value and forget it."""
        value, self.value = self.value, None
        return value


class Private(Hidden):
    """Texts that must not be shown anywhere: name, document number, tokens, secrets."""

    __slots__ = ()

    def __init__(self, *texts: Optional[str]) -> None:
        super().__init__(tuple(str(text) for text in texts if text))

    def __bool__(self) -> bool:
        return bool(self.value)

    def __add__(self, other: "Private") -> "Private":
        return Private(*self.value, *other.value)

    def shown(self, text: Optional[str]) -> Optional[str]:
        """Return a text of the gateway or the service on one line, without what may be private.

        The text is cut where an echo of the request may begin. A text that repeats a private text
        in any spelling, or holds more than 8 digits or a word of more than 40 characters, is
        withheld.
        """
        if not text:
            return None
        plain = unicodedata.normalize("NFKC", text)
        if (
            len(text) > _LONGEST_MESSAGE
            or sum(character.isnumeric() for character in plain) > _MOST_DIGITS
            or re.search(_LONG_WORD, plain)
            or self.repeated_in(text)
        ):
            return WITHHELD
        head = re.split(_ECHO, text, maxsplit=1)[0]
        line = re.sub(UNPRINTABLE, " ", head).strip()
        return line + " [rest withheld]" if head != text else line or None

    def shown_name(self, text: Any, pattern: str) -> Optional[str]:
        """Return a code or an id if it has the form of one and repeats no private text."""
        if not isinstance(text, str) or not re.fullmatch(pattern, text):
            return None
        # Two letters of a name are in every other id. A document number, or a Chinese name in
        # Base64, is in no id by chance.
        return None if self.repeated_in(text, 6) else text

    def repeated_in(self, text: str, shortest: int = 1) -> bool:
        """Tell whether a text repeats one of the private texts.

        Letters and digits alone are compared, after NFKC, forwards and backwards; then what the
        text may hold percent-encoded, as hexadecimal, as Base64, or in a wrong encoding.
        ``shortest``: what has fewer bytes of UTF-8 is not compared.
        """
        def telling(one: str) -> bool:
            return len(one.encode("utf-8", "replace")) >= shortest

        # Base64 is the shortest encoding in ASCII. Most ids are too short for any secret.
        longest = len(text) * 3 // 4 if re.fullmatch("[\x00-\x7f]*", text) else sys.maxsize
        wanted = set(filter(telling, map(_letters_and_digits, self.value)))
        encoded = {
            one.encode(encoding, "ignore").lower()
            for private in filter(telling, self.value)
            if len(private) <= longest
            for one in (private, private[::-1])
            for encoding in _ENCODINGS
        } - {b""}
        unquoted = unquote(unquote(unquote(text)))
        for direction in {text, text[::-1], unquoted, unquoted[::-1]}:
            plain = _letters_and_digits(direction)
            data = b"\n".join(_decoded(direction, plain)).lower() if encoded else b""
            if any(one in plain for one in wanted) or any(one in data for one in encoded):
                return True
        return False


def mask_name(name: str) -> str:
    """Show a name as its first character and asterisks: ``张*``."""
    return name[:1] + "*" * (len(name) - 1) if len(name) > 1 else "*"


def mask_number(number: str) -> str:
    """Show a document number as its first and last character with asterisks between."""
    if len(number) < 8:
        return "*" * len(number)
    return number[0] + "*" * (len(number) - 2) + number[-1]


def guarded(function: Function) -> Function:
    """Decorate a public function: its arguments and what its frames hold are in no traceback.

    While the function runs, no frame of this decorator shows the arguments. When it raises, the
    frames below lose their variables; file names and line numbers stay.
    """

    @functools.wraps(function)
    def entrance(*args: Any, **kwargs: Any) -> Any:
        positional, named, outer = Hidden(args), Hidden(kwargs), sys.exc_info()[1]
        del args, kwargs
        try:
            return function(*positional.take(), **named.take())
        except BaseException as error:  # a timeout's signal may strike anywhere
            empty_frames(error, outer)
            raise

    return cast(Function, entrance)


def empty_frames(error: BaseException, outer: Optional[BaseException] = None) -> None:
    """Clear the variables of all frames in the tracebacks of an error and of its causes.

    ``outer`` is the exception that the caller was handling already; its frames are the caller's.
    """
    seen = {id(None), id(outer)}
    pending = [error]
    while pending:
        link = pending.pop()
        if id(link) not in seen:
            seen.add(id(link))
            traceback.clear_frames(link.__traceback__)
            pending += [cast(BaseException, link.__cause__), cast(BaseException, link.__context__)]


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _decoded(text: str, plain: str) -> Iterator[bytes]:
    """Yield the bytes that a text, or its letters and digits alone, may stand for."""
    yield text.encode("latin-1", "ignore")
    yield text.encode("cp1252", "ignore")
    yield text.encode("gb18030", "ignore")  # UTF-8 that was read as GBK
    for run in re.findall("[0-9a-f]{4,}", re.sub("0x|u", "", plain)):
        for start in (0, 1):
            yield bytes.fromhex(run[start : len(run) - (len(run) - start) % 2])
    if re.fullmatch("[0-9A-Fa-f-]*", text):
        return  # a UUID, as most ids are; no text in Base64 has these characters alone
    text = unicodedata.normalize("NFKC", text).replace("-", "+").replace("_", "/")
    runs = re.findall("[A-Za-z0-9+/]{4,}", text)
    for run in {re.sub("[^A-Za-z0-9+/]", "", text), *runs}:
        for start in range(4):
            part = run[start : len(run) - ((len(run) - start) % 4 == 1)]
            yield base64.b64decode(part + "=" * (-len(part) % 4))
