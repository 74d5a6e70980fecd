"""manage.py facecert_settle: ask about every verification whose callback did not come."""

from typing import Any

from django.core.management.base import BaseCommand

from .....errors import FacecertError
from ...models import FINAL, Verification


class Command(BaseCommand):
    """For cron, every few minutes: what a callback did not tell, a query does."""

    help = "Ask the service about every verification that is not settled."

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask about one after the other; a question that fails is asked again next time."""
        asked = settled = 0
        waiting = Verification.objects.exclude(state__in=FINAL).exclude(certify_id="")
        for verification in waiting.order_by("created_at").iterator():
            asked += 1
            try:
                settled += verification.refresh()
            except FacecertError as error:
                self.stderr.write("%s: %s" % (verification.outer_order_no, error))
        self.stdout.write("%d asked, %d settled" % (asked, settled))
