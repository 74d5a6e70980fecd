"""A timeout's signal that raises at random moments, 20,000 times: no lock of ours stays held."""

import signal

import pytest
from conftest import run_python

pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
pytest.importorskip("flask")
pytest.importorskip("blinker")

#: Another thread uses the same things all the time, and must still do so at the end.
PROGRAM = """
import random, signal, threading, time
from types import SimpleNamespace
import facecert, flask
from facecert.batch import Rate, query_many
from facecert.contrib.flask import FaceCert
from facecert.ledger import Ledger


class Interrupt(BaseException):
    pass


class Timeout(Exception):  # as Celery's SoftTimeLimitExceeded
    pass


class AnswersAtOnce:
    def paced(self, rate):
        self.rate = rate
        return self

    def query(self, certify_id, scene_id=None):
        with self.rate.turn():
            return facecert.QueryResult(True, certify_id)


def strike(number, frame):
    raise draw.choice([Interrupt, Timeout])


def new_app():
    app = flask.Flask("shop")
    app.config.update(
        FACECERT_SCENE_ID="1", FACECERT_CALLBACK_SECRET="a-secret-of-the-tests-only",
        FACECERT_ENDPOINT="http://127.0.0.1:9", FACECERT_PUBLIC_URL="https://shop.example",
        FACECERT_CREDENTIALS=("id", "secret"),
    )
    shared.ext = FaceCert(app)
    return app


def use_flask():
    with shared.app.app_context():
        shared.ext.client


def use_flask_anew():
    shared.app = new_app()
    use_flask()


def use_rate():
    with rate.turn():
        pass


def use_batch():
    batch = query_many(["%032x" % n for n in range(8)], client=AnswersAtOnce(), qps=1000, threads=2)
    try:
        for item in batch:
            pass
    finally:
        batches.append(batch)


def use_all():
    while not stop.is_set():
        for use in (use_rate, use_flask, ledger.check, lambda: ledger.get("order1")):
            use()
        rounds.append(1)


def until_struck(use):  # a function, because 3.13 has a jump in a loop that try does not cover
    end = time.monotonic() + 1  # for a strike that a finalizer swallows
    while time.monotonic() < end:
        use()


draw, shared = random.Random(1), SimpleNamespace()
shared.app = new_app()
rate, ledger, stop, rounds, batches = Rate(1000), Ledger("ledger.db"), threading.Event(), [], []
ledger.check()
other = threading.Thread(target=use_all, daemon=True)
other.start()
signal.signal(signal.SIGALRM, strike)
counted = 0
for use, wanted in (
    (use_rate, 6000), (use_flask_anew, 6000), (ledger.check, 3000),
    (lambda: ledger.get("order1"), 3000), (use_batch, 2000),
):
    strikes = 0
    while strikes < wanted:
        try:
            signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.00001, 0.001))
            until_struck(use)
        except BaseException:  # SQLAlchemy's own assertions may be struck, too
            strikes += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        while batches:
            batches.pop().close()
    counted += strikes
before = len(rounds)
deadline = time.monotonic() + 60
while len(rounds) < before + 3 and time.monotonic() < deadline:
    time.sleep(0.01)
stop.set()
other.join(60)
use_rate(), use_flask(), ledger.check(), use_batch()
print(counted, len(rounds) >= before + 3, other.is_alive())
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
def test_no_strike_leaves_a_lock_held(tmp_path):
    out = run_python(PROGRAM, cwd=tmp_path, timeout=1800)
    assert out.split() == ["20000", "True", "False"]
