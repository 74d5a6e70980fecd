import io
import itertools
import os
import sys

import pytest
from conftest import NAME, NUMBER

from facecert.errors import InvalidParameter
from facecert.batch.ids import FileId, read_ids

A, B, C = ("%032x" % number for number in (10, 11, 12))
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def read(tmp_path):
    def read(content, name="ids", kind=None):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return [tuple(found) for found in read_ids(str(path), kind)]

    return read


@pytest.mark.parametrize("name", ["ids", "ids.txt", "ids.TXT", "ids.csv", "ids.list"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", [b"", BOM])
def test_text(read, name, end, before):
    text = end.join(["# exported", "", A, "  %s\t" % B, " # no", "", C])
    found = read(before + text.encode(), name)
    assert found == [(A, None, 3), (B, None, 4), (C, None, 7)]


@pytest.mark.parametrize("name", ["ids", "ids.csv", "ids.tsv", "ids.txt.csv"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", [b"", BOM])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["certifyId", "certify_id", "CERTIFYID", " Certify_ID "])
def test_csv(read, name, end, before, separator, header):
    rows = [["Name", header, "sceneId"], ['"%s, %s"' % (NAME, NAME), A, "12"], [], ["x", B, ""],
            ["y", '"%s"' % C, " 34 "]]  # fmt: skip
    text = end.join(separator.join(row) for row in rows)
    if separator == ";":
        text = text.replace(", ", ";")
    found = read(before + text.encode("utf-8"), name)
    assert found == [(A, "12", 2), (B, None, 4), (C, "34", 5)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "big5", "latin-1"])
def test_other_columns_in_any_encoding(read, encoding):
    name = "Müller" if encoding == "latin-1" else "歐陽"
    text = "姓名,certifyId\n%s,%s\n" if encoding != "latin-1" else "Nom é,certifyId\n%s,%s\n"
    assert read((text % (name, A)).encode(encoding), "ids.csv") == [(A, None, 2)]


def test_every_gbk_character_leaves_the_columns_alone(read):
    characters = []
    for first, second in itertools.product(range(0x81, 0xFF), range(0x40, 0xFF)):
        try:
            bytes([first, second]).decode("gbk")
        except UnicodeDecodeError:
            continue
        characters.append(bytes([first, second]))
    assert len(characters) > 20000
    content = b"name,certify_id\n" + b"".join(c + b"," + A.encode() + b"\n" for c in characters)
    assert {row[:2] for row in read(content, "ids.csv")} == {(A, None)}


def test_csv_cells_of_several_lines_count_lines_right(read):
    text = 'certifyId,note\n%s,"one\ntwo"\n%s,\n' % (A, B)
    assert read(text) == [(A, None, 2), (B, None, 4)]


def test_csv_with_comments_before_the_header(read):
    assert read("# 2024, exported\n\ncertifyId,x\n%s,1\n" % A, "ids") == [(A, None, 4)]


def test_a_row_without_an_id_comes_as_nothing(read):
    assert read("x,certifyId\nalone\n1,%s,3,4\n" % A) == [("", None, 2), (A, None, 3)]


def test_one_quoted_column(read):
    assert read('"certifyId"\n"%s"\n' % A, "ids") == [(A, None, 2)]


@pytest.mark.parametrize("name", ["ids", "ids.jsonl", "ids.ndjson"])
@pytest.mark.parametrize("before", [b"", BOM])
def test_jsonl(read, name, before):
    lines = ['{"CertifyId": "%s", "SCENE_ID": "12"}' % A, "", '"%s"' % B,
             '{"certify_id": " %s ", "name": "%s"}' % (C, NAME)]  # fmt: skip
    found = read(before + "\r\n".join(lines).encode("utf-8"), name)
    assert found == [(A, "12", 1), (B, None, 3), (C, None, 4)]


@pytest.mark.parametrize(
    "line", ["{", "[]", "7", "null", '{"certifyId": 7}', "{}", '{"certifyId": null}', "[" * 99999]
)
def test_a_line_of_jsonl_without_an_id_comes_as_nothing(read, line):
    assert read('"%s"\n%s\n"%s"\n' % (A, line, B), "ids.jsonl") == [
        (A, None, 1), ("", None, 2), (B, None, 3)
    ]  # fmt: skip


def test_the_kind_can_be_told(read):
    assert read(A, "ids.csv", "text") == [(A, None, 1)]
    assert read("certifyId\n" + A, "ids.txt", "csv") == [(A, None, 2)]
    assert read('"%s"' % A, "ids.txt", "jsonl") == [(A, None, 1)]
    with pytest.raises(InvalidParameter):
        read_ids("ids", "excel")


@pytest.mark.parametrize("content", ["", "\n", "# nothing\n", BOM, "certifyId\n", "certifyId,x"])
def test_none(read, content):
    assert read(content, "ids") == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["ids", "ids.csv", "ids.jsonl"])
def test_utf_16_is_told(read, encoding, name):
    with pytest.raises(InvalidParameter, match="UTF-16.*Save it as UTF-8"):
        read(("certifyId,name\n%s,%s\n" % (A, NAME)).encode(encoding), name)


@pytest.mark.parametrize(
    "content, words",
    [
        ("name,number\n%s,%s\n" % (NAME, NUMBER), "certifyId or certify_id"),
        ("%s,%s\n" % (NAME, NUMBER), "certifyId or certify_id"),
        ('certifyId,name\n%s,"%s\n%s,x\n' % (A, NAME, B), "Line 3 .*quotation"),
        ('certifyId,name\n%s,"%s" %s\n' % (A, NAME, NUMBER), "Line 2 .*quotation"),
    ],
)
def test_a_file_of_no_use_is_told_without_quoting_it(read, content, words):
    with pytest.raises(InvalidParameter, match=words) as caught:
        read(content, "ids.csv")
    shown = repr(caught.value) + str(caught.value.__cause__) + str(caught.value.__context__)
    assert NAME not in shown and NUMBER not in shown


@pytest.mark.parametrize("name", ["ids", "ids.csv", "ids.txt"])
def test_a_first_line_that_is_too_long_for_csv(read, name):
    with pytest.raises(InvalidParameter, match="Line 1 .*longer than 131072"):
        read("certifyId," + "a" * 131073, name)


def test_a_long_first_line_of_jsonl_is_read(read):
    line = '{"certifyId": "%s", "note": "%s"}' % (A, "x" * 200000)
    assert read(line) == read(line, "ids.jsonl") == [(A, None, 1)]


def test_bug_a_long_row_of_digits_took_minutes(read):
    """On Python 3.6, whose int() takes quadratic time."""
    digits = "9" * 2000000
    assert read('{"certifyId": %s}\n"%s"' % (digits, A), "ids") == [("", None, 1), (A, None, 2)]


def test_repr_shows_no_text():
    assert repr(FileId(NUMBER, None, 7)) == "<FileId line 7>"


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_ids(str(tmp_path / "none")))


def test_standard_input_stays_open(monkeypatch):
    for content in (A + "\n" + B, ""):
        stdin = io.TextIOWrapper(io.BytesIO(content.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        ids = read_ids("-")
        assert next(ids, (None,))[0] == (A if content else None)
        ids.close()
        assert not stdin.closed and not stdin.buffer.closed


def test_it_is_read_as_it_goes():
    reader, writer = os.pipe()
    ids = read_ids("/dev/fd/%d" % reader)
    os.write(writer, (A + "\n").encode())
    assert next(ids).certify_id == A
    os.write(writer, (B + "\n").encode())
    assert next(ids).certify_id == B
    os.close(writer)
    assert list(ids) == []
    os.close(reader)


@pytest.mark.parametrize("title", ["", '"bill of\n""2026""",x\n'])
def test_bug_a_header_of_several_lines_shifted_the_columns(read, title):
    text = title + 'account,"the\ninstance",number,certifyId\n1,x,%s,%s\n' % (B, A)
    assert [row[0] for row in read(text, "bill.csv")] == [A]
    single = 'Inches: 6" of it\ncertifyId\n%s\n' % A
    assert [row[0] for row in read(single, "bill.csv")] == [A]
