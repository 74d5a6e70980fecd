"""System checks of ``FACECERT``, for ``manage.py check`` and ``check --deploy``."""

from typing import Any, List

from django.conf import settings
from django.core.checks import Error, Warning
from django.db import connections, router

from ...callback import SHORTEST_SECRET, check_secrets
from ...errors import InvalidParameter
from ...links import is_loopback
from ...params import check_scene_id
from . import conf


def check_settings(app_configs: Any, **kwargs: Any) -> List[Any]:
    """Check the settings: W001 the scene id, E001 the secret, E002 the daily budget."""
    given = conf.options()
    found = []
    try:
        check_scene_id(given.get("SCENE_ID"))
    except InvalidParameter:
        message = "FACECERT['SCENE_ID'] is missing or is not a string of digits."
        hint = "The console shows it, e.g. '1000000006'."
        found.append(Warning(message, hint, id="facecert.W001"))
    try:
        check_secrets(given.get("CALLBACK_SECRET", ""))
    except (InvalidParameter, TypeError):
        message = "FACECERT['CALLBACK_SECRET'] is missing or has less than %d characters."
        hint = (
            "Anyone can call the callback URL; only this secret proves a callback."
            " python -c 'import secrets; print(secrets.token_urlsafe())' makes one."
            " A blank separates several."
        )
        found.append(Error(message % SHORTEST_SECRET, hint, id="facecert.E001"))
    try:
        conf.per_day()
    except InvalidParameter as error:
        found.append(Error("FACECERT: %s." % error, id="facecert.E002"))
    return found


def check_database(app_configs: Any, **kwargs: Any) -> List[Any]:
    """Check in ``migrate`` that receivers can be rolled back: W004 the table's engine."""
    from .models import Verification

    connection = connections[router.db_for_write(Verification)]
    if connection.vendor != "mysql":
        return []
    with connection.cursor() as cursor:
        table = Verification._meta.db_table
        engine = connection.introspection.get_storage_engine(cursor, table)
    if engine not in ("MyISAM", "Aria"):
        return []
    message = "%s has no transactions: a receiver of verified that raises undoes nothing." % engine
    hint = "ALTER TABLE %s ENGINE=InnoDB. Receivers must be idempotent anyway." % table
    return [Warning(message, hint, id="facecert.W004")]


def check_deployment(app_configs: Any, **kwargs: Any) -> List[Any]:
    """Check for production: W002 a public URL without https, W003 a sandbox."""
    given = conf.options()
    url = str(given.get("PUBLIC_URL", ""))
    sandboxed = is_loopback(str(given.get("ENDPOINT", "")))
    found = []
    if not url.startswith("https://") and not (sandboxed and is_loopback(url)):
        message = "FACECERT['PUBLIC_URL'] does not begin with https://."
        hint = "The platform calls back there, e.g. 'https://shop.example'."
        found.append(Warning(message, hint, id="facecert.W002"))
    if sandboxed and not settings.DEBUG:
        message = "FACECERT['ENDPOINT'] is on this machine: a sandbox verifies no real person."
        found.append(Warning(message, "Remove it to use Alibaba Cloud.", id="facecert.W003"))
    return found
