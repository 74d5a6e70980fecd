"""manage.py facecert_settle, for cron: settle verifications whose callback was missed."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from .....errors import FacecertError
from ... import pending


class Command(BaseCommand):
    """Run it from cron every few minutes."""

    help = "Query every verification that is not settled, or whose receivers were not told."

    def handle(self, *args: Any, **options: Any) -> None:
        """Query one after the other; the next run repeats a query that failed."""
        try:
            keys = pending.keys(self.stderr.write)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        found, failed = [], 0
        for key in keys:
            try:
                found.append(pending.settle(key))
            except FacecertError as error:
                failed += 1
                self.stderr.write("%s: %s" % (error.outer_order_no, error))
            except Exception as error:
                # A receiver that fails must not delay the other verifications.
                failed += 1
                name = type(error).__name__
                self.stderr.write("row %s: a receiver or the database failed: %s" % (key, name))
        asked = failed + sum(one is not None for one in found)
        self.stdout.write("%d asked, %d settled" % (asked, found.count(True)))
        if failed:
            raise CommandError("%d could not be settled" % failed)
