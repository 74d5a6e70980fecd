"""What init and query return, and the decoded response from which they are read.

Sources disagree about the envelope, so its keys are taken in any case, ``Code`` as a number or a
string, ``Data`` as an object, a JSON string or null; unknown keys are kept. The fields are those of
help.aliyun.com 181863.
"""

import json
import re
from contextlib import suppress
from datetime import datetime
from typing import Any, Dict, Mapping, Optional, Tuple, Type, TypeVar, Union

from .errors import BadAnswer
from .redact import Private

Result = TypeVar("Result", bound="_Result")


class Answer:
    """A decoded response: its envelope and the fields of Data.

    The body is JSON as bytes or text; what is no JSON object counts as an empty one. An id that
    repeats one of the ``private`` texts is left out.
    """

    def __init__(self, body: Any, private: Optional[Private] = None) -> None:
        self.private = private or Private()
        self.envelope = _mapping(body)
        self.data = _mapping(_pick(self.envelope, "Data"))

    @property
    def code(self) -> Union[int, str, None]:
        """The service's number, or the gateway's dotted name; None when there is no Code."""
        code = _pick(self.envelope, "Code")
        if isinstance(code, str):
            code = code.strip()
            return int(code) if re.fullmatch("-?[0-9]{1,18}", code) else code or None
        if isinstance(code, float) and code.is_integer():  # 200.0 is JSON's 200, too
            return int(code)
        return code if type(code) is int else None

    @property
    def message(self) -> Optional[str]:
        """The message as it may be shown."""
        message = _pick(self.envelope, "Message")
        return self.private.shown(message) if isinstance(message, str) else None

    @property
    def request_id(self) -> Optional[str]:
        """What Alibaba Cloud's support asks for, if it may be shown."""
        return self.private.shown_name(_pick(self.envelope, "RequestId"), "[A-Za-z0-9-]{1,64}")

    def get(self, name: str) -> Any:
        """Return a field of Data, or of the envelope, where the documentation's table has it."""
        value = _pick(self.data, name)
        return _pick(self.envelope, name) if value is None else value

    def text(self, name: str) -> Optional[str]:
        """Return a field if it is a text that is not empty, else None."""
        value = self.get(name)
        return value if isinstance(value, str) and value else None

    def id(self, name: str) -> Optional[str]:
        """Return a field if it may be an id, else None; ids are shown in logs."""
        return self.private.shown_name(self.get(name), "[A-Za-z0-9_-]{1,64}")

    def incomplete(self, missing: str, certify_id: Optional[str]) -> BadAnswer:
        """Return the error for a response with Code 200 that lacks a field."""
        text = "The service returned Code 200 without %s. Report the RequestId to Alibaba Cloud if"
        evidence = {"request_id": self.request_id, "certify_id": certify_id, "http_status": 200}
        return BadAnswer((text + " it happens again.") % missing, evidence)


