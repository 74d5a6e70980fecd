"""facecert.contrib.celery and the example's init task, with real workers and a real Redis."""

import json
import random
import sqlite3
import subprocess
import sys
import time

import fleet
import pytest
from conftest import NAME, NUMBER, ROOT
from redis_server import Redis, require_redis

pytest.importorskip("celery", reason="Celery is not installed")
pytest.importorskip("redis", reason="Celery's transport is not installed")
pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")

pytestmark = pytest.mark.long


@pytest.fixture
def redis():
    """A Redis of this test's own."""
    require_redis()
    with Redis() as server:
        yield server


@pytest.fixture
def ledger(tmp_path):
    from facecert.ledger import Ledger

    ledger = Ledger(str(tmp_path / "ledger.db"))
    yield ledger
    ledger.close()


def wait_until(found, workers, every=lambda: None, seconds=240):
    """Wait until ``found()``, and call ``every()`` in between."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, workers.log()[-5000:]
        every()
        time.sleep(0.05)


class Rounds:
    """In the place of Celery's beat: has the fleet settle every few seconds."""

    def __init__(self, workers, seconds=3):
        self._workers, self._seconds, self._next = workers, seconds, 0

    def __call__(self):
        if time.monotonic() >= self._next:
            self._workers.send("facecert.settle")
            self._next = time.monotonic() + self._seconds


def test_four_processes_keep_to_one_rate(tmp_path, redis):
    """The program fleet.py has 20,000 ids settled, and judges the throughput, too."""
    calendar, sliding, _, requests = fleet.settle(tmp_path, redis, 600, 40)
    assert calendar <= 40 and sliding <= 44
    assert requests == 600


def test_killed_twenty_times(tmp_path, redis, sandbox, ledger):
    fleet.fill(ledger, fleet.opened(sandbox, 200))
    with fleet.Fleet(tmp_path, sandbox, redis, FLEET_QPS="100", FLEET_EVERY="3") as workers:
        kill_twenty_times(workers, lambda: len(sandbox.requests))
        wait_until(lambda: not next(ledger.pending(), None), workers, Rounds(workers))
    assert fleet.states(ledger) == {"passed": 100, "failed": 100}


def kill_twenty_times(workers, done):
    """Kill processes with SIGKILL: 18 times one, and twice a worker with all of its processes."""
    every, chance = Rounds(workers), random.Random(1)
    wait_until(done, workers, every)
    for number in range(20):
        before, seen = time.monotonic(), done()
        # Where nothing is left to be done, the kill is of an idle process.
        wait_until(lambda: done() > seen or time.monotonic() > before + 1, workers, every)
        if number % 10 == 5:
            workers.kill_worker()
            workers.revive()
        else:
            pool = [one for _, its_children in workers.pids() for one in its_children]
            if pool:
                fleet.kill(chance.choice(pool))


def test_in_django_killed_twenty_times_receivers_take_effect_once(tmp_path, redis, sandbox):
    pytest.importorskip("django")
    ids = fleet.opened(sandbox, 100)
    options = {
        "SCENE_ID": sandbox.scene_id, "ENDPOINT": sandbox.endpoint,
        "ACCESS_KEY": (sandbox.access_key_id, sandbox.access_key_secret),
        "CALLBACK_SECRET": "a-secret-of-the-tests",
    }  # fmt: skip
    workers = fleet.Fleet(
        tmp_path, sandbox, redis, FLEET_QPS="100", FLEET_EVERY="3", FLEET_DJANGO=json.dumps(options)
    )
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "-v", "0"], check=True, timeout=120,
        env=dict(workers.environ, DJANGO_SETTINGS_MODULE="fleet_django"),
    )  # fmt: skip
    database = sqlite3.connect(str(tmp_path / "site.db"), timeout=60, isolation_level=None)
    database.execute("CREATE TABLE receipts (outer_order_no TEXT)")
    moment = fleet.LONG_AGO.strftime("%Y-%m-%d %H:%M:%S")
    database.execute("BEGIN")
    database.executemany(
        "INSERT INTO facecert_verification (outer_order_no, certify_id, scene_id, request_id,"
        " state, told, created_at, expires_at) VALUES (?, ?, ?, '', 'opened', '', ?, ?)",
        [(order, ids[order], sandbox.scene_id, moment, moment) for order in ids],
    )
    database.execute("COMMIT")

    def told():
        return database.execute("SELECT count(*) FROM receipts").fetchone()[0]

    with workers:
        kill_twenty_times(workers, told)
        wait_until(lambda: told() >= 100, workers, Rounds(workers))
    orders = [row[0] for row in database.execute("SELECT outer_order_no FROM receipts")]
    assert sorted(orders) == sorted(ids)
    counted = "SELECT state, told, count(*) FROM facecert_verification GROUP BY 1, 2"
    assert sorted(database.execute(counted)) == [("failed", "failed", 50), ("passed", "passed", 50)]
    database.close()


def test_work_goes_on_after_redis_was_away(tmp_path, redis, sandbox, ledger):
    fleet.fill(ledger, fleet.opened(sandbox, 200))
    with fleet.Fleet(tmp_path, sandbox, redis, FLEET_QPS="40", FLEET_EVERY="3") as workers:
        wait_until(lambda: len(sandbox.requests) > 20, workers, Rounds(workers, 60))
        redis.stop()
        time.sleep(1)  # what was under way
        sent = len(sandbox.requests)
        time.sleep(9)
        assert len(sandbox.requests) == sent < 200
        redis.start()
        every = Rounds(workers)

        def work_on():
            workers.revive()  # as systemd does: some releases of Celery end without their broker
            every()

        wait_until(lambda: not next(ledger.pending(), None), workers, work_on)
    assert fleet.states(ledger) == {"passed": 100, "failed": 100}


@pytest.mark.parametrize("late", ["as the guide says", "with late acknowledgement"])
def test_the_guides_init_task_opens_one_verification(
    tmp_path, redis, sandbox, ledger, monkeypatch, late
):
    """Each task is delivered twice, and processes are killed while they wait for a response."""
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "celery_worker"))
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    import shop

    more = {} if late.startswith("as") else {"FLEET_LATE": "1"}
    orders = [shop.create(NAME, NUMBER) for _ in range(6)]
    with fleet.Fleet(tmp_path, sandbox, redis, FACECERT_READ_TIMEOUT="2", **more) as workers:
        sandbox.fail("no-answer", on="init", times=3)
        for order in orders[:3]:
            workers.send("tasks.open_verification", order)
            seen = len(inits(sandbox))
            wait_until(lambda: len(inits(sandbox)) > seen, workers)
            for _, its_children in workers.pids():  # one of them waits for the response
                for one in its_children:
                    fleet.kill(one)
            workers.send("tasks.open_verification", order)
        for order in orders[3:] * 2:
            workers.send("tasks.open_verification", order)
        wait_until(lambda: all(map(shop.url, orders[3:])), workers)
        log = workers.log()
    assert sorted(inits(sandbox)) == sorted(orders)
    found = {entry.outer_order_no: entry.state for entry in ledger.entries()}
    assert [found[order] for order in orders] == ["sent"] * 3 + ["opened"] * 3
    assert NAME not in log and NUMBER not in log
    monkeypatch.delitem(sys.modules, "shop")


def inits(sandbox):
    """Return the order number of every init that arrived."""
    numbers = [request.service_parameters.get("outerOrderNo") for request in sandbox.requests]
    return [number for number in numbers if number]
