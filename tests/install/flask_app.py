"""The smallest Flask app with facecert: it opens a verification and is told the outcome.

Its settings come from the environment. wsgiref serves it on loopback, for the sandbox's callback.
"""

import os
import threading
from wsgiref.simple_server import make_server

import flask
from facecert.contrib.flask import FaceCert, verified
from person import pass_verification

ORDER = os.urandom(8).hex()

app = flask.Flask(__name__)
outcome = {}
outcome_known = threading.Event()


@app.route("/verify", methods=["POST"])
def verify():
    opened = extension.init(
        cert_name=flask.request.form["name"],
        cert_no=flask.request.form["number"],
        outer_order_no=ORDER,
        return_url=flask.url_for("verify", _external=True),
    )
    return flask.redirect(opened.certify_url)


@verified.connect_via(app)
def settle(app, outer_order_no, answer):
    outcome[outer_order_no] = answer.passed
    outcome_known.set()


server = make_server("127.0.0.1", 0, app)
app.config.update(
    {name: value for name, value in os.environ.items() if name.startswith("FACECERT_")},
    FACECERT_CALLBACK_SECRET="only-for-this-program",
    FACECERT_PUBLIC_URL="http://127.0.0.1:%d" % server.server_port,
)
extension = FaceCert(app)
threading.Thread(target=server.serve_forever, daemon=True).start()

form = {"name": "张三", "number": "330103199001011230"}
response = app.test_client().post("/verify", data=form)
assert response.status_code == 302, response.data
pass_verification(response.headers["Location"])
assert outcome_known.wait(30), "no callback came"
assert outcome == {ORDER: True}, outcome
server.shutdown()
server.server_close()
print("flask: passed")
