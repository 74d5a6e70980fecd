"""The private half of ``facecert.crypto``: key pairs and decryption, for sandbox and tests only."""

import base64
import hmac
import secrets
from typing import Any, Optional

from ..crypto._curve import Point
from ..crypto.pictures import needs_cryptography
from ..crypto.sm2 import Ciphertext, PublicKey, curve, kdf, octets, sm3


class KeyPair:
    """An SM2 private key, 1 to n - 2, with its public key; never for the data of real people."""

    def __init__(self, private_key: int) -> None:
        sm2 = curve()
        if not 1 <= private_key <= sm2.n - 2:
            raise ValueError("the private key must be 1 to n - 2 (GB/T 32918.1)")
        self.private_key = private_key
        self.public_key = PublicKey(*sm2.affine([sm2.multiply(private_key, sm2.g)])[0])
        self.public_key_hex = "%02x%064x" % (2 + self.public_key.y % 2, self.public_key.x)

    def __repr__(self) -> str:
        return "KeyPair(public_key_hex=%r)" % self.public_key_hex

    @classmethod
    def generate(cls) -> "KeyPair":
        """Make a new pair from the system's random numbers."""
        return cls(1 + secrets.randbelow(curve().n - 2))


def decrypt(ciphertext_base64: str, private_key: int) -> str:
    """Return the text in a ciphertext (GB/T 32918.4, 7.1), or raise a ValueError without it."""
    raw = base64.b64decode(Ciphertext(ciphertext_base64))
    sm2 = curve()
    if not 1 <= private_key <= sm2.n - 2:
        raise ValueError("the private key must be 1 to n - 2")
    c1, c2, c3 = raw[1:65], raw[65:-32], raw[-32:]
    point = Point(int.from_bytes(c1[:32], "big"), int.from_bytes(c1[32:], "big"))
    shared = octets(sm2.affine([sm2.multiply(private_key, point)])[0])
    stream = kdf(shared, len(c2))
    data = bytes(a ^ b for a, b in zip(c2, stream))
    if not hmac.compare_digest(sm3()(shared[:32] + data + shared[32:]), c3) or not any(stream):
        raise ValueError("C3 does not match: another key, or a changed ciphertext")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass  # The error holds the text, so it must not become the context of the next error.
    raise ValueError("the decrypted bytes are not UTF-8")


class PictureLock:
    """An RSA key pair like the service's; it encrypts pictures for the sender of an encToken."""

    def __init__(self) -> None:
        with needs_cryptography():
            from cryptography.hazmat.backends import default_backend
            from cryptography.hazmat.primitives.asymmetric import rsa
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._private_key: Any = rsa.generate_private_key(65537, 2048, default_backend())
        form = PublicFormat.SubjectPublicKeyInfo
        spki = self._private_key.public_key().public_bytes(Encoding.DER, form)
        self.public_key = base64.b64encode(spki).decode("ascii")

    def encrypt(self, picture: bytes, enc_token: str, iv: Optional[bytes] = None) -> bytes:
        """Encrypt a picture with the AES key in an encToken: CBC with an ``iv``, else ECB."""
        from cryptography.hazmat.backends import default_backend
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.padding import PKCS7

        encoded = self._private_key.decrypt(base64.b64decode(enc_token), PKCS1v15())
        aes = algorithms.AES(base64.b64decode(encoded, validate=True))
        mode: Any = modes.CBC(iv) if iv else modes.ECB()
        encryptor, padder = Cipher(aes, mode, default_backend()).encryptor(), PKCS7(128).padder()
        padded = padder.update(picture) + padder.finalize()
        return bytes(encryptor.update(padded) + encryptor.finalize())
