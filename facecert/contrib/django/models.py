"""The model Verification, which holds nothing personal, and ``open_verification``."""

import copy
import logging
import os
from datetime import datetime
from typing import Any, Optional, Tuple

from django.conf import settings
from django.db import Error, models, router, transaction
from django.utils import timezone

from ...client import Client
from ...lifecycle import (
    FAILED, FINAL, LIFETIME, PASSED, REFUSED, SENT, STATES, BaseLedger, Opening, decide
)
from ...params import check_order_no
from ...redact import Hidden, guarded
from ...results import InitResult, QueryResult
from . import conf
from .signals import verified

_log = logging.getLogger(__name__)


class Verification(models.Model):
    """One verification. Only a response of the service changes its ``state``.

    ``sent``: the response to init is not stored yet. ``opened``: the person has not finished.
    ``refused``: it was not opened. ``unknown``: it may have been opened; look up the order number
    in the console. ``passed`` and ``failed`` are final.
    """

    # Explicit, or the migration would depend on the site's DEFAULT_AUTO_FIELD.
    id = models.BigAutoField(primary_key=True)
    outer_order_no = models.CharField(max_length=32, unique=True)
    certify_id = models.CharField(max_length=64, blank=True, default="", db_index=True)
    scene_id = models.CharField(max_length=32)
    request_id = models.CharField(max_length=64, blank=True, default="")
    state = models.CharField(max_length=8, default=SENT, choices=[(one, one) for one in STATES])
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return "%s (%s)" % (self.outer_order_no, self.state)

    @property
    def passed(self) -> bool:
        """True when the service confirmed that the person passed."""
        return bool(self.state == PASSED)

    @property
    def final(self) -> bool:
        """True when the result is known, passed or not."""
        return self.state in FINAL

    @property
    def expired(self) -> bool:
        """True when the 30 minutes are over and the result is not known."""
        return not self.final and bool(timezone.now() >= self.expires_at)

    def settle(self, answer: QueryResult) -> bool:
        """Store the result of a query and send ``verified``; return True when this call did it.

        Of several calls, simultaneous ones too, only one stores and sends.
        """
        rows = _rows(self)
        with transaction.atomic(using=rows.db):
            # The first statement of its transaction, so that two transactions wait for each other.
            unsettled = rows.exclude(state__in=FINAL).filter(certify_id__in=("", answer.certify_id))
            changed = unsettled.update(
                state=PASSED if answer.passed else FAILED, certify_id=answer.certify_id,
                decided_at=timezone.now()
            )
            self.refresh_from_db(using=rows.db)
            if changed:
                verified.send(sender=Verification, verification=self, answer=answer)
        return bool(changed)

    def refresh(self, client: Optional[Client] = None) -> bool:
        """Query a verification whose callback was missed; return True when the state is final.

        "Not passed" may mean "not yet", and is stored only five minutes after the 30 minutes.

        Raises:
            FacecertError: the query failed; it may be repeated without harm.
        """
        if not self.final and self.certify_id:
            asked_at = timezone.now()
            answer = (client or conf.client()).query(self.certify_id, scene_id=self.scene_id)
            if decide(answer, asked_at=asked_at, expires_at=self.expires_at):
                self.settle(answer)
        return self.final

    def note_certify_id(self, certify_id: str) -> None:
        """Store an id that was not known yet."""
        _rows(self).filter(certify_id="").update(certify_id=certify_id)


class ModelLedger(BaseLedger):
    """The site's table of verifications as a client's ledger."""

    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Create the row; IntegrityError when a row has this order and is not ``refused``."""
        fresh = {
            "scene_id": scene_id,
            "state": SENT,
            "request_id": "",
            "created_at": _for_database(sent_at),
            "expires_at": _for_database(sent_at + LIFETIME),
        }
        # A row with an id was opened after all, and the id must not get lost.
        refused = written().filter(outer_order_no=outer_order_no, state=REFUSED, certify_id="")
        if not refused.update(**fresh):
            written().create(outer_order_no=outer_order_no, **fresh)

    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store the outcome of init. A database error is logged, so that init's result is kept."""
        try:
            row = written().get(outer_order_no=outer_order_no)
            rows = _rows(row)
            rows.update(request_id=(opening.request_id or "")[:64])
            if opening.expires_at:
                rows.update(expires_at=_for_database(opening.expires_at))
            rows.filter(state=SENT).update(state=opening.state)
            if opening.certify_id:
                row.note_certify_id(opening.certify_id)
        except Error as error:
            _log.error(
                "Not stored (%s): outer_order_no %s, certify_id %s",
                type(error).__name__, outer_order_no, opening.certify_id
            )

    def keep_answer(
        self, answer: QueryResult, *, asked_at: datetime, outer_order_no: Optional[str] = None,
        claim: Optional[bool] = None
    ) -> None:
        """Settle the verification, and send ``verified``."""
        mine = models.Q(certify_id=answer.certify_id)
        if outer_order_no is not None:
            mine |= models.Q(certify_id="", outer_order_no=outer_order_no)
        for row in written().filter(mine).exclude(state__in=FINAL):
            row.note_certify_id(answer.certify_id)
            # The token proves the claim about its own order only.
            claimed = claim if row.outer_order_no == outer_order_no else None
            asked = _for_database(asked_at)
            if decide(answer, asked_at=asked, expires_at=row.expires_at, claim=claimed):
                row.settle(answer)


@guarded
def open_verification(
    *, client: Optional[Client] = None, **init_fields: Any
) -> Tuple[Verification, InitResult]:
    """Open a verification; its row is written before anything is sent.

    The calling view must not be inside a transaction: with ``ATOMIC_REQUESTS`` decorate it with
    ``@transaction.non_atomic_requests``. Otherwise the row is committed only when the view ends, so
    that an early callback finds no row, and an exception removes the row of a verification that may
    be open and billed.

    Args:
        client: overrides the client made from ``FACECERT``.
        init_fields: as for ``Client.init``; ``callback_url`` defaults to this app's view.

    Returns:
        The row, and the result of ``init``, whose ``certify_url`` the row does not hold.

    Raises:
        InvalidParameter: nothing was sent, and there is no row.
        FacecertError: any other. The row is ``unknown`` if the error's outcome is, or ``refused``.
        IntegrityError: a verification that was not refused has this order number; nothing was sent.
    """
    order = check_order_no(init_fields.setdefault("outer_order_no", os.urandom(16).hex()))
    if init_fields.get("callback_url") is None:
        init_fields["callback_url"] = conf.callback_url()
    hidden = Hidden(init_fields)
    del init_fields  # because log handlers may list this frame during the call
    keeping = copy.copy(client or conf.client())
    keeping.ledger = ModelLedger()
    opened = keeping.init(**hidden.take())
    return written().get(outer_order_no=order), opened


def written() -> Any:
    """Return all rows from the database that is written; a replica may not have the newest yet."""
    return Verification.objects.using(router.db_for_write(Verification))


def _rows(row: Verification) -> Any:
    """Return the queryset of this row in the database that is written."""
    database = router.db_for_write(Verification, instance=row)
    return Verification.objects.using(database).filter(pk=row.pk)


def _for_database(moment: datetime) -> datetime:
    default = timezone.get_default_timezone()
    return moment if settings.USE_TZ else timezone.make_naive(moment, default)
