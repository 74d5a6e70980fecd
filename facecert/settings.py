"""The settings of a Client: one rule for each argument and its ``FACECERT_*`` variable."""

import re
from contextlib import suppress
from typing import Any, Callable, Dict, Mapping, Tuple
from urllib.parse import urlsplit

from .errors import invalid
from .crypto.sm2 import PublicKey
from .links import is_loopback
from .params import check_scene_id
from .redact import guarded

MOST_ATTEMPTS, MOST_PER_DAY = 10, 10 ** 9

#: What is wrong with a value -> what shows it. No valid value holds it.
_FAULTS = {
    "has quotation marks around it: write it without them": r"\A[\"'“”‘’＂＇]|[\"'“”‘’＂＇]\Z",
    "is a placeholder: write the value itself": (
        r"\$\{\w+\}|\{\{.*\}\}|\*{3}"
        r"|\A(<.*>|\$[A-Z_][A-Z0-9_]+(/.*)?|\$\(.*\)|%\w+%)\Z"
        r"|\A(?i:your[-_ ]?(access|key|secret|scene|token))"
    ),
    "has a comment behind it: write the comment on a line of its own": r"\s#\s",
    "contains a control or invisible character: type it again":
        "[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060\ufeff]",
}  # fmt: skip

_BASE_URL = r"https?://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?"


def check_form(value: str, field: str) -> str:
    """Return a setting's value without the blanks around it, or say what is wrong with its form."""
    value = value.strip()
    for fault, sign in _FAULTS.items():
        if re.search(sign, value, re.S):
            raise invalid(field, fault)
    return value


def check_endpoint(endpoint: str, field: str = "endpoint") -> str:
    """Return the endpoint as ``https://host[:port]``.

    Plain HTTP is refused unless the host is loopback: the body carries a name and a number.
    """
    if not isinstance(endpoint, str) or not endpoint.strip():
        raise invalid(field, "must be a URL, https://host[:port]")
    url = endpoint.strip().rstrip("/")
    if "://" not in url:
        url = "https://" + url
    if not re.fullmatch(_BASE_URL, url) or not _has_address(url):
        raise invalid(field, "must be https:// with a host and perhaps a port, nothing else")
    if url.startswith("http://") and not is_loopback(url):
        raise invalid(field, "must begin with https://; http:// is for a sandbox on this machine")
    return url


def _has_address(url: str) -> bool:
    """Tell whether host and port are valid; releases of urllib differ about brackets."""
    import ipaddress

    with suppress(ValueError):
        parts = urlsplit(url)
        if "[" in url:
            ipaddress.IPv6Address(parts.hostname or "")
        return bool(parts.hostname) and parts.port != 0
    return False


def check_public_url(url: Any, endpoint: str, prefix: str = "FACECERT_") -> str:
    """Return where the service reaches an app: ``https://host[:port][/path]``, without a last /.

    Plain HTTP is for an app on this machine that has a sandbox as its endpoint.
    """
    field = prefix + "PUBLIC_URL"
    parts = re.fullmatch(r"\s*([^/\s]+://[^/?#\s]+)(/[^?#\s]*)?\s*", str(url))
    if not parts:
        raise invalid(field, "must be a host and perhaps a path, e.g. https://shop.example")
    base = check_endpoint(parts.group(1), field)
    if base.startswith("http://") and not is_loopback(endpoint):
        rule = "must begin with https:// because %sENDPOINT is not a sandbox on this machine"
        raise invalid(field, rule % prefix)
    return base + (parts.group(2) or "").rstrip("/")


def check_seconds(value: float, field: str) -> float:
    """Return a timeout in seconds: more than 0, at most 600."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 600:
        raise invalid(field, "must be a number of seconds, more than 0 and at most 600")
    return float(value)


def check_whole(value: int, field: str, most: int) -> int:
    """Return a whole number from 1 to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise invalid(field, "must be a whole number from 1 to %d" % most)
    return value


def check_truth(value: bool, field: str) -> bool:
    """Return True or False; another value might switch encryption off by mistake."""
    if not isinstance(value, bool):
        raise invalid(field, "must be True or False")
    return value


def _seconds(value: str, field: str) -> float:
    is_number = re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,9})?", value)
    return check_seconds(float(value) if is_number else 0, field)


def _whole(value: str, field: str, most: int) -> int:
    return check_whole(int(value) if re.fullmatch("[0-9]{1,10}", value) else 0, field, most)


def _truth(value: str, field: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise invalid(field, "must be 1 or 0")


#: Environment variable -> (argument of Client, rule).
VARIABLES: Dict[str, Tuple[str, Callable[[str, str], Any]]] = {
    "FACECERT_SCENE_ID": ("scene_id", check_scene_id),
    "FACECERT_ENDPOINT": ("endpoint", check_endpoint),
    "FACECERT_ENCRYPT": ("encrypt", _truth),
    "FACECERT_SM2_PUBLIC_KEY": ("sm2_public_key", PublicKey.parse),
    "FACECERT_CALLBACK_SECRET": ("callback_secret", lambda value, _: value),
    "FACECERT_CONNECT_TIMEOUT": ("connect_timeout", _seconds),
    "FACECERT_READ_TIMEOUT": ("read_timeout", _seconds),
    "FACECERT_ATTEMPTS": ("attempts", lambda value, name: _whole(value, name, MOST_ATTEMPTS)),
    "FACECERT_LEDGER": ("ledger", lambda value, _: value),
    "FACECERT_PER_DAY": ("per_day", lambda value, name: _whole(value, name, MOST_PER_DAY)),
    "FACECERT_CHECK_DIGIT": ("check_digit", _truth),
}


@guarded
def from_environment(environ: Mapping[str, Any], prefix: str = "FACECERT_") -> Dict[str, Any]:
    """Return the ``FACECERT_*`` variables as arguments for ``Client``; empty ones count as unset.

    Args:
        environ: the environment, or an app's settings: texts, numbers, True and False, lists of
            secrets.
        prefix: what stands there in place of ``FACECERT_``.

    Raises:
        InvalidParameter: a variable breaks a rule; ``field`` is its name.
    """
    arguments = {}
    for variable, (argument, read) in VARIABLES.items():
        name = prefix + variable[len("FACECERT_") :]
        value = environ.get(name)
        if argument == "sm2_public_key" and isinstance(value, str):
            value = " ".join(value.replace("\ufeff", "").split())  # because PEM has lines
        value = _text(value, name)
        if value:
            arguments[argument] = read(value, name)
    return arguments


def _text(value: Any, field: str) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        value = [word for word in value if word is not None]
        if all(isinstance(word, str) for word in value):
            return " ".join(check_form(word, field) for word in value)
    if not isinstance(value, (str, int, float)):
        raise invalid(field, "must be a text, a number, True or False")
    return check_form(str(value), field)
