"""The app's configuration."""

from contextlib import suppress

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from . import _


class FacecertConfig(AppConfig):
    """``facecert.contrib.django``, with the label ``facecert``."""

    name = "facecert.contrib.django"
    label = "facecert"
    verbose_name = _("facecert")

    def ready(self) -> None:
        """Register the system checks."""
        from . import conf
        from .checks import check_database, check_deployment, check_settings

        with suppress(ImproperlyConfigured):
            conf.options()  # hides a wrong FACECERT from error reports; the checks report it

        checks.register(check_settings, "facecert")
        checks.register(check_deployment, "facecert", deploy=True)
        checks.register(check_database, checks.Tags.database)
