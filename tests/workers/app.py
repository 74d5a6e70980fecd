"""A small app whose client, pace, ledger and extension are made at import.

A server that loads the app before it patches (gunicorn ``--preload``, uWSGI) patches after all of
them. With USED the import also makes calls, so that every lock and connection exists by then.
"""

import os

import flask

import facecert
from facecert.batch import Rate, query_many
from facecert.contrib.flask import FaceCert

PERSON = {"cert_name": "欧阳测试甲", "cert_no": "11010119800101998X"}

app = flask.Flask(__name__)
app.config.update(
    {name: value for name, value in os.environ.items() if name.startswith("FACECERT_")},
    FACECERT_CALLBACK_SECRET="only-for-this-program",
    FACECERT_PUBLIC_URL="https://shop.example",
)
extension = FaceCert(app)
client = facecert.Client.from_environment()
paced = client.paced(Rate(200))


def query(ids):
    with query_many(ids, client=client, qps=200, threads=4) as items:
        found = sorted(items, key=lambda item: item.position)
    return [[item.certify_id, bool(item.answer), str(item.error)] for item in found]


if os.environ.get("USED"):
    first = paced.init(outer_order_no="atimport", **PERSON)
    query([first.certify_id] * 8)


@app.route("/paced/<order>")
def init_paced(order):
    return init(paced, order)


@app.route("/extension/<order>")
def init_by_extension(order):
    return init(extension, order)


def init(by, order):
    try:
        opened = by.init(outer_order_no=order, **PERSON)
    except facecert.FacecertError as error:
        return flask.jsonify(error=type(error).__name__, text=str(error), outcome=error.outcome)
    return flask.jsonify(order=opened.outer_order_no, certify_id=opened.certify_id)


@app.route("/query/<ids>")
def query_several(ids):
    return flask.jsonify(query(ids.split(",")))
