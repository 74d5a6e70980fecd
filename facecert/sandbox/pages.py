"""The sandbox's web application: the endpoint for calls, and the pages for persons."""

import time
from typing import Any, Callable

from flask import Flask, Response, abort, redirect, render_template, request

from ..links import is_loopback
from .faults import FAULTS
from .rpc import Exchange
from .service import ACTS, EXPIRED, FAILED, GIVEN_UP, PASSED, PENDING, Service

STATES = {PENDING: "待认证", PASSED: "已通过", FAILED: "未通过", GIVEN_UP: "已放弃", EXPIRED: "已过期"}


def create_application(
    sandbox: Any, exchange: Exchange, service: Service, clock: Callable[[], float]
) -> Flask:
    """Return the WSGI application of a ``Sandbox`` (Any, because that module imports this one)."""
    # Never used. Without an instance_path Flask 0.12 looks for one and fails below pytest's hook.
    app = Flask(__name__, instance_path="/")
    names = {"FAULTS": FAULTS, "STATES": STATES, "sandbox": sandbox, "state": service.state}
    app.jinja_env.globals.update(names)
    app.jinja_env.filters["hhmmss"] = lambda at: time.strftime("%H:%M:%S", time.gmtime(at))

    @app.before_request
    def refuse_foreign_pages() -> Any:
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        # A foreign page may have a name of its own resolved to this machine (DNS rebinding). With
        # https the browser itself refuses, because the certificate is not valid for that name.
        scheme = sandbox.endpoint.partition(":")[0]
        own_host = scheme == "https" or host is None or is_loopback("//" + host)
        if own_host and origin in (None, sandbox.endpoint, "%s://%s" % (scheme, host)):
            return None
        words = "Refused: Host must be localhost or a loopback address; Origin must be the same.\n"
        return Response(words, 403, content_type="text/plain; charset=utf-8")

    # Not a route, because Flask itself would refuse methods that a route does not name.
    @app.before_request
    def call() -> Any:
        query = request.query_string.decode("latin-1")
        if request.path != "/" or request.method == "GET" and not query:
            return None
        body = request.get_data(cache=False, as_text=True)
        peer = (request.environ["REMOTE_ADDR"], int(request.environ["REMOTE_PORT"]))
        response = exchange.answer(request.method, query, body, dict(request.headers), peer)
        return Response(response.text, response.status, content_type=response.content_type)

    @app.route("/")
    def front() -> Any:
        return render_template("front.html", verifications=service.newest_first())

    @app.route("/gateway.do", methods=["GET", "POST"])
    def verify() -> Any:
        # The ticket, because certify_id is shown in logs and must not be enough to submit.
        ticket = request.args.get("sign")
        verification = next((it for it in service.newest_first() if it.ticket == ticket), None)
        if verification is None:
            return render_template("unknown.html"), 404
        done = "done" in request.args
        if request.method == "POST":
            act = request.form.get("answer")
            if act not in ACTS:
                abort(400)
            service.act(verification.certify_id, act)
        elif done or not sandbox.wait_for_person(verification.certify_id):
            minutes = max(0, int((verification.expires_at - clock() + 59) // 60))
            return render_template("verify.html", it=verification, minutes=minutes, done=done)
        # The platform's callback mostly arrives before the person does.
        sandbox.wait_for_callbacks(0.5)
        back = verification.return_url
        if not back.startswith(("https://", "http://")):
            # To another address than this form's, because a reload would submit again.
            back = verification.certify_url + "&done=1"
        return redirect(back, 303)

    @app.route("/faults", methods=["POST"])
    def order_faults() -> Any:
        form, fault = request.form, request.form.get("fault", "")
        times, seconds = form.get("times", 1, int), form.get("seconds", 2.0, float)
        try:
            if fault == "none":
                sandbox.heal()
            else:
                sandbox.fail(fault, times=times, on=form.get("on") or None, seconds=seconds)
        except ValueError as error:
            return Response(str(error) + "\n", 400, content_type="text/plain; charset=utf-8")
        return redirect("/", 303)

    return app
