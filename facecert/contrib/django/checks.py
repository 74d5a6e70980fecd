"""System checks of ``FACECERT``, for ``manage.py check`` and ``check --deploy``."""

import os
from contextlib import suppress
from typing import Any, List

from django.conf import settings
from django.core.checks import Error, Warning
from django.db import connections, router
from django.urls import NoReverseMatch

from ...callback import SHORTEST_SECRET, check_secrets
from ...errors import FacecertError, InvalidParameter
from ...links import is_loopback
from ...transport.credentials import Credentials
from . import _, conf
from .models import Verification
from .signals import verified


def check_settings(app_configs: Any, **kwargs: Any) -> List[Any]:
    """Check the settings: W001 the scene id, E001 the secret, E002 any other, W006 the endpoint.

    E003: the callback's view is not in the URLconf. W004: no receiver is connected.
    """
    found = []
    try:
        given = set(conf.arguments())  # without the values, because the URLconf's code runs below
        Credentials(conf.options().get("ACCESS_KEY"))  # refuses a wrong type
        if "PUBLIC_URL" in conf.options():
            conf.public_url("/")
        conf.callback_url()
    except FacecertError as error:
        return [Error("FACECERT: %s." % error, id="facecert.E002")]
    except NoReverseMatch:
        message = _("The URLconf lacks the callback's view.")
        hint = "path('facecert/', include('facecert.contrib.django.urls'))"
        found.append(Error(message, hint, id="facecert.E003"))
    if "scene_id" not in given:
        message = _("FACECERT['SCENE_ID'] is missing.")
        hint = _("The console shows it, e.g. '1000000006'.")
        found.append(Warning(message, hint, id="facecert.W001"))
    try:
        check_secrets(conf.arguments().get("callback_secret", ""))
    except InvalidParameter:
        message = _("FACECERT['CALLBACK_SECRET'] is missing or has less than %d characters.")
        hint = _(
            "Anyone can call the callback URL; only this secret proves a callback."
            " python -c 'import secrets; print(secrets.token_urlsafe())' makes one."
            " A blank separates several."
        )
        found.append(Error(message % SHORTEST_SECRET, hint, id="facecert.E001"))
    # Last, because a receiver may be in a module that the URLconf imports.
    if not verified.has_listeners(Verification):
        message = _("No receiver of the signal verified is connected: no result is ever told.")
        hint = _(
            "Import the receivers in AppConfig.ready(). Before Django 3.2, INSTALLED_APPS ="
            " ['shop'] does not call it: write 'shop.apps.ShopConfig'."
        )
        found.append(Warning(message, hint, id="facecert.W004"))
    endpoint = os.environ.get("FACECERT_ENDPOINT", "")
    if endpoint not in ("", conf.options().get("ENDPOINT")):
        message = _("FACECERT_ENDPOINT in the environment is ignored.")
        hint = _("Set FACECERT = {'ENDPOINT': os.environ.get('FACECERT_ENDPOINT')} in settings.py.")
        found.append(Warning(message, hint, id="facecert.W006"))
    return found


def check_database(app_configs: Any, **kwargs: Any) -> List[Any]:
    """Check in ``migrate`` that receivers can be rolled back: W005 the table's engine."""
    connection = connections[router.db_for_write(Verification)]
    if connection.vendor != "mysql":
        return []
    with connection.cursor() as cursor:
        table = Verification._meta.db_table
        engine = connection.introspection.get_storage_engine(cursor, table)
    if engine not in ("MyISAM", "Aria"):
        return []
    message = _("%s has no transactions: a receiver of verified that raises undoes nothing.")
    hint = _("ALTER TABLE %s ENGINE=InnoDB. Receivers must be idempotent anyway.")
    return [Warning(message % engine, hint % table, id="facecert.W005")]


def check_deployment(app_configs: Any, **kwargs: Any) -> List[Any]:
    """Check for production: W002 no public URL, W003 a sandbox."""
    found = []
    if "PUBLIC_URL" not in conf.options():
        message = _("FACECERT['PUBLIC_URL'] is missing, so no callback comes.")
        found.append(Warning(message, _("E.g. 'https://shop.example'."), id="facecert.W002"))
    with suppress(InvalidParameter):  # check_settings reports it
        if is_loopback(conf.arguments().get("endpoint", "")) and not settings.DEBUG:
            message = _("FACECERT['ENDPOINT'] is a sandbox on this machine: it verifies no person.")
            hint = _("Remove it to use Alibaba Cloud.")
            found.append(Warning(message, hint, id="facecert.W003"))
    return found
