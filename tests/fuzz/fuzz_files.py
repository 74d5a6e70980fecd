"""Files that ``facecert`` reads: ids, bills, and the results of an earlier run."""

import os
import tempfile

from fuzz_engine import Target
from fuzz_inputs import PRIVATE, SPELLINGS, assert_nothing_private, mutated, quiet
from hypothesis import strategies as st

from facecert.batch.results_file import ResultsFile
from facecert.errors import InvalidParameter
from facecert.batch.ids import FileId, read_ids

_ID = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"

_lines = st.sampled_from(
    [_ID, " %s\r" % _ID, "# remark", "", "no,certifyId,amount", "1,%s,2" % _ID, '"%s"' % _ID,
     '{"certifyId": "%s"}' % _ID, '{"certify_id": 5, "sceneId": []}', "certifyId;sceneId",
     '"a\nb",%s' % _ID, "\ufeffcertifyId", "合计,,", "\x00", "[" * 300, '{"certifyId": "\\ud800"}',
     "," * 40, "a" * 3000]
    + SPELLINGS
)  # fmt: skip
_encodings = st.sampled_from(["utf-8", "utf-8-sig", "gbk", "utf-16"])
_files = quiet(
    st.tuples(
        mutated(
            st.builds(
                lambda lines, encoding: "\n".join(lines).encode(encoding, "replace"),
                st.lists(_lines, max_size=8),
                _encodings,
            )
        ),
        st.sampled_from(["ids", "ids.txt", "ids.csv", "ids.jsonl"]),
        st.sampled_from([None, "text", "csv", "jsonl"]),
    )
)

_folder = tempfile.TemporaryDirectory()


def _path(name, content):
    path = os.path.join(_folder.name, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def judge_ids(given):
    """Read a file of ids."""
    content, name, kind = given
    path = _path(name, content)
    try:
        found = list(read_ids(path, kind))
    except InvalidParameter as error:
        assert_nothing_private(error)
        return "InvalidParameter"
    lines = content.count(b"\n") + content.count(b"\r") + 1
    for one in found:
        assert type(one) is FileId and type(one.certify_id) is str and 1 <= one.line <= lines
        assert one.scene_id is None or type(one.scene_id) is str
        assert not any(text in repr(one) for text in PRIVATE)
    assert [one.line for one in found] == sorted(one.line for one in found)
    assert found == list(read_ids(path, kind))
    return "no ids" if not found else "ids"


_jsonl = (
    '{"certify_id": "%s", "passed": true, "error": null, "code": null, "message": null, '
    '"request_id": "R", "retryable": false, "asked_at": "2026-11-24T00:00:00+00:00", "line": 1}\n'
)
_csv = "%s,true,,,,R,false,2026-11-24T00:00:00+00:00,1\n"
_header = "certify_id,passed,error,code,message,request_id,retryable,asked_at,line\n"


def _results(kind):
    line = _jsonl if kind == "jsonl" else _csv
    lines = st.lists(
        st.one_of(
            st.integers(0, 5).map(lambda n: line % ("%032x" % n)),
            st.integers(0, 5).map(lambda n: (line % ("%032x" % n)).replace("false", "true")),
        ),
        max_size=5,
    )
    whole = lines.map(lambda some: ("" if kind == "jsonl" else _header) + "".join(some))
    return mutated(whole.map(lambda text: text.encode("utf-8"))).map(lambda data: (kind, data))


_resumed = quiet(st.sampled_from(["jsonl", "csv"]).flatmap(_results))


def judge_results(given):
    """Resume a file of results: it is refused unchanged, or the kept lines are lines of it."""
    kind, content = given
    path = _path("results", content)
    try:
        with ResultsFile(path, kind, resume=True) as results:
            kept = results.kept
    except InvalidParameter as error:
        assert_nothing_private(error)
        outcome = "refused"
    else:
        outcome = "resumed"
    with open(path, "rb") as file:
        after = file.read()
    assert os.listdir(_folder.name).count(".results.resuming") == 0
    if outcome == "refused":
        assert after == content
        return outcome
    stayed = after.splitlines(True)
    if kind == "csv":
        assert stayed.pop(0).decode("ascii") == _header
    before = content.splitlines(True)
    assert len(stayed) == kept and all(line in before for line in stayed)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in stayed)
    with ResultsFile(path, kind, resume=True) as again:
        assert again.kept == kept
    return outcome


TARGETS = [
    Target(
        "id-files", _files, judge_ids,
        long=[lambda n: ((_ID + "\n").encode("ascii") * (n // 33), "ids.txt", None),
              lambda n: (b"certifyId\n" + b'"a\n' * (n // 3), "ids.csv", None),
              lambda n: (b"[" * n, "ids.jsonl", None)],
    ),
    Target("results", _resumed, judge_results),
]  # fmt: skip
