"""A car hire shop that has its customers verified. One command, no account::

    python examples/flask_app/app.py

starts it with a sandbox in the same process. With ``--live``, or with FACECERT_ENDPOINT set, the
settings come from the environment; see ``settings_from_environment``.

Nothing personal is stored: name and number go from the form to ``init`` and are forgotten.
"""

import argparse
import hmac
import os
import re
import secrets
import time

from flask import (
    Flask,
    abort,
    current_app,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from orders import FINAL, TEXTS, Orders
from quota import Quota
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import WSGIRequestHandler, make_server

from facecert import FacecertError, InvalidParameter, alipay_link
from facecert.contrib.flask import FaceCert, verified
from facecert.links import qr_svg
from facecert.settings import VARIABLES, is_loopback

HOST = "127.0.0.1"
KEY = "[A-Za-z0-9_-]{22}"
ORDER = "[0-9a-f]{20}"

face = FaceCert()


def create_app(config=None, clock=time.time):
    """Return the shop. Orders live in its memory: one process, as many threads as you like."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        SESSION_COOKIE_NAME="qinghe",
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=16 * 1024,
    )
    app.config.update(settings_from_environment() if config is None else config)
    public_url = app.config.get("FACECERT_PUBLIC_URL") or ""
    app.config["SESSION_COOKIE_SECURE"] = public_url.startswith("https://")
    app.orders = Orders(clock)
    app.quota = Quota()
    # Without proxies X-Forwarded-For is what the visitor wrote.
    proxies = int(app.config.get("SHOP_PROXIES") or 0)
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0)
    face.init_app(app)
    verified.connect(settle, app)
    app.add_url_rule("/", "book", book, methods=["GET", "POST"])
    app.add_url_rule("/orders/<order>", "show", show)
    app.add_url_rule("/orders/<order>/state", "state", state)
    app.before_request(make_nonce)
    app.after_request(add_headers)
    app.register_error_handler(HTTPException, explain)
    return app


def settings_from_environment():
    """FACECERT_… for the client, FACECERT_PUBLIC_URL, SHOP_SECRET_KEY for the sessions.

    SHOP_PROXIES: how many proxies are in front, each of which sets X-Forwarded-For. Default 0.
    """
    names = list(VARIABLES) + ["FACECERT_PUBLIC_URL", "SHOP_PROXIES"]
    config = {name: os.environ[name] for name in names if os.environ.get(name)}
    if not config.get("FACECERT_PUBLIC_URL"):
        raise SystemExit("Set FACECERT_PUBLIC_URL, e.g. https://shop.example")
    if os.environ.get("SHOP_SECRET_KEY"):
        config["SECRET_KEY"] = os.environ["SHOP_SECRET_KEY"]
    return config


def book():
    """Show the form, or take it: one form opens one verification, however often it comes."""
    if request.method == "GET":
        return form_page(secrets.token_urlsafe(16))
    key = request.form.get("key", "")
    csrf = request.form.get("csrf", "").encode("utf-8")
    if not hmac.compare_digest(csrf, csrf_token().encode("utf-8")) or not re.fullmatch(KEY, key):
        return problem(400, "页面已失效", "请重新打开页面，再填写一次。")
    order = current_app.orders.by_key(owner(), key)
    if order is not None:
        return redirect(url_for("show", order=order.number), 303)
    name, number, errors = read_person(request.form)
    if errors:
        return form_page(key, name, errors), 400
    if not current_app.quota.take(owner(), request.remote_addr):
        return problem(429, "认证次数已达上限", "没有发起认证。请过一段时间再试，或联系客服。")
    order, is_new = current_app.orders.create(owner(), key)
    if is_new:
        failed = open_verification(order, name, number)
        if failed is not None:
            return failed
    return redirect(url_for("show", order=order.number), 303)


def open_verification(order, name, number):
    """Call init, once. Return a page if it failed."""
    try:
        opened = face.init(
            cert_name=name,
            cert_no=number,
            outer_order_no=order.number,
            return_url=face.url_for("show", order=order.number),
        )
    except InvalidParameter as error:
        field = {"cert_name": "name", "cert_no": "number"}.get(error.field)
        if field is None:
            raise
        # A mistyped digit, for instance. Nothing was sent, and a new form makes a new order.
        current_app.orders.not_opened(order, unclear=False)
        return form_page(secrets.token_urlsafe(16), name, {field: "请核对后重新填写"}), 400
    except FacecertError as error:
        current_app.logger.warning("order %s: init failed: %s", order.number, error)
        # Perhaps it was done after all: then another try would open, and bill, a second one.
        unclear = error.outcome == "unknown"
        current_app.orders.not_opened(order, unclear)
        return render_template("problem.html", order=order, unclear=unclear, status=503), 503
    current_app.orders.opened(order, opened)
    return None


def settle(app, outer_order_no, answer):
    """Take the truth about an order; it may come several times."""
    app.orders.settle(outer_order_no, answer.certify_id, answer.passed)


def show(order):
    found = own_order(order)
    link = found.certify_url
    endpoint = current_app.config.get("FACECERT_ENDPOINT") or ""
    # There is no Alipay on this machine: a sandbox's page opens in the browser.
    sandbox = is_loopback(endpoint)
    return render_template(
        "order.html",
        order=found,
        state=current_app.orders.state(found),
        qr=qr_svg(link) if link else "",
        link=link if sandbox or not link else alipay_link(link),
        sandbox=sandbox,
        texts=TEXTS,
        final=sorted(FINAL),
    )


def state(order):
    found = own_order(order)
    if current_app.orders.is_due(found):
        make_up_for_callback(found)
    return jsonify(state=current_app.orders.state(found))


def make_up_for_callback(order):
    """Ask, where the platform's few tries may have fallen into an outage."""
    try:
        answer = face.client.query(order.certify_id)
    except FacecertError as error:
        current_app.logger.warning("order %s: query failed: %s", order.number, error)
        return
    if answer.passed:  # anything else may mean "not yet"
        current_app.orders.settle(order.number, order.certify_id, True)


def own_order(number):
    """Return an order of this session; others' are as if they were not there."""
    order = current_app.orders.find(number) if re.fullmatch(ORDER, number) else None
    if order is None or not hmac.compare_digest(order.owner, owner()):
        abort(404)
    return order


def read_person(form):
    """Return name, number, and what is wrong with them by field."""
    name = " ".join(form.get("name", "").split())
    number = form.get("number", "").replace(" ", "").upper()
    errors = {}
    if not 2 <= len(name) <= 50:
        errors["name"] = "请填写证件上的姓名（2–50 个字）"
    elif not all(letter.isalpha() or letter in " ·•.-'’" for letter in name):
        errors["name"] = "姓名里有不认识的符号，请照证件填写"
    if not number:
        errors["number"] = "请填写证件号码"
    elif not re.fullmatch("[0-9A-Z]{8,18}", number):
        errors["number"] = "证件号码应为 8–18 位数字或字母，请核对后重新填写"
    return name, number, errors


def form_page(key, name="", errors=None):
    waiting = current_app.orders.waiting(owner())
    return render_template(
        "book.html", key=key, csrf=csrf_token(), name=name, errors=errors or {}, waiting=waiting
    )


def owner():
    """The random name by which this session owns its orders."""
    return session.setdefault("owner", secrets.token_urlsafe(16))


def csrf_token():
    return session.setdefault("csrf", secrets.token_urlsafe(16))


def problem(status, title, text):
    return render_template("problem.html", status=status, title=title, text=text), status


PROBLEMS = {
    404: ("这里看不到这个订单", "刚在支付宝完成认证？请回到下单时用的浏览器，结果已经在那里了。"),
    413: ("内容太长", "请重新打开页面，再填写一次。"),
    500: ("出了点问题", "不是您的问题，我们会尽快处理。请稍后再来。"),
}


def explain(error):
    status = error.code or 500
    return problem(status, *PROBLEMS.get(status, ("请求无法处理", "请从首页重新开始。")))


def make_nonce():
    g.nonce = secrets.token_urlsafe(16)


def add_headers(response):
    # An error before before_request has no nonce, and no script either.
    nonce = "'nonce-%s'" % g.get("nonce", "none")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src %s; style-src %s; img-src data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'" % (nonce, nonce)
    )
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


