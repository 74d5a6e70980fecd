from django.contrib import admin
from django.db import transaction
from django.http import HttpResponse
from django.urls import include, path
from facecert.contrib.django.models import open_verification


def careless(request):
    """Opens a verification in whatever transaction there is."""
    row, _ = open_verification(cert_name="张三", cert_no="330103199001011230")
    if "fail" in request.GET:
        raise RuntimeError("later in the view")
    return HttpResponse(row.outer_order_no)


@transaction.non_atomic_requests
def careful(request):
    return careless(request)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("careless/", careless),
    path("careful/", careful),
    path("", include("site_config.urls")),
]

handler404 = "shop.views.not_found"
