"""A person's name and document number as they are sent: checked, in plain or encrypted with SM2."""

import re
from typing import Optional

from .crypto.sm2 import Ciphertext, PublicKey, encrypt, is_ciphertext, published_key
from .errors import invalid
from .redact import LONE_SURROGATE, Private


class Person:
    """Name and number in the form in which they are sent. Its repr shows neither.

    Attributes:
        name, number: plain texts, or both ``Ciphertext``.
        encrypted: True when they are ciphertext.
        private: the texts that must not be shown, as they were given and as they are sent.
    """

    __slots__ = ("name", "number", "encrypted", "private")

    def __init__(self, name: str, number: str, encrypted: bool, private: Private) -> None:
        self.name = name
        self.number = number
        self.encrypted = encrypted
        self.private = private

    def __repr__(self) -> str:
        return "<Person>"


def person(
    cert_name: str, cert_no: str, *, encrypted: bool, public_key: Optional[PublicKey]
) -> Person:
    """Check a name and a number, and encrypt them if requested.

    Blanks around the texts are dropped, and a final ``x`` of an 18-character number becomes ``X``.
    A ``Ciphertext`` stays as it is. Without ``public_key`` the published one encrypts.

    Raises:
        InvalidParameter: naming the field, never showing its value.
    """
    ready = isinstance(cert_name, Ciphertext), isinstance(cert_no, Ciphertext)
    if any(ready) and not all(ready):
        field = "cert_no" if ready[0] else "cert_name"
        raise invalid(field, "is plain and the other one is encrypted; encrypt both, or none")
    name = cert_name if ready[0] else _plain("cert_name", cert_name)
    number = cert_no if ready[1] else _with_capital_x(_plain("cert_no", cert_no))
    private = Private(*{cert_name, cert_no, name, number})
    if encrypted:
        key = public_key or published_key()
        name, number = encrypt(name, key), encrypt(number, key)
        private += Private(name, number)
    return Person(name, number, encrypted or all(ready), private)


def check_text(field: str, value: Optional[str]) -> str:
    """Return a text without the blanks around it that a web form leaves.

    Raises:
        InvalidParameter: it is no text, empty, or not valid Unicode; ``field`` is its name.
    """
    if not isinstance(value, str) or not value.strip():
        raise invalid(field, "must be a text that is not empty")
    if re.search(LONE_SURROGATE, value):
        raise invalid(field, "is not valid Unicode text")
    return value.strip()


def _plain(field: str, value: str) -> str:
    text = check_text(field, value)
    if is_ciphertext(text):
        raise invalid(field, "is SM2 ciphertext in an ordinary str; pass facecert.Ciphertext(text)")
    return text


def _with_capital_x(number: str) -> str:
    return number[:-1] + "X" if len(number) == 18 and number.endswith("x") else number