class QuietHandler(WSGIRequestHandler):
    """Logs paths without their query: a callback's token is nobody's business."""

    def log_request(self, code="-", size="-"):
        path = getattr(self, "path", "-").partition("?")[0]
        self.log("info", '"%s %s" %s', getattr(self, "command", "-"), path, code)


def make_shop_server(app, port):
    return make_server(HOST, port, app, threaded=True, request_handler=QuietHandler)


def main():
    parser = argparse.ArgumentParser(description="A shop that verifies its customers.")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--live", action="store_true", help="no sandbox: Alibaba Cloud")
    options = parser.parse_args()
    if options.live or os.environ.get("FACECERT_ENDPOINT"):
        try:
            app = create_app()
        except InvalidParameter as error:
            raise SystemExit(str(error))
        return serve(app, options.port)
    from facecert.sandbox import Sandbox

    with Sandbox() as sandbox:
        config = {
            "FACECERT_SCENE_ID": sandbox.scene_id,
            "FACECERT_ENDPOINT": sandbox.endpoint,
            "FACECERT_SM2_PUBLIC_KEY": sandbox.sm2_public_key,
            "FACECERT_CREDENTIALS": (sandbox.access_key_id, sandbox.access_key_secret),
            "FACECERT_CALLBACK_SECRET": secrets.token_urlsafe(32),
            "FACECERT_PUBLIC_URL": "http://%s:%d" % (HOST, options.port),
        }
        print("Sandbox: %s" % sandbox.endpoint)
        serve(create_app(config), options.port)


def serve(app, port):
    server = make_shop_server(app, port)
    print("Shop: http://%s:%d/  (Ctrl+C stops it)" % (HOST, port), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
