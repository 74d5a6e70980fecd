"""Reading a callback, and the token that proves which order it belongs to.

A callback is not signed (help.aliyun.com 181863): anyone can send one. So it is a reason to query
and no proof. ``Client.confirm`` checks the token, then it queries.
"""

import base64
import json
import re
from contextlib import suppress
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import parse_qsl, urlsplit

from .errors import CallbackError, invalid
from .links import DEFAULT_ENDPOINT, is_loopback
from .redact import LONE_SURROGATE, Hidden, Private, guarded

#: Characters of a secret at least; the secret is all that a forger does not know.
SHORTEST_SECRET = 16

_LONGEST_QUERY = 8192
_TOKEN_BYTES = 20

#: Name in lower case -> (attribute, pattern, required).
_KNOWN = {
    "certifyid": ("certify_id", "[A-Za-z0-9_-]{1,64}", True),
    "passed": ("passed", "[A-Za-z]{1,8}", True),
    "callbacktoken": ("token", "[!-~]{1,512}", False),
    "order": ("outer_order_no", "[A-Za-z0-9]{1,32}", False),
}

#: One secret, or several during a rotation, the first of which makes new tokens. In a string,
#: blanks separate them.
Secrets = Union[str, Sequence[str], Private]


class Callback:
    """The claims of a callback. **Not** proven: ``Client.confirm`` queries the service.

    Attributes:
        certify_id: the verification that the callback names.
        passed: True when it says ``passed=T``. Anyone can write that.
        token: the callback token, or None.
        outer_order_no: the order number from the URL (``order``), or None.
        others: further parameters, with their names as received.
    """

    __slots__ = ("certify_id", "passed", "_token", "outer_order_no", "others")

    def __init__(
        self, certify_id: str, passed: bool, token: Optional[str] = None,
        outer_order_no: Optional[str] = None, others: Optional[Mapping[str, str]] = None
    ) -> None:
        self.certify_id = certify_id
        self.passed = passed
        self._token = Hidden(token)
        self.outer_order_no = outer_order_no
        self.others = dict(others or {})

    def __repr__(self) -> str:
        shown = "<Callback certify_id=%s outer_order_no=%s, not confirmed>"
        return shown % (self.certify_id, self.outer_order_no)

    @property
    def token(self) -> Optional[str]:
        return self._token.value  # type: ignore[no-any-return]

    @guarded
    def check(
        self, secrets: Secrets, outer_order_no: Optional[str] = None,
        certify_id: Optional[str] = None, endpoint: str = DEFAULT_ENDPOINT
    ) -> None:
        """Check which order and verification the callback is about; see ``Client.confirm``.

        Args:
            endpoint: the endpoint of the client that opened the verification.

        Raises:
            CallbackError: another order, another verification, a missing or a wrong token.
            InvalidParameter: there is neither a secret nor a ``certify_id`` to compare with.
        """
        if certify_id is not None and self.certify_id != certify_id:
            raise CallbackError("The callback is about another verification.")
        if outer_order_no is not None and self.outer_order_no not in (None, outer_order_no):
            raise CallbackError("The callback is about another order.")
        order = outer_order_no or self.outer_order_no
        if secrets and not (
            order and self.token and check_token(secrets, order, self.token, endpoint)
        ):
            words = "The callback's token is missing, or is of another order, secret or endpoint."
            raise CallbackError(words)
        if not secrets and certify_id is None:
            rule = "is missing: without it a callback can only be checked by its certify_id"
            raise invalid("callback_secret", rule)


@guarded
def parse_callback(source: Any, *more: Any) -> Callback:
    """Read a callback as it was received.

    Args:
        source: its URL; or its query string, form body or JSON body as a str; or a mapping of its
            parameters: a dict, Django's ``QueryDict``, werkzeug's ``MultiDict``. Names may be in
            any case.
        more: further parts of the same request.

    Raises:
        CallbackError: a known parameter is missing or malformed, or has two values.
    """
    found: Dict[str, str] = {}
    others: Dict[str, str] = {}
    for name, value in (pair for part in (source, *more) for pair in _pairs(part)):
        key = name.lower()
        if key not in _KNOWN:
            others[name] = value
        elif found.setdefault(key, value) != value:
            raise CallbackError("The callback has two values for one parameter.")
    fields: Dict[str, Any] = {}
    for key, (attribute, pattern, needed) in _KNOWN.items():
        if key in found or needed:
            if not re.fullmatch(pattern, found.get(key, "")):
                raise CallbackError("The callback's %s is missing or malformed." % attribute)
            fields[attribute] = found[key]
    fields["passed"] = fields["passed"] == "T"
    return Callback(others=others, **fields)


