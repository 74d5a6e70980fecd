"""One call: what the sandbox received, the gateway's checks, and the response.

The checks are written from the published rules (RPC style, signature version 1.0; help.aliyun.com
181860 and 48054), without the SDK, so that each of the two checks the other.
"""

import base64
import calendar
import hashlib
import hmac
import json
import re
import threading
import time
import uuid
from collections import OrderedDict
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl, quote
from xml.etree import ElementTree

from .faults import NO_FAULT, Faults, Refusal
from .service import Service, read_fields

#: Seconds between a request's timestamp and the gateway's clock, at most.
TIME_WINDOW = 15 * 60
#: Seconds for which a nonce stays used.
NONCE_LIFETIME = 31 * 60
#: The status of a response that is not sent: the listener cuts the connection. (nginx's code.)
CUT = 444

HOST_ID = "saf.cn-shanghai.aliyuncs.com"
#: A character that XML 1.0 does not allow. A parameter that Message repeats may hold some.
_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_PAGE_502 = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"

_REQUIRED = (
    "Action Version AccessKeyId Timestamp SignatureMethod SignatureVersion SignatureNonce Signature"
).split()
_FIXED = {"Version": "2017-03-31", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0"}


class AccessKey(NamedTuple):
    """An AccessKey of the sandbox; not ``active``: it is disabled, or its STS token expired."""

    secret: str
    security_token: Optional[str] = None
    active: bool = True


def looks_real(access_key_id: str) -> bool:
    """Tell whether an AccessKey id has the form of a real one, which a sandbox must not store."""
    return re.match(r"LTAI|STS\.N", access_key_id) is not None


def string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """Return the text that is signed: all parameters but Signature, sorted and encoded twice."""
    pairs = sorted(item for item in parameters.items() if item[0] != "Signature")
    canonical = "&".join("%s=%s" % (_encode(name), _encode(value)) for name, value in pairs)
    return "%s&%%2F&%s" % (method, _encode(canonical))


def signature(text: str, secret: str) -> str:
    """Return the HMAC-SHA1 of a string to sign, in Base64."""
    digest = hmac.new((secret + "&").encode("utf-8"), text.encode("utf-8"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


class Gate:
    """Checks requests against the AccessKeys, the clock and the used nonces."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.access_keys: Dict[str, AccessKey] = {}
        self.clock = clock
        #: Nonce -> when it may be used again; the oldest first.
        self._used_nonces: "OrderedDict[str, float]" = OrderedDict()
        self._lock = threading.Lock()

    def check(self, method: str, pairs: Iterable[Tuple[str, str]]) -> Dict[str, str]:
        """Return the parameters of a request, given as pairs of URL and body; or raise Refusal."""
        if method not in ("GET", "POST"):
            raise Refusal("UnsupportedHTTPMethod", "This http method is not supported.", 403)
        parameters: Dict[str, str] = {}
        for name, value in pairs:
            if name in parameters:
                raise Refusal("InvalidParameter", "The parameter %s is repeated." % name)
            parameters[name] = value
        _check_parameters(parameters)
        secret = self._access_key(parameters).secret
        try:
            sent = time.strptime(parameters["Timestamp"], "%Y-%m-%dT%H:%M:%SZ")
        except ValueError:
            raise Refusal("InvalidTimeStamp.Format", "Specified time stamp is not well formatted.")
        if abs(self.clock() - calendar.timegm(sent)) > TIME_WINDOW:
            message = "Specified time stamp or date value is expired."
            raise Refusal("InvalidTimeStamp.Expired", message)
        text = string_to_sign(method, parameters)
        right = signature(text, secret).encode("ascii")
        if not hmac.compare_digest(right, parameters["Signature"].encode("utf-8", "replace")):
            # The real gateway repeats the string to sign, with the personal data in it.
            message = "Specified signature is not matched with our calculation."
            message += " server string to sign is:" + text
            raise Refusal("SignatureDoesNotMatch", message)
        self._use_nonce(parameters["SignatureNonce"])
        return parameters

    def forget_nonces(self) -> None:
        """Forget which nonces were used."""
        with self._lock:
            self._used_nonces.clear()

    def _access_key(self, parameters: Mapping[str, str]) -> AccessKey:
        key = self.access_keys.get(parameters["AccessKeyId"])
        if key is None:
            message = "Specified access key is not found."
            if looks_real(parameters["AccessKeyId"]):
                message += " (This is a sandbox: do not send it real AccessKeys.)"
            raise Refusal("InvalidAccessKeyId.NotFound", message, 404)
        token = parameters.get("SecurityToken") or None
        if key.security_token and not token:
            raise Refusal("MissingSecurityToken", "SecurityToken is mandatory for this action.")
        if token != key.security_token:
            code = "InvalidSecurityToken.MismatchWithAccessKey"
            raise Refusal(code, "Specified SecurityToken mismatch with the AccessKey.")
        if not key.active and key.security_token:
            raise Refusal("InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        if not key.active:
            raise Refusal("InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
        return key

    def _use_nonce(self, nonce: str) -> None:
        now = self.clock()
        with self._lock:
            while self._used_nonces and next(iter(self._used_nonces.values())) <= now:
                self._used_nonces.popitem(last=False)
            if nonce in self._used_nonces:
                raise Refusal("SignatureNonceUsed", "Specified signature nonce was used already.")
            self._used_nonces[nonce] = now + NONCE_LIFETIME


def _check_parameters(parameters: Mapping[str, str]) -> None:
    for name in _REQUIRED:
        if not parameters.get(name):
            raise Refusal("Missing" + name, "%s is mandatory for this action." % name)
    for name, value in _FIXED.items():
        if parameters[name] != value:
            message = "Specified parameter %s is not valid. It must be %s." % (name, value)
            raise Refusal("Invalid" + name, message)
    if parameters["Action"] != "ExecuteRequest":
        raise Refusal("InvalidAction.NotFound", "Specified api is not found.", 404)


def _encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="~")


class ReceivedRequest(NamedTuple):
    """One call as the sandbox received it. Its repr shows neither parameters nor headers.

    ``query`` and ``form`` are the parameters of the URL and of the body. ``peer`` is the client's
    address and port, equal for calls on one connection. ``received_at`` is in Unix seconds.
    """

    method: str
    query: Dict[str, str]
    form: Dict[str, str]
    headers: Dict[str, str]
    peer: Tuple[str, int]
    received_at: float = 0.0
    fault: Optional[str] = None

    @property
    def service_parameters(self) -> Dict[str, Any]:
        """The fields of the call, or ``{}`` when they are not a JSON object."""
        return read_fields(dict(self.query, **self.form).get("ServiceParameters", ""))

    def __repr__(self) -> str:
        return "<ReceivedRequest %s %s>" % (self.method, self.service_parameters.get("method"))


class Response(NamedTuple):
    """The response to one call; with the status ``CUT`` none is sent."""

    status: int
    content_type: str
    text: str


class Exchange:
    """Passes a call through the gate and the faults to the service, and returns the response."""

    def __init__(self, gate: Gate, service: Service, data_as_text: bool = False) -> None:
        self.requests: List[ReceivedRequest] = []
        self.faults = Faults()
        self._gate = gate
        self._service = service
        self._data_as_text = data_as_text

    def answer(
        self, method: str, query: str, form: str, headers: Dict[str, str], peer: Tuple[str, int]
    ) -> Response:
        """Return the response to one call. ``query`` and ``form`` are still URL-encoded."""
        in_query = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
        in_form = parse_qsl(form, keep_blank_values=True, errors="surrogateescape")
        now, parameters, fault = self._gate.clock(), dict(in_query + in_form), NO_FAULT
        request = ReceivedRequest(method, dict(in_query), dict(in_form), headers, peer, now)
        # JSON also when Format is missing, empty or unknown.
        as_xml = parameters.get("Format", "").upper() == "XML"
        envelope: Dict[str, Any] = {"RequestId": str(uuid.uuid4()).upper()}
        try:
            try:
                self._gate.check(method, in_query + in_form)
                # Not before the check, because a fault strikes only calls that pass it.
                fault = self.faults.take(request.service_parameters.get("method"))
            finally:
                if not looks_real(parameters.get("AccessKeyId", "")):
                    self.requests.append(request._replace(fault=fault.name or None))
            order = [parameters.get(name, "") for name in ("Service", "ServiceParameters")]
            code, message, data = fault.instead(parameters) or self._service.execute(*order)
        except Refusal as refusal:
            envelope.update(HostId=HOST_ID, Code=refusal.code, Message=refusal.message)
            return _response(refusal.status, as_xml, envelope)
        envelope.update(Message=message, Code=code)
        if data is not None:
            envelope["Data"] = data
        response = _response(200, as_xml, fault.bend(envelope, self._data_as_text))
        if fault.name == "html-502":
            response = Response(502, "text/html", _PAGE_502)
        elif fault.name == "truncated":
            response = response._replace(text=response.text[: len(response.text) // 2])
        return response._replace(status=CUT) if fault.delay() else response


def _response(status: int, as_xml: bool, envelope: Mapping[str, Any]) -> Response:
    if as_xml:
        root = _element("ExecuteRequestResponse" if status == 200 else "Error", envelope)
        text = "<?xml version='1.0' encoding='UTF-8'?>" + ElementTree.tostring(root, "unicode")
        return Response(status, "text/xml;charset=utf-8", text)
    text = json.dumps(envelope, ensure_ascii=False)
    # A parameter that the text repeats may hold bytes that are not UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return Response(status, "application/json;charset=utf-8", text)


def _element(name: str, value: Any) -> ElementTree.Element:
    element = ElementTree.Element(name)
    if isinstance(value, dict):
        element.extend([_element(key, inner) for key, inner in value.items()])
    elif value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        element.text = re.sub(_NOT_XML, "?", text)
    return element
