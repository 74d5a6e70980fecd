"""One Django for all tests: a process can be configured only once. See ``start``."""

import os
import pathlib
import sys


def start():
    """Configure Django with the example's site and the admin; migrate a database file once."""
    site = str(pathlib.Path(__file__).resolve().parent.parent.parent / "examples" / "django_site")
    if site not in sys.path:
        sys.path.append(site)
    import django
    from django.apps import apps
    from django.core.management import call_command

    if not apps.ready:
        os.environ["DJANGO_SETTINGS_MODULE"] = "django_project.settings"
        django.setup()
        # Not for the programs that tests start: Celery sets up the Django that it names.
        del os.environ["DJANGO_SETTINGS_MODULE"]
        call_command("migrate", verbosity=0)
        from django.db import connections

        connections.close_all()
