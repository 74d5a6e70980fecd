"""What growth.py measures, each subject in a process: ``growth_subjects.py NAME LARGEST FOLDER``.

Prints a line of JSON for each size: ``{"n": …, "seconds": {name: [wall, CPU]}, "peak": …}``. The
seconds are those of n items together or, for what is in SINGLE, the median of one; CPU is this
process's alone, all its threads. ``peak`` is the most memory that it ever had so far, in bytes
(VmHWM), or null where there is no /proc.
"""

import json
import re
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import facecert  # noqa: E402

SIZES = (10, 100, 1000, 10000, 100000)

#: How often a thing is done once, beside n others that are there; less often beside few, for a
#: disk takes its time and k is that of the larger sizes.
ONCE, ONCE_BESIDE_FEW = 25, 5
#: How often n things are done that can be done again; the quickest time counts.
TIMES = 3

SECRET = ("id-of-an-AccessKey", "secret-of-an-AccessKey")
SCENE_ID = "1000000006"
SENT_AT = datetime(2024, 10, 1, tzinfo=timezone.utc)

Seconds = Tuple[float, float]
Measured = Iterator[Tuple[int, Dict[str, Seconds]]]


def certify_id(number: int) -> str:
    # Not in the order of time, as the service's are not.
    return "%08x%024x" % (number * 2654435761 % 2 ** 32, number)


def timed(work: Callable[[], object]) -> Seconds:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def medians(times: List[Seconds]) -> Seconds:
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


def quickest(work: Callable[[], object]) -> Seconds:
    times = [timed(work) for _ in range(TIMES)]
    return min(t[0] for t in times), min(t[1] for t in times)


def summed(one: Seconds, other: Seconds) -> Seconds:
    return one[0] + other[0], one[1] + other[1]


def peak() -> Optional[int]:
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found.group(1)) * 1024 if found else None


def query_result(number_or_id: Any) -> "facecert.QueryResult":
    own = number_or_id if isinstance(number_or_id, str) else certify_id(number_or_id)
    return facecert.QueryResult(
        passed=True, certify_id=own, identity_info="", material_info="", request_id="r", raw={}
    )


