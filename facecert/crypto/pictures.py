"""encToken, and the pictures that licensed financial customers receive with it.

Needs the package ``cryptography``, which is imported at the first use. Releases before 3.1 require
the argument ``backend``.

Source: help.aliyun.com, key-encryption-for-integration-by-using-alipay-mini-programs-or-h5-pages.
That page documents how encToken is made. It does **not** document which fields of a response hold
pictures, nor the mode and padding of AES. ``decrypt`` therefore takes any ciphertext, and both
modes; its default, ECB with PKCS7 padding, is a guess.
"""

import base64
import os
import re
import string
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Iterator, Optional, Union

from ..errors import invalid, unimportable
from ..redact import guarded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

VARIABLE = "FACECERT_PICTURE_PUBLIC_KEY"

_LETTERS_AND_DIGITS = (string.ascii_letters + string.digits).encode("ascii")


@contextmanager
def needs_cryptography() -> Iterator[None]:
    """Raise DependencyError when an import inside the ``with`` block fails."""
    try:
        yield
    except ImportError as error:
        install = "--force-reinstall cryptography"
        raise unimportable("Pictures need cryptography", install, error) from error


class PictureKey:
    """A random AES key and its encToken: ``client.query(…, enc_token=key.enc_token)``.

    Keep the key until the pictures are decrypted. ``store`` and ``restore`` move it to another
    process. Its repr does not show it.

    Attributes:
        enc_token: 344 characters, the ``enc_token`` of ``query``.
    """

    __slots__ = ("_secret", "enc_token")

    def __init__(self, secret: bytes, enc_token: str) -> None:
        self._secret = secret
        self.enc_token = enc_token

    def __repr__(self) -> str:
        return "<PictureKey AES-%d>" % (len(self._secret) * 8)

    def __reduce__(self) -> Any:
        """Pickle the text of ``store``: such a pickle is as secret as the key."""
        return PictureKey.restore, (self.store(),)

    @classmethod
    @guarded
    def generate(
        cls, rsa_public_key: Union[str, bytes, None] = None, *, bits: int = 256
    ) -> "PictureKey":
        """Make a new key.

        Args:
            rsa_public_key: the service's RSA key of 2048 bits, as PEM or as Base64 of its
                SubjectPublicKeyInfo. None reads FACECERT_PICTURE_PUBLIC_KEY. The key is published
                on the page named above; facecert does not ship it.
            bits: 256 (random bytes), or 128 (16 random letters and digits, as that page has it).

        Raises:
            InvalidParameter: the RSA key is missing or wrong, or ``bits`` is another number.
            DependencyError: the package ``cryptography`` is missing or broken.
        """
        if bits not in (128, 256):
            raise invalid("bits", "must be 128 or 256")
        field = "rsa_public_key" if rsa_public_key else VARIABLE
        public_key = _rsa_public_key(rsa_public_key or os.environ.get(VARIABLE, ""), field)
        with needs_cryptography():
            from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        import secrets

        secret = os.urandom(32)
        if bits == 128:
            secret = bytes(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(16))
        sealed = public_key.encrypt(base64.b64encode(secret), PKCS1v15())
        return cls(secret, base64.b64encode(sealed).decode("ascii"))

    def store(self) -> str:
        """Return the key as text for ``restore``. Keep it secret: it decrypts the pictures."""
        return "%s.%s" % (base64.b64encode(self._secret).decode("ascii"), self.enc_token)

    @classmethod
    @guarded
    def restore(cls, stored: str) -> "PictureKey":
        """Return the key that ``store`` turned into text.

        Raises:
            InvalidParameter: ``stored`` is missing or malformed.
        """
        text = stored.strip() if isinstance(stored, str) else ""
        encoded, _, enc_token = text.partition(".")
        secret = _decoded(encoded)
        if len(secret) in (16, 32) and len(enc_token) == 344:
            return cls(secret, enc_token)
        raise invalid("stored", "must be the text of PictureKey.store()")

    @guarded
    def decrypt(
        self, data: Union[str, bytes], *, mode: str = "ECB", iv: Optional[bytes] = None
    ) -> bytes:
        """Decrypt a picture (AES, PKCS7 padding).

        Args:
            data: the ciphertext: bytes, or Base64 text.
            mode: ``"ECB"`` or ``"CBC"``. The service does not document which.
            iv: 16 bytes for CBC, None for ECB.

        Raises:
            InvalidParameter: ``data`` cannot be decrypted with this key in this mode; ``mode`` is
                unknown; or ``iv`` does not fit the mode.
            DependencyError: the package ``cryptography`` is missing or broken.
        """
        if mode not in ("ECB", "CBC"):
            raise invalid("mode", "must be ECB or CBC")
        is_iv = isinstance(iv, bytes) and len(iv) == 16
        if not is_iv if mode == "CBC" else iv is not None:
            raise invalid("iv", "must be 16 bytes for CBC, None for ECB")
        with needs_cryptography():
            from cryptography.hazmat.backends import default_backend
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
            from cryptography.hazmat.primitives.padding import PKCS7

        aes, chaining = algorithms.AES(self._secret), modes.CBC(iv) if iv else modes.ECB()
        decryptor = Cipher(aes, chaining, default_backend()).decryptor()
        unpadder = PKCS7(128).unpadder()
        with suppress(ValueError):
            padded = decryptor.update(_decoded(data)) + decryptor.finalize()
            return bytes(unpadder.update(padded) + unpadder.finalize())
        rule = "cannot be decrypted: it was made with another key or mode, or is incomplete"
        raise invalid("data", rule)


def _decoded(data: Any) -> bytes:
    """Return the bytes of Base64 text, or of a bytes-like object; b"" for anything else."""
    if isinstance(data, str):
        with suppress(ValueError):
            return base64.b64decode(re.sub(r"\s", "", data), validate=True)
    return bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else b""


def _rsa_public_key(given: Union[str, bytes], field: str) -> "RSAPublicKey":
    text = given.decode("latin-1") if isinstance(given, bytes) else str(given)
    # Environment files write the line ends of a PEM as a backslash and an n.
    text = text.lstrip("\ufeff").replace("\\n", "\n").strip()
    if not text:
        raise invalid(field, "is missing: pass the service's RSA key, or set %s" % VARIABLE)
    with needs_cryptography():
        from cryptography.hazmat.backends import default_backend
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    with suppress(Exception):  # whose type differs between releases of cryptography
        if "-----BEGIN" in text:
            key = serialization.load_pem_public_key(text.encode("ascii"), default_backend())
        else:
            key = serialization.load_der_public_key(_decoded(text), default_backend())
        if isinstance(key, RSAPublicKey) and key.key_size == 2048:
            # Old releases load keys with an even n, whose encryption fails, or with an e of 1,
            # whose encryption changes nothing.
            numbers = key.public_numbers()
            if numbers.n % 2 == 1 and numbers.e % 2 == 1 and numbers.e > 1:
                return key
    raise invalid(field, "must be an RSA public key of 2048 bits, as PEM or as Base64")
