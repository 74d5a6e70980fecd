"""What is to be settled, for ``manage.py facecert_settle`` and ``facecert.contrib.celery``."""

from typing import Any, Callable, List, Optional

from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from django.utils import timezone

from ...client import Client
from ...errors import FacecertError
from ...lifecycle import GRACE, SENT, UNKNOWN
from .models import Verification, again_if_lost, written
from .signals import verified


def keys(report: Callable[[str], Any]) -> List[Any]:
    """Return the keys of the rows to query, oldest first; ImproperlyConfigured: no receiver.

    ``report`` is called with a text for each order number that must be looked up in the console.
    """
    if not verified.has_listeners(Verification):
        # The states would be final, and no later receiver would be told.
        raise ImproperlyConfigured(
            "No receiver of the signal verified is connected. Import the receivers in ready() of an"
            " AppConfig that INSTALLED_APPS names; see manage.py check."
        )
    # The response to init was not stored, and without a certify_id nothing can be queried.
    lost = written().filter(certify_id=None, state=SENT, expires_at__lt=timezone.now() - GRACE)
    for order in list(lost.values_list("outer_order_no", flat=True)):
        if lost.filter(outer_order_no=order).update(state=UNKNOWN):
            report("%s: no response was stored. Look it up in the console." % order)
    # Keys, because a rollback ends an open cursor with some databases.
    return list(_waiting().order_by("created_at").values_list("pk", flat=True))


def settle(key: Any, client: Optional[Client] = None) -> Optional[bool]:
    """Query a row, and tell whether its state is final; None when it was settled meanwhile."""
    rows = _waiting()
    # The connection may be lost while the gateway responds.
    row = again_if_lost(rows.db, rows.filter(pk=key).first)
    try:
        return None if row is None else bool(row.refresh(client))
    except FacecertError as error:
        error.add_evidence(outer_order_no=row.outer_order_no)
        raise


def _waiting() -> Any:
    return written().exclude(certify_id=None).exclude(told=F("state"))
