"""What init and query return, read from an answer. Nothing is sent from here.

The fields are those of help.aliyun.com 181863.
"""

import json
import re
from datetime import datetime
from typing import Any, Dict, Mapping, Optional, Tuple

from .errors import BadAnswer
from .redact import repeats


class Answer:
    """An answer with Code 200: the whole of it, and its fields."""

    def __init__(self, envelope: Dict[str, Any], private: Tuple[str, ...] = ()) -> None:
        self.envelope = envelope
        self._private = private
        self.request_id = shown_id(envelope, "RequestId", private)
        self.data = mapping(pick(envelope, "Data"))

    def get(self, name: str) -> Any:
        """Return a field of Data; or one beside Data, where the documentation's table has it."""
        value = pick(self.data, name)
        return pick(self.envelope, name) if value is None else value

    def text(self, name: str) -> Optional[str]:
        """Return a field if it is a text that is not empty, else None."""
        value = self.get(name)
        return value if isinstance(value, str) and value else None

    def id(self, name: str) -> Optional[str]:
        """Return a field if it looks like an id, else None; ids are shown in logs."""
        return shown_id({name: self.get(name)}, name, self._private)


class _Result:
    """Immutable. Not a tuple: those are true when empty of meaning, and ``%`` takes them apart."""

    __slots__: Tuple[str, ...] = ()
    _shown: Tuple[str, ...] = ()

    def __init__(self, **fields: Any) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, fields[name])

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a %s cannot be changed" % type(self).__name__)

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a %s cannot be changed" % type(self).__name__)

    def _fields(self) -> Dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Result) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self._shown))

    def __reduce__(self) -> Any:
        return _again, (type(self), self._fields())

    def __repr__(self) -> str:
        shown = ", ".join("%s=%r" % (name, getattr(self, name)) for name in self._shown)
        return "%s(%s)" % (type(self).__name__, shown)


def _again(kind: Any, fields: Dict[str, Any]) -> Any:
    return kind(**fields)


class InitResult(_Result):
    """An opened verification.

    Attributes:
        certify_id: the verification's id. The bill is by this id: store it.
        certify_url: where to send the person; several hundred characters, good for one submission.
        outer_order_no: your order number, or the one made for you.
        expires_at: aware UTC datetime after which ``certify_url`` is dead (30 minutes on).
        request_id: what Alibaba Cloud's support asks for.
        raw: the whole answer as it was read; not part of ``repr``.
    """

    __slots__ = (
        "certify_id", "certify_url", "outer_order_no", "expires_at", "request_id", "raw"
    )  # fmt: skip
    _shown = ("certify_id", "outer_order_no", "expires_at", "request_id")

    certify_id: str
    certify_url: str
    outer_order_no: str
    expires_at: datetime
    request_id: Optional[str]
    raw: Dict[str, Any]


class QueryResult(_Result):
    """What is known of a verification. It is true (``if answer:``) only when it was passed.

    Attributes:
        passed: True when the person passed. False means failed *or not yet done*: it is final
            only after the callback came, or once the 30 minutes are over.
        certify_id: the id that was asked about.
        identity_info, material_info: reserved by the service, usually empty; not part of ``repr``.
        request_id: what Alibaba Cloud's support asks for.
        raw: the whole answer as it was read; not part of ``repr``.
    """

    __slots__ = (
        "passed", "certify_id", "identity_info", "material_info", "request_id", "raw"
    )  # fmt: skip
    _shown = ("passed", "certify_id", "request_id")

    passed: bool
    certify_id: str
    identity_info: Any
    material_info: Any
    request_id: Optional[str]
    raw: Dict[str, Any]

    def __bool__(self) -> bool:
        return self.passed


def read_init(answer: Answer, *, outer_order_no: str, expires_at: datetime) -> InitResult:
    """Read the answer to an ``init``.

    Raises:
        BadAnswer: it lacks ``certifyId`` or ``certifyUrl``.
    """
    certify_id = answer.id("certifyId")
    certify_url = answer.text("certifyUrl")
    if certify_id is None or certify_url is None:
        raise _incomplete(answer, "certifyId and certifyUrl", certify_id)
    return InitResult(
        certify_id=certify_id,
        certify_url=certify_url,
        outer_order_no=outer_order_no,
        expires_at=expires_at,
        request_id=answer.request_id,
        raw=answer.envelope,
    )


def read_query(answer: Answer, *, certify_id: str) -> QueryResult:
    """Read the answer to a ``query``. Only ``"T"`` is a pass.

    Raises:
        BadAnswer: it lacks ``passed``.
    """
    passed = answer.text("passed")
    if passed is None:
        raise _incomplete(answer, "passed", certify_id)
    return QueryResult(
        passed=passed == "T",
        certify_id=certify_id,
        identity_info=answer.get("identityInfo"),
        material_info=answer.get("materialInfo"),
        request_id=answer.request_id,
        raw=answer.envelope,
    )


def _incomplete(answer: Answer, missing: str, certify_id: Optional[str]) -> BadAnswer:
    return BadAnswer(
        "The service answered 200 without %s. Report the RequestId to Alibaba Cloud if it happens"
        " again." % missing,
        http_status=200,
        request_id=answer.request_id,
        certify_id=certify_id,
    )


def mapping(value: Any) -> Dict[str, Any]:
    """Return a JSON object, given as itself, as text or as bytes; anything else is empty."""
    if isinstance(value, bytes):
        value = value.decode("utf-8-sig", "replace")
    if isinstance(value, str):
        try:
            value = json.loads(value, parse_int=_whole)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _whole(digits: str) -> int:
    # int() itself refuses so many since 3.7.14; on 3.6 an answer full of them takes seconds.
    if len(digits) > 4300:
        raise ValueError("too many digits")
    return int(digits)


def pick(mapping: Mapping[str, Any], name: str) -> Any:
    """Return a value by its name, or else by its name in another case."""
    if name in mapping:
        return mapping[name]
    for key, value in mapping.items():
        if key.lower() == name.lower():
            return value
    return None


def text_of(mapping: Mapping[str, Any], name: str) -> Optional[str]:
    """Return a value by its name if it is a text that is not empty, else None."""
    value = pick(mapping, name)
    return value if isinstance(value, str) and value else None


def shown_id(mapping: Mapping[str, Any], name: str, private: Tuple[str, ...]) -> Optional[str]:
    """Return an id that may be shown, else None."""
    value = text_of(mapping, name) or ""
    # Two letters of a name are in every other id; a document number is in none by chance, nor is
    # a name in Chinese, in Base64.
    telling = [text for text in private if len(text.encode("utf-8", "replace")) >= 6]
    shown = re.fullmatch("[A-Za-z0-9_-]{1,64}", value) and not repeats(value, telling)
    return value if shown else None
