"""Run everything that facecert does at once for some minutes, then check every result.

    python tests/endurance/soak.py --minutes 5 [--ledger URL] [--seed N] [--json FILE]

A sandbox (over TLS, in a process of its own) lets calls meet every fault. It is killed and started
again several times. The threads of a worker share one client with a ledger, rotating STS tokens
and a callback secret. The worker also receives callbacks, and forks. In the end every order is
compared with the sandbox's journal, and every file is searched for names, numbers and secrets. The
program prints a table; the exit status is 1 when a check fails.
"""

import argparse
import collections
import glob
import json
import os
import queue
import random
import signal
import sys
import tempfile
import time

import soak_calls
import soak_canaries as canaries
import soak_judge
import soak_service
import soak_worker
from proof import Proof, free_port
from soak_program import Ended, Program

READ_TIMEOUT = 0.6

#: Mean seconds between two restarts of the sandbox; less in a short run.
RESTARTS_EVERY = 12.0


class Soak(Proof):
    """One run."""

    def __init__(self, arguments, folder):
        super().__init__()
        self.arguments = arguments
        self.folder = folder
        self.draw = random.Random(arguments.seed)
        self.seconds = arguments.minutes * 60
        self.restarts = 0
        self.programs = []
        self.run = os.urandom(3).hex()
        self.told = self._settings()

    def path(self, name):
        """Return the path of one of the run's files."""
        return os.path.join(self.folder, name)

    def _settings(self):
        import trustme

        from facecert.sandbox.keys import KeyPair
        from facecert.sandbox.server import SCENE_ID

        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.path("ca.pem"))
        certificate = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
        certificate.write_to_path(self.path("certificate.pem"))
        port, sm2 = free_port(), KeyPair.generate()
        warm_up = max(1.5, self.seconds / 4)
        return {
            "port": port,
            "endpoint": "https://127.0.0.1:%d" % port,
            "callback_port": free_port(),
            "certificate": self.path("certificate.pem"),
            "sm2": str(sm2.private_key),
            "sm2_public_key": sm2.public_key_hex,
            "scene_id": SCENE_ID,
            "salt": os.urandom(8).hex(),
            "callback_secret": canaries.CALLBACK_SECRET + os.urandom(8).hex(),
            "journal": self.path("journal.jsonl"),
            "calls": self.path("calls.jsonl"),
            "record": self.path("record.jsonl"),
            "log": self.path("worker.log"),
            "ledger": self.arguments.ledger or self.path("ledger.db"),
            "read_timeout": READ_TIMEOUT,
            "slow": 2 * READ_TIMEOUT,
            "run": self.run,
            "rounds": [warm_up, max(1.0, self.seconds - warm_up)],
            "limit": self.limit(),
        }

    def limit(self):
        """Return the seconds after which every process ends."""
        return 2 * self.seconds + 120

    def start(self, role):
        """Start a program of this folder."""
        told = dict(self.told, seed=self.draw.randrange(10**9))
        self.programs.append(Program(role, self.folder, told))
        return self.programs[-1]

    def start_sandbox(self):
        """Start the sandbox, on its port and with its journal."""
        sandbox = self.start("sandbox")
        self.check(sandbox.hear(30) == "ready", "the sandbox starts")
        return sandbox

    def restart(self, sandbox):
        """Stop or kill the sandbox, and start it again."""
        self.restarts += 1
        if self.draw.random() < 0.5:
            sandbox.tell("stop")
            sandbox.end(2)
        else:
            sandbox.end()
        time.sleep(self.draw.uniform(0, 0.3))
        return self.start_sandbox()

    def soak(self):
        """Run the programs; return the worker's measurements."""
        sandbox = self.start_sandbox()
        worker = self.start("worker")
        self.check(worker.hear(60) == "running", "the worker starts")
        every = min(RESTARTS_EVERY, self.seconds / 2)
        while True:
            try:
                line = worker.hear(self.draw.uniform(0.5, 1.5) * every)
                break
            except queue.Empty:
                sandbox = self.restart(sandbox)
        self.check(line == "stopped", "the worker comes to its end")
        sandbox.tell("heal")
        self.check(sandbox.hear(30) == "healed", "the sandbox heals")
        worker.tell("settle")
        line = worker.hear(self.limit())
        self.check(worker.end(10), "the worker leaves no process behind")
        self.check(worker.process.returncode == 0, "the worker ends well")
        sandbox.tell("stop")
        self.check(sandbox.end(10), "the sandbox leaves no process behind")
        return json.loads(line)

    def end(self):
        """Kill the programs that still run."""
        for program in self.programs:
            if not program.ended:  # its forked children may outlive it
                program.end()

    def judge(self, report):
        """Compare the ledger with the journal, search the files, print the table."""
        from facecert.ledger import Ledger

        journal = soak_judge.Journal(self.told["journal"])
        record = soak_judge.Record(self.told["record"], journal, self)
        ledger = Ledger(self.told["ledger"])
        states = soak_judge.judge_ledger(ledger, self.run, journal, record, self)
        with open(self.path("ledger-rows.txt"), "w") as stream:
            stream.writelines("%r\n" % (entry,) for entry in ledger.entries())
        ledger.close()
        self.tell_calls(record, report)
        self.row("ledger", "orders attempted; opened", "%d; %d" % (
            len(record.attempted), len(journal.id_of)))  # fmt: skip
        for state, count in sorted(states.items()):
            self.row("ledger", state, count)
        lost = sum(map(soak_service.is_lost, journal.order_of))
        self.row("ledger", "opened, and forgotten by the sandbox if it restarted", lost)
        for line in record.settled:
            self.row("ledger", "asked in the end; of them passed; errors", "%d; %d; %d" % (
                line["settled"], line["passed"], line["errors"]))  # fmt: skip
        soak_judge.judge_measures(report["measured"], self)
        self.search(record)

    def tell_calls(self, record, report):
        """Print the calls and faults. A longer run must have met every fault."""
        from facecert.sandbox.faults import FAULTS

        received = list(soak_service.lines_of(self.told["calls"]))
        faults = collections.Counter(line["fault"] for line in received if line["fault"])
        for title, counted in (
            ("calls", record.calls), ("errors", record.errors), ("faults", faults)
        ):  # fmt: skip
            for what, count in sorted(counted.items()):
                self.row(title, what, count)
        self.row("answers", "passed; not passed (all right)", "%d; %d" % (
            record.answers[True], record.answers[False]))  # fmt: skip
        self.row("sandbox", "attempts received", sum(bool(line["method"]) for line in received))
        self.row("sandbox", "restarts", self.restarts)
        self.row("worker", "forks; longest child, seconds", "%d; %.1f" % (
            record.forks, record.longest_child))  # fmt: skip
        self.row("worker", "AccessKeys with an STS token, one after the other", len(report["keys"]))
        self.check(soak_calls.KINDS == set(record.calls), "every kind of call is made")
        self.check(self.restarts > 0 and len(report["keys"]) > 2, "it restarts and rotates")
        self.check(record.forks > 0 or sys.version_info < (3, 7), "it forks")
        if self.arguments.minutes >= 1:
            self.check(set(faults) == set(FAULTS), "every fault is met")

    def search(self, record):
        """Search every written file, except the sandbox's journal."""
        from facecert.callback import make_token

        secret, endpoint = self.told["callback_secret"], self.told["endpoint"]
        tokens = [make_token(secret, order, endpoint) for order in record.attempted]
        missed = canaries.blind_spots(self.folder, tokens[0])
        self.check(not missed, "the search finds what it looks for: %s" % missed)
        search = canaries.Search(tokens)
        for pattern in ("*.err", "*.out", "*.log", "ledger*", "record.jsonl"):
            for path in glob.glob(self.path(pattern)):
                search.file(path)
        self.check(not search.found, "nothing private is written: %s" % sorted(search.found)[:5])
        with open(self.path("worker.log"), encoding="utf-8") as stream:
            shown = any(line.startswith("sqlalchemy.engine") for line in stream)
        self.check(shown, "the log has the DEBUG records of other libraries")
        for role in ("worker", "sandbox"):
            with open(self.path(role + ".err"), encoding="utf-8") as stream:
                text = stream.read()
            self.check("Traceback" not in text, "the %s raises nothing unexpected: %s" % (
                role, text[text.find("Traceback"):][:2000]))  # fmt: skip
        self.row("search", "files; MB; found", "%d; %.1f; %d" % (
            search.files, search.bytes / 2**20, len(search.found)))  # fmt: skip


