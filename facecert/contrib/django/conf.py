"""The dict ``FACECERT`` in the site's settings, and the client that is made from it.

::

    FACECERT = {
        "SCENE_ID": "1000000006",                  # from the console
        "CALLBACK_SECRET": os.environ["…"],        # 16 characters or more; a list while changing it
        "PUBLIC_URL": "https://shop.example",      # where the platform reaches this site
        # and, as the arguments of facecert.Client: ENDPOINT, ENCRYPT, SM2_PUBLIC_KEY,
        # CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS, and ACCESS_KEY (``credentials`` there; by this
        # name Django hides it on its debug page)
    }
"""

import threading
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.urls import get_script_prefix, reverse

from ...callback import check_secrets
from ...client import Client
from ...redact import Private, guarded

#: Key of FACECERT -> argument of Client.
ARGUMENTS = {
    "SCENE_ID": "scene_id",
    "ENDPOINT": "endpoint",
    "ACCESS_KEY": "credentials",
    "ENCRYPT": "encrypt",
    "SM2_PUBLIC_KEY": "sm2_public_key",
    "CONNECT_TIMEOUT": "connect_timeout",
    "READ_TIMEOUT": "read_timeout",
    "ATTEMPTS": "attempts",
    "CALLBACK_SECRET": "callback_secret",
}
OTHERS = ("PUBLIC_URL",)

#: Stands for the order in the pattern, whose characters a "{" is not one of.
_STAND_IN = "facecertStandsInForTheOrder"

_lock = threading.Lock()
_client: Optional[Client] = None


@guarded
def options() -> Dict[str, Any]:
    """Return what ``FACECERT`` sets; what is None or empty counts as unset.

    Raises:
        ImproperlyConfigured: it is no dict, or holds a key that facecert does not know.
    """
    given = getattr(settings, "FACECERT", {})
    if not isinstance(given, dict):
        raise ImproperlyConfigured("FACECERT must be a dict.")
    known = sorted(ARGUMENTS) + list(OTHERS)
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        raise ImproperlyConfigured(
            "FACECERT does not know %s; there are: %s." % (", ".join(unknown), ", ".join(known))
        )
    return {key: value for key, value in given.items() if value is not None and value != ""}


@guarded
def client() -> Client:
    """Return the client that all of the process shares; it is made anew when settings change.

    Raises:
        ImproperlyConfigured: see ``options``.
        InvalidParameter: a setting breaks a rule of ``Client``; ``field`` names it.
    """
    global _client
    with _lock:
        if _client is None:
            _client = _made()
        return _client


@guarded
def callback_secrets() -> Private:
    """Return the secrets of the callbacks' tokens.

    Raises:
        InvalidParameter: there is none, or one is too short.
    """
    return check_secrets(options().get("CALLBACK_SECRET", ()))


@guarded
def callback_url() -> Optional[str]:
    """Return the URL for the platform to call, with ``{order}`` for the order's number.

    None without ``PUBLIC_URL`` or ``CALLBACK_SECRET``: then nobody is called back, and
    ``Verification.refresh`` or ``manage.py facecert_settle`` finds out.
    """
    given = options()
    if "PUBLIC_URL" not in given or "CALLBACK_SECRET" not in given:
        return None
    base = str(given["PUBLIC_URL"]).rstrip("/")
    path = str(reverse("facecert:callback", args=[_STAND_IN])).replace(_STAND_IN, "{order}")
    if urlsplit(base).path:
        # PUBLIC_URL says where the site is; below it, the prefix would stand twice.
        path = "/" + path[len(get_script_prefix()) :]
    return base + path


def _made() -> Client:
    given = options()
    return Client(**{ARGUMENTS[key]: value for key, value in given.items() if key in ARGUMENTS})


def _forget(setting: str = "", **_: Any) -> None:
    global _client
    if setting == "FACECERT":
        with _lock:
            old, _client = _client, None
        if old is not None:
            old.close()


setting_changed.connect(_forget, dispatch_uid="facecert")
