"""Tasks for Celery: ``facecert.query`` and ``facecert.settle``. Guide: examples/celery_worker.

The configuration of the Celery app::

    app.conf.include = ["facecert.contrib.celery"]
    app.conf.facecert_rate = SharedRate(40, "redis://…")
    app.conf.beat_schedule = SCHEDULE

``facecert_rate``: required; a ``SharedRate``, or any other ``Pace``.
``facecert_client``: the ``Client``; the default is the Django site's, or the environment's.

There is no task for ``init``, because a queue delivers a task twice. The guide shows a safe one.
"""

import logging
import sys
from itertools import islice
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from ..client import Client
from ..default import default_client
from ..errors import FacecertError, InvalidParameter, ServiceError, invalid, unimportable
from ..lifecycle import FINAL

try:
    from celery import shared_task
    from celery.exceptions import SoftTimeLimitExceeded
except ImportError as _error:
    raise unimportable("facecert.contrib.celery needs Celery", "celery", _error) from _error

#: Seconds between two rounds of ``settle``.
EVERY = 300

#: Verifications of one task of ``settle``.
PAGE = 50

_ROUND = {"task": "facecert.settle", "schedule": EVERY, "options": {"expires": EVERY}}
#: For ``beat_schedule``.
SCHEDULE: Dict[str, Any] = {"facecert-settle": _ROUND}

#: Imported when the app is in a Django site's INSTALLED_APPS.
_MODELS = "facecert.contrib.django.models"

_log = logging.getLogger(__name__)


@shared_task(name="facecert.query", bind=True, max_retries=10)
def query(self: Any, certify_id: str, scene_id: Optional[str] = None) -> Dict[str, Any]:
    """Query one verification at the shared rate, and return ``QueryResult.as_dict()``.

    Raises:
        FacecertError: it is not ``retryable``, or 10 retries failed.
    """
    try:
        return _client(self.app).query(certify_id, scene_id=scene_id).as_dict()
    except FacecertError as error:
        raise _again(self, error)


@shared_task(name="facecert.settle", bind=True, max_retries=10, ignore_result=True)
def settle(self: Any, keys: Optional[List[Any]] = None) -> None:
    """Query what is pending in the Django table or the ledger: send a task for each page of it.

    A page that is lost with a worker or a queue is sent again by a later round, because what is
    pending stays pending. So a page that no worker has begun before the next round expires.

    Args:
        keys: of one page; its verifications that are still pending are queried now.
    """
    pending, ask = _pending(_client(self.app))
    if keys is None:
        found = iter(pending())
        for page in iter(lambda: list(islice(found, PAGE)), []):
            self.apply_async((page,), expires=EVERY)
        return
    for number, key in enumerate(keys, 1):
        try:
            ask(key)
        except SoftTimeLimitExceeded:
            raise
        except FacecertError as error:
            _log.error("%s was not settled: %s", key, error)
            if error.retryable or not isinstance(error, (InvalidParameter, ServiceError)):
                # The next one will fail, too. This one last, because it must not delay the others.
                raise _again(self, error, args=(keys[number:] + [key],))
        except Exception as error:
            _log.error("%s: a receiver or the database failed: %s", key, type(error).__name__)


def _again(task: Any, error: FacecertError, **more: Any) -> Exception:
    """Return what retries a task, or raise an error that is not ``retryable``."""
    if not error.retryable:
        raise error
    wait = error.retry_after or min(60, 2 ** task.request.retries)
    return task.retry(exc=error, countdown=wait, **more)  # type: ignore[no-any-return]


def _client(app: Any) -> Client:
    rate = app.conf.get("facecert_rate")
    if rate is None:
        raise invalid("facecert_rate", "is missing in the Celery app's conf: SharedRate(40, URL)")
    client: Client = app.conf.get("facecert_client") or default_client
    if client is default_client and _MODELS in sys.modules:
        from .django import conf
        client = conf.client()
    return client.paced(rate)


def _pending(client: Client) -> Tuple[Callable[[], Iterable[Any]], Callable[[Any], Any]]:
    """Return a function that yields the keys of what is pending, and one that queries a key."""
    if _MODELS in sys.modules:
        from .django import pending
        return lambda: pending.keys(_log.error), lambda key: pending.settle(key, client)
    ledger: Any = client.ledger
    if ledger is None:
        raise invalid("FACECERT_LEDGER", "is missing: it holds what is to be settled")

    def ask(order: str) -> None:
        entry = ledger.get(order)
        if entry is not None and entry.state not in FINAL:
            client.query(entry.certify_id, scene_id=entry.scene_id)

    return lambda: (entry.outer_order_no for entry in ledger.pending()), ask
