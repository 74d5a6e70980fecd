"""Measure how cost grows with size: calls, rows of the ledger, lines of a bill, ids of a batch.

    python tests/bench/growth.py [--largest N] [--json FILE]

Each subject is measured in a process of its own at 10, 100, … 100,000 items (growth_subjects.py).
Everything runs on this machine; the service is not involved:

- calls: one client queries a server on loopback that responds at once, without TLS, one call after
  the other. A size counts all calls so far.
- ledger: an SQLite file of n rows that were inserted in bulk. "keep init" (``keep_sent`` and
  ``keep_opening``: what an init writes), "keep answer" and "find" are the median of one such step
  beside the n rows. "entries", "pending" and "unsettled" read the ledger to its end; their time is
  divided by all rows, of which a tenth are pending and unsettled.
- bill: n lines added beside n rows, then the lines and rows without a partner (half of each).
- batch: from a file of ids to a file of results, with 8 threads. The client is a stub, because
  calls are measured above. It takes turns from a rate whose clock jumps ahead instead of waiting.
  The time is therefore that of facecert's queues, locks and disk.

The time of n items should grow like n^k with k about 1; the time of a single step beside n items
with k about 0. k is the slope of a straight line through the three largest sizes, with logarithms
on both axes, by least squares. It is printed for elapsed time and for CPU time. The verdict is on
CPU time, because other programs distort elapsed time. (Waiting for a disk or a lock shows in
elapsed time only.) Steps that can be repeated run three times, and the fastest counts. Memory is
the peak of the process so far (VmHWM), Python and libraries included.
"""

import argparse
import json
import math
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import number, said, verdict, write
from growth_subjects import SINGLE, SIZES, SUBJECTS

#: Limits of k: for the time of n items, and for a single step beside n items.
TOTAL_LIMIT, SINGLE_LIMIT = 1.1, 0.2
#: Limit of the memory in MB that is added from MEMORY_FROM items to the largest size.
MEMORY_LIMIT, MEMORY_FROM = 5.0, 1000

#: name of a measurement -> what one item is
ITEMS = {
    "query": "a query",
    "keep init": "keep an init in the ledger",
    "keep answer": "keep an answer",
    "find": "find one by certify_id",
    "entries": "read every row",
    "pending": "pending, for each row there is",
    "unsettled": "unsettled, for each row there is",
    "bill add": "add a line of a bill",
    "missing here": "missing in the ledger, a line",
    "missing there": "missing on the bill, a row",
    "batch": "an id of a batch",
}


def exponent(sizes, times):
    """Return the k of time ~ n^k, fitted to the three largest sizes."""
    points = [(math.log(size), math.log(time)) for size, time in zip(sizes, times)][-3:]
    if len(points) < 2:
        return None
    middle = [sum(axis) / len(points) for axis in zip(*points)]
    across = sum((x - middle[0]) ** 2 for x, _ in points)
    return sum((x - middle[0]) * (y - middle[1]) for x, y in points) / across


def measure(subject, largest):
    with tempfile.TemporaryDirectory() as folder:
        script = str(Path(__file__).with_name("growth_subjects.py"))
        command = [sys.executable, script, subject, str(largest), folder]
        lines = subprocess.check_output(command, universal_newlines=True).splitlines()
    return [json.loads(line) for line in lines]


def grown(subject, steps):
    """Return name -> its figures at every size, with their exponents and the verdict."""
    sizes = [step["n"] for step in steps]
    found = {}
    for name in steps[0]["seconds"]:
        single = name in SINGLE
        walls, cpus = ([step["seconds"][name][clock] for step in steps] for clock in (0, 1))
        found[name] = {
            "subject": subject,
            "item": ITEMS[name],
            "single": single,
            "us": [wall * 1e6 / (1 if single else size) for wall, size in zip(walls, sizes)],
            "cpu_us": [cpu * 1e6 / (1 if single else size) for cpu, size in zip(cpus, sizes)],
            "k_wall": exponent(sizes, walls),
            "k_cpu": verdict(exponent(sizes, cpus), SINGLE_LIMIT if single else TOTAL_LIMIT),
        }
    return found


def memory(steps):
    peaks = [None if step["peak"] is None else step["peak"] / 1e6 for step in steps]
    before = dict(zip((step["n"] for step in steps), peaks)).get(MEMORY_FROM)
    measured = before is not None and steps[-1]["n"] > MEMORY_FROM
    growth = peaks[-1] - before if measured else None
    items = steps[-1]["n"] - MEMORY_FROM
    return {
        "peak_mb": peaks,
        "bytes_an_item": None if growth is None else growth * 1e6 / items,
        "growth_mb": verdict(growth, MEMORY_LIMIT),
    }


def show(result):
    print("Python %(python)s, SQLite %(sqlite)s; microseconds for each item" % result)
    head = "".join("%10s" % "{:,}".format(size) for size in result["sizes"])
    print("%-34s%s   k wall   k CPU" % ("", head))
    for figures in result["times"].values():
        row = "".join("%10.1f" % time for time in figures["us"])
        ks = [number(k, "%.2f") for k in (figures["k_wall"], figures["k_cpu"]["value"])]
        print("%-34s%s  %7s %7s, %s" % (figures["item"], row, *ks, said(figures["k_cpu"])))
    print("\npeak memory of the process in MB")
    for subject, figures in result["memory"].items():
        row = "".join("%10s" % number(peak, "%.1f") for peak in figures["peak_mb"])
        growth = number(figures["growth_mb"]["value"], "%.2f")
        each = number(figures["bytes_an_item"], "%.0f")
        print("%-34s%s" % (subject, row))
        print("%36s%s MB since %s, %s bytes for each item, %s" % (
            "", growth, "{:,}".format(MEMORY_FROM), each, said(figures["growth_mb"])
        ))  # fmt: skip
    print("\nmeasured in %.0f s" % result["seconds"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--largest", type=int, default=SIZES[-1], help="the largest number of items (100000)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    sizes = [size for size in SIZES if size <= options.largest]
    if not sizes:
        parser.error("--largest must be 10 or more")
    began = time.perf_counter()
    steps = {subject: measure(subject, options.largest) for subject in SUBJECTS}
    result = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "sizes": sizes,
        "times": {},
        "memory": {subject: memory(found) for subject, found in steps.items()},
        "seconds": time.perf_counter() - began,
    }
    for subject, found in steps.items():
        result["times"].update(grown(subject, found))
    show(result)
    write(options.json, result)


if __name__ == "__main__":
    main()
