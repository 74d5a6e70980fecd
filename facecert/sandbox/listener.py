"""HTTP/1.1 with kept-open connections on a loopback port, and ways to break it.

Werkzeug's own server closes the connection after every answer, so a client's pooling could not be
seen with it. Not a server for anything but tests.
"""

import io
import re
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Callable, Dict, List, Optional
from wsgiref.handlers import format_date_time
from wsgiref.simple_server import WSGIRequestHandler

from werkzeug.test import run_wsgi_app

#: A list in the WSGI environ. An application may add a function to it, which is called before the
#: answer goes out and returns True when the connection is to be cut instead.
CUT_INSTEAD = "facecert.sandbox.cut_instead"

HOST = "127.0.0.1"

#: Bytes.
LONGEST_BODY = 1024 * 1024


class Listener:
    """Serves a WSGI application until it is closed; can be opened again on the same port.

    Args:
        clock: what the ``Date`` header tells.
        tls: serve HTTPS with this context.
    """

    def __init__(
        self,
        application: Any,
        port: int,
        clock: Callable[[], float],
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        self._application = application
        self._clock = clock
        self._tls = tls
        self._server: Optional[_Server] = None
        self.port = port

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:port``, or ``https://``."""
        return "%s://%s:%d" % ("https" if self._tls else "http", HOST, self.port)

    def open(self) -> None:
        """Listen. Port 0 takes a free one, and keeps it."""
        if self._server is None:
            self._server = _Server(self.port, self._application, self._clock, self._tls)
            self.port = self._server.server_address[1]
            serve = self._server.serve_forever
            threading.Thread(target=serve, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening and cut every connection: the next one is refused."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.cut_all()


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        application: Any,
        clock: Callable[[], float],
        tls: Optional[ssl.SSLContext],
    ) -> None:
        self.application = application
        self.clock = clock
        self._tls = tls
        #: connection -> the thread that serves it
        self._connections: Dict[Any, int] = {}
        super().__init__((HOST, port), _Handler)
        self.base_environ = {
            "SERVER_NAME": HOST,
            "SERVER_PORT": str(self.server_address[1]),
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REMOTE_HOST": "",
            "CONTENT_LENGTH": "",
            "SCRIPT_NAME": "",
        }

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(_Handler.timeout)
        if self._tls is not None:
            request = self._tls.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
        self._connections[request] = threading.get_ident()
        try:
            # The handshake is done here, in the connection's own thread.
            if self._tls is not None:
                request.do_handshake()
            super().finish_request(request, client_address)
        finally:
            self._connections.pop(request, None)
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or failed the handshake, is no news here."""

    def cut_all(self) -> None:
        for connection, thread in list(self._connections.items()):
            if thread == threading.get_ident():
                continue  # the one that ordered it gets its answer
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is gone already


class _Handler(WSGIRequestHandler):
    """wsgiref's handler for the environ; http.server's loop for keeping connections open."""

    protocol_version = "HTTP/1.1"
    server_version = "facecert-sandbox"
    # HTTP/0.9, the usual one, would answer what is no request without a status line.
    default_request_version = "HTTP/1.0"
    timeout = 120
    # Several small writes and the peer's delayed ACK would cost 40 ms a call.
    disable_nagle_algorithm = True

    def handle(self) -> None:
        BaseHTTPRequestHandler.handle(self)

    def answer(self) -> None:
        lengths = self.headers.get_all("Content-Length", ["0"])
        if self.headers.get("Transfer-Encoding"):
            return self._turn_away(411)
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,15}", lengths[0]):
            return self._turn_away(400)
        if int(lengths[0]) > LONGEST_BODY:
            return self._turn_away(413)
        body = self.rfile.read(int(lengths[0]))
        cut_instead: List[Callable[[], bool]] = []
        environ = dict(self.get_environ())
        environ.update(
            {
                "REMOTE_PORT": str(self.client_address[1]),
                CUT_INSTEAD: cut_instead,
                "wsgi.version": (1, 0),
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(body),
                "wsgi.errors": io.StringIO(),
                "wsgi.multithread": True,
                "wsgi.multiprocess": False,
                "wsgi.run_once": False,
            }
        )
        application = self.server.application  # type: ignore[attr-defined]
        chunks, status, headers = run_wsgi_app(application, environ, buffered=True)
        if any(cut() for cut in cut_instead):
            self.close_connection = True
            return
        self.send_response(int(status.split(" ", 1)[0]))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"".join(chunks))

    def _turn_away(self, status: int) -> None:
        """Refuse a request whose body cannot be told from the next request."""
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    do_GET = do_POST = do_HEAD = do_PUT = answer

    def date_time_string(self, timestamp: Optional[float] = None) -> str:
        return format_date_time(self.server.clock())  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: query strings of other clients may hold names."""
