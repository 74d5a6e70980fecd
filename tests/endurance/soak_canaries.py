"""Persons, keys and secrets with recognisable marks, and the search for them in files."""

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import quote

#: The marks of every name, number, AccessKey secret, STS token and callback secret of a run.
MARKS = ("欧阳密", "3141592653", "soak-key-secret-", "soak-sts-token-", "soak-callback-secret-")
NAME, NUMBER, KEY_SECRET, STS_TOKEN, CALLBACK_SECRET = MARKS

#: Seconds between two AccessKeys.
KEY_LIFETIME = 1.0

#: More bytes than any spelling of a mark.
_OVERLAP = 512
_TOKEN = 27


def person(order):
    """Return the person of an order; each order has another one."""
    drawn = int(hashlib.sha256(order.encode()).hexdigest(), 16)
    letters = [chr(0x4E00 + (drawn >> 16 * place) % 0x4000) for place in range(2)]
    # 19 digits, because 18 would need a check digit.
    return {"cert_name": NAME + "".join(letters), "cert_no": NUMBER + "%09d" % (drawn % 10**9)}


def access_key(salt, number):
    """Return the number-th AccessKey as (id, secret, STS token)."""
    drawn = hmac.new(salt.encode(), b"%d" % number, hashlib.sha256).hexdigest()
    return "soak-%d" % number, KEY_SECRET + drawn[:20], STS_TOKEN + drawn[20:] + "+/="


def spellings(text):
    """Yield the forms in which a text may be written, as lower-case bytes."""
    for form in (
        text,
        quote(text, safe=""),
        quote(quote(text, safe=""), safe=""),
        json.dumps(text)[1:-1],
        json.dumps(json.dumps(text))[2:-2],
        repr(text.encode("utf-8"))[2:-1],
        text.encode("utf-8").hex(),
    ):
        yield form.encode("utf-8").lower()
    for before in range(3):
        # Without the characters that depend on the neighbouring bytes.
        encoded = base64.b64encode(b"x" * before + text.encode("utf-8")).rstrip(b"=")
        yield encoded[before and before + 1 : -1].lower()


class Search:
    """Searches files for the marks and for callback tokens.

    Attributes:
        found: the findings, as ``file: spelling``.
        files, bytes: the amount that was searched.
    """

    def __init__(self, tokens=(), chunk=1024 * 1024):
        self._chunk = chunk
        self._wanted = {spelling for mark in MARKS for spelling in spellings(mark)}
        self._tokens = {token.encode("ascii") for token in tokens}
        self.found = set()
        self.files = self.bytes = 0

    def file(self, path):
        """Search a file."""
        self.files += 1
        with open(path, "rb") as stream:
            before = b""
            while True:
                chunk = stream.read(self._chunk)
                if not chunk:
                    return
                self.bytes += len(chunk)
                for spelling in self._in(before + chunk):
                    self.found.add("%s: %s" % (path, spelling.decode("utf-8", "replace")))
                before = chunk[-_OVERLAP:]

    def _in(self, text):
        lower = text.lower()
        for spelling in self._wanted:
            if spelling in lower:
                yield spelling
        for run in re.findall(b"[A-Za-z0-9_-]{%d,}" % _TOKEN, text) if self._tokens else ():
            for start in range(len(run) - _TOKEN + 1):
                if run[start : start + _TOKEN] in self._tokens:
                    yield b"a callback token"


def blind_spots(folder, token):
    """Return the spellings that a search does not find; none is right."""
    missed = []
    order = "o" * 20
    texts = list(person(order).values()) + list(access_key("salt", 7)[1:])
    for text in texts + [CALLBACK_SECRET + "0123456789", token]:
        hidden = [text, "a%sb" % text]
        if text != token:
            hidden += [
                quote(quote(text, safe=""), safe=""),
                json.dumps({"a": text}),
                json.dumps(json.dumps({"a": text})),
                repr(("ab" + text).encode("utf-8")),
            ]
            for before in ("", "a", "ab"):
                hidden.append(base64.b64encode((before + text + "cd").encode("utf-8")).decode())
        for form in hidden:
            path = "%s/planted" % folder
            with open(path, "w", encoding="utf-8") as stream:
                # Across the border of two chunks.
                stream.write("." * 1019 + " " + form + " ")
            search = Search([token], chunk=1024)
            search.file(path)
            if not search.found:
                missed.append(form)
    return missed
