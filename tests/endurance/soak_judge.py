"""The checks after a soak: the ledger and every result against the sandbox's journal."""

import collections

from soak_service import FAILS, PASSES, is_lost, lines_of

#: Megabytes that the worker's memory may grow by after its warm-up.
GROWTH = 8

#: Connections that may be kept: one for each thread, those of a batch, those of callbacks.
MOST_KEPT = 32

#: Codes of the gateway's refusals: of faults, and of an STS token that has just expired.
GATEWAY_CODES = {
    "ServiceUnavailable", "Throttling.User", "InvalidParameter.Echo",
    "InvalidSecurityToken.Expired",
}  # fmt: skip

ERRORS = {
    "ConnectionFailed", "NoAnswer", "BadAnswer", "GatewayError", "Throttled", "SignatureError",
    "ServiceError",
}  # fmt: skip


class Journal:
    """The sandbox's journal: the true state of every verification."""

    def __init__(self, path):
        self.order_of = {}
        self.id_of = {}
        #: certify_id -> (passed, when at the earliest, when at the latest)
        self.submitted = {}
        self.opened_again = []
        for line in lines_of(path):
            if "opened" in line:
                if line["order"] in self.id_of:
                    self.opened_again.append(line["order"])
                self.id_of[line["order"]] = line["opened"]
                self.order_of[line["opened"]] = line["order"]
            elif "again" in line:
                self.opened_again.append(line["again"])
            elif "submits" in line:
                self.submitted[line["submits"]] = line["passed"], line["at"], float("inf")
            elif "done" in line:
                passed, begun, _ = self.submitted[line["done"]]
                self.submitted[line["done"]] = passed, begun, line["at"]

    def could_be_told(self, certify_id, passed, begun, at):
        """Tell whether a result that was queried between ``begun`` and ``at`` is right."""
        did, earliest, latest = self.submitted.get(certify_id, (False, 0, 0))
        if passed:
            fits = self.order_of[certify_id].endswith(PASSES)
            return did and earliest <= at and fits
        return not did or latest >= begun

    def passed(self, certify_id):
        """Tell whether the person passed."""
        return self.submitted.get(certify_id, (False,))[0]


class Record:
    """The worker's record: every call and its result, counted and checked."""

    def __init__(self, path, journal, proof):
        self.attempted = set()
        self.calls = collections.Counter()
        self.errors = collections.Counter()
        self.forks, self.longest_child = 0, 0.0
        self.answers = collections.Counter()
        self.settled = []
        codes = set()
        for line in lines_of(path):
            if "attempt" in line:
                self.attempted.add(line["attempt"])
            elif "answer" in line:
                self.answers[line["passed"]] += 1
                right = journal.could_be_told(
                    line["answer"], line["passed"], line["begun"], line["at"]
                )
                proof.check(right, "a result is that of its own verification: %s" % line)
            elif "certify_id" in line:
                right = journal.id_of.get(line["order"]) == line["certify_id"]
                proof.check(right, "init returns its own order's certify_id: %s" % line)
            elif "call" in line:
                self.calls[line["call"]] += 1
                if "error" in line:
                    self.errors["%s %s" % (line["error"], line["outcome"])] += 1
                    if line["error"] in ("GatewayError", "SignatureError", "Throttled"):
                        codes.add(line["code"])
                    expected = line["call"] in ("again", "forged", "crossed")
                    proof.check(line["error"] in ERRORS or expected, "an error is known: %s" % line)
            elif "forked" in line:
                self.forks += 1
                self.longest_child = max(self.longest_child, line["seconds"])
                proof.check(line["forked"] == 0, "a forked child ends well: %s" % line)
            elif "failed" in line:
                # The verification has not expired: only a callback can have made it final.
                did = line["failed"].endswith(FAILS)
                told = did and journal.id_of.get(line["failed"]) in journal.submitted
                proof.check(told, "a failed person did not pass: %s" % line)
            elif "settled" in line:
                self.settled.append(line)
            else:
                proof.check(False, "nothing unexpected is recorded: %s" % line)
        proof.check(codes <= GATEWAY_CODES, "the gateway's refusals are known: %s" % codes)


def judge_ledger(ledger, run, journal, record, proof):
    """Compare the ledger's rows with the journal; return the number of rows of each state."""
    states = collections.Counter()
    known = set()
    for entry in ledger.entries():
        order = entry.outer_order_no
        if not order.startswith(run):
            continue  # a row of an earlier run
        known.add(order)
        states[entry.state] += 1
        certify_id = journal.id_of.get(order)
        if entry.state in ("opened", "passed", "failed"):
            proof.check(entry.certify_id is not None, "%s has an id" % (entry,))
        proof.check(entry.certify_id in (None, certify_id), "the id is right: %s" % (entry,))
        if entry.state == "passed":
            proof.check(journal.passed(certify_id), "passed is right: %s" % (entry,))
        elif entry.state == "failed":
            proof.check(not journal.passed(certify_id), "failed is right: %s" % (entry,))
        elif entry.state == "opened":
            # All others were queried in the end.
            proof.check(is_lost(certify_id or ""), "nothing stays open: %s" % (entry,))
        elif entry.state == "refused":
            proof.check(certify_id is None, "refused is not opened: %s" % (entry,))
        else:
            proof.check(entry.code is not None, "the row has a code: %s" % (entry,))
    proof.check(known == record.attempted, "there is exactly one row for each attempt")
    proof.check(set(journal.id_of) <= known, "every opened verification has a row")
    proof.check(not journal.opened_again, "no order is opened twice: %s" % journal.opened_again)
    return states


def judge_measures(measured, proof):
    """Check that files, sockets, memory and threads are those after the warm-up."""
    before, after, closed = measured
    for what in ("fds with kept connections", "fds", "sockets"):
        shown = "%s; %s; %s" % (before[what], after[what], closed[what])
        proof.row("worker", what + ": warm; in the end; closed", shown)
    warm, end = before["rss"] / 2**20, after["rss"] / 2**20
    proof.row("worker", "memory, MB: warm; in the end", "%.1f; %.1f" % (warm, end))
    proof.check(end - warm < GROWTH, "memory grows by less than %d MB" % GROWTH)
    proof.check(after["fds"] == before["fds"], "no file and no socket stays open")
    proof.check(after["sockets"] == before["sockets"] == 1, "one socket listens for callbacks")
    proof.check(closed["sockets"] == 0, "no socket stays open in the end")
    kept = after["fds with kept connections"] - after["fds"]
    proof.check(kept <= MOST_KEPT, "few connections are kept: %d" % kept)
    for some, number in ((before, 2), (after, 2), (closed, 1)):
        proof.check(len(some["threads"]) == number, "threads end: %s" % some["threads"])
