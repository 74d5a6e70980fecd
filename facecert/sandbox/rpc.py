"""The gateway's first look at a request: signature, AccessKey, time and nonce.

Written from the published rules (RPC style, signature version 1.0; help.aliyun.com 181860 and
48054) and not with the SDK, so that the two check each other.
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

ACTION = "ExecuteRequest"
VERSION = "2017-03-31"

#: Seconds that a request's timestamp may lie off.
TIME_WINDOW = 15 * 60
#: Seconds for which a nonce stays used.
NONCE_LIFETIME = 31 * 60

_REQUIRED = (
    "Action",
    "Version",
    "AccessKeyId",
    "Timestamp",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureNonce",
    "Signature",
)


class Refusal(Exception):
    """The gateway turns a request down."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.message = message


class AccessKey(NamedTuple):
    """An AccessKey that the sandbox knows. ``active=False``: disabled, or an STS token run out."""

    secret: str
    security_token: Optional[str] = None
    active: bool = True


def looks_real(access_key_id: str) -> bool:
    """Tell whether an AccessKey id has the form of a real one; a sandbox must not see those."""
    return re.match(r"LTAI|STS\.N", access_key_id) is not None


def string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """Return what is signed: every parameter but the signature, sorted and encoded twice."""
    pairs = sorted(item for item in parameters.items() if item[0] != "Signature")
    canonical = "&".join("%s=%s" % (_encode(name), _encode(value)) for name, value in pairs)
    return "%s&%%2F&%s" % (method, _encode(canonical))


def signature(text: str, secret: str) -> str:
    """Return the HMAC-SHA1 of a string to sign, in Base64."""
    digest = hmac.new((secret + "&").encode("utf-8"), text.encode("utf-8"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


class Gate:
    """Lets a request through, or raises a Refusal.

    Args:
        clock: returns the time as seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.access_keys: Dict[str, AccessKey] = {}
        self._clock = clock
        #: nonce -> when it may come again; the oldest first.
        self._used_nonces: "OrderedDict[str, float]" = OrderedDict()
        self._lock = threading.Lock()

    def check(self, method: str, pairs: Iterable[Tuple[str, str]]) -> Dict[str, str]:
        """Check one request and return its parameters.

        Args:
            method: the HTTP method.
            pairs: the parameters of query string and form body together.

        Raises:
            Refusal: in the gateway's own words.
        """
        if method != "POST":
            raise Refusal("UnsupportedHTTPMethod", 400, "This http method is not supported.")
        parameters: Dict[str, str] = {}
        for name, value in pairs:
            if name in parameters:
                raise Refusal("InvalidParameter", 400, "The parameter %s is repeated." % name)
            parameters[name] = value
        self._check_common(parameters)
        key = self._access_key(parameters)
        self._check_time(parameters["Timestamp"])
        text = string_to_sign(method, parameters)
        if not hmac.compare_digest(
            signature(text, key.secret).encode("ascii"),
            parameters["Signature"].encode("utf-8", "replace"),
        ):
            # The real gateway repeats the string to sign, personal data and all.
            raise Refusal(
                "SignatureDoesNotMatch",
                400,
                "Specified signature is not matched with our calculation. server string to sign"
                " is:" + text,
            )
        self._use_nonce(parameters["SignatureNonce"])
        return parameters

    def forget_nonces(self) -> None:
        """Start with no nonce used."""
        with self._lock:
            self._used_nonces.clear()

    def _check_common(self, parameters: Mapping[str, str]) -> None:
        for name in _REQUIRED:
            if not parameters.get(name):
                raise Refusal("Missing" + name, 400, "%s is mandatory for this action." % name)
        if parameters["Version"] != VERSION:
            raise Refusal("InvalidVersion", 400, "Specified parameter Version is not valid.")
        if parameters["Action"] != ACTION:
            raise Refusal("InvalidAction.NotFound", 404, "Specified api is not found.")
        if parameters.get("Format", "").upper() != "JSON":
            raise Refusal("InvalidParameter.Format", 400, "The sandbox speaks JSON only.")
        if parameters["SignatureMethod"] != "HMAC-SHA1":
            raise Refusal("InvalidSignatureMethod", 400, "SignatureMethod must be HMAC-SHA1.")
        if parameters["SignatureVersion"] != "1.0":
            raise Refusal("InvalidSignatureVersion", 400, "SignatureVersion must be 1.0.")

    def _access_key(self, parameters: Mapping[str, str]) -> AccessKey:
        access_key_id = parameters["AccessKeyId"]
        key = self.access_keys.get(access_key_id)
        if key is None:
            message = "Specified access key is not found."
            if looks_real(access_key_id):
                message += " (This is a sandbox: do not send it real AccessKeys.)"
            raise Refusal("InvalidAccessKeyId.NotFound", 404, message)
        token = parameters.get("SecurityToken") or None
        if token != key.security_token:
            raise Refusal(
                "InvalidSecurityToken.MismatchWithAccessKey",
                400,
                "Specified SecurityToken mismatch with the AccessKey.",
            )
        if not key.active and key.security_token:
            raise Refusal(
                "InvalidSecurityToken.Expired", 400, "Specified SecurityToken is expired."
            )
        if not key.active:
            raise Refusal("InvalidAccessKeyId.Inactive", 400, "Specified access key is disabled.")
        return key

    def _check_time(self, timestamp: str) -> None:
        try:
            moment = calendar.timegm(time.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ"))
        except ValueError:
            raise Refusal(
                "InvalidTimeStamp.Format", 400, "Specified time stamp is not well formatted."
            )
        if abs(self._clock() - moment) > TIME_WINDOW:
            raise Refusal(
                "InvalidTimeStamp.Expired", 400, "Specified time stamp or date value is expired."
            )

    def _use_nonce(self, nonce: str) -> None:
        now = self._clock()
        with self._lock:
            while self._used_nonces and next(iter(self._used_nonces.values())) <= now:
                self._used_nonces.popitem(last=False)
            if nonce in self._used_nonces:
                raise Refusal(
                    "SignatureNonceUsed", 400, "Specified signature nonce was used already."
                )
            self._used_nonces[nonce] = now + NONCE_LIFETIME


def _encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="~")
