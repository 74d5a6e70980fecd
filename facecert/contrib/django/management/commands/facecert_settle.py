"""manage.py facecert_settle, for cron: settle verifications whose callback was missed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import F
from django.utils import timezone

from .....errors import FacecertError
from .....lifecycle import GRACE, SENT, UNKNOWN
from ...checks import NO_RECEIVER, RECEIVER_HINT
from ...models import Verification, again_if_lost, written
from ...signals import verified


class Command(BaseCommand):
    """Run it from cron every few minutes."""

    help = "Query every verification that is not settled, or whose receivers were not told."

    def handle(self, *args: Any, **options: Any) -> None:
        """Query one after the other; the next run repeats a query that failed."""
        if not verified.has_listeners(Verification):
            # The states would be final, and no later receiver would be told.
            raise CommandError("%s %s" % (NO_RECEIVER, RECEIVER_HINT))
        asked = settled = failed = 0
        rows = written()
        waiting = rows.exclude(certify_id=None).exclude(told=F("state"))
        # Keys first: a rollback ends an open cursor with some databases.
        for key in list(waiting.order_by("created_at").values_list("pk", flat=True)):
            try:
                # The connection may be lost while the gateway responds.
                verification = again_if_lost(rows.db, waiting.filter(pk=key).first)
                if verification is None:
                    continue  # settled meanwhile
                asked += 1
                settled += verification.refresh()
            except FacecertError as error:
                self.stderr.write("%s: %s" % (verification.outer_order_no, error))
            except Exception as error:
                # A receiver that fails must not delay the other verifications.
                failed += 1
                name = type(error).__name__
                self.stderr.write("row %s: a receiver or the database failed: %s" % (key, name))
        # The response to init was not stored, and without a certify_id nothing can be queried.
        lost = rows.filter(certify_id=None, state=SENT, expires_at__lt=timezone.now() - GRACE)
        for order in list(lost.values_list("outer_order_no", flat=True)):
            if lost.filter(outer_order_no=order).update(state=UNKNOWN):
                self.stderr.write("%s: no response was stored. Look it up in the console." % order)
        self.stdout.write("%d asked, %d settled" % (asked, settled))
        if failed:
            raise CommandError("%d could not be settled" % failed)
