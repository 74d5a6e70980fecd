"""Settings of the shop. It goes live by the environment alone::

    SHOP_SECRET_KEY           Django's, long and random
    SHOP_PUBLIC_URL           https://shop.example
    SHOP_DATABASE             the SQLite file
    SHOP_PROXIES              how many proxies are in front, each of which sets X-Forwarded-For
    SHOP_LIMITS               redis://… where several processes share the limits of shop/quota.py
    FACECERT_SCENE_ID         from Alibaba Cloud's console
    FACECERT_CALLBACK_SECRET  16 random characters or more
    FACECERT_PER_DAY          how many verifications are opened on one day at most (500)
    ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET (or any other way of the
    standard credential chain)
"""

import os
import pathlib
from urllib.parse import urlsplit

from django.core.management.utils import get_random_secret_key

HERE = pathlib.Path(__file__).resolve().parent.parent
PUBLIC_URL = os.environ.get("SHOP_PUBLIC_URL", "").rstrip("/")

# Without one of its own every process makes a new one, and sessions end with it.
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY") or get_random_secret_key()
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"] + [urlsplit(PUBLIC_URL).hostname] * bool(PUBLIC_URL)

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "facecert.contrib.django",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "shop.headers.Headers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "site_config.urls"
WSGI_APPLICATION = "site_config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE") or str(HERE / "db.sqlite3"),
    }
}
SHOP_PROXIES = int(os.environ.get("SHOP_PROXIES") or 0)
SHOP_LIMITS = os.environ.get("SHOP_LIMITS") or "memory://"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "zh-hans"
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True

_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_SSL_REDIRECT = _HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SECURE_HSTS_SECONDS = 31536000 * _HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

FACECERT = {
    "SCENE_ID": os.environ.get("FACECERT_SCENE_ID"),
    "ENDPOINT": os.environ.get("FACECERT_ENDPOINT"),
    "CALLBACK_SECRET": os.environ.get("FACECERT_CALLBACK_SECRET"),
    "PUBLIC_URL": PUBLIC_URL,
    "PER_DAY": int(os.environ.get("FACECERT_PER_DAY") or 500),
}
