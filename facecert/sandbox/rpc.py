"""The gateway's checks of a request: parameters, AccessKey, timestamp, signature, nonce.

Written from the published rules (RPC style, signature version 1.0; help.aliyun.com 181860 and
48054), without the SDK, so that each of the two checks the other.
"""

import base64
import calendar
import hashlib
import hmac
import re
import threading
import time
from collections import OrderedDict
from typing import Callable, Dict, Iterable, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import quote

#: Seconds between a request's timestamp and the gateway's clock, at most.
TIME_WINDOW = 15 * 60
#: Seconds for which a nonce stays used.
NONCE_LIFETIME = 31 * 60

_REQUIRED = (
    "Action", "Version", "AccessKeyId", "Timestamp", "SignatureMethod", "SignatureVersion",
    "SignatureNonce", "Signature"
)
_FIXED = {"Version": "2017-03-31", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0"}


class Refusal(Exception):
    """The gateway refuses a request, with this code, message and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message
        self.status = status


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
    """Checks requests against the AccessKeys, the clock and the nonces that were used."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.access_keys: Dict[str, AccessKey] = {}
        self._clock = clock
        #: Nonce -> when it may be used again; the oldest first.
        self._used_nonces: "OrderedDict[str, float]" = OrderedDict()
        self._lock = threading.Lock()

    def check(self, method: str, pairs: Iterable[Tuple[str, str]]) -> Dict[str, str]:
        """Return the parameters of a request, given as pairs of URL and body; or raise Refusal."""
        if method != "POST":
            raise Refusal("UnsupportedHTTPMethod", "This http method is not supported.")
        parameters: Dict[str, str] = {}
        for name, value in pairs:
            if name in parameters:
                raise Refusal("InvalidParameter", "The parameter %s is repeated." % name)
            parameters[name] = value
        _check_parameters(parameters)
        secret = self._access_key(parameters).secret
        self._check_time(parameters["Timestamp"])
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
        if (parameters.get("SecurityToken") or None) != key.security_token:
            code = "InvalidSecurityToken.MismatchWithAccessKey"
            raise Refusal(code, "Specified SecurityToken mismatch with the AccessKey.")
        if not key.active and key.security_token:
            raise Refusal("InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        if not key.active:
            raise Refusal("InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
        return key

    def _check_time(self, timestamp: str) -> None:
        try:
            moment = calendar.timegm(time.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ"))
        except ValueError:
            raise Refusal("InvalidTimeStamp.Format", "Specified time stamp is not well formatted.")
        if abs(self._clock() - moment) > TIME_WINDOW:
            raise Refusal("InvalidTimeStamp.Expired", "Specified time stamp is expired.")

    def _use_nonce(self, nonce: str) -> None:
        now = self._clock()
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
            raise Refusal("Invalid" + name, "Specified parameter %s is not valid." % name)
    if parameters["Action"] != "ExecuteRequest":
        raise Refusal("InvalidAction.NotFound", "Specified api is not found.", 404)
    if parameters.get("Format", "").upper() != "JSON":
        raise Refusal("InvalidParameter.Format", "The sandbox supports JSON only.")


def _encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="~")
