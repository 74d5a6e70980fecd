"""ServiceParameters of init and query: checked, built, serialised. Nothing is sent from here.

The rules are those of help.aliyun.com 181863 (SDK 调用接入).
"""

import json
import os
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from .callback import make_token, url_with_order
from .errors import InvalidParameter
from .identity import Person, check_text
from .links import is_loopback

BIZ_CODES = ("FACE", "FACE_SDK")

_ORDER_NO = "[A-Za-z0-9]{1,32}"
_CERTIFY_ID = "[A-Za-z0-9_-]{1,64}"

#: Wire names that have an argument of their own, so that ``extra`` cannot go round its check.
_NAMED = frozenset(
    "method sceneId outerOrderNo bizCode identityType certType certName certNo returnUrl"
    " callbackUrl callbackToken encryptType certifyId encToken".split()
)


class ServiceParameters:
    """The fields of one call. Its repr names the method and the order number or certify_id."""

    def __init__(
        self, fields: Mapping[str, Any], *, private: Tuple[str, ...] = (), repeatable: bool = False
    ) -> None:
        #: The JSON text that travels.
        self.json: str = _serialise(fields)
        #: What must not be shown anywhere when this call fails.
        self.private = private
        #: True when sending it twice does no harm.
        self.repeatable = repeatable
        self.method: str = fields["method"]
        self.scene_id: str = fields["sceneId"]
        self.outer_order_no: Optional[str] = fields.get("outerOrderNo")
        self.certify_id: Optional[str] = fields.get("certifyId")

    def __repr__(self) -> str:
        return "<ServiceParameters %s %s>" % (self.method, self.outer_order_no or self.certify_id)


def init_parameters(
    person: Person,
    *,
    scene_id: Optional[str],
    biz_code: str = "FACE",
    outer_order_no: Optional[str] = None,
    return_url: Optional[str] = "",
    callback_url: Optional[str] = None,
    callback_token: Optional[str] = None,
    extra: Optional[Mapping[str, Any]] = None,
    loopback: bool = False,
    callback_secrets: Sequence[str] = ()
) -> ServiceParameters:
    """Check and build the fields of ``init``; see ``Client.init`` for what they mean.

    Args:
        loopback: True when the endpoint is on this machine; then ``callback_url`` may be
            ``http://`` on this machine too.
        callback_secrets: the first one makes the token, where none is given; then the order
            number goes into the callback's URL.

    Raises:
        InvalidParameter: naming the field, never showing its value.
    """
    if biz_code not in BIZ_CODES:
        raise InvalidParameter("biz_code must be FACE or FACE_SDK", field="biz_code")
    if outer_order_no is None:
        outer_order_no = os.urandom(16).hex()
    check_order_no(outer_order_no)
    if any(len(text) >= 8 and text.lower() in outer_order_no.lower() for text in person.private):
        raise InvalidParameter(
            "outer_order_no must not hold the name or number: it is shown in logs and callbacks",
            field="outer_order_no",
        )
    fields = {
        "method": "init",
        "sceneId": check_scene_id(scene_id),
        "outerOrderNo": outer_order_no,
        "bizCode": biz_code,
        "identityType": "CERT_INFO",
        "certType": "IDENTITY_CARD",
        "certName": person.name,
        "certNo": person.number,
        # JSON null is said to break it, so a missing one is sent as "".
        "returnUrl": "" if return_url in (None, "") else check_text("return_url", return_url),
    }
    private = list(person.private)
    if person.encrypted:
        fields["encryptType"] = "SM2"
    if callback_url is not None and callback_token is None and callback_secrets:
        callback_url = url_with_order(check_text("callback_url", callback_url), outer_order_no)
        callback_token = make_token(callback_secrets[0], outer_order_no)
    if callback_url is not None:
        fields["callbackUrl"] = _callback_url(callback_url, loopback)
    if callback_token is not None:
        if check_text("callback_token", callback_token) != callback_token:
            raise InvalidParameter(
                "callback_token must not begin or end with a blank", field="callback_token"
            )
        fields["callbackToken"] = callback_token
        private.append(callback_token)
    private += _add_extra(fields, extra or {})
    return ServiceParameters(fields, private=tuple(private))


def check_order_no(outer_order_no: str) -> str:
    """Return an order number: 1 to 32 ASCII letters and digits."""
    if not isinstance(outer_order_no, str) or not re.fullmatch(_ORDER_NO, outer_order_no):
        raise InvalidParameter(
            "outer_order_no must be 1 to 32 ASCII letters and digits", field="outer_order_no"
        )
    return outer_order_no


