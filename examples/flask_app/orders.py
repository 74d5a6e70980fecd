"""The shop's orders, in memory. A database has a table with the same columns instead.

No name and no number: certify_id is all that is needed to ask again.
"""

import secrets
import threading

OPENING = "opening"
PENDING = "pending"
PASSED = "passed"
FAILED = "failed"
EXPIRED = "expired"
UNOPENED = "unopened"
UNCLEAR = "unclear"

FINAL = {PASSED, FAILED, EXPIRED, UNOPENED}

TEXTS = {
    OPENING: "正在准备",
    PENDING: "待认证",
    PASSED: "已通过",
    FAILED: "未通过",
    EXPIRED: "已过期",
    UNOPENED: "没有发起",
    UNCLEAR: "待核实",
}

#: Seconds for which an order waits; a verification lives as long.
LIFETIME = 30 * 60

#: Seconds between two questions about an order that waits.
PAUSE = 15


class Order:
    def __init__(self, owner, expires_at):
        self.number = secrets.token_hex(10)
        self.owner = owner
        self.state = OPENING
        self.expires_at = expires_at
        self.certify_id = None
        self.certify_url = None
        self.asked_at = expires_at - LIFETIME


class Orders:
    """Every method may be called by several threads at once."""

    def __init__(self, clock):
        self._clock = clock
        self._lock = threading.Lock()
        self._by_number = {}
        self._by_key = {}

    def create(self, owner, key):
        """Return the order of a form, and whether it is new. A form makes one, ever."""
        with self._lock:
            order = self._by_key.get((owner, key))
            if order is not None:
                return order, False
            order = Order(owner, self._clock() + LIFETIME)
            self._by_key[owner, key] = self._by_number[order.number] = order
            return order, True

    def by_key(self, owner, key):
        return self._by_key.get((owner, key))

    def find(self, number):
        return self._by_number.get(number)

    def waiting(self, owner):
        """Return the owner's newest order that can still be verified, or None."""
        with self._lock:
            orders = [order for order in self._by_number.values() if order.owner == owner]
        return next((it for it in reversed(orders) if self.state(it) == PENDING), None)

    def state(self, order):
        waits = order.state in (OPENING, PENDING, UNCLEAR)
        return EXPIRED if waits and self._clock() >= order.expires_at else order.state

    def is_due(self, order):
        """Tell whether the service should be asked again about an order, and note that it is."""
        with self._lock:
            now = self._clock()
            due = order.state == PENDING and now >= order.asked_at + PAUSE
            if due:
                order.asked_at = now
            return due

    def opened(self, order, opened):
        with self._lock:
            # A callback may have been faster. What it settled stays, if it was about this one.
            if order.state == OPENING or order.certify_id != opened.certify_id:
                order.state = PENDING
            order.certify_id = opened.certify_id
            order.certify_url = opened.certify_url
            order.expires_at = self._clock() + LIFETIME

    def not_opened(self, order, unclear):
        with self._lock:
            if order.state == OPENING:
                order.state = UNCLEAR if unclear else UNOPENED

    def settle(self, number, certify_id, passed):
        """Once: ``UPDATE … WHERE number = … AND certify_id = … AND state = 'pending'``."""
        with self._lock:
            order = self._by_number.get(number)
            if order is None or order.certify_id not in (None, certify_id):
                return
            late = self.state(order) == EXPIRED and not passed
            if order.state in (OPENING, PENDING, UNCLEAR) and not late:
                order.certify_id = certify_id
                order.state = PASSED if passed else FAILED
