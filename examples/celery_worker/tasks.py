"""The Celery app of a shop: it opens verifications, and settles what is pending."""

import os

import celery
import shop

import facecert
from facecert.batch import SharedRate
from facecert.contrib.celery import SCHEDULE

REDIS = os.environ.get("SHOP_REDIS", "redis://127.0.0.1:6399")
#: Of the sandbox of demo.py.
PORT = int(os.environ.get("SHOP_PORT", "8180"))

os.environ.setdefault("FACECERT_LEDGER", os.path.join(shop.FOLDER, "ledger.db"))
if "FACECERT_SCENE_ID" not in os.environ:
    os.environ.update(
        FACECERT_SCENE_ID="1000000006",
        FACECERT_ENDPOINT="http://127.0.0.1:%d" % PORT,
        ALIBABA_CLOUD_ACCESS_KEY_ID="sandbox-access-key-id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="sandbox-access-key-secret",
    )

app = celery.Celery("shop", broker=REDIS)
app.conf.include = ["facecert.contrib.celery"]
app.conf.facecert_rate = SharedRate(40, REDIS)
app.conf.beat_schedule = SCHEDULE
app.conf.broker_connection_retry_on_startup = True


@app.task(acks_late=False, ignore_result=True)
def open_verification(order):
    """Open the verification of an order. Another delivery of the same task opens none."""
    person = shop.person(order)
    if person is None:
        return  # An earlier delivery has opened it.
    try:
        opened = facecert.init(outer_order_no=order, **person)
    except facecert.InvalidParameter as error:
        if error.field != "outer_order_no":
            raise
        return  # According to the ledger an earlier delivery has sent it.
    shop.keep_url(order, opened.certify_url)
