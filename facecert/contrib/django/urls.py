"""``path("facecert/", include("facecert.contrib.django.urls"))``."""

from django.urls import re_path

from .views import callback

app_name = "facecert"

urlpatterns = [re_path(r"^callback/(?P<order>[A-Za-z0-9]{1,32})/\Z", callback, name="callback")]
