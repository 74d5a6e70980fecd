"""ServiceParameters of init and query: checked, built, serialised, and how their answer is read.

The one place that says what a scene id, an order number and a certify_id may be. The rules are
those of help.aliyun.com 181863 (SDK 调用接入).
"""

import json
import os
import re
from contextlib import suppress
from datetime import datetime
from typing import Any, Dict, Iterator, Mapping, Optional, Union
from urllib.parse import urlsplit

from .callback import make_token, url_with_order
from .errors import invalid
from .identity import Person, check_text
from .lifecycle import LIFETIME
from .links import DEFAULT_ENDPOINT, is_loopback
from .redact import Hidden, Private
from .results import Answer, InitResult, QueryResult

BIZ_CODES = ("FACE", "FACE_SDK")

#: Wire names that have an argument of their own; ``extra`` must not bypass its check.
_NAMED = frozenset(
    "method sceneId outerOrderNo bizCode identityType certType certName certNo returnUrl"
    " callbackUrl callbackToken encryptType certifyId encToken".split()
)


class ServiceParameters:
    """The fields of one call. Its repr names the method and the order number or certify_id.

    Attributes:
        private: the texts that must not be shown when the call fails.
    """

    __slots__ = ("hidden", "private", "method", "scene_id", "outer_order_no", "certify_id")

    def __init__(self, fields: Mapping[str, Any], private: Optional[Private] = None) -> None:
        self.hidden = Hidden(_serialise(fields))
        self.private = private or Private()
        self.method: str = fields["method"]
        self.scene_id: str = fields["sceneId"]
        self.outer_order_no: str = fields.get("outerOrderNo", "")
        self.certify_id: str = fields.get("certifyId", "")

    def __repr__(self) -> str:
        return "<ServiceParameters %s %s>" % (self.method, self.outer_order_no or self.certify_id)

    @property
    def json(self) -> str:
        """The JSON text that is sent."""
        return str(self.hidden.value)

    @property
    def repeatable(self) -> bool:
        """True when sending the call twice does no harm."""
        return self.method == "query"

    def read(self, answer: Answer, sent_at: datetime) -> Union[InitResult, QueryResult]:
        """Return the result in the answer to this call, which was sent at ``sent_at``."""
        if self.repeatable:
            return QueryResult.read(answer, self.certify_id)
        return InitResult.read(answer, self.outer_order_no, sent_at + LIFETIME)


def init_parameters(
    person: Person, *, scene_id: Optional[str], biz_code: str = "FACE",
    outer_order_no: Optional[str] = None, return_url: Optional[str] = "",
    callback_url: Optional[str] = None, callback_token: Optional[str] = None,
    extra: Optional[Mapping[str, Any]] = None, endpoint: str = DEFAULT_ENDPOINT,
    callback_secrets: Private = Private()
) -> ServiceParameters:
    """Check and build the fields of ``init``; see ``Client.init`` for what they mean.

    The first of ``callback_secrets`` makes the token when none is given.
    """
    if biz_code not in BIZ_CODES:
        raise invalid("biz_code", "must be FACE or FACE_SDK")
    order = check_order_no(outer_order_no)
    if any(len(text) >= 8 and text.lower() in order.lower() for text in person.private.value):
        rule = "must not hold the name or number: it is shown in logs and callbacks"
        raise invalid("outer_order_no", rule)
    fields = {
        "method": "init",
        "sceneId": check_scene_id(scene_id),
        "outerOrderNo": order,
        "bizCode": biz_code,
        "identityType": "CERT_INFO",
        "certType": "IDENTITY_CARD",
        "certName": person.name,
        "certNo": person.number,
        # JSON null is said to break the H5 page, so "" stands for no URL.
        "returnUrl": "" if return_url in (None, "") else check_text("return_url", return_url),
    }
    if person.encrypted:
        fields["encryptType"] = "SM2"
    if callback_url is not None and callback_token is None and callback_secrets:
        callback_url = url_with_order(check_text("callback_url", callback_url), order)
        callback_token = make_token(callback_secrets.value[0], order, endpoint)
    elif isinstance(callback_url, str):
        callback_url = callback_url.replace("{order}", order)
    if callback_url is not None:
        fields["callbackUrl"] = _callback_url(callback_url, is_loopback(endpoint))
    if callback_token is not None:
        if check_text("callback_token", callback_token) != callback_token:
            raise invalid("callback_token", "must not begin or end with a blank")
        fields["callbackToken"] = callback_token
    private = person.private + Private(callback_token) + _add_extra(fields, extra)
    return ServiceParameters(fields, private)


