"""The shop's orders, in SQLite. The order number is made here, before a task is sent."""

import os
import sqlite3
import tempfile
from contextlib import closing

FOLDER = os.environ.get("SHOP_FOLDER") or os.path.join(tempfile.gettempdir(), "facecert-shop")
os.makedirs(FOLDER, mode=0o700, exist_ok=True)


def create(name, number):
    """Store an order, and return its number."""
    order = os.urandom(16).hex()
    _run("INSERT INTO orders VALUES (?, ?, ?, NULL)", order, name, number)
    return order


def person(order):
    """Return name and number for ``init``; None after ``keep_url``."""
    name, number = _run("SELECT name, number FROM orders WHERE id = ?", order)[0]
    return {"cert_name": name, "cert_no": number} if name else None


def keep_url(order, certify_url):
    """Store the link, and forget name and number, which nothing needs any more."""
    _run("UPDATE orders SET url = ?, name = '', number = '' WHERE id = ?", certify_url, order)


def url(order):
    """Return the link, for the session that has made the order and no other; or None."""
    return _run("SELECT url FROM orders WHERE id = ?", order)[0][0]


def _run(statement, *values):
    with closing(sqlite3.connect(os.path.join(FOLDER, "orders.db"), timeout=30)) as database:
        with database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, name, number, url)"
            )
            return database.execute(statement, values).fetchall()
