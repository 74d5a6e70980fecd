"""The settings of a Django site whose receiver writes in the site's database."""

import json
import os

import facecert_receipts  # noqa: F401  because the workers have its folder on their path
from facecert.batch import SharedRate

SECRET_KEY = "only for tests, only for tests, only for tests, 5"
USE_TZ = True
INSTALLED_APPS = ["facecert.contrib.django.apps.FacecertConfig", "facecert_receipts.Receipts"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(os.environ["SHOP_FOLDER"], "site.db"),
        "OPTIONS": {"timeout": 60},
    }
}
FACECERT = json.loads(os.environ["FLEET_DJANGO"])
CELERY_INCLUDE = ["facecert.contrib.celery"]
CELERY_FACECERT_RATE = SharedRate(float(os.environ["FLEET_QPS"]), os.environ["SHOP_REDIS"])
