"""SM2 encryption of name and document number for ``encryptType=SM2``.

Sources: GB/T 32918.4 (the algorithm), GB/T 32918.5 (the curve), GB/T 32905 (SM3), help.aliyun.com
437912 (the service's key). Field reports: the service accepts C1C2C3 and refuses C1C3C2.

gmssl supplies the parameters of the curve, and SM3 where OpenSSL has none. Its ``CryptSM2`` is not
used, because it draws nonces from ``random``, corrupts some keys and checks no point.
"""

import base64
import os
import re
from contextlib import suppress
from functools import lru_cache
from typing import Any, Callable, Iterable, Optional, Union

from ._curve import Curve, Point
from ..errors import invalid, unimportable
from ..redact import LONE_SURROGATE, guarded

#: The service's public key, compressed (help.aliyun.com 437912).
PUBLISHED_KEY = "02cd77e007bdc86eeaf9a479ba7a2c22bc0a517ccb3a6975c3f94b4ac93347dea6"

VARIABLE = "FACECERT_SM2_PUBLIC_KEY"

# The head of a SubjectPublicKeyInfo (RFC 5480) with a compressed or an uncompressed point.
_SPKI = "30(?:39|59)301306072a8648ce3d020106082a811ccf5501822d03(?:22|42)00(?=0)"
# A leading 04 is the prefix in 130 digits; in 128 digits it belongs to X.
_KEY = "(?i)(?:%s)?(?:0([23])|(?:04)?([0-9a-f]{64}))([0-9a-f]{64})" % _SPKI

_BREAKS = "\r\n\xad\u200b-\u200f\u2060\ufeff"
# Forms in which other tools write ciphertext; the first that fits counts.
_FORMS = (
    ("hexadecimal", r"[0-9A-Fa-f\s]*"),
    ("URL-safe Base64", ".*[-_].*"),
    ("Base64 with blanks inside; was each a +?", r".*\s.*"),
    ("ASN.1, or Base64 without the leading byte 04", "[^B].*"),
    ("Base64 that is damaged, cut off or not padded", ".*"),
)


@lru_cache(maxsize=1)
def curve() -> Curve:
    """Return the curve of GB/T 32918.5. Without gmssl it raises DependencyError."""
    try:
        from gmssl.sm2 import default_ecc_table
    except ImportError as error:
        raise unimportable("gmssl cannot be imported", "--force-reinstall gmssl", error) from error
    return Curve(default_ecc_table)


@lru_cache(maxsize=1)
def sm3() -> Callable[[bytes], bytes]:
    """Return the SM3 function: OpenSSL's, or else gmssl's, which is far slower."""
    import hashlib

    try:
        hashlib.new("sm3")
        return lambda data: hashlib.new("sm3", data).digest()
    except ValueError:
        from gmssl.sm3 import sm3_hash

        return lambda data: bytes.fromhex(sm3_hash(list(data)))


