"""The model Verification, which holds nothing personal, and ``open_verification``."""

import copy
import logging
from datetime import datetime
from typing import Any, Callable, Dict, Optional, Tuple, cast

from django.conf import settings
from django.core import mail
from django.db import (
    Error, IntegrityError, InterfaceError, OperationalError, connections, models, router,
    transaction
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from ...client import Client
from ...errors import CallbackError, invalid
from ...lifecycle import (
    CHINA, FINAL, LIFETIME, PASSED, REFUSED, SENT, STATES, UNKNOWN, BaseLedger, Opening,
    budget_spent, decide
)
from ...params import check_order_no
from ...redact import Hidden, guarded
from ...results import InitResult, QueryResult
from . import _, conf
from .signals import verified

_log = logging.getLogger(__name__)


class Verification(models.Model):
    """One verification. Only a response of the service changes its ``state``.

    ``sent``: the response to init is not stored yet. ``opened``: the person has not finished.
    ``refused``: it was not opened. ``unknown``: it may have been opened; look up the order number
    in the console. ``passed`` and ``failed`` are final; only ``failed`` may become ``passed``.

    ``certify_id`` is None until it is known. ``told`` is the final state that all receivers of
    ``verified`` were told last, or "".
    """

    # Explicit, or the migration would depend on the site's DEFAULT_AUTO_FIELD.
    id = models.BigAutoField(primary_key=True)
    outer_order_no = models.CharField(_("order number"), max_length=32, unique=True)
    certify_id = models.CharField(
        _("certify_id"), max_length=64, blank=True, null=True, unique=True
    )  # fmt: skip
    scene_id = models.CharField(_("scene id"), max_length=32)
    request_id = models.CharField(_("request id"), max_length=64, blank=True, default="")
    state = models.CharField(
        _("state"), max_length=8, default=SENT, choices=[(one, _(one)) for one in STATES]
    )
    told = models.CharField(
        _("told state"), max_length=8, blank=True, default="",
        choices=[(one, _(one)) for one in FINAL],
    )  # fmt: skip
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires at"))
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("verification"), _("verifications")
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

    def settle(
        self, answer: QueryResult, *, asked_at: datetime, claim: Optional[bool] = None
    ) -> bool:
        """Store the result of a query, and send ``verified`` unless the receivers know the state.

        Simultaneous calls send it once, if the database has transactions. If a receiver raises,
        the state is rolled back or stays untold, and a later call sends it again.

        Args:
            asked_at: when the query was sent, as ``timezone.now()`` returned it.
            claim: whether a genuine callback for this ``certify_id`` said that the person passed.

        Returns:
            True when this call sent the signal.
        """
        state = decide(
            self.state, answer, asked_at=asked_at, expires_at=self.expires_at, claim=claim
        )
        if state not in FINAL or state == self.told:
            return False
        rows = _rows(self)
        untold = rows.filter(certify_id=answer.certify_id).exclude(told=state)
        if state != PASSED:
            untold = untold.exclude(state=PASSED)  # which another process may have stored

        def tell() -> bool:
            # The first statement of its transaction, so that two transactions wait for each other.
            changed = untold.update(state=state, decided_at=timezone.now())
            self.refresh_from_db(using=rows.db)
            # A script may have no receivers: cron's next settling tells those of the site.
            if not changed or not verified.has_listeners(Verification):
                return False
            verified.send(sender=Verification, verification=self, answer=answer)
            rows.update(told=state)
            self.told = state
            return True

        return bool(again_if_lost(rows.db, tell))

    def refresh(self, client: Optional[Client] = None) -> bool:
        """Query a verification whose callback was missed; return True when the state is final.

        Where no receiver is connected the state is stored, and ``facecert_settle`` tells it later.
        "Not passed" may mean "not yet", and is stored only five minutes after the 30 minutes.

        Raises:
            FacecertError: the query failed; it may be repeated without harm.
        """
        told = self.told if verified.has_listeners(Verification) else self.state
        if self.certify_id and not (self.final and told == self.state):
            asked_at = timezone.now()
            answer = (client or conf.client()).query(self.certify_id, scene_id=self.scene_id)
            self.settle(answer, asked_at=asked_at)
        return self.final


class InitCount(models.Model):
    """How many inits were sent on one day of China (UTC+8), counted while ``PER_DAY`` is set."""

    day = models.DateField(primary_key=True)
    inits = models.PositiveIntegerField(default=0)


class ModelLedger(BaseLedger):
    """The site's table of verifications as a client's ledger.

    ``row`` is the verification of the last init, as far as it is known. ``open_verification``
    reads it, and makes a ledger for each call.
    """

    row: Optional[Verification] = None

    def keep_sent(self, outer_order_no: str, *, scene_id: str, sent_at: datetime) -> None:
        """Create the row; IntegrityError when a row has this order and is not ``refused``."""
        rows, per_day = written(), conf.per_day()
        fresh = {
            "scene_id": scene_id,
            "state": SENT,
            "request_id": "",
            "created_at": _for_database(sent_at),
            "expires_at": _for_database(sent_at + LIFETIME),
        }
        known = again_if_lost(rows.db, rows.filter(outer_order_no=outer_order_no).first)
        count = InitCount.objects.using(rows.db)
        day = sent_at.astimezone(CHINA).date()
        if per_day is not None:
            if not _commits(rows.db):
                rule = "needs open_verification outside of atomic(): its count must be committed"
                raise invalid("PER_DAY", rule)
            # Not in the transaction, because MySQL's transactions that miss the row deadlock.
            count.get_or_create(day=day)

        def write() -> Any:
            if known is None:
                row = rows.create(outer_order_no=outer_order_no, **fresh)
            else:
                renewed = _rows(known).filter(state=REFUSED).update(**fresh)
                row = _rows(known).get()
                # A row with an id was opened after all, and the id must not get lost.
                if not renewed or row.certify_id is not None:
                    raise IntegrityError("A verification has this order number; nothing was sent.")
            # Last, because all inits of the day wait for this lock.
            left = count.filter(day=day, inits__lt=per_day or 0)
            if per_day is not None and not left.update(inits=models.F("inits") + 1):
                raise budget_spent(per_day, sent_at)
            return row

        self.row = again_if_lost(rows.db, write)

    def keep_opening(self, outer_order_no: str, opening: Opening) -> None:
        """Store the outcome of init. A database error is logged, so that init's result is kept."""
        news: Dict[str, Any] = {"request_id": (opening.request_id or "")[:64]}
        if opening.expires_at:
            news["expires_at"] = _for_database(opening.expires_at)
        # A fast callback may have stored its own state and certify_id.
        undecided = models.When(state__in=(SENT, UNKNOWN), then=models.Value(opening.state))
        changes = dict(news, state=models.Case(undecided, default="state"))
        news["state"] = opening.state
        if opening.certify_id:
            changes["certify_id"] = Coalesce("certify_id", models.Value(opening.certify_id))
            news["certify_id"] = opening.certify_id
        rows = written().filter(outer_order_no=outer_order_no)

        def write() -> Any:
            mine.update(**changes)
            return mine.get()

        try:
            mine = _rows(again_if_lost(rows.db, rows.get))
            self.row = again_if_lost(rows.db, write)
        except BaseException as error:  # a timeout's signal may strike anywhere
            _log.error(
                "Not stored (%s): outer_order_no %s, certify_id %s",
                type(error).__name__, outer_order_no, opening.certify_id
            )
            if self.row is not None and self.row.outer_order_no == outer_order_no:
                for name, value in news.items():
                    setattr(self.row, name, value)
            if not isinstance(error, (Error, Verification.DoesNotExist)):
                raise

    def keep_claim(self, outer_order_no: str, certify_id: str) -> None:
        """Store the certify_id of a proven callback, or raise CallbackError."""
        rows = written()
        mine = models.Q(outer_order_no=outer_order_no)
        named = rows.filter(mine | models.Q(certify_id=certify_id))
        found = again_if_lost(rows.db, lambda: list(named))
        for row in found:
            if row.outer_order_no != outer_order_no or row.certify_id not in (None, certify_id):
                raise CallbackError("The callback is about another verification.")
        first = Coalesce("certify_id", models.Value(certify_id))
        try:
            for row in found:
                if row.certify_id is None:
                    again_if_lost(rows.db, lambda: _rows(row).update(certify_id=first))
        except IntegrityError:
            raise CallbackError("The callback is about another verification.") from None

    def keep_answer(
        self, answer: QueryResult, *, asked_at: datetime, claim: Optional[bool] = None
    ) -> None:
        """Settle the verification, and send ``verified``. A database error is logged."""
        rows = written()
        named = rows.filter(certify_id=answer.certify_id)
        try:
            for row in again_if_lost(rows.db, lambda: list(named)):
                row.settle(answer, asked_at=_for_database(asked_at), claim=claim)
        except Error as error:
            _log.error("Not stored (%s): certify_id %s", type(error).__name__, answer.certify_id)


@guarded
def open_verification(
    *, client: Optional[Client] = None, **init_fields: Any
) -> Tuple[Verification, InitResult]:
    """Open a verification; its row is written before anything is sent.

    The calling view must not be inside a transaction: with ``ATOMIC_REQUESTS`` decorate it with
    ``@transaction.non_atomic_requests`` (``using=...`` if a router keeps the table elsewhere).
    Otherwise the row is committed only when the view ends, so that an early callback finds no row,
    and an exception or a lost connection removes the row of a verification that may be open and
    billed. With ``PER_DAY`` a transaction is an error.

    If the database fails after the service has responded, the write is tried again on a new
    connection. If that fails too, order number and ``certify_id`` are logged at ERROR, and the
    returned row has changes that are not saved.

    Args:
        client: overrides the client made from ``FACECERT``.
        init_fields: as for ``Client.init``; ``callback_url`` defaults to this app's view.

    Returns:
        The row, and the result of ``init``, whose ``certify_url`` the row does not hold.

    Raises:
        InvalidParameter: nothing was sent, and there is no row.
        FacecertError: any other. The row is ``unknown`` if the error's outcome is, or ``refused``.
        BudgetSpent: nothing was sent, because ``PER_DAY`` inits were sent today.
        IntegrityError: a verification that was not refused has this order number; nothing was sent.
    """
    init_fields["outer_order_no"] = check_order_no(init_fields.get("outer_order_no"))
    hidden = Hidden(init_fields)
    del init_fields  # because log handlers may list this frame while the site's URLconf is loaded
    client = client or conf.client()
    endpoint = client.endpoint  # before the copy, because it sets up the default client
    keeping = copy.copy(client)
    if hidden.value.get("callback_url") is None:
        hidden.value["callback_url"] = conf.callback_url(endpoint)
        # The view knows no other secret.
        keeping._callback_secrets = conf.client()._callback_secrets
    keeping.ledger = ledger = ModelLedger()
    opened = keeping.init(**hidden.take())
    return cast(Verification, ledger.row), opened


def written() -> Any:
    """Return all rows from the database that is written; a replica may not have the newest yet."""
    return Verification.objects.using(router.db_for_write(Verification))


def again_if_lost(database: str, work: Callable[[], Any]) -> Any:
    """Do work in a transaction; if the connection is lost, once more on a new one.

    A deadlock is repeated as well. In an outer transaction nothing can be repeated.
    """
    connection, attempt = connections[database], transaction.atomic(using=database)(work)
    try:
        return attempt()
    except (InterfaceError, OperationalError):
        if connection.in_atomic_block:
            raise
    connection.close()
    return attempt()


def _commits(database: str) -> bool:
    """Tell whether the end of ``atomic`` commits here; inside Django's TestCase it counts so."""
    connection = connections[database]
    if connection.get_autocommit():
        return True
    if not hasattr(connection, "atomic_blocks"):  # Django before 4.1 does not mark TestCase's.
        return hasattr(mail, "outbox")  # which setup_test_environment makes
    return any(block._from_testcase for block in connection.atomic_blocks[-1:])


def _rows(row: Verification) -> Any:
    """Return the queryset of this row in the database that is written.

    Changes find it by its primary key, and not by a missing certify_id, because with MySQL changes
    that lock the indexes in another order are deadlocks.
    """
    database = router.db_for_write(Verification, instance=row)
    return Verification.objects.using(database).filter(pk=row.pk)


def _for_database(moment: datetime) -> datetime:
    default = timezone.get_default_timezone()
    return moment if settings.USE_TZ else timezone.make_naive(moment, default)
