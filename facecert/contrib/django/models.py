"""Verification: what the site must remember of each one. Nothing of it is personal."""

import copy
import logging
import os
from datetime import datetime
from typing import Any, Optional, Tuple

from django.conf import settings
from django.db import Error, models, router, transaction
from django.utils import timezone

from ... import lifecycle
from ...client import Client
from ...lifecycle import FINAL, LIFETIME, PASSED, REFUSED, SENT, STATES, BaseLedger, Opening
from ...params import check_order_no
from ...redact import Hidden, guarded
from ...results import InitResult, QueryResult
from . import conf
from .signals import verified

_log = logging.getLogger(__name__)


class Verification(models.Model):
    """One verification. Its state only ever changes by what the service itself has answered.

    ``sent`` is a row whose answer is not stored yet; ``opened`` waits for the person; ``refused``
    was not opened; ``unknown`` may have been (look up the order's number in the console);
    ``passed`` and ``failed`` are final.
    """

    # Explicit, or the migration would depend on the site's DEFAULT_AUTO_FIELD.
    id = models.BigAutoField(primary_key=True)
    outer_order_no = models.CharField(max_length=32, unique=True)
    certify_id = models.CharField(max_length=64, blank=True, default="", db_index=True)
    scene_id = models.CharField(max_length=32)
    request_id = models.CharField(max_length=64, blank=True, default="")
    state = models.CharField(
        max_length=8,
        default=SENT,
        choices=[(state, state) for state in STATES],
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return "%s (%s)" % (self.outer_order_no, self.state)

    @property
    def passed(self) -> bool:
        """True when the service has said so."""
        return bool(self.state == PASSED)

    @property
    def final(self) -> bool:
        """True when it is known whether the person passed."""
        return self.state in FINAL

    @property
    def expired(self) -> bool:
        """True when the 30 minutes went by and nothing is known."""
        return not self.final and bool(timezone.now() >= self.expires_at)

    def settle(self, answer: QueryResult) -> bool:
        """Store what the service has answered, and send ``verified``.

        However often and however simultaneously it is called, one call stores and sends.

        Returns:
            True when it was this call.
        """
        rows = _rows(self)
        with transaction.atomic(using=rows.db):
            # The first statement of its transaction, so that two of them wait for one another.
            changed = rows.exclude(state__in=FINAL).filter(
                certify_id__in=("", answer.certify_id)
            ).update(
                state=PASSED if answer.passed else lifecycle.FAILED,
                certify_id=answer.certify_id,
                decided_at=timezone.now(),
            )  # fmt: skip
            if changed:
                self.refresh_from_db(using=rows.db)
                verified.send(sender=Verification, verification=self, answer=answer)
        if not changed:
            self.refresh_from_db(using=rows.db)
        return bool(changed)

    def refresh(self, client: Optional[Client] = None) -> bool:
        """Ask the service, where no callback came; see also ``manage.py facecert_settle``.

        A pass is stored at once. A "not passed" may mean "not yet", and is stored only five
        minutes after the 30 minutes.

        Returns:
            True when the state is final now.

        Raises:
            FacecertError: the question failed; asking again does no harm.
        """
        if not self.final and self.certify_id:
            asked_at = timezone.now()
            answer = (client or conf.client()).query(self.certify_id, scene_id=self.scene_id)
            if lifecycle.decide(answer, asked_at=asked_at, expires_at=self.expires_at):
                self.settle(answer)
        return self.final

    def note_certify_id(self, certify_id: str) -> None:
        """Store the id that a genuine callback told before init's answer was stored."""
        _rows(self).filter(certify_id="").update(certify_id=certify_id)


class ModelLedger(BaseLedger):
    """The site's table of verifications as a client's ledger."""

    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Make the row.

        Raises:
            IntegrityError: there is one with this order number, and it is not ``refused``.
        """
        fresh = {
            "scene_id": scene_id,
            "state": SENT,
            "request_id": "",
            "created_at": _for_database(sent_at),
            "expires_at": _for_database(sent_at + LIFETIME),
        }
        # With an id the service knows this order after all; the id must not get lost.
        refused = written().filter(outer_order_no=outer_order_no, state=REFUSED, certify_id="")
        if not refused.update(**fresh):
            written().create(outer_order_no=outer_order_no, **fresh)

    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store what came of init. The database's trouble is logged: the answer is worth more."""
        try:
            self._keep_opening(outer_order_no, opening)
        except Error as error:
            _log.error(
                "Not stored (%s): outer_order_no %s, certify_id %s",
                type(error).__name__,
                outer_order_no,
                opening.certify_id,
            )

    def _keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        row = written().get(outer_order_no=outer_order_no)
        rows = _rows(row)
        rows.update(request_id=(opening.request_id or "")[:64])
        if opening.expires_at:
            rows.update(expires_at=_for_database(opening.expires_at))
        rows.filter(state=SENT).update(state=opening.state)
        if opening.certify_id:
            row.note_certify_id(opening.certify_id)

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
            # The token proves what is claimed of its own order only.
            claimed = claim if row.outer_order_no == outer_order_no else None
            if lifecycle.decide(
                answer, asked_at=_for_database(asked_at), expires_at=row.expires_at, claim=claimed
            ):
                row.settle(answer)


@guarded
def open_verification(
    *, client: Optional[Client] = None, **init_fields: Any
) -> Tuple[Verification, InitResult]:
    """Open a verification and remember it; the row is there before anything is sent.

    A view that calls this must not be inside a transaction: with ``ATOMIC_REQUESTS`` decorate it
    with ``@transaction.non_atomic_requests``. Else the row is committed only after the view's end,
    so that a callback in between finds none, and an exception takes the row away of a verification
    that is perhaps open and billed.

    Args:
        client: instead of the one made from ``FACECERT``.
        init_fields: as for ``Client.init``. Without ``callback_url`` the callback comes to this
            app's view.

    Returns:
        The row, and what ``init`` returned. Send the person to its ``certify_url``, which is
        not in the row.

    Raises:
        InvalidParameter: nothing was sent, and there is no row.
        FacecertError: any other. The row is ``unknown`` if the error's outcome is, or ``refused``.
        IntegrityError: there is a verification with this ``outer_order_no`` that was not
            refused; nothing was sent.
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
    """Return the table where it is written; a replica may not have the newest rows yet."""
    return Verification.objects.using(router.db_for_write(Verification))


def _rows(row: Verification) -> Any:
    """Return the queryset of this one row, where writing goes."""
    database = router.db_for_write(Verification, instance=row)
    return Verification.objects.using(database).filter(pk=row.pk)


def _for_database(moment: datetime) -> datetime:
    default = timezone.get_default_timezone()
    return moment if settings.USE_TZ else timezone.make_naive(moment, default)
