"""The guides for Flask and Django in README.rst: their code is run as it stands there."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.long

#: The customer, the platform and cron of the Django guide.
DJANGO_TEST = '''
import asyncio
import os
import django
from django.conf import settings
django.setup()
from django.contrib.auth import get_user_model
from django.contrib.admin import AdminSite
from django.core.management import call_command
from django.test import Client
from django.test.utils import setup_test_environment
from facecert.contrib.django.admin import VerificationAdmin
from facecert.contrib.django.models import Verification, open_verification
from facecert.sandbox import Sandbox
from shop.models import Order

setup_test_environment()
with Sandbox() as sandbox:
    settings.FACECERT["ENDPOINT"] = sandbox.endpoint
    call_command("check", fail_level="WARNING")
    call_command("migrate", run_syncdb=True, verbosity=0)
    browser = Client()
    browser.force_login(get_user_model().objects.create_user("zhang"))
    page = browser.post("/verify/", {"name": "a", "number": "12345678"})
    order = Order.objects.get()
    sent = sandbox.requests[-1].service_parameters
    assert page["Location"] == sandbox.verifications()[0].certify_url
    assert sent["returnUrl"] == "https://shop.example/orders/%s/" % order.number
    row = Verification.objects.get(outer_order_no=order.number)
    sandbox.complete(row.certify_id)
    fields = {"certifyId": row.certify_id, "passed": "T", "CallbackToken": sent["callbackToken"]}
    path = sent["callbackUrl"].replace("https://shop.example", "")
    assert Client().get(path, fields).status_code == 200
    assert browser.get("/orders/%s/" % order.number).content == b"verified"
    call_command("facecert_settle")

    site = AdminSite(name="staff")
    site.register(Verification, VerificationAdmin)
    assert site.is_registered(Verification)
    if django.VERSION >= (3, 1):
        from asgiref.sync import sync_to_async

        fields = {"cert_name": "a", "cert_no": "12345678"}
        row, opened = asyncio.run(sync_to_async(open_verification)(**fields))
        assert row.certify_id == opened.certify_id
    print("done")
'''

#: What `manage.py startproject` writes, as far as the guide needs it.
DJANGO_SETTINGS = '''
SECRET_KEY = "only for tests, only for tests, only for tests, 5"
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.messages", "django.contrib.sessions", "shop.apps.ShopConfig",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
'''


def guide(heading):
    """Return the files of a guide: name -> text."""
    text = (ROOT / "README.rst").read_text(encoding="utf-8").split(heading + "\n---")[1]
    text = re.split("\n[^\n]+\n---+\n", text)[0]
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text)
    files = {}
    for block in blocks:
        code = re.sub("^    ", "", block, flags=re.M)
        files[re.match("# ([a-z_/]+[.]py)", code).group(1)] = code
    return files


def run_in(folder, files, *command, **environ):
    for name, code in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    path = os.pathsep.join([str(ROOT)] + [part for part in sys.path if part])
    environ = dict(os.environ, PYTHONPATH=path, PYTHONIOENCODING="utf-8", **environ)
    done = subprocess.run(
        [sys.executable] + list(command), cwd=str(folder), env=environ, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0, output
    return output


def test_the_flask_guide(tmp_path):
    pytest.importorskip("flask_sqlalchemy", reason="the guide's database is Flask-SQLAlchemy")
    pytest.importorskip("blinker")
    files = guide("A Flask app")
    assert set(files) == {"shop.py", "test_shop.py"}
    said = run_in(tmp_path, files, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                  PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # fmt: skip
    assert "1 passed" in said


def test_the_django_guide(tmp_path):
    django = pytest.importorskip("django")
    files = guide("A Django site")
    assert set(files) == {"settings.py", "urls.py"} | {
        "shop/%s.py" % name for name in ("models", "views", "receivers", "apps")
    }
    if django.VERSION < (2, 0):
        files["urls.py"] = re.sub(r"path\(\"", 'url(r"^', files["urls.py"]).replace(
            "from django.urls import include, path", "from django.conf.urls import include, url"
        ).replace("<number>", "(?P<number>[0-9a-f]+)")
    files["settings.py"] = DJANGO_SETTINGS + files["settings.py"]
    files.update({"shop/__init__.py": "", "program.py": DJANGO_TEST})
    said = run_in(
        tmp_path, files, "program.py", DJANGO_SETTINGS_MODULE="settings",
        FACECERT_SCENE_ID="1000000006", FACECERT_CALLBACK_SECRET="a-secret-of-the-tests",
        SHOP_PUBLIC_URL="https://shop.example", FACECERT_PER_DAY="7",
        ALIBABA_CLOUD_ACCESS_KEY_ID="sandbox-access-key-id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="sandbox-access-key-secret",
    )  # fmt: skip
    assert said.splitlines()[-1] == "done"