def check_certify_id(certify_id: str) -> str:
    """Return a verification's id; lenient, as only a field report says what it looks like.

    Raises:
        InvalidParameter: it has other than 1 to 64 letters, digits, ``_`` and ``-``.
    """
    if not isinstance(certify_id, str) or not re.fullmatch(_CERTIFY_ID, certify_id):
        raise InvalidParameter(
            "certify_id must be the id that init returned (32 hexadecimal characters)",
            field="certify_id",
        )
    return certify_id


def check_stored_id(certify_id: Any, shortest: int = 20) -> str:
    """Return a ``certify_id`` that was read from a file, a bill or a database.

    Raises:
        InvalidParameter: the value has fewer than ``shortest`` characters, or only digits. It
            may be a name, a document number or an amount from the wrong column, so it is neither
            sent nor shown.
    """
    if isinstance(certify_id, str) and re.fullmatch("[0-9]{1,31}[Xx]?", certify_id):
        raise InvalidParameter(
            "certify_id is the number of something else. Was the wrong column taken?",
            field="certify_id",
        )
    if isinstance(certify_id, str) and len(certify_id) < shortest:
        raise InvalidParameter(
            "certify_id is too short. Was the wrong column taken?", field="certify_id"
        )
    return check_certify_id(certify_id)


def check_scene_id(scene_id: Optional[str], field: str = "scene_id") -> str:
    """Return a scene id: a string of 1 to 32 digits, as the console shows it."""
    if scene_id is None:
        raise InvalidParameter(
            "scene_id is missing: pass it, give it to Client, or set FACECERT_SCENE_ID"
            " (the console shows it, e.g. 1000000006)",
            field=field,
        )
    if not isinstance(scene_id, str) or not re.fullmatch("[0-9]{1,32}", scene_id):
        raise InvalidParameter(
            "%s must be a string of digits as the console shows it, e.g. '1000000006'" % field,
            field=field,
        )
    return scene_id


def query_parameters(
    certify_id: str,
    *,
    scene_id: Optional[str],
    enc_token: Optional[str] = None,
    extra: Optional[Mapping[str, Any]] = None
) -> ServiceParameters:
    """Check and build the fields of ``query``.

    Raises:
        InvalidParameter: naming the field, never showing its value.
    """
    fields = {
        "method": "query",
        "certifyId": check_certify_id(certify_id),
        "sceneId": check_scene_id(scene_id),
    }
    private = _add_extra(fields, extra or {})
    if enc_token is not None:
        if not isinstance(enc_token, str) or not re.fullmatch("[A-Za-z0-9+/]{342}==", enc_token):
            raise InvalidParameter(
                "enc_token must be the 344 characters of PictureKey.enc_token", field="enc_token"
            )
        fields["encToken"] = enc_token
        private.append(enc_token)
    return ServiceParameters(fields, private=tuple(private), repeatable=True)


def _callback_url(url: str, loopback: bool) -> str:
    url = check_text("callback_url", url)
    try:
        parts = urlsplit(url)
        secure = url.startswith("https://") or (
            url.startswith("http://") and loopback and is_loopback(url)
        )
        allowed = secure and bool(parts.hostname)
    except ValueError:
        allowed = False
    if not allowed:
        raise InvalidParameter(
            "callback_url must begin with https:// (http:// only on this machine, with a sandbox)",
            field="callback_url",
        )
    return url


def _add_extra(fields: Dict[str, Any], extra: Mapping[str, Any]) -> List[str]:
    """Add the fields that this release does not know; return the texts among their values."""
    if not isinstance(extra, Mapping):
        raise InvalidParameter("extra must be a dict of further fields", field="extra")
    if not extra:
        return []
    for key in extra:
        if not isinstance(key, str) or not key or key in _NAMED:
            raise InvalidParameter(
                "extra may only hold fields that have no argument of their own", field="extra"
            )
    _serialise(dict(extra))
    fields.update(extra)
    return list(_texts(extra))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (str, int, float)) and len(str(value)) >= 6:
        yield str(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _serialise(fields: Mapping[str, Any]) -> str:
    try:
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        # Only extra can hold such a thing.
        pass
    raise InvalidParameter("extra holds a value that JSON cannot express", field="extra")
