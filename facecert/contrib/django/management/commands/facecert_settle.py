"""manage.py facecert_settle, for cron: settle verifications whose callback was missed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from .....errors import FacecertError
from .....lifecycle import FINAL
from ...models import Verification


class Command(BaseCommand):
    """Run it from cron every few minutes."""

    help = "Query every verification that is not settled."

    def handle(self, *args: Any, **options: Any) -> None:
        """Query one after the other; the next run repeats a query that failed."""
        asked = settled = failed = 0
        waiting = Verification.objects.exclude(state__in=FINAL).exclude(certify_id="")
        # Keys first: a rollback ends an open cursor with some databases.
        for key in list(waiting.order_by("created_at").values_list("pk", flat=True)):
            verification = waiting.filter(pk=key).first()
            if verification is None:
                continue  # settled meanwhile
            asked += 1
            try:
                settled += verification.refresh()
            except FacecertError as error:
                self.stderr.write("%s: %s" % (verification.outer_order_no, error))
            except Exception as error:
                # A receiver that fails must not delay the other verifications.
                failed += 1
                name = type(error).__name__
                self.stderr.write("%s: a receiver failed: %s" % (verification.outer_order_no, name))
        self.stdout.write("%d asked, %d settled" % (asked, settled))
        if failed:
            raise CommandError("%d could not be settled" % failed)
