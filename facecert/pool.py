"""Connections that are kept open: which ones are used again, TLS, and the environment's proxy."""

import os
import ssl
import time
from typing import Any, Dict, Mapping, Optional
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from .errors import DependencyError, InvalidParameter
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

_CONNECTIONS = 256
_CA_VARIABLES = ("ALIBABA_CLOUD_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


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
    proxy = _proxy(endpoint)
    if proxy is None:
        manager = urllib3.PoolManager(**options)
    else:
        manager = _proxy_manager(proxy, options)
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    # There is one endpoint; the manager would look its pool up for every call.
    return manager.connection_from_url(endpoint)


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
    try:
        parts = urlsplit(proxy if "://" in proxy else "http://" + proxy)
        headers = None
        if parts.username is not None:
            login = "%s:%s" % (unquote(parts.username), unquote(parts.password or ""))
            headers = urllib3.make_headers(proxy_basic_auth=login)
        if parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/"):
            address = "%s://%s" % (parts.scheme, parts.netloc.rpartition("@")[2])
            return urllib3.ProxyManager(address, proxy_headers=headers, **options)
    except (ValueError, urllib3.exceptions.HTTPError):
        pass  # the words would quote the password
    raise InvalidParameter("HTTPS_PROXY must name an http:// proxy", field="HTTPS_PROXY")
