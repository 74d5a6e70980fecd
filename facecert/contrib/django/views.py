"""The view that the platform calls. The page to which the person returns is the site's own."""

import logging

from django.db import Error, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from ...callback import Callback, parse_callback
from ...errors import CallbackError, FacecertError
from ...lifecycle import is_known
from .conf import client
from .models import ModelLedger, Verification, again_if_lost, written
from .signals import verified

#: Bytes of a posted callback; a genuine one has a few hundred.
LONGEST_BODY = 8192

#: The callback may be the only one that tells the certify_id.
_UNSTORED = "A genuine callback was not stored (%s): outer_order_no %s, certify_id %s"

_log = logging.getLogger(__name__)


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def callback(request: HttpRequest, order: str) -> HttpResponse:
    """Check a callback, query the service, and store the result.

    200: stored, and the receivers of ``verified`` were told. 403: forged; an order number that
    does not exist is not told apart. 404: the token is genuine, but the row is gone. 503: the query
    failed, the service does not confirm the callback yet, or ``verified`` has no receiver; the
    platform calls again. A receiver that raises makes the response 500; it is called again, too.
    """
    # A number in the test client of Django before 2.1.
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or int(length) > LONGEST_BODY:
        return _text("Too long.", 413)
    try:
        # Before the row is read; see 403.
        claim = client().read_callback(_claim(request), order)
        rows = written().filter(outer_order_no=order)
        row = again_if_lost(rows.db, rows.first)
        if row is None:
            _log.error(_UNSTORED, "no row", order, claim.certify_id)
            return _text("No such order.", 404)
        # The id is needed even if the query fails.
        ModelLedger().keep_claim(order, claim.certify_id)
    except CallbackError as error:
        _log.warning("A callback was refused: %s", error)
        return _text(str(error), 403)
    except FacecertError:
        return _text("FACECERT is incomplete or wrong: run manage.py check.", 503)
    except Error as error:
        _log.error(_UNSTORED, type(error).__name__, order, claim.certify_id)
        raise
    if is_known(row.state, row.told, passed=claim.passed):
        return _text("ok", 200)  # a replay
    if not verified.has_listeners(Verification):
        _log.error("A callback came, but no receiver is connected to the signal verified.")
        return _text("No receiver.", 503)
    asked_at = timezone.now()
    try:
        answer = client().query(claim.certify_id, scene_id=row.scene_id or None)
    except FacecertError:
        return _text("The query failed. Call again.", 503)
    row.settle(answer, asked_at=asked_at, claim=claim.passed)
    if not row.final:
        return _text("Not known yet. Call again.", 503)
    return _text("ok", 200)


# Of every database, because a router may keep the table in another one than the default.
for _alias in connections:
    transaction.non_atomic_requests(using=_alias)(callback)

# For Django's LoginRequiredMiddleware, because the service does not log in.
callback.login_required = False


def _claim(request: HttpRequest) -> Callback:
    # A middleware that reads POST uses up the body of a form.
    form = request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data")
    body = "" if form else request.body.decode("utf-8", "replace")
    return parse_callback(request.GET, request.POST, body)


def _text(words: str, status: int) -> HttpResponse:
    return HttpResponse(words + "\n", status=status, content_type="text/plain; charset=utf-8")
