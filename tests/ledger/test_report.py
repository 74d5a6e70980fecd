"""The report of the ledger, on every database."""

import csv
import io
import json
import tracemalloc
from datetime import datetime, timedelta, timezone

import pytest
from conftest import run_cli

from facecert.lifecycle import CHINA

sqlalchemy = pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
pytest.importorskip("click", reason="the command line is the extra `cli`")
from facecert.ledger import Ledger  # noqa: E402
from facecert.ledger.bill import month_bounds  # noqa: E402
from facecert.ledger.report import FIELDS, report  # noqa: E402
from facecert.ledger.schema import days, metadata, verifications  # noqa: E402

FIRST = datetime(2026, 10, 1, tzinfo=CHINA)
DAY = timedelta(days=1)


def rows():
    """Yield day (from 1), hour, state, code, seconds to decide."""
    for seconds in (5, 60, 61):
        yield 1, 0, "passed", None, seconds
    yield 1, 23.999, "failed", None, 2400
    yield 1, 12, "opened", None, None
    for code in ("402", "402", "Throttled", None):
        yield 1, 12, "refused", code, None
    yield 1, 12, "unknown", "NoAnswer", None
    yield 1, 13, "sent", None, None  # and no response for a month
    yield 3, 0, "refused", "402", None
    yield 31, 23.999, "opened", None, None
    yield 32, 0, "passed", None, 1  # in the next month


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def ledger(request, tmp_path, monkeypatch):
    url = str(tmp_path / "ledger.db")
    if request.param != "sqlite":
        url = request.getfixturevalue(request.param)
    monkeypatch.setenv("FACECERT_LEDGER", url)
    ledger = Ledger(url)
    fill(ledger, rows())
    yield ledger
    ledger.close()
    if request.param != "sqlite":
        engine = sqlalchemy.create_engine(url)
        metadata.drop_all(engine)
        engine.dispose()


def fill(ledger, given):
    found = []
    for number, (day, hour, state, code, seconds) in enumerate(given):
        at = FIRST + (day - 1) * DAY + timedelta(hours=hour)
        found.append({
            "outer_order_no": "order%d" % number, "scene_id": "1", "state": state, "code": code,
            "sent_at": at, "expires_at": at + timedelta(minutes=30),
            "decided_at": None if seconds is None else at + timedelta(seconds=seconds),
        })  # fmt: skip
    ledger.check()
    ledger.database.write(verifications.insert(), rows=found)
    ledger.database.write(days.insert(), rows=[{"day": "2026-10-01", "inits": 11}])


ON_A_SERVER = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.long),
    pytest.param("mariadb", marks=pytest.mark.long),
]


@pytest.mark.parametrize("ledger", ON_A_SERVER, indirect=True)
def test_each_day_is_counted(ledger):
    """Of the last day's verification nobody knows yet whether it is finished."""
    now = datetime(2026, 10, 31, 16, 0, tzinfo=timezone.utc)
    found = [tuple(day.values()) for day in report(ledger, *month_bounds("2026-10"), now=now)]
    refused = {"402": 2, "Throttled": 1, "": 1}
    assert found == [
        ("2026-10-01", 5, 3, 1, 1, refused, 2, 0.75, 60, 11),
        ("2026-10-03", 0, 0, 0, 0, {"402": 1}, 0, None, None, None),
        ("2026-10-31", 1, 0, 0, 0, {}, 0, None, None, None),
    ]
    next_month, = report(ledger, *month_bounds("2026-11"), now=now)
    assert tuple(next_month.values()) == ("2026-11-01", 1, 1, 0, 0, {}, 0, 1.0, 1, None)
    assert list(next_month) == FIELDS.split()


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_json_and_csv(ledger, monkeypatch):
    monkeypatch.setenv("FACECERT_PER_DAY", "1000")
    done = run_cli("ledger", "report", "--month", "2026-10")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0 and [line["day"][-2:] for line in lines] == ["01", "03", "31"]
    assert (lines[0]["inits"], lines[0]["per_day"]) == (11, 1000)
    assert lines[0]["refused"] == {"402": 2, "Throttled": 1, "": 1}
    done = run_cli("ledger", "report", "--month", "2026-10", "--csv")
    records = list(csv.DictReader(io.StringIO(done.stdout)))
    assert records[0]["refused"] == "'- 1, 402 2, Throttled 1"
    assert [record["opened"] for record in records] == ["5", "0", "1"]
    assert list(records[0]) == list(lines[0])


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_in_words(ledger, on_a_terminal, monkeypatch):
    monkeypatch.setenv("FACECERT_PER_DAY", "1000")
    done = run_cli("ledger", "report", "--month", "2026-10")
    head, first, bar, refused, *rest = done.stdout.splitlines()
    assert head.split()[:2] == ["day", "opened"]
    assert first.split() == "2026-10-01 5 3 1 1 2 75.0% 60s 11 of 1000".split()
    assert bar.strip() == "#" * 60 and refused.split(None, 1)[1] == "- 1, 402 2, Throttled 1"
    assert rest[0].split() == "2026-10-03 0 0 0 0 0 - - -".split()
    assert rest[-1].strip() == "#" * 12


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_the_current_month_and_wrong_ones(ledger):
    assert run_cli("ledger", "report").exit_code == 0
    for wrong in ("2026", "2026-13", "october"):
        done = run_cli("ledger", "report", "--month", wrong)
        assert done.exit_code == 2 and "2026-10" in done.stderr


@pytest.mark.long
def test_the_database_counts(tmp_path):
    """A report over 5,000 rows takes no more memory than one over 500."""
    used = []
    for number in (500, 5000):
        ledger = Ledger(str(tmp_path / ("%d.db" % number)))
        fill(ledger, ((1, 0, "passed", None, one % 50) for one in range(number)))
        list(report(ledger, *month_bounds("2026-11")))  # imports and caches
        tracemalloc.start()
        found, = report(ledger, *month_bounds("2026-10"))
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        ledger.close()
        assert (found["opened"], found["median_seconds"]) == (number, 24)
    assert used[1] < 2 * used[0] + 100000
