"""SM2 encryption of a name and a document number, as ``encryptType=SM2`` wants it.

Sources: GB/T 32918.4 (the algorithm), GB/T 32918.5 (the curve), GB/T 32905 (SM3), help.aliyun.com
437912 (the service's key). Field reports: the service takes C1C2C3 and refuses C1C3C2.

gmssl supplies the curve's parameters and, where OpenSSL lacks it, SM3. Its ``CryptSM2`` is not
used: it draws nonces from ``random``, damages keys and checks nothing.
"""

import base64
import re
from functools import lru_cache
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from .errors import DependencyError, InvalidParameter

#: The service's public key, compressed (help.aliyun.com 437912).
PUBLISHED_KEY = "02cd77e007bdc86eeaf9a479ba7a2c22bc0a517ccb3a6975c3f94b4ac93347dea6"

# The number of digits decides whether a leading 04 is a mark or belongs to X.
_KEY = "(?:0([23])|(?:04)?([0-9A-Fa-f]{64}))([0-9A-Fa-f]{64})"
_LONE_SURROGATE = "[\ud800-\udfff]"

#: Teeth of a comb (see ``Curve.comb``): one more is a little faster, and doubles the table.
TEETH = 8
SPACING = 256 // TEETH

#: A point in affine coordinates; infinity has none.
Point = NamedTuple("Point", [("x", int), ("y", int)])
#: (X, Y, Z) stands for the affine point (X/Z^2, Y/Z^3), and for infinity when Z is 0.
Jacobian = Tuple[int, int, int]
INFINITY = (1, 1, 0)


class Curve:
    """The curve y^2 = x^3 + ax + b modulo p, a = p - 3, whose n points are multiples of g."""

    def __init__(self, table: Dict[str, str]) -> None:
        self.p, self.a, self.b, self.n = (int(table[name], 16) for name in "pabn")
        self.g = Point(int(table["g"][:64], 16), int(table["g"][64:], 16))

    def contains(self, x: int, y: int) -> bool:
        """Tell whether x and y are reduced and make a point of the curve."""
        reduced = 0 <= x < self.p and 0 <= y < self.p
        return reduced and (y * y - (x * x + self.a) * x - self.b) % self.p == 0

    def double(self, point: Jacobian) -> Jacobian:
        """Return point + point."""
        p = self.p
        x, y, z = point
        zz, yy = z * z % p, y * y % p
        s = 4 * x * yy % p
        m = 3 * (x - zz) * (x + zz) % p
        x3 = (m * m - 2 * s) % p
        return x3, (m * (s - x3) - 8 * yy * yy) % p, 2 * y * z % p

    def add(self, point: Jacobian, other: Point) -> Jacobian:
        """Return point + other; they may be equal, opposite, or the first infinity."""
        p = self.p
        (x1, y1, z1), (x2, y2) = point, other
        if z1 == 0:
            return x2, y2, 1
        zz = z1 * z1 % p
        h = (x2 * zz - x1) % p
        r = (y2 * zz * z1 - y1) % p
        if h == 0:
            return self.double(point) if r == 0 else INFINITY
        hh = h * h % p
        hhh = h * hh % p
        v = x1 * hh % p
        x3 = (r * r - hhh - 2 * v) % p
        return x3, (r * (v - x3) - y1 * hhh) % p, z1 * h % p

    def affine(self, points: List[Jacobian]) -> List[Point]:
        """Convert the points with one inversion for all; infinity raises ValueError."""
        p = self.p
        products = [1]
        for _, _, z in points:
            products.append(products[-1] * z % p)
        inverse = pow(products.pop(), p - 2, p)
        if inverse == 0:
            raise ValueError("infinity has no affine coordinates")
        result = []
        for x, y, z in reversed(points):
            z_inverse = products.pop() * inverse % p
            inverse = inverse * z % p
            zz = z_inverse * z_inverse % p
            result.append(Point(x * zz % p, y * zz * z_inverse % p))
        return result[::-1]

    @lru_cache(maxsize=4)
    def comb(self, point: Point) -> List[Point]:
        """Return Lim and Lee's comb of the point, the table with which ``multiply`` is fast.

        Its teeth are 2^(SPACING * i) times the point. Entry t is the sum of those teeth whose
        bit is set in t; entry 0, infinity, is never read.
        """
        teeth = [(point.x, point.y, 1)]
        while len(teeth) < TEETH:
            tooth = teeth[-1]
            for _ in range(SPACING):
                tooth = self.double(tooth)
            teeth.append(tooth)
        sums = [INFINITY]
        for last in self.affine(teeth):
            sums += [self.add(entry, last) for entry in sums]
        return [point] + self.affine(sums[1:])

    def multiply(self, k: int, point: Point) -> Jacobian:
        """Return k (0 to 2^256 - 1) times the point; not in constant time, as in any Python."""
        comb, bits, result = self.comb(point), format(k, "0256b"), INFINITY
        for column in range(SPACING):
            result = self.double(result)
            teeth = int(bits[column::SPACING], 2)
            if teeth:
                result = self.add(result, comb[teeth])
        return result


