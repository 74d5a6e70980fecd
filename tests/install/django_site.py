"""The smallest Django site with facecert and the admin: a verification from opening to its outcome.

Its settings come from the environment. wsgiref serves it on loopback, for the sandbox's callback.
"""

import os
import tempfile
import threading
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.dispatch import receiver
from person import pass_verification

ORDER = os.urandom(8).hex()


def configure(folder, port):
    """Configure the site, with its database in a folder."""
    settings.configure(
        SECRET_KEY="only-for-this-program",
        ALLOWED_HOSTS=["127.0.0.1", "testserver"],
        ROOT_URLCONF="django_urls",
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
            "django.middleware.csrf.CsrfViewMiddleware",
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
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.path.join(folder, "site.sqlite3"),
                "OPTIONS": {"timeout": 20},
            }
        },
        STATIC_URL="/static/",
        FACECERT={
            "SCENE_ID": os.environ["FACECERT_SCENE_ID"],
            "ENDPOINT": os.environ["FACECERT_ENDPOINT"],
            "CALLBACK_SECRET": "only-for-this-program",
            "PUBLIC_URL": "http://127.0.0.1:%d" % port,
        },
    )


def verify(server):
    """Open a verification, pass it, and return its row once the callback has settled it."""
    from facecert.contrib.django.models import Verification, open_verification
    from facecert.contrib.django.signals import verified

    outcome_known = threading.Event()

    @receiver(verified, weak=False)
    def settle(sender, verification, answer, **kwargs):
        assert verification.outer_order_no == ORDER
        outcome_known.set()

    row, opened = open_verification(
        cert_name="张三", cert_no="330103199001011230", outer_order_no=ORDER
    )
    assert row.state == "opened", row.state
    pass_verification(opened.certify_url)
    assert outcome_known.wait(30), "no callback came"
    # Waits for the callback's response, which follows the end of its transaction.
    server.shutdown()
    server.server_close()
    row = Verification.objects.get(outer_order_no=ORDER)
    assert row.passed, row.state
    return row


def look_at_admin(row):
    """The admin shows the verification and changes nothing."""
    from django.contrib.auth.models import User
    from django.test import Client

    browser = Client()
    browser.force_login(User.objects.create_superuser("admin", "admin@shop.example", "password"))
    pages = "/admin/facecert/verification/"
    page = "%s%d/change/" % (pages, row.pk)
    for url in (pages, page):
        response = browser.get(url)
        assert response.status_code == 200 and ORDER in response.content.decode("utf-8"), url
    for url in (page, pages + "add/", "%s%d/delete/" % (pages, row.pk)):
        assert browser.post(url, {"state": "failed"}).status_code == 403, url
    row.refresh_from_db()
    assert row.passed, row.state


with tempfile.TemporaryDirectory() as folder:
    server = make_server("127.0.0.1", 0, None)
    configure(folder, server.server_port)
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    call_command("check")
    call_command("makemigrations", "facecert", check=True, dry_run=True)
    call_command("migrate", verbosity=0)
    look_at_admin(verify(server))
    call_command("facecert_settle")
print("Django %s: passed" % django.get_version())
