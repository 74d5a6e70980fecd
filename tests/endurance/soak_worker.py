"""The worker of a soak: threads with a shared client, a callback server, forks, measurements."""

import faulthandler
import http.server
import json
import logging
import os
import random
import socketserver
import sys
import threading
import time

from proof import memory
from soak_calls import KINDS, Calls, RotatingKey
from soak_service import append

THREADS = 6

#: Mean seconds between two forks.
FORKS_EVERY = 0.7

#: Seconds by which a round may be longer, until every kind of call was made.
LONGER = 30

#: Seconds, longer than the lifetime of a verification and its grace period.
LATER = 36 * 60


class CallbackServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Receives callbacks as an app does."""

    daemon_threads = True
    allow_reuse_address = True


def callback_server(port):
    """Listen for callbacks; the attribute ``calls`` of the server is set later."""

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self):
            genuine = server.calls.called_back(self.path)
            self.send_response(200 if genuine else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Log nothing, because the path contains the token."""

    server = CallbackServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class LogFile(logging.Handler):
    """Writes each record at once, because a stream's lock may stay locked in a forked child."""

    def __init__(self, path):
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def emit(self, record):
        os.write(self._file, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))


def log_everything(path):
    """Write the records of every logger at every level, with their arguments."""
    handler = LogFile(path)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)


def everything_at_debug():
    """Set every logger to DEBUG, because libraries set levels of their own."""
    for name in list(logging.Logger.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)


def one_round(calls, seconds, draw):
    """Make calls of every kind for some seconds, with forks where logging survives them."""
    calls.ended.clear()
    threads = [
        threading.Thread(target=calls.work, args=(random.Random(draw.random()),))
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end or (KINDS - calls.made and time.monotonic() < end + LONGER):
        time.sleep(max(0, min(draw.uniform(0, 2 * FORKS_EVERY), end - time.monotonic())))
        # Python 3.6's logging may lock up in a child that was forked beside threads.
        if sys.version_info >= (3, 7):
            calls.fork(random.Random(draw.random()))
    calls.ended.set()
    for thread in threads:
        thread.join()


def measure(client):
    """Return files, sockets, memory and threads of the process while no call is under way."""
    end, least = time.monotonic() + 5, None
    while time.monotonic() < end:
        kept = open_files()
        quiet = threading.active_count() <= 2
        if quiet and (least is None or len(kept) < least[0]):
            least = len(kept), sum(name.startswith("socket:") for name in kept)
        if quiet and time.monotonic() > end - 4.5:
            break
        time.sleep(0.05)
    client.close()
    client.ledger.close()
    kept = open_files()
    return {
        "fds with kept connections": least[0] if least else None,
        "fds": len(kept),
        "sockets": sum(name.startswith("socket:") for name in kept),
        "rss": memory("self", "VmRSS"),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def open_files():
    """Return the targets of the open file descriptors."""
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink("/proc/self/fd/" + number))
        except OSError:
            pass  # the descriptor of the listing itself
    return names


def settle(calls):
    """Query all pending verifications: now, and with a clock after their 30 minutes."""
    from datetime import timedelta

    from facecert.batch import query_many
    from datetime import datetime, timezone

    ledger = calls.client.ledger
    for later in (0, LATER):
        calls.client._gateway.now = lambda: datetime.now(timezone.utc) + timedelta(seconds=later)
        pending = [entry.certify_id for entry in ledger.pending()]
        states = {True: 0, False: 0, None: 0}
        for outcome in query_many(pending, client=calls.client, qps=1000, threads=4):
            states[None if outcome.answer is None else outcome.answer.passed] += 1
        calls.write(settled=len(pending), passed=states[True], errors=states[None], later=later)
        if not later:
            for entry in ledger.entries(states=["failed"]):
                calls.write(failed=entry.outer_order_no)


def main():
    """Follow the commands on standard input, whose first line has the settings."""
    from facecert import Client

    told = json.loads(sys.stdin.readline())
    faulthandler.dump_traceback_later(told["limit"], exit=True)
    log_everything(told["log"])
    draw = random.Random(told["seed"])
    key = RotatingKey(told["salt"], random.Random(told["seed"]))
    client = Client(
        told["scene_id"],
        credentials=key,
        endpoint=told["endpoint"],
        sm2_public_key=told["sm2_public_key"],
        read_timeout=told["read_timeout"],
        callback_secret=told["callback_secret"],
        ledger=told["ledger"],
    )
    server = callback_server(told["callback_port"])
    url = "http://127.0.0.1:%d/verified" % told["callback_port"]
    calls = server.calls = Calls(client, append(told["record"]), told["run"], url)
    measured = []
    everything_at_debug()
    print("running", flush=True)
    for seconds in told["rounds"]:
        one_round(calls, seconds, draw)
        everything_at_debug()
        measured.append(measure(client))
    print("stopped", flush=True)
    sys.stdin.readline()
    key.stale = 0
    settle(calls)
    server.shutdown()
    server.server_close()
    end = time.monotonic() + 5
    while threading.active_count() > 1 and time.monotonic() < end:
        time.sleep(0.02)
    measured.append(measure(client))
    print(json.dumps({"measured": measured, "keys": sorted(key.given)}), flush=True)
    faulthandler.cancel_dump_traceback_later()
