"""encToken, and decrypting the pictures that licensed financial customers get with it.

Needs ``cryptography``, which is imported at the first use. Documented (help.aliyun.com,
key-encryption-for-integration-by-using-alipay-mini-programs-or-h5-pages) is how encToken is made.
**Not documented** is which fields of an answer carry pictures, and with which mode and padding of
AES they are encrypted; ECB with PKCS7 is a guess, so ``decrypt`` takes what you hand it and lets
you choose CBC.
"""

import base64
import os
import re
from types import SimpleNamespace
from typing import Any, Optional, Union

from ..errors import DependencyError, InvalidParameter
from ..redact import guarded

VARIABLE = "FACECERT_PICTURE_PUBLIC_KEY"

#: Bits of the service's RSA key.
RSA_BITS = 2048


class PictureKey:
    """An AES key of your own and its encToken: ``client.query(…, enc_token=key.enc_token)``.

    Keep it until the pictures are decrypted; ``store`` and ``restore`` carry it over to another
    process. Its repr shows nothing.

    Attributes:
        enc_token: 344 characters, fit for ``query``.
    """

    __slots__ = ("_secret", "enc_token")

    def __init__(self, secret: bytes, enc_token: str) -> None:
        self._secret = secret
        self.enc_token = enc_token

    def __repr__(self) -> str:
        return "<PictureKey AES-%d>" % (len(self._secret) * 8)

    def __reduce__(self) -> Any:
        """Pickled as ``store`` has it: keep such a pickle as well as the key."""
        return PictureKey.restore, (self.store(),)

    @classmethod
    @guarded
    def generate(
        cls, rsa_public_key: Union[str, bytes, None] = None, *, bits: int = 256
    ) -> "PictureKey":
        """Make a new key.

        Args:
            rsa_public_key: the service's RSA key of 2048 bits, as PEM or as Base64 of its
                SubjectPublicKeyInfo; None takes it from FACECERT_PICTURE_PUBLIC_KEY. It is on the
                page named above; facecert does not ship it.
            bits: 256 (random bytes), or 128 (16 random letters and digits, as the page has it).

        Raises:
            InvalidParameter: the RSA key is missing or wrong, or ``bits`` is another number.
        """
        if bits not in (128, 256):
            raise InvalidParameter.about("bits", "must be 128 or 256")
        field = "rsa_public_key" if rsa_public_key else VARIABLE
        public_key = _public_key(rsa_public_key or os.environ.get(VARIABLE, ""), field)
        secret = os.urandom(32) if bits == 256 else _random_text(16)
        padding = _library().asymmetric.padding.PKCS1v15()
        sealed = public_key.encrypt(base64.b64encode(secret), padding)
        return cls(secret, base64.b64encode(sealed).decode("ascii"))

    def store(self) -> str:
        """Return the key as a text for ``restore``. Whoever has it can see the pictures."""
        return "%s.%s" % (base64.b64encode(self._secret).decode("ascii"), self.enc_token)

    @classmethod
    @guarded
    def restore(cls, stored: str) -> "PictureKey":
        """Return the key that ``store`` made a text of.

        Raises:
            InvalidParameter: it is no such text.
        """
        text = stored.strip() if isinstance(stored, str) else ""
        encoded, _, enc_token = text.partition(".")
        secret = _from_base64(encoded)
        if secret is not None and len(secret) in (16, 32) and len(enc_token) == 344:
            return cls(secret, enc_token)
        raise InvalidParameter.about("stored", "is not what PictureKey.store() returned")

    @guarded
    def decrypt(
        self, data: Union[str, bytes], *, mode: str = "ECB", iv: Optional[bytes] = None
    ) -> bytes:
        """Decrypt a picture (AES, PKCS7 padding).

        Args:
            data: the ciphertext: bytes, or a Base64 text.
            mode: ``"ECB"`` or ``"CBC"``. The service does not document which.
            iv: 16 bytes, with CBC only.

        Raises:
            InvalidParameter: ``data`` cannot be decrypted with this key in this mode, or mode and
                ``iv`` do not fit together.
        """
        is_text = isinstance(data, str)
        ciphertext = _from_base64(data) if is_text else _bytes(data)
        if mode not in ("ECB", "CBC"):
            raise InvalidParameter.about("mode", "must be ECB or CBC")
        library = _library()
        if mode == "ECB" and iv is None:
            chaining = library.ciphers.modes.ECB()
        elif mode == "CBC" and isinstance(iv, bytes) and len(iv) == 16:
            chaining = library.ciphers.modes.CBC(iv)
        else:
            raise InvalidParameter.about("iv", "must be 16 bytes with CBC, and absent with ECB")
        aes = library.ciphers.algorithms.AES(self._secret)
        cipher = library.ciphers.Cipher(aes, chaining, backend=library.backend)
        picture = _opened(cipher, library.padding.PKCS7(128).unpadder(), ciphertext or b"")
        if picture is None:
            raise InvalidParameter.about(
                "data", "was not encrypted with this key in this mode, or not whole"
            )
        return picture


