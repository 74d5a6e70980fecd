import csv
import datetime
import io
import json
import os
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT, run_cli

from facecert.lifecycle import CHINA, LIFETIME, Opening

pytest.importorskip("click", reason="the command line is the extra `cli`")
pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
from facecert.ledger import Ledger  # noqa: E402
from facecert.ledger.schema import verifications  # noqa: E402

FIRST = datetime.datetime(2026, 10, 1, tzinfo=CHINA)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    url = str(tmp_path / "ledger.db")
    monkeypatch.setenv("FACECERT_LEDGER", url)
    ledger = Ledger(url)
    for day, (order, opening) in enumerate(
        [
            ("passed", Opening("passed", "c1" * 16)),
            ("left", Opening("opened", "c2" * 16)),
            ("refused", Opening("refused", code="402", request_id="R1")),
            ("unknown", Opening("unknown", code="NoAnswer")),
        ]
    ):
        sent_at = FIRST + datetime.timedelta(days=day)
        ledger.keep_sent(order, scene_id="1000000006", sent_at=sent_at)
        ledger.keep_opening(order, opening._replace(expires_at=sent_at + LIFETIME))
    yield ledger
    ledger.close()


def orders(done):
    return [json.loads(line)["outer_order_no"] for line in done.stdout.splitlines()]


def test_list(ledger):
    done = run_cli("ledger", "list")
    assert done.exit_code == 0 and orders(done) == ["passed", "left", "refused", "unknown"]
    assert json.loads(done.stdout.splitlines()[0])["sent_at"] == "2026-09-30T16:00:00+00:00"
    assert orders(run_cli("ledger", "list", "--state", "refused", "--state", "passed")) == [
        "passed", "refused",
    ]  # fmt: skip
    done = run_cli("ledger", "list", "--since", "2026-10-02", "--until", "2026-10-03")
    assert orders(done) == ["left", "refused"]


def test_list_in_words(ledger, on_a_terminal):
    done = run_cli("ledger", "list", "--state", "refused")
    assert done.stdout.split() == ["2026-10-03", "00:00:00", "refused", "refused", "-", "402"]
    assert "1 verifications" in done.stderr


@pytest.mark.parametrize("day", ["2026-13-01", "yesterday", "2026-1-1", "2026-10-01T00:00"])
def test_days(ledger, day):
    done = run_cli("ledger", "list", "--since", day)
    assert done.exit_code == 2 and "2026-10-01" in done.stderr


def test_export(ledger):
    rows = list(csv.DictReader(io.StringIO(run_cli("ledger", "export").stdout)))
    assert [row["outer_order_no"] for row in rows] == ["passed", "left", "refused", "unknown"]
    assert rows[2]["certify_id"] == "" and rows[2]["request_id"] == "R1"
    done = run_cli("ledger", "export", "--format", "jsonl", "--since", "2026-10-04")
    assert orders(done) == ["unknown"]


def test_bug_an_exported_code_became_a_formula_in_a_spreadsheet(ledger):
    ledger.keep_sent("hostile", scene_id="1000000006", sent_at=FIRST)
    ledger.keep_opening("hostile", Opening("refused", code="=cmd|' /C calc'!A0", request_id="-1+1"))
    rows = list(csv.DictReader(io.StringIO(run_cli("ledger", "export").stdout)))
    row, = [row for row in rows if row["outer_order_no"] == "hostile"]
    assert (row["code"], row["request_id"]) == ("'=cmd|' /C calc'!A0", "'-1+1")
    assert row["certify_id"] == "" and row["sent_at"] == "2026-09-30T16:00:00+00:00"


def test_bug_a_first_line_of_a_bill_too_long_for_csv_counted_as_a_bug(ledger, tmp_path):
    bill = tmp_path / "bill.csv"
    bill.write_text("certifyId," + "a" * 131073)
    done = run_cli("ledger", "import-bill", str(bill), "--month", "2026-10")
    assert done.exit_code == 2 and "longer than 131072" in done.stderr


def test_unsettled(ledger):
    done = run_cli("ledger", "unsettled")
    assert done.exit_code == 1 and orders(done) == ["left", "unknown"]
    ledger.keep_opening("unknown", Opening("unknown"))
    ledger.database.write(verifications.delete())
    done = run_cli("ledger", "unsettled")
    assert done.exit_code == 0 and done.stdout == ""


