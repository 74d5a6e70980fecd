"""The callbacks of a small shop: genuine, repeated, forged. One command, no account::

    python examples/callbacks/callbacks.py

A sandbox stands in for Alibaba Cloud. README.rst explains each line of the output.
"""

import hashlib
import hmac
import pathlib
import secrets
import sqlite3
import tempfile
import threading
from contextlib import closing
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener
from wsgiref.simple_server import WSGIRequestHandler, make_server

import facecert
from facecert.sandbox import Sandbox

ZHANG = ("张三", "330103199001011230")
FATHER = ("张建国", "11010119800101998X")
KEY = secrets.token_bytes(32)  # of digest(); keep it where the callback secret is
OLD, NEW = secrets.token_urlsafe(), secrets.token_urlsafe()

TABLES = """
create table users (name text primary key, person text not null);
create table parcels (order_number text primary key);
create table orders (
    number text primary key, owner text not null, certify_id text unique,
    state text not null default 'pending'
);
"""


def digest(name, number):
    """Return what the shop stores of a user's document instead of name and number."""
    return hmac.new(KEY, ("%s\n%s" % (name, number)).encode("utf-8"), hashlib.sha256).hexdigest()


class Shop:
    """Called as a WSGI app, it receives the callbacks. Every method opens its own connection."""

    def __init__(self, path):
        self.path = path
        self.url = self.client = None  # main() sets them
        self.broken = False  # True: the next receiver raises
        with closing(sqlite3.connect(path)) as db:
            db.executescript(TABLES)

    def sql(self, statement, *values):
        """Run one statement and commit; return its rows."""
        with closing(sqlite3.connect(self.path)) as db, db:
            return db.execute(statement, values).fetchall()

    def register(self, user, name, number):
        self.sql("insert into users values (?, ?)", user, digest(name, number))

    def verify(self, user, name, number):
        """Open a verification; return the order's number, or None for another person's document."""
        [[person]] = self.sql("select person from users where name = ?", user)
        if not hmac.compare_digest(person, digest(name, number)):
            return None  # init is not sent
        order = secrets.token_hex(16)
        # Before init, because the callback may come before init returns.
        self.sql("insert into orders (number, owner) values (?, ?)", order, user)
        opened = self.client.init(
            cert_name=name, cert_no=number, outer_order_no=order, callback_url=self.url
        )
        self.sql("update orders set certify_id = ? where number = ?", opened.certify_id, order)
        return order

    def __call__(self, environ, start_response):
        try:
            status = self.called_back(environ["QUERY_STRING"])
        except Exception:  # a receiver raised, and its transaction was rolled back
            status = 500  # the platform calls again
        start_response("%d -" % status, [])
        return [b""]

    def called_back(self, query):
        """Return the HTTP status for a callback."""
        try:
            claim = self.client.read_callback(query)
            answer = self.client.confirm(claim)
        except facecert.CallbackError:
            return 403  # forged: no query was sent, nothing changes
        except facecert.FacecertError:
            return 503  # the query failed: the platform calls again
        if claim.passed and not answer.passed:
            return 503  # the service says F, which may mean "not yet"
        self.settle(claim.outer_order_no, answer)
        return 200

    def settle(self, order, answer):
        """Store a result. It may be called again, even at once: the parcel is sent once."""
        state = "passed" if answer.passed else "failed"
        with closing(sqlite3.connect(self.path)) as db, db:  # one transaction
            changed = db.execute(
                "update orders set state = ?, certify_id = ? where number = ?"
                " and state not in ('passed', ?) and coalesce(certify_id, ?) = ?",
                [state, answer.certify_id, order, state, answer.certify_id, answer.certify_id],
            ).rowcount
            if changed and answer.passed:
                db.execute("insert into parcels values (?)", [order])
            if self.broken:
                self.broken = False
                raise RuntimeError("the receiver failed")

    def show(self, user, order):
        """Return the state of a user's own order, or None."""
        rows = self.sql("select state from orders where number = ? and owner = ?", order, user)
        return rows[0][0] if rows else None


class QuietHandler(WSGIRequestHandler):
    """Writes no access log, because the URL holds the callback token."""

    def log_message(self, *args):
        pass


class Story:
    """What happens to the shop, and how it responds."""

    def __init__(self, shop, sandbox):
        self.shop, self.sandbox = shop, sandbox

    def rotate(self, callback_secret):
        if self.shop.client is not None:
            self.shop.client.close()
        self.shop.client = self.sandbox.client(callback_secret=callback_secret)

    def open(self):
        """Open an order; return its number, its certify_id, and its token."""
        order = self.shop.verify("zhang", *ZHANG)
        token = self.sandbox.requests[-1].service_parameters["callbackToken"]
        [[certify_id]] = self.shop.sql("select certify_id from orders where number = ?", order)
        return order, certify_id, token

    def submit(self, certify_id, passed=True):
        """Let the person submit; return the responses to the platform's callbacks."""
        self.sandbox.callbacks.clear()
        self.sandbox.complete(certify_id, passed)
        self.sandbox.wait_for_callbacks(60)
        return [one.status for one in self.sandbox.callbacks]

    def call(self, order, certify_id, token=None):
        """Call the callback's URL with passed=T; anyone can. Return the response."""
        fields = {"order": order, "certifyId": certify_id, "passed": "T"}
        if token is not None:
            fields["CallbackToken"] = token
        url = "%s?%s" % (self.shop.url, urlencode(fields))
        try:
            with build_opener(ProxyHandler({})).open(url, timeout=60) as response:
                return response.status
        except HTTPError as error:
            error.close()
            return error.code

    def tell(self, what, responses, order):
        """Print the response to the last event, and what the shop knows then."""
        parcels = self.shop.sql("select * from parcels where order_number = ?", order)
        state = self.shop.show("zhang", order)
        print("%-45s %-10s %-8s parcels: %d" % (what, responses, state, len(parcels)))

    def run(self):
        self.rotate(OLD)
        self.shop.register("zhang", *ZHANG)
        order, certify_id, token = self.open()
        self.tell("passed=T without a token", self.call(order, certify_id), order)
        self.tell("the token of another order", self.call(order, certify_id, self.open()[2]), order)
        early = self.call(order, certify_id, token)
        self.tell("the right token before the person passes", early, order)
        self.tell("the person passes", self.submit(certify_id), order)
        self.tell("a replay", self.call(order, certify_id, token), order)

        order, certify_id, _ = self.open()
        self.tell("the person fails", self.submit(certify_id, passed=False), order)

        order, certify_id, _ = self.open()
        self.shop.broken = True
        self.tell("the receiver raises, then works", self.submit(certify_id), order)

        order, certify_id, token = self.open()
        self.rotate("%s %s" % (NEW, OLD))
        self.tell("a token of the old secret, both are set", self.submit(certify_id), order)
        self.rotate(NEW)
        self.tell("the same, only the new one is set", self.call(order, certify_id, token), order)

        for what, found in [
            ("zhang enters a relative's document", self.shop.verify("zhang", *FATHER)),
            ("li opens the page of zhang's order", self.shop.show("li", order)),
        ]:
            print("%-45s %s" % (what, found or "refused"))


def main():
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
        shop = Shop(str(pathlib.Path(folder) / "shop.db"))
        server = make_server("127.0.0.1", 0, shop, handler_class=QuietHandler)
        shop.url = "http://127.0.0.1:%d/verified" % server.server_port
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            Story(shop, sandbox).run()
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            shop.client.close()


if __name__ == "__main__":
    main()
