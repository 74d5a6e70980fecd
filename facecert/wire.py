"""One POST to one endpoint over connections that are kept open.

The only module that imports ``urllib3``. It tells apart what was never sent from what may have
been done.
"""

import os
import re
import ssl
import time
from typing import Any, Dict, Iterator, Mapping, Optional, Union
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from . import __version__
from .answers import Reply
from .errors import BadAnswer, ConnectionFailed, DependencyError, InvalidParameter, NoAnswer
from .settings import is_loopback

try:
    import certifi
    import urllib3
except ImportError as error:
    raise DependencyError(
        "facecert sends with urllib3 and certifi. Install them with:"
        " python -m pip install urllib3 certifi"
    ) from error

#: Seconds. An older connection may be dropped by the other side just as we write on it.
LONGEST_IDLE = 10.0
#: Bytes. The service's answers have a few thousand.
LONGEST_ANSWER = 1024 * 1024

_CONNECTIONS = 64
_CA_VARIABLES = ("ALIBABA_CLOUD_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_ADDRESS_OF_OBJECT = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>: ")


class Wire:
    """Connections to one endpoint. May be shared by threads; after a fork the child opens its own.

    Args:
        endpoint: ``https://host[:port]`` (``http://`` on this machine).
        connect_timeout, read_timeout: seconds; the latter between two pieces of an answer.
    """

    def __init__(self, endpoint: str, *, connect_timeout: float, read_timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        self._pools: Dict[int, urllib3.PoolManager] = {}

    def post(self, form: bytes) -> Reply:
        """Send a form once and return what came back, whatever its status.

        Raises:
            ConnectionFailed: nothing was sent.
            NoAnswer: it was sent, or part of it, and no whole answer came.
            BadAnswer: the answer is too large to be one.
        """
        body = _Body(form)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(form)),
            "Accept": "application/json",
            "User-Agent": "facecert/%s" % __version__,
        }
        try:
            response = self._pool().urlopen(
                "POST",
                self._endpoint + "/",
                body=body,
                headers=headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                enforce_content_length=True,
            )
            content = _read(response)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._failure(error, body.begun) from error
        return Reply(
            status=response.status,
            body=content,
            date=response.headers.get("Date"),
            retry_after=response.headers.get("Retry-After"),
            received_at=time.time(),
        )

    def close(self) -> None:
        """Close this process's connections that are not in use."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.clear()

    def _pool(self) -> urllib3.PoolManager:
        process = os.getpid()
        pool = self._pools.get(process)
        if pool is None:
            # setdefault: when two threads come first, both use the same one.
            pool = self._pools.setdefault(process, _open_pool(self._endpoint))
            for parent in set(self._pools) - {process}:
                self._pools.pop(parent, None)
        return pool

    def _failure(self, error: Exception, begun: bool) -> Union[NoAnswer, ConnectionFailed]:
        host = urlsplit(self._endpoint).netloc
        reason = _ADDRESS_OF_OBJECT.sub("", str(error)) or type(error).__name__
        if begun:
            return NoAnswer(
                "%s was sent the request and gave no whole answer: %s. It may have been done."
                % (host, reason)
            )
        advice = "the network, DNS, HTTPS_PROXY and the endpoint"
        if isinstance(error, urllib3.exceptions.SSLError):
            advice = "%s and whether something intercepts TLS" % _CA_VARIABLES[0]
        return ConnectionFailed(
            "No connection to %s: %s. Nothing was sent. Check %s." % (host, reason, advice)
        )


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


class _FreshConnections:
    """For urllib3's pools: a connection that was idle for long is opened anew."""

    def _get_conn(self, timeout: Optional[float] = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        idle_since = getattr(connection, "idle_since", None)
        if idle_since is not None and time.monotonic() - idle_since > LONGEST_IDLE:
            connection.close()
        return connection

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.idle_since = time.monotonic()
        super()._put_conn(connection)  # type: ignore[misc]


class _HTTPPool(_FreshConnections, urllib3.HTTPConnectionPool):
    pass


class _HTTPSPool(_FreshConnections, urllib3.HTTPSConnectionPool):
    pass


def _open_pool(endpoint: str) -> urllib3.PoolManager:
    options: Dict[str, Any] = {"maxsize": _CONNECTIONS}
    if endpoint.startswith("https://"):
        options["ssl_context"] = _tls_context()
    proxy = _proxy(endpoint)
    if proxy is None:
        pool = urllib3.PoolManager(**options)
    else:
        pool = _proxy_manager(proxy, options)
    pool.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pool


def _tls_context() -> ssl.SSLContext:
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    variable = next((name for name in _CA_VARIABLES if os.environ.get(name)), "")
    bundle = os.environ[variable] if variable else certifi.where()
    try:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError as error:
        raise InvalidParameter(
            "%s names a CA bundle that cannot be read" % (variable or "certifi"), field=variable
        ) from error
    return context


def _proxy(endpoint: str) -> Optional[str]:
    parts = urlsplit(endpoint)
    if is_loopback(endpoint) or proxy_bypass_environment(parts.netloc):
        return None
    proxies = getproxies_environment()
    return proxies.get(parts.scheme) or proxies.get("all")


def _proxy_manager(proxy: str, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    parts = urlsplit(proxy if "://" in proxy else "http://" + proxy)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParameter("HTTPS_PROXY must name an http:// proxy", field="HTTPS_PROXY")
    headers = None
    if parts.username is not None:
        login = "%s:%s" % (unquote(parts.username), unquote(parts.password or ""))
        headers = urllib3.make_headers(proxy_basic_auth=login)
    address = "%s://%s" % (parts.scheme, parts.netloc.rpartition("@")[2])
    return urllib3.ProxyManager(address, proxy_headers=headers, **options)


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
    response.release_conn()
    return content
