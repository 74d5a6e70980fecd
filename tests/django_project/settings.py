"""The example's settings, and beside them what the tests of the Django glue need."""

import atexit
import json
import os
import pathlib
import shutil
import tempfile

from site_config.settings import *  # noqa: F401,F403
from site_config.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES

_FOLDER = tempfile.mkdtemp(prefix="facecert-django-")
atexit.register(shutil.rmtree, _FOLDER, True)

SECRET_KEY = "only for tests, " * 4
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "django_project.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.messages",
] + INSTALLED_APPS
MIDDLEWARE = MIDDLEWARE + [
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES[0]["OPTIONS"]["context_processors"] += [
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
# Django sets that of the whole process.
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(pathlib.Path(_FOLDER) / "tests.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
if "FACECERT_TEST_DATABASE" in os.environ:  # see on_a_server.py
    DATABASES = {"default": json.loads(os.environ["FACECERT_TEST_DATABASE"])}
    if DATABASES["default"]["ENGINE"].endswith("mysql"):
        import pymysql

        pymysql.install_as_MySQLdb()
FACECERT = {}  # each test sets its own
