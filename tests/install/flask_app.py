"""The smallest Flask app with facecert: it opens verifications and is told the outcome.

Its settings come from the environment. With ``FACECERT_LEDGER`` the states are in a database. For
each outcome that it is told it makes an empty file in the folder ``TOLD``.
"""

import os

import flask
from facecert.contrib.flask import FaceCert, verified

app = flask.Flask(__name__)
app.config.update(
    {name: value for name, value in os.environ.items() if name.startswith("FACECERT_")},
    FACECERT_CALLBACK_SECRET="only-for-this-program",
)
extension = FaceCert(app)


@app.route("/verify", methods=["POST"])
def verify():
    opened = extension.init(
        cert_name=flask.request.form["name"],
        cert_no=flask.request.form["number"],
        outer_order_no=flask.request.form["order"],
        return_url="https://shop.example/",
    )
    return flask.redirect(opened.certify_url)


@verified.connect_via(app)
def settle(app, outer_order_no, answer):
    word = "passed" if answer.passed else "failed"
    open(os.path.join(os.environ["TOLD"], "%s-%s" % (outer_order_no, word)), "w").close()


@app.route("/state/<order>")
def state(order):
    if not app.config.get("FACECERT_LEDGER"):
        return "no ledger"
    entry = extension.client.ledger.get(order)
    return "%s, told %s" % (entry.state, entry.told)
