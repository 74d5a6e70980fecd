"""One POST to one endpoint, which tells apart what was never sent from what may have been done."""

import os
import re
import time
from http.client import HTTPException
from typing import Any, Dict, Iterator, Tuple
from urllib.parse import urlsplit

from .._version import __version__
from .answers import Reply
from ..errors import BadAnswer, ConnectionFailed, FacecertError, NoAnswer
from .pool import is_about_tls, open_pool

import urllib3  # isort: skip  (after pool, which says better that it is missing)

#: Bytes. The service's answers have a few thousand.
LONGEST_ANSWER = 1024 * 1024

_ADDRESS_OF_OBJECT = "<[^<>]* object at 0x[0-9a-f]+>: "


class Wire:
    """Connections to one endpoint. May be shared by threads; after a fork the child opens its own.

    Args:
        endpoint: ``https://host[:port]`` (``http://`` on this machine).
        connect_timeout, read_timeout: seconds; the latter between two pieces of an answer.
    """

    def __init__(self, endpoint: str, *, connect_timeout: float, read_timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        self._pools: Dict[int, urllib3.HTTPConnectionPool] = {}

    def post(self, form: bytes) -> Reply:
        """Send a form once and return what came back, whatever its status.

        Raises:
            ConnectionFailed: nothing was sent.
            NoAnswer: it was sent, or part of it, and no whole answer came.
            BadAnswer: the answer is too large to be one.
        """
        body = _Body(form)
        pool = self._pool()
        failure: FacecertError
        cause: BaseException
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(form)),
            "Accept": "application/json",
            "User-Agent": "facecert/%s" % __version__,
        }
        try:
            response = pool.urlopen(
                "POST",
                "/",
                body=body,
                headers=headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                enforce_content_length=True,
            )
            return _reply(response)
        except (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
            failure, cause = self._failure(error, body.begun)
        # Outside of the handler, so that the error has no other context than its cause.
        raise failure from cause

    def close(self) -> None:
        """Close this process's connections that are not in use."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def _pool(self) -> urllib3.HTTPConnectionPool:
        process = os.getpid()
        pool = self._pools.get(process)
        if pool is None:
            # setdefault: when two threads come first, both use the same one.
            pool = self._pools.setdefault(process, open_pool(self._endpoint))
            for parent in set(self._pools) - {process}:
                self._pools.pop(parent, None)
        return pool

    def _failure(
        self, error: BaseException, begun: bool
    ) -> Tuple[FacecertError, BaseException]:
        """Return the error to raise, and a cause for it that can be shown."""
        host = urlsplit(self._endpoint).netloc
        if begun:
            # Others' words may quote the answer, and that the request.
            cause = _showable(error)
            text = "%s was sent the request and gave no whole answer: %s. It may have been done."
            return NoAnswer(text % (host, cause)), cause
        advice = "the network, DNS, HTTPS_PROXY and the endpoint"
        if is_about_tls(error):
            advice = "ALIBABA_CLOUD_CA_BUNDLE and whether something intercepts TLS"
        words = re.sub(_ADDRESS_OF_OBJECT, "", str(error)) or type(error).__name__
        text = "No connection to %s: %s. Nothing was sent. Check %s."
        return ConnectionFailed(text % (host, words, advice)), error


class _Body:
    """A request's body that knows whether sending it has begun; without it nothing was asked."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.begun = False

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        self.begun = True
        yield self._content


def _reply(response: "urllib3.response.BaseHTTPResponse") -> Reply:
    connection: Any = response.connection
    in_step = False
    try:
        content = _read(response)
        if response.status < 200:
            raise OSError("an interim answer came instead of the final one")
        # After anything else the real answer may still come.
        in_step = response.status == 200 and len(content) > 0
    finally:
        if in_step:
            connection.owner.keep(connection)
        else:
            connection.close()
    return Reply(
        status=response.status,
        body=content,
        date=response.headers.get("Date"),
        retry_after=response.headers.get("Retry-After"),
        received_at=time.time(),
    )


def _showable(error: BaseException) -> Exception:
    """Return a failure's part that quotes nobody: the system's own, or its kind alone."""
    for part in (error, error.__cause__) + error.args:
        if isinstance(part, OSError):
            return part
    return HTTPException(type(error).__name__)


def _read(response: "urllib3.response.BaseHTTPResponse") -> bytes:
    content = b""
    for chunk in response.stream(65536, decode_content=True):
        content += chunk
        if len(content) > LONGEST_ANSWER:
            response.close()
            raise BadAnswer(
                "The answer is longer than %d bytes; this is not the service." % LONGEST_ANSWER,
                http_status=response.status,
            )
    return content