@contextmanager
def server() -> Iterator[str]:
    """Run growth_server.py and give its endpoint."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("growth_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    try:
        yield "http://127.0.0.1:%d" % int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def calls(sizes: Iterable[int], folder: Path) -> Measured:
    """Queries of one client, one after the other; a size counts those of the smaller ones too."""
    with server() as endpoint:
        with facecert.Client(SCENE_ID, endpoint=endpoint, credentials=SECRET) as client:
            client.query(certify_id(0))  # it imports, connects, compiles patterns
            done, total = 0, (0.0, 0.0)
            for size in sizes:

                def ask() -> None:
                    for number in range(done, size):
                        client.query(certify_id(number))

                total = summed(total, timed(ask))
                done = size
                yield size, {"query": total}


def fill(ledger: Any, start: int, stop: int) -> None:
    """Put rows into a ledger, many in a transaction; every tenth one is still open."""
    from facecert.lifecycle import LIFETIME
    from facecert.ledger.schema import verifications

    for first in range(start, stop, 1000):
        rows = []
        for number in range(first, min(first + 1000, stop)):
            sent_at = SENT_AT + timedelta(seconds=number)
            rows.append(
                {
                    "outer_order_no": "order%d" % number,
                    "scene_id": SCENE_ID,
                    "state": "passed" if number % 10 else "opened",
                    "certify_id": certify_id(number),
                    "request_id": "A1B2C3D4-0000-1111-2222-333344445555",
                    "sent_at": sent_at,
                    "expires_at": sent_at + LIFETIME,
                }
            )
        ledger.database.write(verifications.insert(), rows=rows)


def read_all(read: Callable[[], Iterable[object]]) -> Callable[[], object]:
    return lambda: sum(1 for _ in read())


def ledger(sizes: Iterable[int], folder: Path) -> Measured:
    """An SQLite ledger of n rows: one more of them, one of them, and all of them."""
    from facecert.ledger import Ledger
    from facecert.lifecycle import LIFETIME, Opening
    from facecert.ledger.schema import verifications

    book = Ledger(str(folder / "ledger.db"))
    done = 0

    def keep_init(number: int) -> None:
        sent_at = SENT_AT + timedelta(seconds=number)
        book.keep_sent("new%d" % number, scene_id=SCENE_ID, sent_at=sent_at)
        opening = Opening("opened", certify_id(10 ** 7 + number), "r", None, sent_at + LIFETIME)
        book.keep_opening("new%d" % number, opening)

    def keep_answer(number: int) -> None:
        book.keep_answer(query_result(10 ** 7 + number), asked_at=SENT_AT)

    def find(number: int) -> None:
        found = book.find(certify_id(number % size))
        assert found is not None and found.outer_order_no == "order%d" % (number % size)

    readings = {"entries": book.entries, "pending": book.pending, "unsettled": book.unsettled}
    keep_init(0)  # the first of each is not measured: it imports and prepares
    keep_answer(0)
    for size in sizes:
        fill(book, done, size)
        done, found = size, {}
        find(0)
        for name, one in (("keep init", keep_init), ("keep answer", keep_answer), ("find", find)):
            turns = ONCE if size >= 1000 else ONCE_BESIDE_FEW
            spread = max(1, size // turns)  # over all the rows that there are
            found[name] = medians(
                [timed(lambda: one(1 + turn * spread)) for turn in range(turns)]
            )
        # So that n rows are read.
        book.database.write(
            verifications.delete().where(verifications.c.outer_order_no.like("new%"))
        )
        for name, read in readings.items():
            found[name] = quickest(read_all(read))
        yield size, found
    book.close()


def bill(sizes: Iterable[int], folder: Path) -> Measured:
    """A bill of n lines beside n rows; half of either are missing on the other side."""
    from facecert.ledger.bill import Bill
    from facecert.ledger import Ledger

    book = Ledger(str(folder / "bill.db"))
    month = Bill(book, "2024-10")
    month.add([certify_id(2 * 10 ** 7)])
    done, total = 0, (0.0, 0.0)
    for size in sizes:
        fill(book, done, size)
        lines = (certify_id(n if n % 2 else 10 ** 7 + n) for n in range(done, size))
        total = summed(total, timed(lambda: month.add(lines)))
        found = {"bill add": total}
        done = size
        for name, read in (
            ("missing here", month.missing_here),
            ("missing there", month.missing_there),
        ):
            found[name] = quickest(read_all(read))
        yield size, found
    book.close()


class AnswersAtOnce:
    """Stands for a client in a batch. It takes its turns from a rate whose clock never waits."""

    def __init__(self) -> None:
        from facecert.batch.rate import Rate

        self._now = 0.0
        self._lock = threading.Lock()
        self._rate = Rate(1000, clock=lambda: self._now, sleep=self._pass)

    def _pass(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    def paced(self, rate: object) -> "AnswersAtOnce":
        return self

    def query(self, certify_id: str, scene_id: Optional[str]) -> "facecert.QueryResult":
        with self._rate.turn():
            return query_result(certify_id)


def batch(sizes: Iterable[int], folder: Path) -> Measured:
    """A batch of n ids, from the file of ids to the file of results."""
    from facecert.batch.ids import read_ids
    from facecert.batch.results_file import ResultsFile
    from facecert.batch.run import run_batch

    for size in sizes:
        source, results = folder / "ids.txt", folder / "results.jsonl"
        with source.open("w") as stream:
            for number in range(size):
                stream.write(certify_id(number) + "\n")

        def run() -> None:
            with ResultsFile(str(results)) as output:
                client: Any = AnswersAtOnce()
                summary = run_batch(read_ids(str(source)), output, client=client, threads=8)
            assert summary.passed == size and summary.error is None
            results.unlink()

        yield size, {"batch": quickest(run)}


SUBJECTS = {subject.__name__: subject for subject in (calls, ledger, bill, batch)}
#: What is done once beside n others, so that its time should not depend on n.
SINGLE = ("keep init", "keep answer", "find")


def main() -> None:
    name, largest, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    for size, seconds in SUBJECTS[name]([size for size in SIZES if size <= largest], folder):
        print(json.dumps({"n": size, "seconds": seconds, "peak": peak()}), flush=True)


if __name__ == "__main__":
    main()
