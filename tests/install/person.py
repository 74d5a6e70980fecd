"""The person's step, as programs here take it: an answer posted to ``certify_url``."""

import os
import ssl
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit


def answer(certify_url, passes=True):
    """Submit the sandbox's form with "pass" or "fail"; the sandbox then calls the app back."""
    url = urlsplit(certify_url)
    if url.scheme == "https":
        trust = ssl.create_default_context(cafile=os.environ["ALIBABA_CLOUD_CA_BUNDLE"])
        connection = HTTPSConnection(url.hostname, url.port, timeout=60, context=trust)
    else:
        connection = HTTPConnection(url.hostname, url.port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    form = "answer=%s" % ("pass" if passes else "fail")
    try:
        connection.request("POST", "%s?%s" % (url.path, url.query), form, headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    assert status == 303, status
