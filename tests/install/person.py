"""The person's step, as programs here take it: the answer "pass" posted to ``certify_url``."""

from http.client import HTTPConnection
from urllib.parse import urlsplit


def pass_verification(certify_url):
    """Submit the sandbox's form with the answer "pass"; the sandbox then calls the app back."""
    url = urlsplit(certify_url)
    connection = HTTPConnection(url.hostname, url.port, timeout=30)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", "%s?%s" % (url.path, url.query), "answer=pass", headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    assert status == 303, status
