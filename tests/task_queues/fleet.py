"""Real workers of Celery, beside a real Redis and a sandbox: for the tests, and as a program.

    python tests/task_queues/fleet.py --ids 20000

has 4 worker processes settle 20,000 ids at ``SharedRate(40)``, prints what arrived when, and exits
with 1 if that was too much or too slow. On a busy machine, begin the command with ``chrt -r 1``.
"""

import argparse
import collections
import contextlib
import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SERVICE, SCENE_ID = "fin_face_verify", "1000000006"
LONG_AGO = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)


class Fleet:
    """Two workers with two processes each; a context manager that ends them.

    Args:
        folder: of the ledger, the shop's orders and the logs.
        more: variables for the workers; FLEET_QPS, FLEET_DJANGO and FLEET_LATE, see fleet_app.py.
    """

    def __init__(self, folder, sandbox, redis, **more):
        self.folder = folder
        self.environ = environment(folder, redis.url, **dict(sandbox.environment, **more))
        self._workers = {}

    def __enter__(self):
        self.revive()
        return self

    def __exit__(self, *exc_info):
        for worker in self._workers.values():
            for child in children(worker.pid):
                kill(child)
            worker.kill()
            worker.wait(60)

    def revive(self):
        """Start the workers that do not run."""
        for name in ("a", "b"):
            worker = self._workers.get(name)
            if worker is None or worker.poll() is not None:
                arguments = "-A fleet_app worker -c 2 -l INFO --without-gossip --without-mingle"
                with open(str(self.folder / name) + ".log", "ab") as log:
                    self._workers[name] = subprocess.Popen(
                        [sys.executable, "-m", "celery"] + arguments.split() + ["-n", name],
                        env=self.environ, cwd=str(self.folder), stdout=log, stderr=log,
                    )  # fmt: skip

    def pids(self):
        """Return the process ids of a worker and of its children, for each worker that runs."""
        running = [worker.pid for worker in self._workers.values() if worker.poll() is None]
        return [(pid, children(pid)) for pid in running]

    def kill_worker(self):
        """Kill a worker and its children at once."""
        pid, children_of_it = self.pids()[0]
        for one in [pid] + children_of_it:
            kill(one)
        for worker in self._workers.values():
            if worker.pid == pid:
                worker.wait(60)

    def send(self, task, *arguments):
        """Send a task."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old releases on old interpreters
            import celery

            with celery.Celery(broker=self.environ["SHOP_REDIS"], set_as_current=False) as app:
                app.send_task(task, arguments)

    def log(self):
        """Return what the workers have logged."""
        return "".join(one.read_text(encoding="utf-8") for one in self.folder.glob("*.log"))


def environment(folder, redis_url, **more):
    """Return the variables for workers and programs."""
    path = [str(ROOT), str(ROOT / "tests" / "task_queues"), str(ROOT / "examples/celery_worker")]
    return dict(
        os.environ, PYTHONPATH=os.pathsep.join(path), SHOP_REDIS=redis_url, SHOP_FOLDER=str(folder),
        FACECERT_LEDGER=str(folder / "ledger.db"), PYTHONIOENCODING="utf-8", **more
    )  # fmt: skip


def children(pid):
    """Return the process ids of a process's children."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def kill(pid):
    """Kill a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def opened(sandbox, number):
    """Open verifications without a request; every second one is passed. Return ids by order."""
    ids = {}
    for order in ("order%d" % one for one in range(number)):
        fields = {"method": "init", "sceneId": SCENE_ID, "certName": "a", "certNo": "1",
                  "outerOrderNo": order, "bizCode": "FACE", "returnUrl": "",
                  "identityType": "CERT_INFO", "certType": "IDENTITY_CARD"}  # fmt: skip
        code, message, data = sandbox._service.execute(SERVICE, json.dumps(fields))
        assert code == 200, message
        ids[order] = data["certifyId"]
        if len(ids) % 2:
            sandbox.complete(ids[order])
    return ids


def fill(ledger, ids):
    """Add a row for each id, sent so long ago that "not passed" is final."""
    from facecert.ledger.schema import verifications

    row = {"scene_id": SCENE_ID, "state": "opened", "sent_at": LONG_AGO, "expires_at": LONG_AGO}
    rows = [dict(row, outer_order_no=order, certify_id=ids[order]) for order in ids]
    ledger.check()
    ledger.database.write(verifications.insert(), rows=rows)


def states(ledger):
    """Return how many rows are in each state."""
    return collections.Counter(entry.state for entry in ledger.entries())


def most(sandbox):
    """Return the most requests in a calendar second and in a sliding one, and the throughput."""
    times = sorted(request.received_at for request in sandbox.requests)
    sliding = first = 0
    for number, moment in enumerate(times, 1):
        while times[first] <= moment - 1:
            first += 1
        sliding = max(sliding, number - first)
    calendar = max(collections.Counter(map(int, times)).values())
    return calendar, sliding, (len(times) - 1) / (times[-1] - times[0])


def settle(folder, redis, number, qps, rounds=300):
    """Have a fleet settle a ledger, and return ``most`` and the number of requests."""
    from facecert.ledger import Ledger
    from facecert.sandbox import Sandbox

    with Sandbox() as sandbox:
        ledger = Ledger(str(folder / "ledger.db"))
        fill(ledger, opened(sandbox, number))
        with Fleet(folder, sandbox, redis, FLEET_QPS=str(qps)) as fleet:
            deadline, next_round = time.monotonic() + 300 + 5 * number / qps, 0
            while next(ledger.pending(), None):
                assert time.monotonic() < deadline, fleet.log()
                if time.monotonic() > next_round:
                    fleet.send("facecert.settle")
                    next_round = time.monotonic() + rounds
                time.sleep(0.2)
        found = states(ledger)
        ledger.close()
        assert found == {"passed": number - number // 2, "failed": number // 2}, found
        return most(sandbox) + (len(sandbox.requests),)


def main():
    """Print what arrived, and judge it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ids", type=int, default=20000)
    parser.add_argument("--qps", type=float, default=40)
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from redis_server import Redis

    with tempfile.TemporaryDirectory() as folder, Redis() as redis:
        found = settle(pathlib.Path(folder), redis, given.ids, given.qps)
    words = "%d in a calendar second, %d in a sliding one, %.2f a second; %d requests for %d ids"
    print(words % (found + (given.ids,)))
    calendar, sliding, throughput = found[:3]
    good = calendar <= given.qps and sliding <= 1.1 * given.qps and throughput >= 0.9 * given.qps
    sys.exit(not good)


if __name__ == "__main__":
    main()
