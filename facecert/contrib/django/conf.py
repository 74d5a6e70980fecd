"""The dict ``FACECERT`` in the site's settings, and the client that is made from it.

``PUBLIC_URL`` (``https://shop.example``) is where the platform reaches this site. The other keys
are arguments of ``facecert.Client``; ``CALLBACK_SECRET`` may be a list during a rotation.
"""

from typing import Any, Dict, Optional
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.urls import get_script_prefix, reverse

from ...callback import check_secrets
from ...client import Client
from ...redact import Private, guarded
from ...settings import VARIABLES

#: Key of FACECERT -> argument of Client. The site's model is the ledger.
ARGUMENTS = {
    variable[len("FACECERT_") :]: argument
    for variable, (argument, _) in VARIABLES.items()
    if argument != "ledger"
}
ARGUMENTS["ACCESS_KEY"] = "credentials"  # because Django's debug page hides this name

#: Stands for the order number, because the URL's pattern does not match "{order}".
_STAND_IN = "facecertStandsInForTheOrder"

_client: Optional[Client] = None


@guarded
def options() -> Dict[str, Any]:
    """Return the values in ``FACECERT``; None and "" count as unset.

    Raises:
        ImproperlyConfigured: it is not a dict, or has an unknown key.
    """
    given = getattr(settings, "FACECERT", {})
    if not isinstance(given, dict):
        raise ImproperlyConfigured("FACECERT must be a dict.")
    known = sorted(ARGUMENTS) + ["PUBLIC_URL"]
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        raise ImproperlyConfigured(
            "FACECERT does not know %s; there are: %s." % (", ".join(unknown), ", ".join(known))
        )
    return {key: value for key, value in given.items() if value is not None and value != ""}


@guarded
def client() -> Client:
    """Return the process's client, which is made anew when tests change the settings.

    Raises:
        ImproperlyConfigured: see ``options``.
        InvalidParameter: a setting breaks a rule of ``Client``; ``field`` names it.
    """
    global _client
    # Without a lock, because one of before a patch by gevent or eventlet would stop all greenlets.
    current = _client
    if current is None:
        given = options()
        fresh = Client(**{ARGUMENTS[key]: given[key] for key in given if key in ARGUMENTS})
        current = _client = _client or fresh
    return current


@guarded
def callback_secrets() -> Private:
    """Return the secrets of the callbacks' tokens, checked by ``callback.check_secrets``."""
    return check_secrets(options().get("CALLBACK_SECRET", ()))


@guarded
def callback_url() -> Optional[str]:
    """Return the callback's URL, with ``{order}`` in place of the order number.

    None without ``PUBLIC_URL`` or ``CALLBACK_SECRET``: then no callback comes, and
    ``Verification.refresh`` or ``manage.py facecert_settle`` must query.
    """
    given = options()
    if "PUBLIC_URL" not in given or "CALLBACK_SECRET" not in given:
        return None
    base = str(given["PUBLIC_URL"]).rstrip("/")
    path = str(reverse("facecert:callback", args=[_STAND_IN])).replace(_STAND_IN, "{order}")
    if urlsplit(base).path:
        # PUBLIC_URL has the site's prefix already.
        path = "/" + path[len(get_script_prefix()) :]
    return base + path


def _forget(setting: str = "", **_: Any) -> None:
    global _client
    if setting == "FACECERT":
        old, _client = _client, None
        if old is not None:
            old.close()


setting_changed.connect(_forget, dispatch_uid="facecert")
