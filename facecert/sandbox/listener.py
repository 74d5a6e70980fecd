"""The sandbox's web application, and an HTTP/1.1 server with persistent connections for it.

Werkzeug's own server closes the connection after every response, which would hide connection reuse.
"""

import io
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Callable, Dict, Optional
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.util import setup_testing_defaults

from flask import Flask, Response, abort, redirect, render_template, request
from werkzeug.test import run_wsgi_app

from ..links import is_loopback
from .faults import FAULTS
from .rpc import CUT, Exchange
from .service import ACTS, EXPIRED, FAILED, GIVEN_UP, PASSED, PENDING, Service

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
                options: Any = {"server_side": True, "do_handshake_on_connect": False}
                server.socket = self.tls.wrap_socket(server.socket, **options)
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


STATES = {PENDING: "待认证", PASSED: "已通过", FAILED: "未通过", GIVEN_UP: "已放弃", EXPIRED: "已过期"}


def create_application(sandbox: Any, exchange: Exchange, service: Service) -> Flask:
    """Return the WSGI application of a ``Sandbox`` (Any, because that module imports this one)."""
    # Never used. Without an instance_path Flask 0.12 looks for one and fails below pytest's hook.
    app = Flask(__name__, instance_path="/")
    app.jinja_env.globals.update(FAULTS=FAULTS, STATES=STATES, sandbox=sandbox, state=service.state)
    app.jinja_env.filters["hhmmss"] = lambda at: time.strftime("%H:%M:%S", time.gmtime(at))

    @app.before_request
    def refuse_foreign_pages() -> Any:
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        # A foreign page may have a name of its own resolved to this machine (DNS rebinding). With
        # https the browser itself refuses, because the certificate is not valid for that name.
        scheme = sandbox.endpoint.partition(":")[0]
        own_host = scheme == "https" or host is None or is_loopback("//" + host)
        if own_host and origin in (None, sandbox.endpoint, "%s://%s" % (scheme, host)):
            return None
        words = "Refused: Host must be localhost or a loopback address; Origin must be the same.\n"
        return Response(words, 403, content_type="text/plain; charset=utf-8")

    # Not a route, because Flask itself would refuse methods that a route does not name.
    @app.before_request
    def call() -> Any:
        query = request.query_string.decode("latin-1")
        if request.path != "/" or request.method == "GET" and not query:
            return None
        body = request.get_data(cache=False, as_text=True)
        peer = (request.environ["REMOTE_ADDR"], int(request.environ["REMOTE_PORT"]))
        response = exchange.answer(request.method, query, body, dict(request.headers), peer)
        return Response(response.text, response.status, content_type=response.content_type)

    @app.route("/")
    def front() -> Any:
        return render_template("front.html", verifications=service.newest_first())

    @app.route("/gateway.do", methods=["GET", "POST"])
    def verify() -> Any:
        # The ticket, because certify_id is shown in logs and must not be enough to submit.
        ticket = request.args.get("sign")
        verification = next((it for it in service.newest_first() if it.ticket == ticket), None)
        if verification is None:
            return render_template("unknown.html"), 404
        done = "done" in request.args
        if request.method == "POST":
            act = request.form.get("answer")
            if act not in ACTS:
                abort(400)
            service.act(verification.certify_id, act)
        elif done or not sandbox.wait_for_person(verification.certify_id):
            minutes = max(0, int((verification.expires_at - service.clock() + 59) // 60))
            return render_template("verify.html", it=verification, minutes=minutes, done=done)
        # The platform's callback mostly arrives before the person does.
        sandbox.wait_for_callbacks(0.5)
        back = verification.return_url
        if not back.startswith(("https://", "http://")):
            # To another address than this form's, because a reload would submit again.
            back = verification.certify_url + "&done=1"
        return redirect(back, 303)

    @app.route("/faults", methods=["POST"])
    def order_faults() -> Any:
        form, fault = request.form, request.form.get("fault", "")
        times, seconds = form.get("times", 1, int), form.get("seconds", 2.0, float)
        try:
            if fault == "none":
                sandbox.heal()
            else:
                sandbox.fail(fault, times=times, on=form.get("on") or None, seconds=seconds)
        except ValueError as error:
            return Response(str(error) + "\n", 400, content_type="text/plain; charset=utf-8")
        return redirect("/", 303)

    return app
