"""What must never be seen outside of a request's body, in every spelling, and the search for it."""

import base64
import json
import logging
from urllib.parse import quote

from conftest import NAME, NUMBER

SECRET = "canary-secret-4b1f0c"
TOKEN = "canary-sts-token-9d2e+/="
CALLBACK_SECRET = "canary-callback-secret-0815"
CALLBACK_TOKEN = "canary-callback-token-77a1"
CANARIES = (NAME, NUMBER, SECRET, TOKEN, CALLBACK_SECRET, CALLBACK_TOKEN)


def spellings(text):
    raw = text.encode("utf-8")
    yield text
    yield quote(text, safe="")
    yield quote(quote(text, safe=""), safe="")
    yield json.dumps(text)[1:-1]
    yield repr(raw)[2:-1]
    yield raw.hex()
    yield text[::-1]
    for before in range(3):
        # Base64 without the characters that depend on what stands before and behind.
        encoded = base64.b64encode(b"x" * before + raw).decode().rstrip("=")
        yield encoded[before and before + 1 : -2]


def found_in(shown, canaries=CANARIES):
    lower = shown.lower()
    return [
        (text, spelling)
        for text in canaries
        for spelling in spellings(text)
        if spelling.lower() in lower
    ]


def plant(private):
    """Log and raise out of a frame that holds a private text, as facecert must not."""
    logging.getLogger("app").error("planted")
    raise ValueError("planted %d" % len(private))
