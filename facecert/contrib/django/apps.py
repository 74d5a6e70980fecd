"""The app's configuration."""

from django.apps import AppConfig
from django.core import checks


class FacecertConfig(AppConfig):
    """``facecert.contrib.django``, with the label ``facecert``."""

    name = "facecert.contrib.django"
    label = "facecert"
    verbose_name = "facecert"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from .checks import check_database, check_deployment, check_settings

        checks.register(check_settings, "facecert")
        checks.register(check_deployment, "facecert", deploy=True)
        checks.register(check_database, checks.Tags.database)
