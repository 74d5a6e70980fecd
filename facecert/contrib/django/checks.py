"""System checks: what ``manage.py check`` and ``check --deploy`` find wrong with ``FACECERT``."""

from typing import Any, List

from django.conf import settings
from django.core.checks import Error, Warning

from ...callback import SHORTEST_SECRET, check_secrets
from ...errors import InvalidParameter
from ...links import is_loopback
from ...params import check_scene_id
from . import conf


def check_settings(app_configs: Any, **kwargs: Any) -> List[Any]:
    """Check what facecert cannot work without: W001 the scene id, E001 the secret."""
    given = conf.options()
    found = []
    try:
        check_scene_id(given.get("SCENE_ID"))
    except InvalidParameter:
        found.append(
            Warning(
                "FACECERT['SCENE_ID'] is missing or is not a string of digits.",
                hint="The console shows it, e.g. '1000000006'.",
                id="facecert.W001",
            )
        )
    try:
        check_secrets(given.get("CALLBACK_SECRET", ""))
    except (InvalidParameter, TypeError):
        found.append(
            Error(
                "FACECERT['CALLBACK_SECRET'] is missing or has less than %d characters."
                % SHORTEST_SECRET,
                hint="Anyone can call the callback URL; only this secret tells who is genuine."
                " python -c 'import secrets; print(secrets.token_urlsafe())' makes one.",
                id="facecert.E001",
            )
        )
    return found


def check_deployment(app_configs: Any, **kwargs: Any) -> List[Any]:
    """Check what must not go live: W002 a public URL without https, W003 a sandbox."""
    given = conf.options()
    url = str(given.get("PUBLIC_URL", ""))
    sandboxed = is_loopback(str(given.get("ENDPOINT", "")))
    found = []
    if not url.startswith("https://") and not (sandboxed and is_loopback(url)):
        found.append(
            Warning(
                "FACECERT['PUBLIC_URL'] does not begin with https://.",
                hint="The platform calls back there, e.g. 'https://shop.example'.",
                id="facecert.W002",
            )
        )
    if sandboxed and not settings.DEBUG:
        found.append(
            Warning(
                "FACECERT['ENDPOINT'] is on this machine: a sandbox, which verifies nobody.",
                hint="Leave it out for Alibaba Cloud.",
                id="facecert.W003",
            )
        )
    return found