class _Result:
    """Immutable. Not a tuple: a tuple that is not empty is true, and ``%`` takes it apart."""

    __slots__: Tuple[str, ...] = ()
    _shown: Tuple[str, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, name):
            delattr(self, name)  # refused, as every change is
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a %s cannot be changed" % type(self).__name__)

    def _fields(self) -> Dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def as_dict(self) -> Dict[str, Any]:
        """Return all fields as a dict that JSON can express, ``raw`` included; times as text."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in self._fields().items()
        }

    @classmethod
    def from_dict(cls: Type[Result], fields: Mapping[str, Any]) -> Result:
        """Return the result whose ``as_dict`` these are; unknown keys are ignored.

        A missing key is a TypeError, a malformed time a ValueError.
        """
        known = {name: fields[name] for name in cls.__slots__ if name in fields}
        if isinstance(known.get("expires_at"), str):
            known["expires_at"] = parse_time(known["expires_at"])
        return cls(**known)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Result) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self._shown))

    def __reduce__(self) -> Any:
        return type(self), tuple(self._fields().values())

    def __repr__(self) -> str:
        shown = ", ".join("%s=%r" % (name, getattr(self, name)) for name in self._shown)
        return "%s(%s)" % (type(self).__name__, shown)


class InitResult(_Result):
    """An opened verification.

    Attributes:
        certify_id: the verification's id. The bill is by this id: store it.
        certify_url: the URL for the person; several hundred characters, valid for one submission.
        outer_order_no: your order number, or the generated one.
        expires_at: aware UTC datetime after which ``certify_url`` is not valid (30 minutes on).
        request_id: what Alibaba Cloud's support asks for.
        raw: the whole response as it was decoded; not part of ``repr``.
    """

    __slots__ = ("certify_id", "certify_url", "outer_order_no", "expires_at", "request_id", "raw")
    _shown = ("certify_id", "outer_order_no", "expires_at", "request_id")

    def __init__(
        self, certify_id: str, certify_url: str, outer_order_no: str, expires_at: datetime,
        request_id: Optional[str] = None, raw: Optional[Dict[str, Any]] = None
    ) -> None:
        self.certify_id = certify_id
        self.certify_url = certify_url
        self.outer_order_no = outer_order_no
        self.expires_at = expires_at
        self.request_id = request_id
        self.raw = raw or {}

    @classmethod
    def read(cls, answer: Answer, outer_order_no: str, expires_at: datetime) -> "InitResult":
        """Read the response to an ``init``; one that is incomplete raises BadAnswer."""
        certify_id, certify_url = answer.id("certifyId"), answer.text("certifyUrl")
        if certify_id is None or certify_url is None:
            raise answer.incomplete("certifyId and certifyUrl", certify_id)
        return cls(certify_id, certify_url, outer_order_no, expires_at, answer.request_id,
                   answer.envelope)


class QueryResult(_Result):
    """What is known of a verification. It is true (``if result:``) only when it was passed.

    Attributes:
        passed: True when the person passed. False means failed *or not yet done*: it is final
            only after the callback came, or once the 30 minutes are over.
        certify_id: the id that was queried.
        identity_info, material_info: reserved by the service, usually empty; not part of ``repr``.
        request_id: what Alibaba Cloud's support asks for.
        raw: the whole response as it was decoded; not part of ``repr``.
    """

    __slots__ = ("passed", "certify_id", "identity_info", "material_info", "request_id", "raw")
    _shown = ("passed", "certify_id", "request_id")

    def __init__(
        self, passed: bool, certify_id: str, identity_info: Any = None, material_info: Any = None,
        request_id: Optional[str] = None, raw: Optional[Dict[str, Any]] = None
    ) -> None:
        self.passed = passed
        self.certify_id = certify_id
        self.identity_info = identity_info
        self.material_info = material_info
        self.request_id = request_id
        self.raw = raw or {}

    def __bool__(self) -> bool:
        return self.passed

    @classmethod
    def read(cls, answer: Answer, certify_id: str) -> "QueryResult":
        """Read the response to a ``query``, in which only ``"T"`` is a pass."""
        passed = answer.text("passed")
        if passed is None:
            raise answer.incomplete("passed", certify_id)
        info = answer.get("identityInfo"), answer.get("materialInfo")
        return cls(passed == "T", certify_id, *info, answer.request_id, answer.envelope)


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time with its zone (``Z`` or ``+08:00``), or raise ValueError."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)", text)
    if match is None:
        raise ValueError("not an ISO 8601 time with a zone")
    # Python 3.6 knows neither datetime.fromisoformat, nor a colon or Z in a zone.
    time, fraction, zone = match.groups(".0")
    zone = zone.replace(":", "").replace("Z", "+0000")
    return datetime.strptime(time + fraction + zone, "%Y-%m-%dT%H:%M:%S.%f%z")


def _mapping(value: Any) -> Dict[str, Any]:
    """Return a JSON object, given as itself, as text or as bytes; anything else is empty."""
    if isinstance(value, bytes):
        value = value.decode("utf-8-sig", "replace")
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value, parse_int=_whole)
    return value if isinstance(value, dict) else {}


def _whole(digits: str) -> int:
    # int() itself refuses so many since 3.7.14; on 3.6 a response full of them takes seconds.
    if len(digits) > 4300:
        raise ValueError("too many digits")
    return int(digits)


def _pick(mapping: Mapping[str, Any], name: str) -> Any:
    """Return a value by its name, or else by its name in another case."""
    if name in mapping:
        return mapping[name]
    return next((value for key, value in mapping.items() if key.lower() == name.lower()), None)
