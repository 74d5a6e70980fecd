"""Opening a connection: the CA bundle, the environment's proxy, all addresses of a name, TLS.

``socket`` and ``ssl`` are looked up at each call, because gevent or eventlet may replace their
classes at any time.
"""

import base64
import os
import re
import socket
import ssl
import time
from contextlib import suppress
from typing import Optional, Tuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from ..errors import invalid
from ..links import is_loopback
from ..settings import check_form

CA_VARIABLES = ("ALIBABA_CLOUD_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def tls_context() -> ssl.SSLContext:
    """Return a context that trusts the environment's CA bundle, or the system's and certifi's."""
    variable = ca_variable()
    bundle = os.path.expanduser(check_form(os.environ[variable], variable)) if variable else None
    try:
        folder = bundle if bundle and os.path.isdir(bundle) else None
        context = ssl.create_default_context(cafile=None if folder else bundle, capath=folder)
        with suppress(ImportError):  # the system's store remains
            if not bundle:
                import certifi

                context.load_verify_locations(cafile=certifi.where())
    except OSError as error:
        not_pem = isinstance(error, ssl.SSLError) and "it holds no certificate in PEM form"
        words = "names the CA bundle %s: %s" % (bundle, not_pem or error.strerror)
        raise invalid(variable or "certifi", words) from error
    if hasattr(ssl, "TLSVersion"):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:  # Python 3.6
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    return context


def ca_variable() -> Optional[str]:
    """Return the name of the variable that names the CA bundle, or None."""
    return next((name for name in CA_VARIABLES if os.environ.get(name, "").strip()), None)


def is_about_tls(error: Optional[BaseException]) -> bool:
    """Tell whether TLS prevented a connection."""
    return isinstance(error, (ssl.SSLError, ssl.CertificateError))


def proxy_address(endpoint: str) -> Optional[str]:
    """Return the proxy's URL without user and password; None when there is no proxy."""
    proxy = _proxy(endpoint)
    return None if proxy is None else "http://" + _address(*proxy[:2])


def _address(host: str, port: int) -> str:
    return ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)


def _proxy(endpoint: str) -> Optional[Tuple[str, int, str]]:
    """Return the proxy's host and port, and the header with its user and password."""
    parts = urlsplit(endpoint)
    if is_loopback(endpoint) or proxy_bypass_environment(parts.netloc):
        return None
    proxies = getproxies_environment()
    variable = "HTTPS_PROXY" if proxies.get(parts.scheme) else "ALL_PROXY"
    url = check_form(proxies.get(parts.scheme) or proxies.get("all") or "", variable)
    if not url:
        return None
    with suppress(ValueError):  # whose message quotes the password
        proxy = urlsplit(url if "://" in url else "http://" + url)
        port = 80 if proxy.port is None else proxy.port
        login = ""
        if proxy.username is not None:
            pair = "%s:%s" % (unquote(proxy.username), unquote(proxy.password or ""))
            login = base64.b64encode(pair.encode("utf-8")).decode("ascii")
            login = "Proxy-Authorization: Basic %s\r\n" % login
        # What a bare / ? or # in a password cuts off is part of neither host nor port.
        behind = proxy.path.strip("/") or proxy.query or proxy.fragment
        if proxy.scheme == "http" and proxy.hostname and port and not behind:
            return proxy.hostname, port, login
    rule = "must be http://[user:password@]host:port, not SOCKS; write # in a password as %23"
    raise invalid(variable, rule)


def open_socket(endpoint: str, context: Optional[ssl.SSLContext], timeout: float) -> socket.socket:
    """Return a connected socket, through the environment's proxy, with TLS if there is a context.

    A host name that is malformed, or (Python 3.6) not the certificate's, raises ValueError.
    """
    deadline = time.monotonic() + timeout
    parts = urlsplit(endpoint)
    host, port = str(parts.hostname), parts.port or (443 if context else 80)
    proxy = _proxy(endpoint)
    connection = _dial(*(proxy[:2] if proxy else (host, port)), deadline)
    try:
        if proxy:
            _tunnel(connection, _address(host, port), proxy[2], deadline)
        if context:
            connection.settimeout(seconds_left(deadline))
            connection = context.wrap_socket(connection, server_hostname=host)
        return connection
    except BaseException:
        connection.close()
        raise


def _dial(host: str, port: int, deadline: float) -> socket.socket:
    """Return a socket that is connected to the first address that accepts."""
    addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    failure: Optional[OSError] = None
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        connection = socket.socket(family, kind, protocol)
        try:
            # An address that does not answer must leave time for the next ones.
            connection.settimeout(seconds_left(deadline) / (len(addresses) - number))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(address)
            return connection
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError):
                raise
            failure = error
    raise failure or OSError("the name has no address")


def _tunnel(connection: socket.socket, target: str, login: str, deadline: float) -> None:
    """Have a proxy lead the connection to the target."""
    request = "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, target, login)
    connection.settimeout(seconds_left(deadline))
    connection.sendall(request.encode("latin-1"))
    head = b""
    # One byte at a time, so that nothing behind the head is read.
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        connection.settimeout(seconds_left(deadline))
        byte = connection.recv(1)
        if not byte or len(head) > 16384:
            raise OSError("the proxy sent no complete response to CONNECT")
        head += byte
    status = re.match(br"HTTP/1\.[01] ([0-9]{3})\b", head)
    code = status.group(1).decode("ascii") if status else "of no known form"
    if not code.startswith("2"):
        raise OSError("the proxy refused CONNECT with HTTP %s" % code)


def seconds_left(deadline: float) -> float:
    """Return the seconds until a deadline; ``socket.timeout`` is raised when it is over."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise socket.timeout("timed out")
    return seconds