@lru_cache(maxsize=1)
def curve() -> Curve:
    """Return the curve of GB/T 32918.5; without gmssl, DependencyError is raised."""
    try:
        from gmssl.sm2 import default_ecc_table
    except ImportError as error:
        raise DependencyError("gmssl cannot be imported; try: pip install gmssl") from error
    return Curve(default_ecc_table)


@lru_cache(maxsize=1)
def sm3() -> Callable[[bytes], bytes]:
    """Return the digest function: OpenSSL's, or gmssl's, which is far slower."""
    import hashlib

    try:
        hashlib.new("sm3")
        return lambda data: hashlib.new("sm3", data).digest()
    except ValueError:
        from gmssl.sm3 import sm3_hash

        return lambda data: bytes.fromhex(sm3_hash(list(data)))


def kdf(shared: bytes, length: int) -> bytes:
    """Return the key stream of this many bytes (GB/T 32918.4, 5.4.3)."""
    counts = range(1, (length + 31) // 32 + 1)
    return b"".join(sm3()(shared + ct.to_bytes(4, "big")) for ct in counts)[:length]


def octets(point: Point) -> bytes:
    """Return the 64 bytes x || y."""
    return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


class PublicKey(Point):
    """A public key: x and y of a point of the curve. Any other raises InvalidParameter."""

    def __new__(cls, x: int, y: int) -> "PublicKey":
        if not curve().contains(x, y):
            raise InvalidParameter("sm2_public_key is not on the curve", field="sm2_public_key")
        return super().__new__(cls, x, y)

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Read a key in any of its forms (GB/T 32918.1, conversion of points).

        Args:
            text: hexadecimal digits in either case: 02 or 03 and X (66 digits), 04 and X and Y
                (130 digits), or X and Y alone (128 digits).

        Raises:
            InvalidParameter: it has another form, or the curve has no such point.
        """
        match = re.fullmatch(_KEY, text) if isinstance(text, str) else None
        if not match:
            raise InvalidParameter(
                "sm2_public_key must be 66, 128 or 130 hexadecimal digits", field="sm2_public_key"
            )
        parity, first, last = match.groups()
        if first:
            return cls(int(first, 16), int(last, 16))
        x, sm2 = int(last, 16), curve()
        y = pow((x * x + sm2.a) * x + sm2.b, (sm2.p + 1) // 4, sm2.p)
        return cls(x, y if y % 2 == int(parity) % 2 else sm2.p - y)


class Ciphertext(str):
    """A text encrypted with SM2: an ordinary ``str`` whose repr shows only its size.

    Args:
        value: standard Base64, padded, of 0x04 || C1 || C2 || C3: 97 bytes and those of the text.

    Raises:
        InvalidParameter: it is something else, or C1 is no point of the curve.
    """

    def __new__(cls, value: str) -> "Ciphertext":
        try:
            raw = base64.b64decode(value, validate=True)
        except (TypeError, ValueError):
            raw = b""
        # b64decode lets stray bits pass, and before 3.7 a newline.
        exact = base64.b64encode(raw).decode("ascii") == value
        x, y = int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:65], "big")
        if not exact or len(raw) < 98 or raw[0] != 4 or not curve().contains(x, y):
            raise InvalidParameter("ciphertext is not an SM2 ciphertext", field="ciphertext")
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return "Ciphertext(<%d bytes>)" % (len(self) // 4 * 3 - self.count("="))


def encrypt(text: str, public_key: Union[PublicKey, str, None] = None) -> Ciphertext:
    """Encrypt a text for the service; every call gives another ciphertext.

    Args:
        text: a name or a document number, at least one character. What is a ``Ciphertext``
            already is returned as it is.
        public_key: a ``PublicKey``, or whatever ``PublicKey.parse`` reads; None is
            ``PUBLISHED_KEY``. The first use of a key takes some milliseconds more.

    Raises:
        InvalidParameter: text is empty, no str or not valid Unicode, or the key is wrong.
    """
    if isinstance(text, Ciphertext):
        return text
    if not isinstance(text, str) or not text or re.search(_LONE_SURROGATE, text):
        del text  # a crash report shows this frame's variables
        raise InvalidParameter("text must be Unicode text that is not empty", field="text")
    # Imported late, as it is not cheap and most programs only query.
    import secrets

    key = _published_key() if public_key is None else public_key
    if not isinstance(key, PublicKey):
        key = PublicKey.parse(key)
    data = text.encode("utf-8")
    sealed = None
    while sealed is None:
        sealed = _encrypt(data, key, 1 + secrets.randbelow(curve().n - 1))
    return str.__new__(Ciphertext, base64.b64encode(sealed).decode("ascii"))


@lru_cache(maxsize=1)
def _published_key() -> PublicKey:
    return PublicKey.parse(PUBLISHED_KEY)


def _encrypt(data: bytes, key: PublicKey, nonce: int) -> Optional[bytes]:
    """Follow GB/T 32918.4, 6.1 with this nonce; None when its key stream is all zeros."""
    sm2 = curve()
    c1, shared = map(octets, sm2.affine([sm2.multiply(nonce, p) for p in (sm2.g, key)]))
    stream = kdf(shared, len(data))
    if not any(stream):
        return None
    c2 = bytes(a ^ b for a, b in zip(data, stream))
    c3 = sm3()(shared[:32] + data + shared[32:])
    return b"\x04" + c1 + c2 + c3
