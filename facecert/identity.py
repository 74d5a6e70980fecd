"""A person's name and document number as they are sent: checked, in plain or encrypted with SM2."""

import re
import unicodedata
from functools import reduce
from typing import Optional, Union

from .crypto.sm2 import Ciphertext, PublicKey, encrypt, looks_sealed, published_key
from .errors import invalid
from .redact import Private


class Person:
    """A name and a number: checked, and encrypted if requested. Its repr shows neither.

    A ``Ciphertext`` stays as it is. Without ``public_key`` the published one encrypts.

    Attributes:
        name, number: as they are sent: plain texts, or both ``Ciphertext``.
        encrypted: True when they are ciphertext.
        private: the texts that must not be shown, as they were given and as they are sent.
    """

    __slots__ = ("name", "number", "encrypted", "private")

    def __init__(
        self, cert_name: str, cert_no: str, *, encrypted: bool,
        public_key: Union[PublicKey, str, None], check_digit: bool = True
    ) -> None:
        ready = isinstance(cert_name, Ciphertext), isinstance(cert_no, Ciphertext)
        if any(ready) and not all(ready):
            field = "cert_no" if ready[0] else "cert_name"
            raise invalid(field, "is plain and the other one is encrypted; encrypt both, or none")
        self.name = cert_name if ready[0] else _plain("cert_name", cert_name)
        self.number = cert_no if ready[1] else _number(cert_no, check_digit)
        self.private = Private(*{cert_name, cert_no, self.name, self.number})
        self.encrypted = encrypted or all(ready)
        if encrypted:
            key = published_key() if public_key is None else PublicKey.parse(public_key)
            self.name, self.number = encrypt(self.name, key), encrypt(self.number, key)
            self.private += Private(self.name, self.number)

    def __repr__(self) -> str:
        return "<Person>"


def check_text(field: str, value: Optional[str]) -> str:
    """Return a text without the blanks and invisible characters at its ends.

    Of these only blanks (category Zs) may stay inside.
    """
    if not isinstance(value, str):
        kind = "an int" if isinstance(value, int) else type(value).__name__
        raise invalid(field, "must be a str, not %s" % kind)
    kinds = {one: unicodedata.category(one) for one in value}
    ends = [one for one in kinds if one in "\t\r\n" or kinds[one] in ("Zs", "Zl", "Zp", "Cf")]
    text = value.strip("".join(ends))
    if not text:
        raise invalid(field, "must be a text that is not empty")
    if any(kinds[one] in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text):
        raise invalid(field, "contains an invisible character, or is not valid Unicode text")
    return text


def _plain(field: str, value: str) -> str:
    if isinstance(value, str) and looks_sealed(value):
        raise invalid(field, "is ciphertext in an ordinary str; pass facecert.Ciphertext(text)")
    return check_text(field, value)


def _number(value: str, check_digit: bool) -> str:
    """Return a document number in ASCII; permits and passports have no 18 digits."""
    number = unicodedata.normalize("NFKC", _plain("cert_no", value)).replace(" ", "")
    if not re.fullmatch("[A-Za-z0-9()/-]{1,64}", number):
        rule = "must be 1 to 64 ASCII letters, digits, ( ) - and /. Was it masked, or in Excel?"
        raise invalid("cert_no", rule)
    number = number[:-1] + "X" if len(number) == 18 and number[-1] == "x" else number
    if check_digit and re.fullmatch("[0-9]{17}[0-9X]", number):
        # GB 11643: the check digit of ISO 7064, MOD 11-2.
        if reduce(lambda total, one: 2 * total + "0123456789X".index(one), number, 0) % 11 != 1:
            rule = "has a wrong check digit. Was it mistyped, or is it test data? For tests use"
            rule += " 11010519491231002X, or check_digit=False (FACECERT_CHECK_DIGIT=0)"
            raise invalid("cert_no", rule)
    return number
