"""An HTTP/1.1 server with persistent connections on a loopback port; for tests only.

Werkzeug's own server closes the connection after every response, which would hide connection reuse.
"""

import io
import re
import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Callable, Dict, Optional
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.util import setup_testing_defaults

from werkzeug.test import run_wsgi_app

from .rpc import CUT

HOST = "127.0.0.1"
#: Bytes of a request's body, at most.
LONGEST_BODY = 1024 * 1024


class Listener:
    """Serves a WSGI application until ``close()``; ``open()`` uses the same port again.

    A response with the status ``rpc.CUT`` is not sent; its connection is closed.
    """

    def __init__(
        self, application: Any, port: int, clock: Callable[[], float],
        tls: Optional[ssl.SSLContext] = None
    ) -> None:
        self.port = port
        self.clock = clock
        self.tls = tls
        #: Connection -> the thread that serves it.
        self.connections: Dict[Any, int] = {}
        self._application = application
        self._server: Optional[_Server] = None

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:port``, or ``https://``."""
        return "%s://%s:%d" % ("https" if self.tls else "http", HOST, self.port)

    def open(self) -> None:
        """Listen. Port 0 takes a free one, and keeps it."""
        if self._server is None:
            self._server = server = _Server((HOST, self.port), _Handler)
            server.listener = self
            server.set_app(self._application)
            self.port = server.server_port
            if self.tls is not None:
                # Each connection makes its handshake at the first read, in its own thread, because
                # a slow handshake must not block the other connections.
                server.socket = self.tls.wrap_socket(
                    server.socket, server_side=True, do_handshake_on_connect=False
                )
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening and cut every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            for connection, thread in list(self.connections.items()):
                # The connection that ordered the cut gets its response.
                if thread != threading.get_ident():
                    with suppress(OSError):  # the connection may be closed already
                        connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128
    listener: Listener

    def server_bind(self) -> None:
        # Not HTTPServer's, which resolves this machine's name; that may take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.listener.connections[request] = threading.get_ident()
        try:
            super().finish_request(request, client_address)
        finally:
            del self.listener.connections[request]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing, because clients may leave or fail the handshake at any time."""


class _Handler(WSGIRequestHandler):
    """wsgiref's handler for the environ; http.server's loop for persistent connections."""

    protocol_version = "HTTP/1.1"
    server_version = "facecert-sandbox"
    # The default, HTTP/0.9, answers a malformed request without a status line.
    default_request_version = "HTTP/1.0"
    timeout = 120
    # Nagle's algorithm and the client's delayed ACK together would cost 40 ms a call.
    disable_nagle_algorithm = True

    handle = BaseHTTPRequestHandler.handle

    def answer(self) -> None:
        # After an error the connection is closed, because the end of the request is unknown.
        lengths = self.headers.get_all("Content-Length", ["0"])
        if self.headers.get("Transfer-Encoding"):
            return self.send_error(411)
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,15}", lengths[0]):
            return self.send_error(400)
        if int(lengths[0]) > LONGEST_BODY:
            return self.send_error(413)
        environ = dict(self.get_environ(), REMOTE_PORT=str(self.client_address[1]))
        environ["wsgi.input"] = io.BytesIO(self.rfile.read(int(lengths[0])))
        setup_testing_defaults(environ)
        application = self.server.get_app()  # type: ignore[attr-defined]
        chunks, status_line, headers = run_wsgi_app(application, environ, buffered=True)
        status = int(status_line[:3])
        if status == CUT:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"".join(chunks))

    def __getattr__(self, name: str) -> Callable[[], None]:
        # For do_GET and so on, because http.server itself would refuse methods without one.
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def date_time_string(self, timestamp: Optional[float] = None) -> str:
        return super().date_time_string(self.server.listener.clock())  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, because query strings of other clients may hold names."""