def test_import_bill(ledger, tmp_path, on_a_terminal):
    bill = tmp_path / "bill.csv"
    bill.write_bytes("编号,CertifyId\n1,{0}\n2,{1}\n合计,\n".format("c2" * 16, "d9" * 16).encode("gbk"))
    command = ["ledger", "import-bill", str(bill), "--month", "2026-10"]
    done = run_cli(*command)
    assert done.exit_code == 1 and done.stdout.splitlines() == [
        "The bill of 2026-10 has 2 lines, 2 of them new.",
        "Skipped, because they have no id: line 4.",
        "missing here (billed, and nowhere in the ledger): 1",
        "  " + "d9" * 16,
        "missing there (with an outcome, and on no bill): 1",
        "  " + "c1" * 16,
        "never finished, but billed: 1",
        "  " + "c2" * 16,
        "never finished, not billed: 0",
    ]
    bill.write_text("certifyId\n%s\n" % ("c1" * 16))
    done = run_cli(*(command + ["--json"]))
    result = json.loads(done.stdout)
    assert (result["lines"], result["new"], result["missing_there"]) == (3, 1, [])
    assert run_cli("ledger", "import-bill", str(bill), "--month", "October").exit_code == 2
    assert run_cli("ledger", "import-bill", "no.csv", "--month", "2026-10").exit_code == 2


def test_without_a_ledger_it_says_what_to_set(monkeypatch):
    monkeypatch.delenv("FACECERT_LEDGER", raising=False)
    done = run_cli("ledger", "list")
    assert done.exit_code == 6 and "FACECERT_LEDGER must name the ledger" in done.stderr


def test_bug_a_mistyped_path_looked_like_an_empty_ledger(monkeypatch, tmp_path):
    monkeypatch.setenv("FACECERT_LEDGER", str(tmp_path / "legder.db"))
    for command in (["list"], ["unsettled"], ["import-bill", "x.csv", "--month", "2026-10"]):
        done = run_cli("ledger", *command)
        assert done.exit_code == 6 and "not there" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_cannot_be_opened(monkeypatch, tmp_path):
    monkeypatch.setenv("FACECERT_LEDGER", "sqlite:///%s" % tmp_path)
    done = run_cli("ledger", "list")
    assert done.exit_code == 6 and "LedgerError" in done.stderr


@pytest.mark.parametrize("cell", ["330103199001011230", "13800138000", "zhangsan"])
def test_bug_the_wrong_column_of_a_bill_was_kept_and_shown(ledger, tmp_path, cell):
    bill = tmp_path / "bill.csv"
    bill.write_text("certifyId\n%s\n%s\n" % ("c1" * 16, cell))
    done = run_cli("ledger", "import-bill", str(bill), "--month", "2026-10")
    assert done.exit_code == 2 and "line 3" in done.stderr
    assert cell not in done.stdout + done.stderr
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert cell.encode() not in kept


@pytest.mark.parametrize("option", ["--since", "--until"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_bug_days_at_the_ends_of_the_calendar_were_a_bug(ledger, option, day):
    done = run_cli("ledger", "list", option, day)
    assert done.exit_code == 2 and "days like" in done.stderr


def test_bug_without_a_command_it_spoke_of_a_wrong_one(ledger):
    done = run_cli("ledger")
    assert done.exit_code == 0 and "unsettled" in done.stdout


def shell(command):
    environ = dict(os.environ, PYTHONPATH=str(ROOT))
    environ.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(
        ["sh", "-c", "%s -m facecert %s" % (shlex.quote(sys.executable), command)],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr.decode()


@pytest.mark.long
@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
def test_bug_an_export_that_nobody_took(ledger, form, where):
    if "full" in where and not os.path.exists("/dev/full"):
        assert "CI" not in os.environ
        pytest.skip("no /dev/full here")
    code, said = shell("ledger export --format %s %s" % (form, where))
    assert code == 141 and "failed" in said and "Traceback" not in said, said


def test_bug_a_bill_from_a_closed_standard_input(ledger):
    code, said = shell("ledger import-bill - --month 2026-10 <&-")
    assert code == 2 and "cannot be read" in said, said