@guarded
def make_token(secret: str, outer_order_no: str, endpoint: str = DEFAULT_ENDPOINT) -> str:
    """Return the callback token of an order: 27 URL-safe characters of an HMAC-SHA256.

    The endpoint's host name is bound too: a sandbox's token proves nothing beside the service.

    Args:
        secret: at least 16 characters, known to your servers only.
        endpoint: the URL of the client that opens the verification (``client.endpoint``). Case and
            port do not count; all loopback hosts are one.

    Raises:
        InvalidParameter: the secret is too short, or ``endpoint`` has no host.
    """
    # Imported late, because hashlib is most of what importing facecert would cost.
    import hashlib
    import hmac

    key = check_secrets(secret).value[0].encode("utf-8")
    host = "localhost" if is_loopback(endpoint) else urlsplit(endpoint).hostname
    if not host:
        raise invalid("endpoint", "must be a URL, https://host[:port]")
    message = "facecert callback of %s at %s" % (outer_order_no, host)
    digest = hmac.new(key, message.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:_TOKEN_BYTES]).decode("ascii").rstrip("=")


@guarded
def check_token(
    secrets: Secrets, outer_order_no: str, token: str, endpoint: str = DEFAULT_ENDPOINT
) -> bool:
    """Tell in constant time whether a token belongs to an order at an endpoint; see ``make_token``.

    ``secrets`` is one secret, or several during a rotation; any of them may match.
    """
    import hmac

    given, fits = token.encode("utf-8", "replace"), False
    for secret in check_secrets(secrets).value:
        made = make_token(secret, outer_order_no, endpoint).encode("ascii")
        fits |= hmac.compare_digest(made, given)
    return fits


def check_secrets(secrets: Secrets) -> Private:
    """Return the secrets, the first of which makes new tokens, as an object that hides them."""
    if isinstance(secrets, Private):
        return secrets
    given = [secrets] if isinstance(secrets, str) else list(secrets)
    several = " ".join(given).split() if all(isinstance(one, str) for one in given) else []
    if not several or min(map(len, several)) < SHORTEST_SECRET:
        rule = "must have at least %d characters (a blank separates several secrets)"
        raise invalid("callback_secret", rule % SHORTEST_SECRET)
    if re.search(LONE_SURROGATE, "".join(several)):  # from bytes of the environment
        raise invalid("callback_secret", "is not valid Unicode text")
    return Private(*several)


def url_with_order(callback_url: str, outer_order_no: str) -> str:
    """Put an order number into a callback URL: in place of ``{order}``, or else as ``order=``."""
    if "{order}" in callback_url:
        return callback_url.replace("{order}", outer_order_no)
    head, hash_mark, fragment = callback_url.partition("#")
    if re.search("[?&]order=", head, re.IGNORECASE):
        rule = "has a parameter order= already; write {order} in place of its value"
        raise invalid("callback_url", rule)
    joint = "&" if "?" in head else "?"
    return "%s%sorder=%s%s%s" % (head, joint, outer_order_no, hash_mark, fragment)


def _pairs(source: Any) -> Iterator[Tuple[str, str]]:
    """Yield the parameters; a second question mark may begin more of them."""
    for name, value in _given(source):
        if not isinstance(name, str) or not isinstance(value, str):
            if str(name).lower() in _KNOWN:
                raise CallbackError("The callback's parameters are not texts.")
            continue
        value, mark, more = value.partition("?")
        appended = parse_qsl(more, keep_blank_values=True)
        if any(known.lower() in _KNOWN for known, _ in appended):
            yield name, value
            yield from appended
        else:
            yield name, value + mark + more


def _given(source: Any) -> List[Tuple[Any, Any]]:
    if isinstance(source, str):
        if len(source) > _LONGEST_QUERY:
            raise CallbackError("The callback is too long.")
        if source.lstrip("\ufeff\t\r\n ").startswith("{"):
            with suppress(ValueError, RecursionError):  # the error would hold its input
                return list(json.loads(source.lstrip("\ufeff"), object_pairs_hook=list))
            raise CallbackError("The callback is not valid JSON.")
        # With a "?" it is a URL, else it is the query alone.
        query = source.partition("#")[0].partition("?")[2] if "?" in source else source
        return list(parse_qsl(query, keep_blank_values=True))
    if hasattr(source, "getlist"):
        return [(name, value) for name in source for value in source.getlist(name)]
    if not isinstance(source, Mapping):
        raise CallbackError("A callback is a URL, a query string, or a mapping.")
    several = [(name, value if isinstance(value, (list, tuple)) else [value])
               for name, value in source.items()]
    return [(name, value) for name, values in several for value in values]