def main(arguments, folder):
    soak = Soak(arguments, folder)
    signal.signal(signal.SIGALRM, lambda *given: sys.exit("The time limit is over."))
    signal.signal(signal.SIGTERM, lambda *given: sys.exit("Ended by SIGTERM."))
    signal.alarm(int(soak.limit()) + 30)
    begun = time.monotonic()
    try:
        soak.judge(soak.soak())
    except (Ended, queue.Empty) as error:
        soak.check(False, "no program ends early: %r" % error)
        for name in glob.glob(soak.path("*.err")):
            with open(name, encoding="utf-8") as stream:
                print("".join(stream.readlines()[-40:]))
    finally:
        soak.end()
        signal.alarm(0)
    soak.row("whole", "seconds", "%.1f" % (time.monotonic() - begun))
    if arguments.json:
        with open(arguments.json, "w") as stream:
            json.dump({"rows": soak.rows, "wrong": soak.wrong}, stream, indent=1)
    return soak.verdict()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--ledger", help="a database's URL; by default an SQLite file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="also write the table to this file")
    parser.add_argument("--keep", help="keep all files in this folder")
    parser.add_argument("--role", choices=["sandbox", "worker"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role == "sandbox":
        soak_service.main()
    elif given.role == "worker":
        soak_worker.main()
    elif given.keep:
        os.makedirs(given.keep, exist_ok=True)
        sys.exit(main(given, given.keep))
    else:
        with tempfile.TemporaryDirectory() as work:
            sys.exit(main(given, work))
