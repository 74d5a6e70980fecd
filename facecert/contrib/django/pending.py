"""What is to be settled, for ``manage.py facecert_settle`` and ``facecert.contrib.celery``."""

from typing import Any, Iterator, List, Optional

from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from django.utils import timezone

from ...lifecycle import GRACE, SENT, UNKNOWN
from .checks import NO_RECEIVER, RECEIVER_HINT
from .models import Verification, again_if_lost, written
from .signals import verified


def keys() -> List[Any]:
    """Return the keys of the rows to query, oldest first; ImproperlyConfigured: no receiver."""
    if not verified.has_listeners(Verification):
        # The states would be final, and no later receiver would be told.
        raise ImproperlyConfigured("%s %s" % (NO_RECEIVER, RECEIVER_HINT))
    # Not the rows: a rollback ends an open cursor with some databases.
    return list(_waiting().order_by("created_at").values_list("pk", flat=True))


def find(key: Any) -> Optional[Verification]:
    """Return the row that is to be queried; None when it was settled meanwhile."""
    rows = _waiting()
    # The connection may be lost while the gateway responds.
    found: Optional[Verification] = again_if_lost(rows.db, rows.filter(pk=key).first)
    return found


def lost() -> Iterator[str]:
    """Mark as ``unknown`` what has no response to init, and yield the order numbers."""
    # Without a certify_id nothing can be queried.
    rows = written().filter(certify_id=None, state=SENT, expires_at__lt=timezone.now() - GRACE)
    for order in list(rows.values_list("outer_order_no", flat=True)):
        if rows.filter(outer_order_no=order).update(state=UNKNOWN):
            yield order


def _waiting() -> Any:
    return written().exclude(certify_id=None).exclude(told=F("state"))