def kdf(shared: bytes, length: int) -> bytes:
    """Return a key stream of ``length`` bytes (GB/T 32918.4, 5.4.3)."""
    counts = range(1, (length + 31) // 32 + 1)
    return b"".join(sm3()(shared + ct.to_bytes(4, "big")) for ct in counts)[:length]


def octets(point: Point) -> bytes:
    """Return the 64 bytes x || y."""
    return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


class PublicKey(Point):
    """A public key: x and y of a point of the curve; others raise InvalidParameter."""

    def __new__(cls, x: int, y: int, field: str = "sm2_public_key") -> "PublicKey":
        if not curve().contains(x, y):
            raise invalid(field, "is not on the curve")
        return super().__new__(cls, x, y)

    @classmethod
    def _make(cls, coordinates: Iterable[Any]) -> "PublicKey":  # type: ignore[override]
        return cls(*coordinates)

    @classmethod
    def parse(cls, text: Union[Point, str], field: str = "sm2_public_key") -> "PublicKey":
        """Read a key in any of its forms (GB/T 32918.1, conversion of points; RFC 5480).

        Args:
            text: 02 or 03 and X, or 04 and X and Y, or X and Y alone: as hexadecimal digits, also
                with ``0x``, colons or blanks, or as Base64. Or a SubjectPublicKeyInfo, as PEM or
                Base64. A ``PublicKey`` is returned unchanged.
            field: the name of the setting, for the error.

        Raises:
            InvalidParameter: the text is malformed, or the curve has no such point.
        """
        if isinstance(text, cls):
            return text
        match = re.fullmatch(_KEY, _hexadecimal(text)) if isinstance(text, str) else None
        if not match:
            raise invalid(field, "must be 66, 128 or 130 hexadecimal digits, or Base64, or PEM")
        parity, first, last = match.groups()
        x, y, sm2 = int(first or last, 16), int(last, 16), curve()
        if parity:
            y = pow((x * x + sm2.a) * x + sm2.b, (sm2.p + 1) // 4, sm2.p)
            y = y if y % 2 == int(parity) % 2 else sm2.p - y
        return cls(x, y, field)


_parsed = lru_cache()(PublicKey.parse)


def _hexadecimal(text: str) -> str:
    # Environment files write the line ends of a PEM as a backslash and an n.
    marks = r"-----[A-Z]+ PUBLIC KEY-----|\\[rn]|^[\s\ufeff]*0[xX]|[\s:\ufeff]"
    digits = re.sub(marks, "", text)
    if not re.fullmatch("[0-9A-Fa-f]*", digits):
        with suppress(ValueError):
            digits = base64.b64decode(digits, validate=True).hex()
    return digits


class Ciphertext(str):
    """Text that is already encrypted with SM2: a ``str`` whose repr shows only its size.

    Args:
        value: standard Base64 of 0x04 || C1 || C2 || C3, padded; line breaks are dropped.

    Raises:
        InvalidParameter: ``value`` is malformed, or C1 is not a point of the curve.
    """

    @guarded
    def __new__(cls, value: str) -> "Ciphertext":
        text = re.sub("[%s]" % _BREAKS, "", value).strip() if isinstance(value, str) else ""
        raw = b""
        with suppress(ValueError):
            raw = base64.b64decode(text)
        # Encode again, because b64decode skips foreign characters and ignores stray bits.
        exact = base64.b64encode(raw).decode("ascii") == text
        x, y = int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:65], "big")
        if exact and len(raw) >= 98 and raw[0] == 4 and curve().contains(x, y):
            return super().__new__(cls, text)
        forms = (form for form, pattern in _FORMS if re.fullmatch(pattern, text))
        seen = next(forms) if looks_sealed(text) else "no SM2 ciphertext"
        raise invalid("ciphertext", "is %s; it must be Base64 of 04 || C1 || C2 || C3" % seen)

    def __repr__(self) -> str:
        return "Ciphertext(<%d bytes>)" % (len(self) // 4 * 3 - self.count("="))


def looks_sealed(text: str) -> bool:
    """Tell whether a text is no name or number, but ciphertext of any tool in any text form."""
    return bool(re.fullmatch(r"[A-Za-z0-9+/=\s%s_-]{120,}" % _BREAKS, text))


@guarded
def encrypt(text: str, public_key: Union[PublicKey, str, None] = None) -> Ciphertext:
    """Encrypt text for the service. Every call returns a different ciphertext.

    Args:
        text: a name or a document number, not blank; no check digit is checked. Ciphertext is
            returned as ``Ciphertext``, unchanged.
        public_key: a ``PublicKey``, or text for ``PublicKey.parse``. None reads
            FACECERT_SM2_PUBLIC_KEY; without it the published key is used. The first use of a key
            takes some milliseconds more.

    Raises:
        InvalidParameter: ``text`` is blank, not a str, not valid Unicode, or ciphertext in another
            form; or the key is wrong.
        DependencyError: gmssl is missing or broken.
    """
    if isinstance(text, str) and looks_sealed(text):
        return Ciphertext(text)
    # Imported late, because it is slow and most programs only query.
    import secrets

    if not isinstance(text, str) or not text.strip() or re.search(LONE_SURROGATE, text):
        raise invalid("text", "is blank, not a str or not valid Unicode")
    if public_key is None:
        public_key = _parsed(os.environ.get(VARIABLE, "").strip() or PUBLISHED_KEY, VARIABLE)
    key, sealed = PublicKey.parse(public_key), None
    while sealed is None:
        nonce = 1 + secrets.randbelow(curve().n - 1)
        sealed = encrypt_bytes(text.encode("utf-8"), key, nonce)
    return str.__new__(Ciphertext, base64.b64encode(sealed).decode("ascii"))


def published_key() -> PublicKey:
    """Return the service's published key."""
    return _parsed(PUBLISHED_KEY)


def encrypt_bytes(data: bytes, key: PublicKey, nonce: int) -> Optional[bytes]:
    """Encrypt with this nonce (GB/T 32918.4, 6.1); None when the key stream is all zeros."""
    sm2 = curve()
    c1, shared = map(octets, sm2.affine([sm2.multiply(nonce, p) for p in (sm2.g, key)]))
    stream = kdf(shared, len(data))
    if not any(stream):
        return None
    c2 = bytes(a ^ b for a, b in zip(data, stream))
    c3 = sm3()(shared[:32] + data + shared[32:])
    return b"\x04" + c1 + c2 + c3
