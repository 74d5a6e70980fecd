"""The sandbox of a soak, in a process that is killed and started again.

A journal records every verification when it is opened, and the person's submission. A sandbox that
starts again reads the journal, because the real service does not forget either. It drops the
verifications whose ``certify_id`` begins with 0, to test how the ledger treats lost ones.
"""

import heapq
import json
import os
import random
import ssl
import sys
import threading
import time

import soak_canaries as canaries
from proof import close_the_door, meet_every_fault

#: The last letter of an order number is the person's submission: pass, fail, or none.
PASSES, FAILS, STAYS_AWAY = FATES = "pfn"


def is_lost(certify_id):
    """Tell whether a sandbox that starts again drops this verification."""
    return certify_id.startswith("0")


def append(path):
    """Return a function that appends a line of JSON to a file in one write."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return lambda **fields: os.write(file, json.dumps(fields).encode("ascii") + b"\n")


def lines_of(path):
    """Yield the lines of a file of JSON."""
    if os.path.exists(path):
        with open(path, encoding="ascii") as stream:
            for line in stream:
                yield json.loads(line)


class Truth:
    """Writes the journal of a sandbox, and makes the persons' submissions."""

    def __init__(self, sandbox, path, draw):
        self._sandbox = sandbox
        self._service = sandbox._service
        self._draw = draw
        self._due = []
        self._lock = threading.Lock()
        self.healed = False
        self._read(path)
        self.write = append(path)
        for certify_id, passed in self._half_done:
            self.write(done=certify_id, passed=passed, at=time.monotonic())
        execute = self._service.execute

        def journaled(service, text):
            outcome = execute(service, text)
            fields = json.loads(text)
            if fields["method"] == "init":
                self._opened(fields["outerOrderNo"], outcome)
            return outcome

        self._service.execute = journaled

    def _opened(self, order, outcome):
        if outcome[0] == 200:
            verification = self._service.find(outcome[2]["certifyId"])
            self.write(
                opened=verification.certify_id,
                order=order,
                url=verification.callback_url,
                token=verification.callback_token,
                at=time.monotonic(),
            )
            self._expect(verification)
        elif order in self._service._order_numbers:
            self.write(again=order)

    def _read(self, path):
        from facecert.sandbox.service import FAILED, PASSED, Verification

        half_done = {}
        for line in lines_of(path):
            certify_id = line.get("opened") or line.get("submits") or line.get("done")
            if "opened" in line:
                self._service._order_numbers.add(line["order"])
                fields = {
                    "outerOrderNo": line["order"], "sceneId": self._sandbox.scene_id,
                    "bizCode": "FACE", "certName": "n", "certNo": "1", "returnUrl": "",
                    "callbackUrl": line["url"], "callbackToken": line["token"],
                }  # fmt: skip
                known = Verification(fields, "", time.time())
                known.certify_id = certify_id
                if not is_lost(certify_id):
                    self._service._verifications[certify_id] = known
            elif "submits" in line:
                half_done[certify_id] = line["passed"]
                if not is_lost(certify_id):
                    known = self._service._verifications[certify_id]
                    known.state = PASSED if line["passed"] else FAILED
            elif "done" in line:
                half_done.pop(certify_id)
        self._half_done = list(half_done.items())
        for known in self._service.newest_first():
            if known.open:
                self._expect(known)

    def _expect(self, verification):
        """Plan the person's submission: soon, or at once, before the response to init."""
        if not verification.outer_order_no.endswith(STAYS_AWAY):
            with self._lock:
                wait = self._draw.choice([0, self._draw.uniform(0, 1.5)])
                item = time.monotonic() + wait, verification.certify_id
                heapq.heappush(self._due, item)

    def submit_what_is_due(self, everything=False):
        """Make the submissions that are due."""
        while True:
            with self._lock:
                if not self._due or (self._due[0][0] > time.monotonic() and not everything):
                    return
                certify_id = heapq.heappop(self._due)[1]
            verification = self._service.find(certify_id)
            passed = verification.outer_order_no.endswith(PASSES)
            # Written first, because no query may see it before the journal has it.
            self.write(submits=certify_id, passed=passed, at=time.monotonic())
            self._sandbox.complete(certify_id, passed)
            self.write(done=certify_id, passed=passed, at=time.monotonic())


class Met:
    """Writes down the requests that the sandbox received, and clears its list of them."""

    def __init__(self, sandbox, path):
        self._sandbox = sandbox
        self._write = append(path)

    def note(self, fault):
        """Write down a fault that belongs to no request."""
        self._write(method=None, fault=fault)

    def flush(self):
        """Write down the requests since the last flush."""
        requests = self._sandbox.requests
        came = requests[:]
        del requests[: len(came)]  # later requests follow in the list
        for call in came:
            self._write(method=call.service_parameters.get("method"), fault=call.fault)


def rotate(sandbox, salt):
    """Allow the current AccessKey and the next one; revoke the previous one a little later."""
    number, since = divmod(time.time(), canaries.KEY_LIFETIME)
    number = int(number)
    for valid in (number - 1, number, number + 1):
        sandbox.allow(*canaries.access_key(salt, valid))
    if since > 0.3 * canaries.KEY_LIFETIME:
        sandbox.revoke(canaries.access_key(salt, number - 1)[0])


def main():
    """Follow the commands on standard input, whose first line has the settings."""
    from facecert.sandbox import Sandbox
    from facecert.sandbox.keys import KeyPair

    told = json.loads(sys.stdin.readline())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(told["certificate"])
    sandbox = Sandbox(port=told["port"], ssl_context=context)
    sandbox._service.sm2_keys = KeyPair(int(told["sm2"]))
    sandbox._exchange.faults._random = random.Random(told["seed"])
    truth = Truth(sandbox, told["journal"], random.Random(told["seed"]))
    met = Met(sandbox, told["calls"])
    ended = threading.Event()

    def every(seconds, *todo):
        while not ended.wait(seconds):
            for do in todo:
                do()

    def trouble_anew():
        # Ends the faults under way, because their threads would accumulate.
        if not truth.healed:
            sandbox.heal()
            trouble()

    def trouble():
        meet_every_fault(sandbox, 0.01, seconds=told["slow"])
        sandbox.fail("slow", share=0.02, seconds=told["slow"] / 10)

    rotate(sandbox, told["salt"])
    sandbox.start()
    trouble()
    door = threading.Event()
    for task in (
        lambda: every(0.05, lambda: rotate(sandbox, told["salt"]), truth.submit_what_is_due),
        lambda: every(0.25, met.flush),
        lambda: every(3.0, trouble_anew),
        lambda: close_the_door(sandbox, door, every=1.7, note=met.note),
    ):
        threading.Thread(target=task, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "heal\n":
            door.set()
            truth.healed = True
            time.sleep(0.1)
            sandbox.heal()
            truth.submit_what_is_due(everything=True)
            print("healed" if sandbox.wait_for_callbacks(12) else "callbacks", flush=True)
        elif line == "stop\n":
            break
    door.set()
    ended.set()
    sandbox.stop()
    met.flush()
