"""The guides below examples/: their code runs as the pages show it."""

import os
import re
import subprocess
import sys
import textwrap

import guides
import pytest
from conftest import ROOT

EXAMPLES = ROOT / "examples"

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
        loop = asyncio.new_event_loop()  # Python 3.6 has no asyncio.run
        row, opened = loop.run_until_complete(sync_to_async(open_verification)(**fields))
        loop.close()
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


@pytest.mark.long
def test_the_flask_guide(tmp_path):
    pytest.importorskip("flask_sqlalchemy", reason="the guide's database is Flask-SQLAlchemy")
    pytest.importorskip("blinker")
    files = guides.files(EXAMPLES / "flask_app" / "README.rst")
    assert set(files) == {"shop.py", "test_shop.py"}
    said = run_in(tmp_path, files, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                  PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # fmt: skip
    assert "1 passed" in said


@pytest.mark.long
def test_the_django_guide(tmp_path):
    django = pytest.importorskip("django")
    files = guides.files(EXAMPLES / "django_site" / "README.rst")
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


@pytest.mark.long
def test_the_callbacks_guide_shows_what_its_program_prints(tmp_path):
    program = str(EXAMPLES / "callbacks" / "callbacks.py")
    said = run_in(tmp_path, {}, "-W", "error::ResourceWarning", program)
    assert guides.blocks(EXAMPLES / "callbacks" / "README.rst", "text") == [said]


@pytest.mark.parametrize("name", ["callbacks", "from_acs_client"])
def test_a_guide_quotes_its_programs(name):
    quoted = guides.files(EXAMPLES / name / "README.rst")
    assert quoted
    for program, code in quoted.items():
        lines = code.partition("\n")[2]
        text = (EXAMPLES / name / program).read_text("utf-8")
        assert lines.count("\n") > 2 and "\n" + textwrap.indent(lines, "    ") in text or (
            "\n" + lines in text
        ), program


@pytest.mark.parametrize("name", ["callbacks", "django_site", "flask_app", "from_acs_client"])
def test_every_command_of_a_guide_exists(name):
    from facecert.cli.main import COMMANDS

    setup = (ROOT / "setup.cfg").read_text("utf-8").partition("[options.extras_require]")[2]
    extras = re.findall("^([a-z]+) =$", setup, re.M)
    sources = [path.read_text("utf-8") for path in (EXAMPLES / name).rglob("*.py")]
    sources += [(ROOT / "facecert" / "settings.py").read_text("utf-8")]
    django = [folder / "management" / "commands" for folder in (
        EXAMPLES / "django_site" / "shop", ROOT / "facecert" / "contrib" / "django"
    )]  # fmt: skip
    commands = guides.commands(EXAMPLES / name / "README.rst")
    assert commands
    for command, *words in commands:
        options = [word for word in words if word.startswith("--")]
        if command == "pip":
            assert words[0] == "install" and words[1][:3] == '".['
            assert set(words[1][3:-2].split(",")) <= set(extras), words
        elif command == "export":
            for variable in [word.partition("=")[0] for word in words if "=" in word]:
                known = variable.startswith("ALIBABA_CLOUD_ACCESS_KEY_")
                assert known or any(variable in source for source in sources), variable
        elif command == "facecert":
            assert words[0] in COMMANDS, words
        elif command == "python" and words[0].endswith("manage.py"):
            own = any((folder / (words[1] + ".py")).is_file() for folder in django)
            assert own or words[1] in ("check", "makemigrations", "migrate", "runserver"), words
        elif command == "python" and words[0] != "-c":
            program = (ROOT / words[0]).read_text("utf-8")
            assert all('"%s"' % option in program for option in options), words
        else:
            assert command == "python", command
