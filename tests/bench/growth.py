"""Measure how cost grows with size: calls, rows of the ledger, lines of a bill, ids of a batch.

    python tests/bench/growth.py [--largest N] [--json FILE]

Each subject is measured in a process of its own at 10, 100, … 100,000 items; growth_subjects.py
holds what is done. Everything is on this machine and none of it is the service:

- calls: one client queries a server on loopback that answers at once, without TLS, one call after
  the other. A size counts all calls so far.
- ledger: an SQLite file of n rows that were put there in bulk. "keep init" (``keep_sent`` and
  ``keep_opening``: what an init writes), "keep answer" and "find" are the median of one such thing
  beside those n; "entries", "pending" and "unsettled" read the ledger to its end, and count for
  each row that is there (a tenth of which are pending and unsettled).
- bill: n lines added beside n rows, then what is missing on either side (half of each).
- batch: from a file of ids to a file of results, by 8 threads. The client is a stub, since calls
  are measured above; it takes turns from a rate whose clock jumps ahead where it would wait. So
  the time is facecert's own, with its threads' queues, its rate's locks and its disk.

The time of n items should grow like n^k with k about 1, that of a single thing beside n others
with k about 0. k is the slope of a straight line through the three largest sizes, logarithms on
both axes, by least squares. It is told of the time on the clock and of the CPU's; the verdict is
on the latter, since what other programs do meanwhile bends the former. (A disk or a lock that is
waited for shows in the former alone.) What can be done again is done three times, and the quickest
counts. Memory is the most that the process had so far (VmHWM), Python and libraries included.
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
from typing import Any, Dict, List, Optional, Sequence

from growth_subjects import SINGLE, SIZES, SUBJECTS

#: k of the time of n items, and of a single thing beside n others.
TOTAL_LIMIT, SINGLE_LIMIT = 1.1, 0.2
#: MB of memory from MEMORY_FROM items to the largest size.
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


def exponent(sizes: Sequence[int], times: Sequence[float]) -> Optional[float]:
    """Return the k of time ~ n^k, fitted to the three largest sizes."""
    points = [(math.log(size), math.log(time)) for size, time in zip(sizes, times)][-3:]
    if len(points) < 2:
        return None
    middle = [sum(axis) / len(points) for axis in zip(*points)]
    across = sum((x - middle[0]) ** 2 for x, _ in points)
    return sum((x - middle[0]) * (y - middle[1]) for x, y in points) / across


def verdict(value: Optional[float], limit: float) -> Dict[str, Any]:
    return {"value": value, "limit": limit, "holds": None if value is None else value <= limit}


def measure(subject: str, largest: int) -> List[Dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        script = str(Path(__file__).with_name("growth_subjects.py"))
        command = [sys.executable, script, subject, str(largest), folder]
        lines = subprocess.check_output(command, universal_newlines=True).splitlines()
    return [json.loads(line) for line in lines]


def grown(subject: str, steps: List[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """Return name -> its figures at every size, and what is to be said of them."""
    sizes = [step["n"] for step in steps]
    found: Dict[str, Dict[str, Any]] = {}
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


def memory(steps: List[Dict[str, Any]]) -> Dict[str, Any]:
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


def said(figure: Dict[str, Any]) -> str:
    words = {None: "not measured", True: "holds", False: "does not hold"}[figure["holds"]]
    return "wanted <= %g: %s" % (figure["limit"], words)


def number(value: Optional[float], form: str) -> str:
    return "-" if value is None else form % value


def show(result: Dict[str, Any]) -> None:
    print("Python %(python)s, SQLite %(sqlite)s; microseconds for each item" % result)
    head = "".join("%10s" % "{:,}".format(size) for size in result["sizes"])
    print("%-34s%s   k wall   k CPU" % ("", head))
    for figures in result["times"].values():
        row = "".join("%10.1f" % time for time in figures["us"])
        ks = [number(k, "%.2f") for k in (figures["k_wall"], figures["k_cpu"]["value"])]
        print("%-34s%s  %7s %7s, %s" % (figures["item"], row, *ks, said(figures["k_cpu"])))
    print("\nmost memory of the process in MB")
    for subject, figures in result["memory"].items():
        row = "".join("%10s" % number(peak, "%.1f") for peak in figures["peak_mb"])
        growth = number(figures["growth_mb"]["value"], "%.2f")
        each = number(figures["bytes_an_item"], "%.0f")
        print("%-34s%s" % (subject, row))
        print("%36s%s MB since %s, %s bytes for each item, %s" % (
            "", growth, "{:,}".format(MEMORY_FROM), each, said(figures["growth_mb"])
        ))  # fmt: skip
    print("\nmeasured in %.0f s" % result["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--largest", type=int, default=SIZES[-1], help="do not go beyond so many items (100000)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    sizes = [size for size in SIZES if size <= options.largest]
    if not sizes:
        parser.error("--largest must be 10 or more")
    began = time.perf_counter()
    steps = {subject: measure(subject, options.largest) for subject in SUBJECTS}
    result: Dict[str, Any] = {
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
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