def query_parameters(
    certify_id: str, *, scene_id: Optional[str], enc_token: Optional[str] = None,
    extra: Optional[Mapping[str, Any]] = None
) -> ServiceParameters:
    """Check and build the fields of ``query``; see ``Client.query`` for what they mean."""
    fields = {"method": "query", "certifyId": check_certify_id(certify_id)}
    fields["sceneId"] = check_scene_id(scene_id)
    private = _add_extra(fields, extra) + Private(enc_token)
    if enc_token is not None:
        if not isinstance(enc_token, str) or not re.fullmatch("[A-Za-z0-9+/]{342}==", enc_token):
            raise invalid("enc_token", "must be the 344 characters of PictureKey.enc_token")
        fields["encToken"] = enc_token
    return ServiceParameters(fields, private)


def check_scene_id(scene_id: Optional[str], field: str = "scene_id") -> str:
    """Return a scene id: a string of 1 to 32 digits, as the console shows it."""
    if scene_id is None:
        rule = "is missing: pass it, give it to Client, or set FACECERT_SCENE_ID (the console shows"
        raise invalid(field, rule + " it, e.g. 1000000006)")
    if not isinstance(scene_id, str) or not re.fullmatch("[0-9]{1,32}", scene_id):
        rule = "must be a string of digits as the console shows it, e.g. '1000000006'"
        raise invalid(field, rule)
    return scene_id


def check_order_no(outer_order_no: Optional[str]) -> str:
    """Return an order number: 1 to 32 ASCII letters and digits; for None a new one."""
    if outer_order_no is None:
        return os.urandom(16).hex()
    if not isinstance(outer_order_no, str) or not re.fullmatch("[A-Za-z0-9]{1,32}", outer_order_no):
        raise invalid("outer_order_no", "must be 1 to 32 ASCII letters and digits")
    return outer_order_no


def check_certify_id(certify_id: Any, shortest: int = 1) -> str:
    """Return a verification's id; lenient, because only a field report says what it looks like.

    ``shortest`` is 20 for an id from a file or a database: the column may be the wrong one.
    """
    if isinstance(certify_id, str):
        # A document number must be neither sent nor shown.
        if re.fullmatch("[0-9]{1,31}[Xx]?", certify_id) or len(certify_id) < shortest:
            rule = "is a number or too short. Was the wrong column or variable taken?"
            raise invalid("certify_id", rule)
        if re.fullmatch("[A-Za-z0-9_-]{1,64}", certify_id):
            return certify_id
    raise invalid("certify_id", "must be the id that init returned (32 hexadecimal characters)")


def _callback_url(url: str, loopback: bool) -> str:
    url = check_text("callback_url", url)
    plain = url.startswith("http://") and loopback and is_loopback(url)
    with suppress(ValueError):
        if (plain or url.startswith("https://")) and urlsplit(url).hostname:
            return url
    rule = "must begin with https:// (http:// only on this machine, with a sandbox)"
    raise invalid("callback_url", rule)


def _add_extra(fields: Dict[str, Any], extra: Optional[Mapping[str, Any]]) -> Private:
    """Add the fields that this release does not know; return the texts among their values."""
    extra = {} if extra is None else extra
    if not isinstance(extra, Mapping):
        raise invalid("extra", "must be a dict of further fields")
    for key in extra:
        if not isinstance(key, str) or not key or key in _NAMED:
            raise invalid("extra", "may only hold fields that have no argument of their own")
    _serialise(dict(extra))
    fields.update(extra)
    return Private(*_texts(extra))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (str, int, float)) and len(str(value)) >= 6:
        yield str(value)
    elif isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _serialise(fields: Mapping[str, Any]) -> str:
    with suppress(TypeError, ValueError, RecursionError):  # because they may quote the value
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)
    raise invalid("extra", "holds a value that JSON cannot express")
