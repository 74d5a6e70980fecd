"""The dict ``FACECERT`` in the site's settings, and the client that is made from it.

``PUBLIC_URL`` (``https://shop.example``) is where the platform reaches this site. ``ACCESS_KEY`` is
the argument ``credentials`` of ``facecert.Client``. The other keys are ``settings.VARIABLES``
without ``FACECERT_``, as texts or numbers. During a rotation ``CALLBACK_SECRET`` is a list, or a
string with a blank between the secrets.
"""

import re
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.urls import get_script_prefix, reverse

from ...client import Client
from ...errors import invalid
from ...links import DEFAULT_ENDPOINT
from ...redact import Hidden, guarded
from ...settings import VARIABLES, check_public_url, from_environment

#: The keys of FACECERT. The site's model is the ledger.
KEYS = sorted({name[len("FACECERT_") :] for name in VARIABLES} - {"LEDGER"})
KEYS += ["ACCESS_KEY", "PUBLIC_URL"]  # so, because Django's debug page hides ACCESS_KEY

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
    given = given.value if isinstance(given, Hidden) else given
    wrong = ""
    if not isinstance(given, dict):
        wrong = "FACECERT must be a dict."
    elif not set(given) <= set(KEYS):
        # A key with other characters may be an AccessKey in a wrong place.
        unknown = sorted(str(key) for key in given if key not in KEYS)
        shown = [key if re.fullmatch("[A-Za-z_]{1,32}", key) else "[withheld]" for key in unknown]
        wrong = "FACECERT does not know %s; there are: %s." % (", ".join(shown), ", ".join(KEYS))
    if wrong:
        # Django's error reports list all settings, and hide values by the known names alone.
        settings.FACECERT = Hidden(given)
        raise ImproperlyConfigured(wrong)
    return {key: value for key, value in given.items() if value is not None and value != ""}


@guarded
def arguments() -> Dict[str, Any]:
    """Return the values in ``FACECERT`` as arguments of ``Client``, and ``per_day``.

    Raises:
        ImproperlyConfigured: see ``options``.
        InvalidParameter: a setting breaks a rule; ``field`` names it.
    """
    given = options()
    return dict(from_environment(given, prefix=""), credentials=given.get("ACCESS_KEY"))


@guarded
def client() -> Client:
    """Return the process's client, which is made anew when tests change the settings.

    Raises:
        ImproperlyConfigured, InvalidParameter: see ``arguments``.
        CredentialsError: ``ACCESS_KEY`` has an unknown type.
    """
    global _client
    # Without a lock, because one of before a patch by gevent or eventlet would stop all greenlets.
    current = _client
    if current is None:
        given = arguments()
        given.pop("per_day", None)
        hidden = Hidden(given)
        del given  # before code of other packages runs
        fresh = Client(**hidden.take())
        current = _client = _client or fresh
    return current


@guarded
def per_day() -> Optional[int]:
    """Return the daily budget of inits, or None."""
    given = {"PER_DAY": options().get("PER_DAY")}
    return from_environment(given, prefix="").get("per_day")


@guarded
def callback_url(endpoint: str = "") -> Optional[str]:
    """Return the callback's URL, with ``{order}`` in place of the order number.

    None without ``PUBLIC_URL`` or ``CALLBACK_SECRET``: then no callback comes, and
    ``Verification.refresh`` or ``manage.py facecert_settle`` must query. See ``public_url``.
    """
    if not {"PUBLIC_URL", "CALLBACK_SECRET"} <= set(options()):
        return None
    path = str(reverse("facecert:callback", args=[_STAND_IN]))
    return public_url(path, endpoint).replace(_STAND_IN, "{order}")


@guarded
def public_url(path: str, endpoint: str = "") -> str:
    """Return the URL below ``PUBLIC_URL`` of a path that ``reverse`` gave, for ``return_url``.

    Args:
        endpoint: the client's; the default is that of ``FACECERT``.

    Raises:
        InvalidParameter: ``PUBLIC_URL`` is missing or malformed, or ``path`` is no path.
    """
    endpoint = endpoint or arguments().get("endpoint", DEFAULT_ENDPOINT)
    base = check_public_url(options().get("PUBLIC_URL", ""), endpoint, prefix="")
    if not path.startswith("/"):
        raise invalid("path", "must begin with / as reverse() gives it, without a host")
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
