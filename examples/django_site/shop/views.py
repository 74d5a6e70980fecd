import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_safe
from facecert import FacecertError, InvalidParameter, alipay_link
from facecert.contrib.django import conf
from facecert.contrib.django.models import open_verification
from facecert.lifecycle import OPENED, SENT, UNKNOWN
from facecert.links import qr_svg
from facecert.settings import is_loopback

from . import quota
from .forms import PersonForm
from .models import Order

WORDS = {
    "preparing": "正在准备",
    "waiting": "待认证",
    "passed": "已通过",
    "failed": "未通过",
    "expired": "已过期",
    "unopened": "没有打开",
    "unclear": "待核实",
}


# Not in a transaction, whatever ATOMIC_REQUESTS says: what init has opened is never forgotten.
@transaction.non_atomic_requests
@sensitive_post_parameters("name", "number")
@sensitive_variables("form")
def start(request):
    """The form; when it is submitted, an order and its verification."""
    owner = request.session.setdefault("owner", secrets.token_hex(16))
    if request.method != "POST":
        return render(request, "shop/start.html", {"form": PersonForm.fresh()})
    form = PersonForm(request.POST)
    if not form.is_valid():
        return render(request, "shop/start.html", {"form": form}, status=400)
    key = form.cleaned_data["key"]
    if not Order.objects.filter(owner=owner, form_key=key) and not quota.take(owner, request):
        return render(request, "shop/unavailable.html", {"limited": True}, status=429)
    number = secrets.token_hex(16)
    try:
        with transaction.atomic():
            order = Order.objects.create(number=number, owner=owner, form_key=key)
    except IntegrityError:  # submitted twice
        return redirect("order", get_object_or_404(Order, owner=owner, form_key=key).number)
    try:
        _, opened = open_verification(
            cert_name=form.cleaned_data["name"],
            cert_no=form.cleaned_data["number"],
            outer_order_no=number,
            return_url=conf.public_url(reverse("back", args=[number])),
        )
    except InvalidParameter as error:
        field = {"cert_name": "name", "cert_no": "number"}.get(error.field)
        if field is None:
            raise
        order.delete()
        form.add_error(field, "请核对后重新填写")
        return render(request, "shop/start.html", {"form": form}, status=400)
    except FacecertError as error:
        # Perhaps it was done after all: then another try would open, and bill, a second one.
        unclear = error.outcome == "unknown"
        context = {"unclear": unclear, "number": number}
        return render(request, "shop/unavailable.html", context, status=503)
    Order.objects.filter(number=number).update(certify_url=opened.certify_url)
    return redirect("order", number)


@require_safe
def order(request, number):
    """The order's page: the way into Alipay, and then the result."""
    return render(request, "shop/order.html", _shown(_mine(request, number)))


@require_safe
def state(request, number):
    """What the order's page asks every two seconds: whether there is something else to show."""
    shown = _shown(_mine(request, number))
    news = {"state": shown["state"]}
    if shown["state"] != request.GET.get("shown"):
        news.update(title=shown["title"], html=render_to_string("shop/result.html", shown))
    return JsonResponse(news)


@require_safe
def back(request, number):
    """Where Alipay sends the person: the order's page, or in another browser a friendly word."""
    if Order.objects.filter(number=number, owner=request.session.get("owner", "")).exists():
        return redirect("order", number)
    return render(request, "shop/back.html")


def not_found(request, exception=None):
    return render(request, "shop/not_found.html", status=404)


def _mine(request, number):
    owner = request.session.get("owner")
    if not owner:
        raise Http404
    return get_object_or_404(Order, number=number, owner=owner)


def _shown(order):
    state = _state(order)
    context = {"order": order, "state": state, "word": WORDS[state]}
    context["title"] = "%s · 青禾小店" % WORDS[state]
    if state == "waiting":
        # There is no Alipay on this machine: a sandbox's page opens in the browser.
        context["sandbox"] = sandbox = is_loopback(conf.client().endpoint)
        context["link"] = order.certify_url if sandbox else alipay_link(order.certify_url)
        context["qr"] = mark_safe(qr_svg(order.certify_url))
        context["expires_at"] = order.verification.expires_at
    return context


def _state(order):
    verification = order.verification
    if verification is None:
        age = timezone.now() - order.created_at
        return "preparing" if age < timedelta(minutes=1) else "unopened"
    if verification.state == UNKNOWN and not verification.expired:
        return "unclear"
    if verification.expired:
        try:
            verification.refresh()  # perhaps the callback was lost
        except FacecertError:
            pass
    if verification.passed:
        return "passed"
    if verification.final:
        in_time = verification.decided_at < verification.expires_at
        return "failed" if in_time else "expired"
    if verification.expired:
        return "expired"
    if verification.state in (SENT, OPENED):
        return "waiting" if order.certify_url else "preparing"
    return "unopened"
