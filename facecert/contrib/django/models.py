"""Verification: what the site must remember of each one. Nothing of it is personal."""

import os
from datetime import datetime, timedelta
from typing import Any, Optional, Tuple

from django.conf import settings
from django.db import models, router, transaction
from django.utils import timezone

from ...client import LIFETIME, Client
from ...errors import UNKNOWN as OUTCOME_UNKNOWN
from ...errors import FacecertError, InvalidParameter
from ...params import check_order_no
from ...results import InitResult, QueryResult
from . import conf
from .signals import verified

SENT = "sent"
OPENED = "opened"
REFUSED = "refused"
UNKNOWN = "unknown"
PASSED = "passed"
FAILED = "failed"

#: How long after the 30 minutes "not passed" still may mean "not yet".
GRACE = timedelta(minutes=5)

#: States that never change again.
FINAL = (PASSED, FAILED)


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
        choices=[(state, state) for state in (SENT, OPENED, REFUSED, UNKNOWN, PASSED, FAILED)],
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
                state=PASSED if answer.passed else FAILED,
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
            # Before asking; and our clock began to count before the service's did.
            over = timezone.now() >= self.expires_at + GRACE
            answer = (client or conf.client()).query(self.certify_id, scene_id=self.scene_id)
            if answer.passed or over:
                self.settle(answer)
        return self.final

    def note_certify_id(self, certify_id: str) -> None:
        """Store the id that a genuine callback told before init's answer was stored."""
        _rows(self).filter(certify_id="").update(certify_id=certify_id)


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
        IntegrityError: there is a verification with this ``outer_order_no``; nothing was sent.
    """
    try:
        client = client or conf.client()
        order = check_order_no(init_fields.setdefault("outer_order_no", os.urandom(16).hex()))
        if init_fields.get("callback_url") is None:
            init_fields["callback_url"] = conf.callback_url()
        now = timezone.now()
        row = Verification.objects.create(
            outer_order_no=order,
            scene_id=str(init_fields.get("scene_id") or client.scene_id or "")[:32],
            created_at=now,
            expires_at=now + LIFETIME,
        )
        try:
            opened = client.init(**init_fields)
        except InvalidParameter:
            row.delete()
            raise
        except FacecertError as error:
            state = UNKNOWN if error.outcome == OUTCOME_UNKNOWN else REFUSED
            _store(row, state, getattr(error, "certify_id", None), error.request_id)
            raise
        _store(row, OPENED, opened.certify_id, opened.request_id, opened.expires_at)
        return row, opened
    finally:
        # A crash report shows this frame's variables.
        del init_fields


def _store(
    row: Verification,
    state: str,
    certify_id: Optional[str],
    request_id: Optional[str],
    expires_at: Optional[datetime] = None,
) -> None:
    """Store what is known of an init, beside what a fast callback may have stored already."""
    rows = _rows(row)
    rows.update(
        request_id=(request_id or "")[:64],
        expires_at=_for_database(expires_at) if expires_at else row.expires_at,
    )
    rows.filter(state=SENT).update(state=state)
    if certify_id:
        row.note_certify_id(certify_id)
    row.refresh_from_db(using=rows.db)


def _rows(row: Verification) -> Any:
    """Return the queryset of this one row, where writing goes."""
    database = router.db_for_write(Verification, instance=row)
    return Verification.objects.using(database).filter(pk=row.pk)


def _for_database(moment: datetime) -> datetime:
    default = timezone.get_default_timezone()
    return moment if settings.USE_TZ else timezone.make_naive(moment, default)
