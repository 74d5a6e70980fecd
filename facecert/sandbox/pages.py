"""What a person sees of the sandbox, and the way in for calls."""

import hmac
import json
from datetime import datetime, timezone
from typing import Any, Callable, Optional, Tuple, Union

from flask import Flask, Response, abort, redirect, render_template, request

from .exchange import Exchange
from .faults import FAULTS
from .listener import CUT_INSTEAD
from .service import FAILED, GIVEN_UP, PASSED, PENDING, Service, Verification

STATES = {PENDING: "待认证", PASSED: "已通过", FAILED: "未通过", GIVEN_UP: "已放弃", "expired": "已过期"}

Answer = Union[str, Response, Tuple[str, int]]


def create_application(
    sandbox: Any, exchange: Exchange, service: Service, clock: Callable[[], float]
) -> Flask:
    """Return the WSGI application of a ``Sandbox`` (Any, because its module imports this one)."""
    # Never used. Without one, Flask 0.12 looks for it and fails below pytest's import hook.
    app = Flask(__name__, instance_path="/")
    app.jinja_env.globals.update(FAULTS=FAULTS, sandbox=sandbox, service=service)
    app.jinja_env.filters["hhmmss"] = _hhmmss

    def state(verification: Verification) -> str:
        expired = verification.open and service.expired(verification)
        return "expired" if expired else verification.state

    app.jinja_env.globals.update(state=state, STATES=STATES)

    @app.before_request
    def refuse_foreign_pages() -> Any:
        origin = request.headers.get("Origin")
        return abort(403) if origin not in (None, "null", sandbox.endpoint) else None

    @app.route("/", methods=["GET", "POST", "PUT"])
    def front() -> Any:
        body = request.get_data(cache=False, as_text=True)
        if request.method == "GET" and not request.query_string:
            return render_template("front.html", verifications=service.newest_first())
        environ = request.environ
        response = exchange.answer(
            request.method,
            request.query_string.decode("latin-1"),
            body,
            dict(request.headers),
            (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])),
        )
        environ[CUT_INSTEAD].append(response.cut_instead)
        return Response(response.text, response.status, content_type=response.content_type)

    @app.route("/gateway.do", methods=["GET", "POST"])
    def verify() -> Any:
        verification = _asked_for(service)
        if verification is None:
            return render_template("unknown.html"), 404
        if request.method == "POST":
            answer = request.form.get("answer")
            if answer == "give-up":
                service.give_up(verification.certify_id)
            elif answer in ("pass", "fail"):
                service.submit(verification.certify_id, answer == "pass")
            else:
                abort(400)
            # A moment for the callback, which mostly is faster than the person's way back.
            sandbox.wait_for_callbacks(0.5)
            back = verification.return_url
            # Not back to this form, or reloading the page would submit again.
            is_web = back.startswith(("https://", "http://"))
            return redirect(back if is_web else verification.certify_url + "&done=1", 303)
        minutes = max(0, int((verification.expires_at - clock() + 59) // 60))
        return render_template(
            "verify.html", it=verification, minutes=minutes, done="done" in request.args
        )

    @app.route("/faults", methods=["POST"])
    def order_faults() -> Any:
        fault = request.form.get("fault", "")
        seconds = request.form.get("seconds", 2.0, float)
        try:
            if fault == "none":
                sandbox.heal()
            else:
                sandbox.fail(
                    fault,
                    times=request.form.get("times", 1, int),
                    on=request.form.get("on") or None,
                    seconds=seconds,
                )
        except ValueError as error:
            return Response(str(error) + "\n", 400, content_type="text/plain; charset=utf-8")
        return redirect("/", 303)

    return app


def _asked_for(service: Service) -> Optional[Verification]:
    try:
        certify_id = json.loads(request.args.get("biz_content", ""))["certifyId"]
        verification = service.find(str(certify_id))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    ticket = request.args.get("sign", "").encode("utf-8", "replace")
    if verification is None or not hmac.compare_digest(ticket, verification.ticket.encode()):
        return None
    return verification


def _hhmmss(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%H:%M:%S")
