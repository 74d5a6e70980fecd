"""The view that the platform calls. The page that the person comes back to is another: yours."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from ...callback import parse_callback
from ...errors import CallbackError, FacecertError, InvalidParameter
from .conf import client
from .models import Verification


@transaction.non_atomic_requests
@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def callback(request: HttpRequest, order: str) -> HttpResponse:
    """Find out the truth about an order whose callback came.

    200: it is known and stored. 403: forged. 404: no such order. 503: asking failed, or the
    service does not say yet what the callback claims; the platform calls again. A receiver of
    ``verified`` that raises makes it 500, and nothing is stored.
    """
    row = Verification.objects.filter(outer_order_no=order).first()
    if row is None:
        return _text("No such order.", 404)
    parameters = request.GET.copy()
    parameters.update(request.POST)  # adds to the list of each: what comes in both is repeated
    try:
        claim = parse_callback(parameters)
        answer = client().confirm(
            claim,
            outer_order_no=order,
            certify_id=row.certify_id or None,
            scene_id=row.scene_id or None,
        )
    except CallbackError as error:
        return _text(str(error), 403)
    except FacecertError as error:
        if not isinstance(error, InvalidParameter):  # which may come before the token is checked
            row.note_certify_id(claim.certify_id)
        return _text("Could not ask. Call again.", 503)
    if claim.passed and not answer.passed and not row.final:
        # "F" also means "not yet": nobody's state is to become final by it.
        row.note_certify_id(claim.certify_id)
        return _text("Not known yet. Call again.", 503)
    row.settle(answer)
    return _text("ok", 200)


def _text(words: str, status: int) -> HttpResponse:
    return HttpResponse(words + "\n", status=status, content_type="text/plain; charset=utf-8")
