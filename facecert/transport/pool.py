"""Connections that are kept open: which ones are used again, TLS, and the environment's proxy."""

import os
import ssl
import time
from typing import Any, Dict, Mapping, Optional, Tuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from ..errors import DependencyError, InvalidParameter
from ..links import is_loopback

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

_CONNECTIONS = 256
CA_VARIABLES = ("ALIBABA_CLOUD_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


class _CarefulPool:
    """For urllib3's pools: only connections that are surely in step are used again.

    An answer does not say which verification it is about. If one came late, on a connection that
    was thought to be free, the next caller would take it for theirs.
    """

    def _get_conn(self, timeout: Optional[float] = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        idle_since = getattr(connection, "idle_since", None)
        if idle_since is not None and time.monotonic() - idle_since > LONGEST_IDLE:
            connection.close()
        connection.idle_since = None
        connection.owner = self
        return connection

    def _put_conn(self, connection: Any) -> None:
        """What urllib3 gives back by itself is not kept: see ``keep``."""
        if connection is None:
            super()._put_conn(None)  # type: ignore[misc]

    def keep(self, connection: Any) -> None:
        """Let the next call use a connection."""
        connection.idle_since = time.monotonic()
        # A pool that nobody refers to is collected at once, and what waits in it is closed.
        connection.owner = None
        super()._put_conn(connection)  # type: ignore[misc]


class _HTTPPool(_CarefulPool, urllib3.HTTPConnectionPool):
    pass


class _HTTPSPool(_CarefulPool, urllib3.HTTPSConnectionPool):
    pass


def open_pool(endpoint: str) -> urllib3.HTTPConnectionPool:
    """Return a pool for one endpoint: its certificates and its proxy as the environment names them.

    Raises:
        InvalidParameter: the environment's CA bundle or proxy is of no use; ``field`` names it.
    """
    options: Dict[str, Any] = {"maxsize": _CONNECTIONS}
    if endpoint.startswith("https://"):
        options["ssl_context"] = _tls_context()
    manager = _manager(endpoint, options)
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    # There is one endpoint; the manager would look its pool up for every call.
    return manager.connection_from_url(endpoint)


def proxy_address(endpoint: str) -> Optional[str]:
    """Return the proxy's URL without user and password; None where there is no proxy.

    Raises:
        InvalidParameter: the environment's proxy is of no use.
    """
    proxy = _proxy(endpoint)
    return None if proxy is None else _read_proxy(proxy)[0]


def ca_variable() -> Optional[str]:
    """Return the name of the variable that names the CA bundle; None: it is certifi's."""
    return next((name for name in CA_VARIABLES if os.environ.get(name)), None)


def is_about_tls(error: Optional[BaseException]) -> bool:
    """Tell whether it is TLS that kept a connection from being made."""
    return isinstance(error, urllib3.exceptions.SSLError)


def presented_certificate(endpoint: str, timeout: float) -> Optional[bytes]:
    """Return the certificate (DER) that answers for an ``https://`` endpoint, whoever made it.

    It is not verified, so nothing is sent. None: no connection, or what answers speaks no TLS.
    """
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_NONE)
    manager = _manager(endpoint, {"ssl_context": context, "timeout": timeout, "retries": False})
    pool: Any = manager.connection_from_url(endpoint)
    connection = pool._get_conn()
    try:
        if pool.proxy is None:
            connection.connect()
        else:
            pool._prepare_proxy(connection)
        certificate: Optional[bytes] = connection.sock.getpeercert(binary_form=True)
        return certificate
    except (urllib3.exceptions.HTTPError, OSError):
        return None
    finally:
        connection.close()
        manager.clear()


def _manager(endpoint: str, options: Mapping[str, Any]) -> urllib3.PoolManager:
    proxy = _proxy(endpoint)
    if proxy is None:
        return urllib3.PoolManager(**options)
    try:
        address, headers = _read_proxy(proxy)
        return urllib3.ProxyManager(address, proxy_headers=headers, **options)
    except (ValueError, urllib3.exceptions.HTTPError):
        pass  # the words would quote the password
    raise _bad_proxy()


def _tls_context() -> ssl.SSLContext:
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    variable = ca_variable() or ""
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


def _read_proxy(proxy: str) -> Tuple[str, Optional[Mapping[str, str]]]:
    """Return a proxy's address, and the headers that hold its user and password."""
    try:
        parts = urlsplit(proxy if "://" in proxy else "http://" + proxy)
        headers, behind = None, parts.path.strip("/") or parts.query or parts.fragment
        if parts.username is not None:
            login = "%s:%s" % (unquote(parts.username), unquote(parts.password or ""))
            headers = urllib3.make_headers(proxy_basic_auth=login)
        # What a bare / ? or # in a password cuts off is part of neither host nor port.
        if parts.scheme in ("http", "https") and parts.hostname and not behind and parts.port != 0:
            return "%s://%s" % (parts.scheme, parts.netloc.rpartition("@")[2]), headers
    except ValueError:
        pass  # the words would quote the password
    raise _bad_proxy()


def _bad_proxy() -> InvalidParameter:
    return InvalidParameter("HTTPS_PROXY must name an http:// proxy", field="HTTPS_PROXY")
