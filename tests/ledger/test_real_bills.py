"""Bills as people really export them: each row a file, the ids or the refusal, and why."""

import json

import pytest
from conftest import NUMBER, VECTORS, run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")
pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
from facecert.ledger import Ledger  # noqa: E402
from facecert.ledger.schema import bill_lines  # noqa: E402

A, B = "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "1b2c3d4e5f60718293a4b5c6d7e8f90a"

HANDED = [
    (row["run"].partition("2026-10")[2].split(), row["input"], row["expect"], row["why"])
    for row in json.loads((VECTORS / "real_inputs.json").read_text(encoding="utf-8"))
    if row["run"].startswith("facecert ledger import-bill")
]

#: Options, file, what is expected, why.
ROWS = HANDED + [
    ([], "certifyId;fee\n%s;1,00\n总计;1,00\n" % A, {"ids": [A], "says": "line 3"}, "a total"),
    ([], "certifyId,fee\n%s,1\nGrand total:,1\n" % A, {"ids": [A], "says": "line 3"}, "a total"),
    ([], "no,certifyId\n1,%s\n合计,\n" % A, {"ids": [A], "says": "line 3"}, "an empty cell"),
    ([], "certifyId\n%s\n——\nN/A\n" % A, {"ids": [A], "says": "line 4"}, "dashes and remarks"),
    ([], "certifyId\tfee\n%s\t\t1\n" % A, {"ids": [A]}, "copied out of a spreadsheet"),
    ([], "certifyId,fee\n=\"%s\",1\n'%s,1\n" % (A, B), {"ids": [A, B]}, "marks of a text"),
    ([], "\ufeff\ufeffcertifyId\n\u00a0%s\u200b\n" % A, {"ids": [A]}, "invisible characters"),
    ([], "certifyId\n%s\n3.3010319900101E+17\n" % A, {"exit": 2, "says": "line 3"}, "Excel"),
    ([], "certifyId\n%s\n%s\n" % (A, NUMBER), {"exit": 2, "says": "column certifyId"}, "a number"),
    ([], "certifyId\n%s\n2026-10\n" % A, {"exit": 2, "says": "line 3"}, "a shifted row"),
    ([], "certifyId,fee\n-,1\n合计,1\n", {"ids": [], "says": "line 2", "exit": 0}, "no id at all"),
    (["--column", "实例ID"], "账期,实例ID\n10,%s\n" % A, {"ids": [A]}, "the export in Chinese"),
    (["--column", "CID"], "a,b\n1,2\n", {"exit": 2, "says": "--column"}, "no such column"),
]


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("FACECERT_LEDGER", str(tmp_path / "ledger.db"))
    with_tables = Ledger(str(tmp_path / "ledger.db"))
    with_tables.check()
    yield with_tables
    with_tables.close()


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("options, content, expect, why", ROWS)
def test_bills(ledger, tmp_path, options, content, expect, why, encoding):
    bill = tmp_path / "bill.csv"
    bill.write_bytes(content.encode(encoding))
    done = run_cli("ledger", "import-bill", str(bill), "--month", "2026-10", *options)
    kept = ledger.database.read(bill_lines.select())
    assert done.exit_code == expect.get("exit", 1), done.stderr  # 1: not in the ledger
    assert sorted(row.certify_id for row in kept) == expect.get("ids", [])
    assert expect.get("says", "") in done.stdout + done.stderr
    assert NUMBER not in done.stdout + done.stderr


def test_bug_a_bad_line_left_half_a_bill(ledger, tmp_path):
    bill = tmp_path / "bill.csv"
    bill.write_text("certifyId\n" + "".join("%032x\n" % n for n in range(6000)) + "123\n")
    done = run_cli("ledger", "import-bill", str(bill), "--month", "2026-10")
    assert done.exit_code == 2 and "line 6002" in done.stderr
    assert list(ledger.database.read(bill_lines.select())) == []
