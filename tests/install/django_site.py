"""The smallest Django site with facecert and the admin: it opens verifications and is told.

Its settings come from the environment: ``DATABASE`` is Django's, as JSON, and ``USE_TZ`` "1" or
"". For each outcome that it is told it makes an empty file in the folder ``TOLD``. As a program
with the argument ``prepare`` it makes the tables; with ``admin`` it looks at the admin's pages.
"""

import json
import logging
import os
import sys

import django
from django.conf import settings
from django.contrib import admin
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse

try:
    from django.urls import include, re_path
except ImportError:  # Django 1.11
    from django.conf.urls import include
    from django.conf.urls import url as re_path

if __name__ != "__main__":
    logging.basicConfig()  # so that the server's log has the tracebacks
database = json.loads(os.environ["DATABASE"])
if database["ENGINE"].endswith("mysql") and os.environ["DRIVER"] == "PyMySQL":
    import pymysql

    pymysql.install_as_MySQLdb()

settings.configure(
    SECRET_KEY="only-for-this-program",
    ALLOWED_HOSTS=["127.0.0.1", "testserver"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "facecert.contrib.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={"default": database},
    USE_TZ=bool(os.environ.get("USE_TZ")),
    STATIC_URL="/static/",
    FACECERT={
        "SCENE_ID": os.environ["FACECERT_SCENE_ID"],
        "ENDPOINT": os.environ["FACECERT_ENDPOINT"],
        "CALLBACK_SECRET": "only-for-this-program",
        "PUBLIC_URL": os.environ["FACECERT_PUBLIC_URL"],
    },
)
application = get_wsgi_application()

from facecert.contrib.django import conf  # noqa: E402
from facecert.contrib.django.models import Verification, open_verification  # noqa: E402
from facecert.contrib.django.signals import verified  # noqa: E402

conf.client()  # made at import


def verify(request):
    _, opened = open_verification(
        cert_name=request.POST["name"],
        cert_no=request.POST["number"],
        outer_order_no=request.POST["order"],
    )
    response = HttpResponse(status=302)
    response["Location"] = opened.certify_url
    return response


def settle(sender, verification, **kwargs):
    name = "%s-%s" % (verification.outer_order_no, verification.state)
    open(os.path.join(os.environ["TOLD"], name), "w").close()


def state(request, order):
    # The site's own: it keeps connections for longer than some databases here do.
    connection.close()
    row = Verification.objects.get(outer_order_no=order)
    return HttpResponse("%s, told %s" % (row.state, row.told))


verified.connect(settle)
urlpatterns = [
    re_path("^admin/", admin.site.urls),
    re_path("^facecert/", include("facecert.contrib.django.urls")),
    re_path("^verify$", verify),
    re_path("^state/([A-Za-z0-9]+)$", state),
]


def prepare():
    """Make the tables."""
    call_command("check")
    call_command("makemigrations", "facecert", check=True, dry_run=True)
    call_command("migrate", verbosity=0)


def look_at_admin():
    """The admin shows the verifications and changes nothing."""
    from django.contrib.auth.models import User
    from django.test import Client

    row = Verification.objects.filter(state="passed").first()
    browser = Client()
    browser.force_login(User.objects.create_superuser("admin", "admin@shop.example", "password"))
    pages = "/admin/facecert/verification/"
    page = "%s%d/change/" % (pages, row.pk)
    for url in (pages, page):
        response = browser.get(url)
        assert response.status_code == 200, url
        assert row.outer_order_no in response.content.decode("utf-8"), url
    for url in (page, pages + "add/", "%s%d/delete/" % (pages, row.pk)):
        assert browser.post(url, {"state": "failed"}).status_code == 403, url
    row.refresh_from_db()
    assert row.passed, row.state
    call_command("facecert_settle")


if __name__ == "__main__":
    {"prepare": prepare, "admin": look_at_admin}[sys.argv[1]]()
    print("Django %s" % django.get_version())
