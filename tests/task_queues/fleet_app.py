"""The Celery app of a fleet: the example's with a ledger, or a Django site's.

``FLEET_QPS`` is the rate. ``FLEET_DJANGO`` makes it the Django site of fleet_django.py.
``FLEET_LATE`` has the broker deliver a task again that was lost with its process.
"""

import os

import celery

import facecert.contrib.celery
from facecert.batch import SharedRate

if "FLEET_DJANGO" in os.environ:
    os.environ["DJANGO_SETTINGS_MODULE"] = "fleet_django"
    app = celery.Celery("site", broker=os.environ["SHOP_REDIS"])
    app.config_from_object("django.conf:settings", namespace="CELERY")
else:
    from tasks import app

    app.conf.facecert_rate = SharedRate(
        float(os.environ.get("FLEET_QPS", "40")), os.environ["SHOP_REDIS"]
    )
if "FLEET_LATE" in os.environ:
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)
    app.conf.broker_transport_options = {"visibility_timeout": 5}
app.conf.broker_connection_retry_on_startup = True
if "FLEET_EVERY" in os.environ:
    facecert.contrib.celery.EVERY = int(os.environ["FLEET_EVERY"])
