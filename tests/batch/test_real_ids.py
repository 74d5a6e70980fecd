"""Files of ids as people really have them: each row a file, the ids or the refusal, and why."""

import json

import pytest
from conftest import NAME, NUMBER, VECTORS, run_cli

from facecert.batch.ids import read_ids
from facecert.errors import InvalidParameter

A, B, C = ("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "1b2c3d4e5f60718293a4b5c6d7e8f90a",
           "2c3d4e5f60718293a4b5c6d7e8f90a1b")  # fmt: skip

HANDED = [
    ("ids" + row["run"][-4:], row["input"], row["expect"])
    for row in json.loads((VECTORS / "real_inputs.json").read_text(encoding="utf-8"))
    if row["run"].startswith("facecert query --batch FILE")
]

#: File name, content, ids in order ("" for a line without one), why.
READ = [
    ("ids.csv", "\ufeff\ufeffcertifyId\n%s\n" % A, [A], "an export of an export has two BOMs"),
    ("ids.txt", "\ufeff\ufeff%s\n" % A, [A], "an export of an export has two BOMs"),
    ("ids", '\ufeff\ufeff{"certifyId": "%s"}\n' % A, [A], "an export of an export has two BOMs"),
    ("ids.csv", "Certify ID,x\n%s,1\n" % A, [A], "a header for people"),
    ("ids.csv", "certify-id,x\n%s,1\n" % A, [A], "a header with a dash"),
    ("ids.csv", "sep=;\ncertifyId;x\n%s;1\n" % A, [A], "Excel's line about the separator"),
    ("ids.csv", "certifyId|x\n%s|1\n" % A, [A], "another separator"),
    ("ids.csv", "Export of October\n\ncertifyId,x\n%s,1\n" % A, [A], "a title above the header"),
    ("ids", "Export,October\ncertifyId,x\n%s,1\n" % A, [A], "a title above the header"),
    ("ids.csv", "certifyId\n\u00a0%s\u3000\n\u200b%s\ufeff\n" % (A, B), [A, B], "invisible blanks"),
    ("ids.csv", "certifyId\n\"=\"\"%s\"\"\"\n" % A, [A], "Excel's mark of a text, quoted"),
    ("ids.csv", "certifyId\n`%s`\n" % A, [A], "copied out of a chat"),
    ("ids.csv", "'%s',\n'%s'\n" % (A, B), [A, B], "copied out of SQL, without a header"),
    ("ids", "\"%s\",\n\"%s\"\n" % (A, B), [A, B], "copied out of SQL, without a suffix"),
    ("ids.txt", "certifyId\n%s\n" % A, [A], "one column of a spreadsheet, with its header"),
    ("ids.txt", "name,certifyId\nx,%s\n" % A, [A], "CSV that was saved as text"),
    ("ids.jsonl", '{"certifyId": "\\u200b%s "}\n' % A, [A], "invisible blanks"),
    ("ids.txt", "%s\r%s\r" % (A, B), [A, B], "line ends of an old Mac"),
]


@pytest.mark.parametrize("name, content, ids, why", READ)
def test_read(tmp_path, name, content, ids, why):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8"))
    assert [found.certify_id for found in read_ids(str(path))] == ids


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk"])
@pytest.mark.parametrize("column", ["实例ID", "InstanceID", "instance id"])
def test_a_column_of_another_name(tmp_path, encoding, column):
    header = "账期,%s,费用" % ("实例ID" if column[0] == "实" else "InstanceID")
    path = tmp_path / "bill.csv"
    path.write_bytes(("阿里云账单\n%s\n2026-10,%s,1\n" % (header, A)).encode(encoding))
    (found,) = read_ids(str(path), column=column)
    assert (found.certify_id, found.line) == (A, 3)
    with pytest.raises(InvalidParameter, match="--column names another one") as caught:
        list(read_ids(str(path)))
    assert header.split(",")[1] in str(caught.value) and "费用" not in str(caught.value)


def test_a_key_of_another_name(tmp_path):
    path = tmp_path / "ids.jsonl"
    path.write_text('{"cid": "%s"}\n"%s"\n' % (A, B))
    assert [found.certify_id for found in read_ids(str(path), column="CID")] == [A, B]


def test_the_header_is_looked_for_in_fifty_lines_only(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("remark,%s\n" % NUMBER * 49 + "certifyId,x\n%s,1\n" % A)
    assert [tuple(found) for found in read_ids(str(path))] == [(A, None, 51)]
    path.write_text("%s,%s\n" % (NAME, NUMBER) * 50 + "certifyId,x\n%s,1\n" % A, encoding="utf-8")
    with pytest.raises(InvalidParameter) as caught:
        list(read_ids(str(path)))
    assert NAME not in str(caught.value) and NUMBER not in str(caught.value)


@pytest.fixture
def batch(commands, tmp_path, person):
    """Query a file whose ids are replaced by known ones; return the result and its lines."""
    pytest.importorskip("click", reason="the command line is the extra `cli`")
    with commands.client() as client:
        known = {one: client.init(**person).certify_id for one in (A, B, C)}

    def run(name, content, *options):
        for one in known:
            content = content.replace(one, known[one])
        source, results = tmp_path / name, tmp_path / "results.jsonl"
        source.write_bytes(content.encode("utf-8"))
        done = run_cli("query", "--batch", str(source), "--output", str(results), "--qps", "500",
                       *options)  # fmt: skip
        lines = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
        answered = [line["certify_id"] for line in lines if line["error"] is None]
        return done, lines, sorted(one for one in known if known[one] in answered)

    return run


@pytest.mark.parametrize("name, content, expect", HANDED)
def test_handed_rows(batch, name, content, expect):
    done, lines, answered = batch(name, content)
    assert done.exit_code == expect.get("exit", 0), done.stderr
    assert answered == expect.get("ids", answered)
    assert expect.get("says", "") in str([line["message"] for line in lines])
    for line in lines:
        assert line["error"] is None or line["retryable"] is False


@pytest.mark.parametrize("cell", ["1000000006.0", "1e9", "1,000,000,006", "<scene>"])
def test_bug_one_bad_scene_id_made_a_batch_unfinishable(batch, commands, cell):
    bad = 'certifyId,sceneId\n%s,"%s"\n%s,"=""1000000006"""\n%s,\n' % (A, cell, B, C)
    for options in ((), ("--resume",)):
        done, lines, answered = batch("ids.csv", bad, *options)
        assert done.exit_code == 4 and answered == [B, C]
        (wrong,) = [line for line in lines if line["error"]]
        assert (wrong["line"], wrong["retryable"], wrong["certify_id"]) == (2, False, None)
        assert wrong["message"].startswith("line 2: sceneId must be a string of digits")
    done, lines, answered = batch("ids.csv", bad.replace(cell, "1000000006"), "--resume")
    assert done.exit_code == 0 and answered == [A, B, C] and len(lines) == 3


def test_bad_scene_ids_alone_are_errors_of_their_lines(batch):
    text = "certifyId,sceneId\n" + "%s,1000000006.0\n" % A * 30
    done, lines, answered = batch("ids.csv", text)
    assert (done.exit_code, len(lines), answered) == (4, 30, [])
