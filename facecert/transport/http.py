"""One POST to one endpoint, which tells apart what was not sent from what may have been done.

Built on ``http.client`` and ``ssl``; nothing private of them is overridden. ``connect`` says why
``socket`` and ``ssl`` are looked up at each call.
"""

import io
import os
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, Deque, Optional, Tuple
from urllib.parse import urlsplit

from .._version import __version__
from ..errors import BadAnswer, ConnectionFailed, DependencyError, FacecertError, NoAnswer
from ..redact import Hidden
from .answers import Response
from .connect import is_about_tls, open_socket, seconds_left, tls_context

#: Bytes of a response as read from the socket; those of the service have a few thousand.
LONGEST_RESPONSE = 1024 * 1024

#: Seconds. The peer may close an older connection just when a request is sent on it.
LONGEST_IDLE = 10.0

#: The body of one request, as bytes.
Form = Hidden


class Http:
    """Connections to one endpoint. May be shared by threads; a forked child opens its own.

    ``connect_timeout`` and ``read_timeout`` are those of ``Client``. The name's resolution comes on
    top, because the system sets its limit.
    """

    def __init__(self, endpoint: str, *, connect_timeout: float, read_timeout: float) -> None:
        self._endpoint = endpoint
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._kept: Optional[_Kept] = None
        self._host = urlsplit(endpoint).netloc
        self._head = (
            "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            "Accept: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: facecert/%s\r\n"
            "Content-Length: "
        ) % (self._host, __version__)

    def post(self, form: Form) -> Response:
        """Send a form once and return the response, whatever its status."""
        connection, in_step = None, False
        cause: Optional[BaseException] = None
        state = self._state()
        try:
            connection = state.take() or self._connect()
            connection.send(self._head + str(len(form.value)), form, self._read_timeout)
            response, in_step = connection.receive(self._read_timeout)
            return response
        except FacecertError:
            raise
        except _TooLong:
            text = "The response has more than %d bytes; this is not the service."
            failure: FacecertError = BadAnswer(text % LONGEST_RESPONSE)
        except (HTTPException, OSError, ValueError, RecursionError) as error:
            failure, cause = self._failure(error, connection is not None and connection.begun)
        finally:
            if connection is not None and in_step and state is self._state():
                state.keep(connection)
            elif connection is not None:
                connection.close()
        # Outside of the handler, so that the error has no other context than its cause.
        raise failure from cause

    def close(self) -> None:
        """Close the connections that are not in use."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _state(self) -> "_Kept":
        """Return what is kept in this process, since the last patch of ``socket`` and ``ssl``."""
        key, kept = (os.getpid(), socket.socket, ssl.SSLContext), self._kept
        if kept is None or kept.key != key:
            self.close()
            kept = self._kept = _Kept(key)
        return kept

    def _connect(self) -> "_Connection":
        state = self._state()
        if self._endpoint.startswith("https://") and state.context is None:
            state.context = tls_context()
        return _Connection(open_socket(self._endpoint, state.context, self._connect_timeout))

    def _failure(self, error: BaseException, begun: bool) -> Tuple[FacecertError, BaseException]:
        """Return the error to raise, and a cause for it that may be shown."""
        if begun:
            # Messages of http.client may contain the response, which may echo the request.
            cause = error if isinstance(error, OSError) else HTTPException(type(error).__name__)
            text = "The request was sent to %s and no complete response came: %s. The call may have"
            return NoAnswer((text + " been done.") % (self._host, cause)), cause
        if isinstance(error, RecursionError):
            text = "gevent or eventlet replaced ssl's classes after ssl was used. Patch before any"
            return DependencyError(text + " import, at the start of the program."), error
        advice = "the network, DNS, HTTPS_PROXY and the endpoint"
        if is_about_tls(error):
            advice = "ALIBABA_CLOUD_CA_BUNDLE and whether something intercepts TLS"
        words = (self._host, str(error) or type(error).__name__, advice)
        text = "No connection to %s: %s. Nothing was sent. Check %s."
        return ConnectionFailed(text % words), error


class _TooLong(Exception):
    """The response has more than ``LONGEST_RESPONSE`` bytes."""


class _Kept:
    """The TLS context and the idle connections of one process. Needs no lock: a deque has its own.

    A response does not say which verification it is about. If one came late, on a connection that
    seemed free, the next caller would take it for theirs. So a connection is reused only when
    surely no byte is on its way.
    """

    def __init__(self, key: Any) -> None:
        self.key = key
        self.context: Optional[ssl.SSLContext] = None
        self._idle: Deque[_Connection] = deque()

    def take(self) -> Optional["_Connection"]:
        """Return a connection that may be used again, or None."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if not connection.is_old() and connection.is_quiet():
                    return connection
                connection.close()
        return None

    def keep(self, connection: "_Connection") -> None:
        """Let the next call use a connection, and close those that are idle for too long."""
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        with suppress(IndexError):  # other threads may take them meanwhile
            while self._idle[0].is_old():
                self._idle.popleft().close()

    def close(self) -> None:
        """Close the idle connections."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


class _Connection:
    """A connection to the endpoint."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._raw = _Raw(connection)
        self._reader = _Reader(self._raw, 65536)
        self.idle_since = 0.0
        self.begun = False

    def send(self, head: str, form: Form, timeout: float) -> None:
        """Send a request. ``begun`` tells whether a byte of the body may have been sent.

        Head and body are one TLS record, because a second one costs time. When the connection's
        end makes ``send`` raise, the peer received nothing of what it was given: a record that is
        cut off has no content.
        """
        text = (head + "\r\n\r\n").encode("ascii")
        left, rest = len(form.value), Hidden(text + form.take())
        self.begun = False
        self._socket.settimeout(timeout)
        # Before the bytes leave, because a signal's handler may raise any OSError once they have.
        self.begun = True
        while rest.value:
            try:
                rest.value = rest.value[self._socket.send(rest.value) :]
            except (ConnectionError, ssl.SSLError):
                self.begun = len(rest.value) < left
                raise

    def receive(self, timeout: float) -> Tuple[Response, bool]:
        """Return the response, and whether the connection may serve another request."""
        self._raw.deadline, self._raw.left = time.monotonic() + timeout, LONGEST_RESPONSE
        # The 0 stays, whatever debug level a program sets for all of http.client.
        with HTTPResponse(self, 0, "POST") as response:  # type: ignore[arg-type]
            response.begin()
            if response.status < 200:
                raise HTTPException("an interim response came instead of the final one")
            if response.getheader("Content-Encoding", "identity").strip().lower() != "identity":
                text = "The response is compressed, against the request; this is not the service."
                raise BadAnswer(text, http_status=response.status)
            content = b"".join(iter(lambda: response.read(65536), b""))
            if response.length:
                raise HTTPException("the response ended too early")
            # After anything but a complete 200 the real response may still come.
            in_step = response.status == 200 and bool(content) and not response.will_close
            headers = response.getheader("Date"), response.getheader("Retry-After")
            received = Response(response.status, content, *headers, received_at=time.time())
            return received, in_step and self.is_quiet()

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the reader; ``HTTPResponse`` asks a socket for it."""
        return self._reader

    def is_old(self) -> bool:
        """Tell whether the connection is idle for longer than ``LONGEST_IDLE``."""
        return time.monotonic() - self.idle_since > LONGEST_IDLE

    def is_quiet(self) -> bool:
        """Tell whether nothing was received that is not read yet, not even the end."""
        self._raw.deadline = None
        if self._reader.peek(1):
            return False
        try:
            self._socket.settimeout(0)
            self._socket.recv(1)  # TLS handles what is no data, such as session tickets, in here
            return False
        except OSError as error:
            return isinstance(error, (BlockingIOError, ssl.SSLWantReadError))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class _Raw(io.RawIOBase):
    """Reads from a socket until a deadline, and ``left`` bytes at most."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        #: By ``time.monotonic``; None while nothing shall be read.
        self.deadline: Optional[float] = None
        self.left = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        if self.deadline is None:
            return None  # a reader above takes this for "no data now"
        if self.left <= 0:
            raise _TooLong
        self._connection.settimeout(seconds_left(self.deadline))
        count = self._connection.recv_into(memoryview(buffer)[: self.left])
        self.left -= count
        return count


class _Reader(io.BufferedReader):
    """Stays open when an ``HTTPResponse`` closes it, because the next one reads from it too."""

    def close(self) -> None:
        pass
