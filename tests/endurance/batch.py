"""Does a batch hold what it promises, with faults at every turn and killed again and again?

    python tests/endurance/batch.py --ids 20000 --qps 400 --kills 20

A sandbox in a process of its own lets 1 % of the calls meet each fault it knows. A child asks about
all ids; then another one, which is killed (SIGKILL) at random moments and resumed. Prints a table;
the exit status is 1 when something does not hold.
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

from proof import ROOT, Proof, close_the_door, free_port, meet_every_fault, memory

#: Bytes that a child's memory may grow by.
GROWTH = 30 * 1024 * 1024

#: Fault -> the error that stays in the results, since asking again would not help.
LASTING = {"code-400": 400, "code-501": 501, "echo": "InvalidParameter.Echo"}


def sandbox_process(arguments):
    """Open the verifications, then obey the lines of standard input."""
    from facecert.sandbox import Sandbox
    from facecert.sandbox.service import SERVICE

    sandbox = Sandbox(port=free_port()).start()
    expected, draw = {}, random.Random(1)
    for number in range(arguments.ids):
        fields = {
            "method": "init", "sceneId": sandbox.scene_id, "outerOrderNo": "o%d" % number,
            "bizCode": "FACE", "identityType": "CERT_INFO", "certType": "IDENTITY_CARD",
            "certName": "n", "certNo": "1", "returnUrl": "",
        }  # fmt: skip
        _, _, data = sandbox._service.execute(SERVICE, json.dumps(fields))
        expected[data["certifyId"]] = passed = draw.random() < 0.5
        if passed or draw.random() < 0.5:
            sandbox.complete(data["certifyId"], passed)
    meet_every_fault(sandbox, 0.01)
    closing = threading.Event()
    threading.Thread(target=close_the_door, args=(sandbox, closing), daemon=True).start()
    print(json.dumps({"environment": sandbox.environment, "expected": expected}), flush=True)
    for _ in sys.stdin:
        calls = sandbox.requests[:]
        del sandbox.requests[: len(calls)]
        told = [
            (call.received_at, call.service_parameters.get("certifyId"), call.fault)
            for call in calls
        ]
        print(json.dumps(told), flush=True)
    closing.set()


def batch_process(arguments):
    """Ask about all ids that have no line yet."""
    from facecert import Client
    from facecert.batch.results_file import ResultsFile
    from facecert.batch.run import run_batch
    from facecert.batch.ids import read_ids

    client = Client.from_environment()
    # What is imported when it is first used belongs to the memory before.
    client._gateway._credentials.snapshot()
    print(memory("self", "VmRSS"), flush=True)
    with ResultsFile(arguments.output, resume=True) as results:
        summary = run_batch(read_ids(arguments.input), results, client=client, qps=arguments.qps)
    if summary.error is not None:
        raise summary.error


class Endurance(Proof):
    def __init__(self, arguments, folder):
        super().__init__()
        self.arguments = arguments
        self.ids = os.path.join(folder, "ids.txt")
        self.folder = folder
        self.growth = 0
        command = [sys.executable, __file__, "--role", "sandbox", "--ids", str(arguments.ids)]
        self.sandbox = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=ROOT),
            universal_newlines=True,
        )
        told = json.loads(self.sandbox.stdout.readline())
        self.expected = told["expected"]
        self.environment = dict(
            os.environ, PYTHONPATH=ROOT, FACECERT_READ_TIMEOUT="0.5", **told["environment"]
        )
        with open(self.ids, "w") as stream:
            stream.writelines("%s\n" % certify_id for certify_id in self.expected)

    def close(self):
        self.sandbox.stdin.close()
        self.sandbox.stdout.close()
        self.sandbox.terminate()
        self.sandbox.wait()

    def run(self, output, seconds=None):
        """Let a child ask; kill it after so many seconds. Return whether it was killed."""
        command = [
            sys.executable, __file__, "--role", "batch", "--qps", str(self.arguments.qps),
            "--input", self.ids, "--output", output,
        ]  # fmt: skip
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=self.environment)
        begin, peak, killed = time.monotonic(), 0, False
        while child.poll() is None:
            try:
                peak = max(peak, memory(child.pid, "VmHWM"))
            except (OSError, IndexError):
                pass  # it has just ended
            if seconds is not None and not killed and time.monotonic() - begin >= seconds:
                child.send_signal(signal.SIGKILL)
                killed = True
            time.sleep(0.02)
        before = child.stdout.readline()
        child.stdout.close()
        if before:
            self.growth = max(self.growth, peak - int(before))
        self.check(child.returncode in (0, -signal.SIGKILL), "the child ends without an error")
        return killed and child.returncode != 0

    def fetch_calls(self):
        """Take over what the sandbox received since the last time."""
        self.sandbox.stdin.write("calls\n")
        self.sandbox.stdin.flush()
        return json.loads(self.sandbox.stdout.readline())

    def finish(self, output):
        """Resume until nothing is retryable any more; return how often."""
        for times in range(20):
            if not any(line["retryable"] for line in lines_of(output)):
                return times
            self.run(output)
        self.check(False, "resuming comes to an end")
        return 20

    def judge(self, name, output, calls):
        """Compare the results with what is true, and the calls with the rate."""
        met = collections.defaultdict(set)
        for _, certify_id, fault in calls:
            met[certify_id].add(fault)
        found, lasting = collections.Counter(), 0
        for line in lines_of(output):
            certify_id = line["certify_id"]
            found[certify_id] += 1
            if line["error"] is None:
                right = line["passed"] is self.expected.get(certify_id)
            else:
                lasting += 1
                right = line["code"] in [LASTING[fault] for fault in met[certify_id] & set(LASTING)]
            self.check(right and not line["retryable"], "%s: a line is right: %s" % (name, line))
        once = sum(times == 1 for times in found.values())
        self.check(
            set(found) == set(self.expected) and once == len(found),
            "%s: one line for each id" % name,
        )
        faults = collections.Counter(fault for _, _, fault in calls if fault)
        seconds = max(call[0] for call in calls) - min(call[0] for call in calls)
        # Requests leave evenly spaced. Those under way, 64 at most, may arrive at once.
        most = self.arguments.qps * (seconds + 1) + 64
        self.check(len(calls) <= most, "%s: %d calls in %.1f s" % (name, len(calls), seconds))
        self.row(name, "ids with exactly one line", "%d of %d" % (once, len(self.expected)))
        self.row(name, "of them errors that last, each explained", lasting)
        self.row(name, "calls, of them with a fault", "%d, %d" % (len(calls), sum(faults.values())))
        self.row(name, "kinds of fault met", len(faults))
        mean = "%.1f" % (len(calls) / max(seconds, 1e-9))
        self.row(name, "calls a second, mean (allowed: %g)" % self.arguments.qps, mean)


def lines_of(output):
    with open(output, encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def main(arguments, folder):
    endurance = Endurance(arguments, folder)
    try:
        whole = os.path.join(folder, "whole.jsonl")
        begin = time.monotonic()
        endurance.run(whole)
        seconds = time.monotonic() - begin
        first = collections.Counter(
            "answer" if line["error"] is None else "retryable" if line["retryable"] else "lasting"
            for line in lines_of(whole)
        )
        endurance.row("whole", "first run, seconds", "%.1f" % seconds)
        after = ", ".join("%s %d" % item for item in sorted(first.items()))
        endurance.row("whole", "after it", after)
        endurance.check(sum(first.values()) == arguments.ids, "the first run has all lines")
        endurance.row("whole", "resumed for what was retryable, times", endurance.finish(whole))
        endurance.judge("whole", whole, endurance.fetch_calls())

        killed_file = os.path.join(folder, "killed.jsonl")
        draw, kills, torn = random.Random(arguments.seed), 0, 0
        longest = 1.8 * seconds / max(1, arguments.kills)
        for _ in range(3 * arguments.kills):
            if kills == arguments.kills:
                break
            if not endurance.run(killed_file, draw.uniform(0, longest)):
                longest /= 2  # too late: it was done before
                continue
            kills += 1
            if os.path.exists(killed_file) and os.path.getsize(killed_file):
                with open(killed_file, "rb") as stream:
                    stream.seek(-1, os.SEEK_END)
                    torn += stream.read() != b"\n"
        endurance.check(kills == arguments.kills, "children were killed")
        endurance.row("killed", "SIGKILL, times; torn last lines", "%d; %d" % (kills, torn))
        endurance.run(killed_file)
        times = endurance.finish(killed_file)
        endurance.row("killed", "resumed for what was retryable, times", times)
        endurance.judge("killed", killed_file, endurance.fetch_calls())

        endurance.check(endurance.growth < GROWTH, "memory grows by less than 30 MB")
        growth = "%.1f" % (endurance.growth / 2**20)
        endurance.row("both", "largest growth of a child's memory, MB", growth)
    finally:
        endurance.close()
    return endurance.verdict()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ids", type=int, default=20000)
    parser.add_argument("--qps", type=float, default=400)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--role", choices=["sandbox", "batch"], help=argparse.SUPPRESS)
    parser.add_argument("--input", help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role == "sandbox":
        sandbox_process(given)
    elif given.role == "batch":
        batch_process(given)
    else:
        with tempfile.TemporaryDirectory() as work:
            sys.exit(main(given, work))
