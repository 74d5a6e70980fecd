"""``path("facecert/", include("facecert.contrib.django.urls"))``."""

try:
    from django.urls import re_path
except ImportError:  # Django 1.11
    from django.conf.urls import url as re_path

from .views import callback

app_name = "facecert"

urlpatterns = [re_path(r"^callback/(?P<order>[A-Za-z0-9]{1,32})/\Z", callback, name="callback")]
