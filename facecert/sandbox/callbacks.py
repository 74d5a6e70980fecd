"""Callbacks to the app: a GET, and two more unless the app responds 200.

The platform is believed to do the same. The sandbox calls this machine only.
"""

import ssl
import threading
from http.client import HTTPException
from typing import List, NamedTuple, Optional, Tuple
from urllib.parse import urlencode
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector

from ..links import is_loopback
from .service import Verification

#: Seconds before each attempt.
PAUSES = (0.0, 1.0, 1.5)
TIMEOUT = 10.0


class CallbackTry(NamedTuple):
    """One attempt to call back. Without an HTTP response ``status`` is None; ``why`` says why."""

    certify_id: str
    status: Optional[int]
    why: str


class Caller:
    """Calls back in threads of its own and records every attempt."""

    def __init__(self) -> None:
        self.tries: List[CallbackTry] = []
        self._under_way = 0
        self._changed = threading.Condition()
        self._stopped = threading.Event()

    def call(self, verification: Verification) -> None:
        """Start the callback of a submitted verification, if it has a callback URL."""
        if verification.callback_url is not None:
            with self._changed:
                threading.Thread(target=self._call, args=(verification,), daemon=True).start()
                self._under_way += 1

    def wait(self, seconds: float) -> bool:
        """Wait until no callback is under way; return False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, seconds)

    def stop(self) -> None:
        """Make no further attempt, and wait for the attempts under way."""
        self._stopped.set()
        self.wait(TIMEOUT)
        self._stopped.clear()

    def _call(self, verification: Verification) -> None:
        url, certify_id = callback_address(verification), verification.certify_id
        try:
            if not is_loopback(url):
                why = "not called: the sandbox calls this machine only"
                return self.tries.append(CallbackTry(certify_id, None, why))
            for pause in PAUSES:
                if self._stopped.wait(pause):
                    return
                status, why = _get(url)
                self.tries.append(CallbackTry(certify_id, status, why))
                if status == 200:
                    return
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()


def callback_address(verification: Verification) -> str:
    """Return the callback URL with the parameters that the platform appends."""
    url = verification.callback_url or ""
    fields = {"certifyId": verification.certify_id, "passed": verification.passed}
    if verification.callback_token is not None:
        fields["CallbackToken"] = verification.callback_token
    return "%s%s%s" % (url, "&" if "?" in url else "?", urlencode(fields))


def _get(url: str) -> Tuple[Optional[int], str]:
    """Send a GET without proxies, redirects (to other machines) and certificate checks."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = OpenerDirector()
    opener.add_handler(HTTPHandler())
    opener.add_handler(HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=TIMEOUT) as response:
            return response.status, ""
    except (OSError, HTTPException, ValueError) as error:
        return None, "%s: %s" % (type(error).__name__, error)