def _library() -> Any:
    """Import what is used of ``cryptography``; releases before 3.1 want a ``backend``."""
    try:
        from cryptography.hazmat import backends
        from cryptography.hazmat.primitives import asymmetric, ciphers, padding, serialization
        from cryptography.hazmat.primitives.asymmetric import padding as _, rsa  # noqa: F401
        from cryptography.hazmat.primitives.ciphers import algorithms, modes  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            "Pictures need cryptography. Install or repair it with:"
            " python -m pip install --force-reinstall cryptography"
        ) from error
    return SimpleNamespace(
        asymmetric=asymmetric, ciphers=ciphers, padding=padding, serialization=serialization,
        backend=backends.default_backend(),
    )  # fmt: skip


def _opened(cipher: Any, unpadder: Any, ciphertext: bytes) -> Optional[bytes]:
    decryptor = cipher.decryptor()
    try:
        padded = decryptor.update(ciphertext) + decryptor.finalize()
        return bytes(unpadder.update(padded) + unpadder.finalize())
    except ValueError:
        return None


def _bytes(data: Any) -> Optional[bytes]:
    return bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else None


def _random_text(length: int) -> bytes:
    import secrets
    import string

    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(length)).encode("ascii")


def _from_base64(text: Any) -> Optional[bytes]:
    try:
        return base64.b64decode(re.sub(r"\s", "", text), validate=True)
    except (TypeError, ValueError):
        return None


def _public_key(given: Union[str, bytes], field: str) -> Any:
    text = given.decode("latin-1") if isinstance(given, bytes) else str(given)
    # Environment files hold a PEM's line ends as two characters.
    text = text.lstrip("\ufeff").replace("\\n", "\n").strip()
    if not text:
        raise InvalidParameter(
            "the service's RSA key is missing: pass rsa_public_key, or set %s" % VARIABLE,
            field=field,
        )
    library, key = _library(), None
    load = library.serialization
    try:
        if "-----BEGIN" in text:
            key = load.load_pem_public_key(text.encode("ascii"), backend=library.backend)
        else:
            key = load.load_der_public_key(_from_base64(text) or b"", backend=library.backend)
    except Exception:  # each release of cryptography has errors of its own for a wrong key
        pass
    is_rsa = isinstance(key, library.asymmetric.rsa.RSAPublicKey)
    if key is None or not is_rsa or key.key_size != RSA_BITS or not _can_encrypt(key):
        raise InvalidParameter.about(
            field, "must be an RSA public key of 2048 bits, as PEM or as Base64"
        )
    return key


def _can_encrypt(key: Any) -> bool:
    """Tell whether n and e are odd and e is not 1; some releases of cryptography take the others.

    With an even n nothing can be encrypted, and with an e of 1 nothing is.
    """
    numbers = key.public_numbers()
    return bool(numbers.n % 2 == 1 and numbers.e % 2 == 1 and numbers.e > 1)
