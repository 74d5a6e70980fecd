"""The calls of a soak's worker: every kind of call, and forks."""

import collections
import faulthandler
import logging
import os
import signal
import threading
import time
import traceback
import types

import soak_canaries as canaries
from soak_service import FATES

#: Seconds after which a forked child is killed.
LONGEST_CHILD = 15

#: The kinds of call that every run must make, however short it is.
KINDS = {"init", "query", "poll", "again", "forged", "crossed", "late", "confirm", "batch"}

#: The token of forged callbacks, which belongs to no order.
FORGED = "x" * 27

_log = logging.getLogger("soak.app")


class RotatingKey:
    """An AccessKey that changes every second; one in a hundred is the previous one."""

    def __init__(self, salt, draw):
        self._salt = salt
        self._draw = draw
        self.stale = 0.01
        self.given = set()

    def get_credential(self):
        """Return the current AccessKey."""
        number = int(time.time() / canaries.KEY_LIFETIME) - (self._draw.random() < self.stale)
        self.given.add(number)
        names = ("access_key_id", "access_key_secret", "security_token")
        return types.SimpleNamespace(**dict(zip(names, canaries.access_key(self._salt, number))))


class Calls:
    """Makes calls with one client and records the result of each.

    Args:
        write: writes a line of the record.
        run: the beginning of every order number.
        callback_url: the URL of the callback server.
    """

    def __init__(self, client, write, run, callback_url):
        self.client = client
        self.write = write
        self._run = run
        self._callback_url = callback_url
        #: (order, certify_id) of the latest verifications.
        self._known = collections.deque(maxlen=1000)
        #: The latest callbacks.
        self._came = collections.deque(maxlen=200)
        self.ended = threading.Event()
        #: Kinds of call that returned or raised.
        self.made = set()
        self.mix = [
            (self.init, 34), (self.query, 18), (self.poll, 10), (self.again, 4), (self.forge, 8),
            (self.cross, 6), (self.late, 12), (self.batch, 2),
        ]  # fmt: skip

    def work(self, draw):
        """Make calls until ``ended`` is set."""
        kinds = [kind for kind, weight in self.mix for _ in range(weight)]
        while not self.ended.wait(draw.uniform(0, 0.03)):
            draw.choice(kinds)(draw)

    def init(self, draw):
        """Open a verification; try once more when it was certainly not opened."""
        order = "%s%s%s" % (self._run, os.urandom(8).hex(), draw.choice(FATES))
        arguments = dict(canaries.person(order), outer_order_no=order)
        if draw.random() < 0.7:
            arguments["callback_url"] = self._callback_url
        if draw.random() < 0.25:
            arguments["encrypt"] = True
        for _ in range(2):
            self.write(attempt=order)
            opened, error = self._try("init", lambda: self.client.init(**arguments), order=order)
            if opened is not None:
                self.write(order=order, certify_id=opened.certify_id)
                self._known.append((order, opened.certify_id))
                _log.info("opened %r %s", opened, opened)
            if opened is not None or error is None or error.outcome == "unknown":
                return order if opened is not None else None
        return None

    def query(self, draw):
        """Query one of the latest verifications."""
        chosen = self._choose(self._known, draw)
        return chosen and self._ask("query", lambda: self.client.query(chosen[1]))

    def poll(self, draw):
        """Open a verification and query it for a short time until it is passed."""
        if self.init(draw):
            for pause in (0.05, 0.1, 0.2):
                answer = self.query_last()
                if answer is None or answer.passed or self.ended.wait(pause):
                    return

    def query_last(self):
        """Query the latest verification."""
        certify_id = self._known[-1][1]
        return self._ask("poll", lambda: self.client.query(certify_id))

    def again(self, draw):
        """Use an order number again, which the ledger must refuse."""
        chosen = self._choose(self._known, draw)
        if chosen:
            person = canaries.person(chosen[0])
            self._must_refuse(
                "again", "InvalidParameter",
                lambda: self.client.init(outer_order_no=chosen[0], **person),
            )  # fmt: skip

    def forge(self, draw):
        """Send a callback without the order's token."""
        chosen = self._choose(self._known, draw)
        if chosen:
            forged = {"certifyId": chosen[1], "passed": "T", "order": chosen[0]}
            if draw.random() < 0.5:
                forged["CallbackToken"] = FORGED
            self._must_refuse("forged", "CallbackError", lambda: self.client.confirm(forged))

    def cross(self, draw):
        """Send a callback with a genuine token, but about another order's verification."""
        came, chosen = self._choose(self._came, draw), self._choose(self._known, draw)
        if came and chosen and came.outer_order_no != chosen[0]:
            crossed = dict(
                certifyId=chosen[1], order=came.outer_order_no, CallbackToken=came.token,
                passed=draw.choice("TF"),
            )  # fmt: skip
            # Whether or not the app passes an order: the ledger knows whose verification it is.
            order = draw.choice([None, chosen[0], came.outer_order_no])
            if order is not None or any(came.outer_order_no == one for one, _ in list(self._known)):
                self._must_refuse(
                    "crossed", "CallbackError",
                    lambda: self.client.confirm(crossed, outer_order_no=order),
                )  # fmt: skip

    def late(self, draw):
        """Confirm a callback again that was confirmed before."""
        came = self._choose(self._came, draw)
        if came:
            self._ask("late", lambda: self.client.confirm(came))

    def called_back(self, query):
        """Confirm a received callback; return whether the response is HTTP 200."""
        from facecert import parse_callback

        callback = parse_callback(query)
        self._came.append(callback)
        _log.info("called back: %r", callback)
        return self._ask("confirm", lambda: self.client.confirm(callback)) is not None

    def batch(self, draw):
        """Query many verifications at once."""
        from facecert.batch import query_many

        ids = [certify_id for _, certify_id in list(self._known)[-30:]]
        begun = time.monotonic()
        for outcome in query_many(ids, client=self.client, qps=200, threads=3):
            if outcome.error is not None:
                self._failed("batch", outcome.error)
            else:
                self._answered("batch", outcome.answer, begun)
                self.made.add("batch")
                self.write(call="batch")

    def fork(self, draw):
        """Fork; the child makes calls with the inherited client, and ends."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                # A hanging child prints its stack and ends.
                faulthandler.register(signal.SIGALRM, chain=True)
                signal.alarm(LONGEST_CHILD)
                self.ended = threading.Event()
                if self.init(draw):
                    self.query_last()
                self.query(draw)
                self.late(draw)
                status = 0
            finally:
                os._exit(status)
        begun = time.monotonic()
        _, status = os.waitpid(child, 0)
        self.write(forked=status, seconds=time.monotonic() - begun)

    def _choose(self, deque, draw):
        try:
            return deque[draw.randrange(len(deque))]
        except (IndexError, ValueError):  # it is empty, or became shorter
            return None

    def _ask(self, kind, ask):
        begun = time.monotonic()
        answer, _ = self._try(kind, ask)
        if answer is not None:
            self._answered(kind, answer, begun)
        return answer

    def _answered(self, kind, answer, begun):
        _log.debug("%r %s", answer, answer)
        self.write(
            answer=answer.certify_id, passed=answer.passed, kind=kind, begun=begun,
            at=time.monotonic(),
        )  # fmt: skip

    def _must_refuse(self, kind, error, call):
        got, came = self._try(kind, call, expected=error)
        if type(came).__name__ != error:
            # It was opened or believed although it must be refused.
            self.write(unexpected="%s was accepted: %r, %r" % (kind, got, came))

    def _try(self, kind, call, expected=None, **more):
        try:
            result = call()
        except Exception as error:
            self._failed(kind, error, expected, **more)
            return None, error
        self.made.add(kind)
        self.write(call=kind)
        return result, None

    def _failed(self, kind, error, expected=None, **more):
        from facecert import FacecertError

        self.made.add(kind)
        name = type(error).__name__
        ours = isinstance(error, FacecertError)
        if not ours or (name in ("InvalidParameter", "CallbackError") and name != expected):
            self.write(unexpected="%s: %s: %s" % (kind, name, error))
        self.write(
            call=kind, error=name, code=getattr(error, "code", None),
            outcome=getattr(error, "outcome", None), **more
        )  # fmt: skip
        # As a debug page and a crash reporter do.
        _log.error("%s failed: %r %s", kind, error, vars(error), exc_info=error)
        shown = traceback.TracebackException(
            type(error), error, error.__traceback__, capture_locals=True
        )
        for frame in shown.stack:
            if not frame.filename.endswith("soak_calls.py"):
                _log.error("%s %s", frame.name, frame.locals)
        os.write(2, str(error).encode("utf-8") + b"\n")
