"""A person's name and document number as they are sent: checked, in plain or encrypted with SM2."""

import re
import unicodedata
from functools import reduce
from typing import Optional

from .crypto.sm2 import Ciphertext, PublicKey, encrypt, looks_sealed, published_key
from .errors import invalid
from .redact import Private


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
    cert_name: str, cert_no: str, *, encrypted: bool, public_key: Optional[PublicKey],
    check_digit: bool = True
) -> Person:
    """Check a name and a number, and encrypt them if requested.

    A ``Ciphertext`` stays as it is. Without ``public_key`` the published one encrypts.

    Raises:
        InvalidParameter: naming the field, never showing its value.
    """
    ready = isinstance(cert_name, Ciphertext), isinstance(cert_no, Ciphertext)
    if any(ready) and not all(ready):
        field = "cert_no" if ready[0] else "cert_name"
        raise invalid(field, "is plain and the other one is encrypted; encrypt both, or none")
    name = cert_name if ready[0] else _plain("cert_name", cert_name)
    number = cert_no if ready[1] else _number(cert_no, check_digit)
    private = Private(*{cert_name, cert_no, name, number})
    if encrypted:
        key = public_key or published_key()
        name, number = encrypt(name, key), encrypt(number, key)
        private += Private(name, number)
    return Person(name, number, encrypted or all(ready), private)


def check_text(field: str, value: Optional[str]) -> str:
    """Return a text without the blanks and invisible characters that forms and files leave.

    They are dropped at both ends: Unicode's categories Zs, Zl, Zp and Cf, tab, CR, LF.

    Raises:
        InvalidParameter: it is not a str, or it is empty, or an invisible character or a half of a
            surrogate pair is left; ``field`` is its name.
    """
    if not isinstance(value, str):
        kind = "an int" if isinstance(value, int) else type(value).__name__
        raise invalid(field, "must be a str, not %s" % kind)
    kinds = {character: unicodedata.category(character) for character in value}
    ends = [one for one in kinds if one in "\t\r\n" or kinds[one] in ("Zs", "Zl", "Zp", "Cf")]
    text = value.strip("".join(ends))
    if not text:
        raise invalid(field, "must be a text that is not empty")
    for character in text:
        if kinds[character] == "Cs":
            raise invalid(field, "is not valid Unicode text")
        if kinds[character] in ("Cc", "Cf", "Zl", "Zp"):
            raise invalid(field, "holds the invisible character U+%04X; remove it" % ord(character))
    return text


def _plain(field: str, value: str) -> str:
    if isinstance(value, str) and looks_sealed(value):
        rule = "looks like ciphertext; pass facecert.Ciphertext(text), which checks its form"
        raise invalid(field, rule)
    return check_text(field, value)


def _number(value: str, check_digit: bool) -> str:
    """Return a document number in ASCII, as the service documents numbers.

    Not every number has 18 characters: permits and passports are accepted, too.
    """
    number = unicodedata.normalize("NFKC", _plain("cert_no", value)).replace(" ", "")
    if not re.fullmatch("[A-Za-z0-9()/-]{1,64}", number):
        rule = "must be 1 to 64 ASCII letters, digits, ( ) - and /. Was it masked, or in Excel?"
        raise invalid("cert_no", rule)
    if len(number) == 18 and number.endswith("x"):
        number = number[:-1] + "X"
    if check_digit and re.fullmatch("[0-9]{17}[0-9X]", number):
        # GB 11643 takes the check digit of ISO 7064, MOD 11-2.
        if reduce(lambda total, digit: 2 * total + "0123456789X".index(digit), number, 0) % 11 != 1:
            raise invalid(
                "cert_no", "has a wrong check digit. Was it mistyped, or is it test data? For tests"
                " use 11010519491231002X, or check_digit=False (FACECERT_CHECK_DIGIT=0)"
            )
    return number
