import errno
import json

import pytest
from conftest import run_cli, run_python

from facecert.batch.results_file import OutputFailed, ResultsFile
from facecert.batch.ids import read_ids

pytest.importorskip("click", reason="the command line is the extra `cli`")


@pytest.fixture
def certify_id(commands, person):
    with commands.client() as client:
        return client.init(**person).certify_id


@pytest.mark.parametrize("passed", [True, False])
def test_query(commands, certify_id, passed):
    commands.complete(certify_id, passed=passed)
    done = run_cli("query", certify_id)
    assert done.exit_code == (0 if passed else 1) and done.stderr == ""
    answer = json.loads(done.stdout)
    assert (answer["certify_id"], answer["passed"]) == (certify_id, passed)
    assert answer["request_id"]


@pytest.mark.parametrize(
    "passed, words", [(True, "passed\n"), (False, "not passed (or not yet)\n")]
)
def test_query_in_words(commands, certify_id, on_a_terminal, passed, words):
    if passed:
        commands.complete(certify_id)
    assert run_cli("query", certify_id).stdout == words
    assert json.loads(run_cli("query", certify_id, "--json").stdout)["passed"] == passed


def test_query_of_another_scene(commands, certify_id):
    done = run_cli("query", certify_id, "--scene-id", "1000000099")
    assert done.exit_code == 3 and "ServiceError" in done.stderr and "400" in done.stderr
    assert commands.requests[-1].service_parameters["sceneId"] == "1000000099"


def test_query_whose_answer_never_came(commands, certify_id):
    commands.fail("cut")
    done = run_cli("query", certify_id, "--json")
    error = json.loads(done.stderr)
    assert (done.exit_code, error["error"], error["retryable"]) == (4, "NoAnswer", True)


# Many


@pytest.fixture
def certify_ids(commands, person):
    """Ten verifications, every other one passed."""
    with commands.client() as client:
        ids = [client.init(**person).certify_id for _ in range(10)]
    for certify_id in ids[::2]:
        commands.complete(certify_id)
    return ids


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_batch(commands, certify_ids, tmp_path):
    source, results = tmp_path / "ids.csv", tmp_path / "results.jsonl"
    source.write_text("no,certifyId\n" + "".join("1,%s\n" % one for one in certify_ids))
    command = ["query", "--batch", str(source), "--output", str(results), "--qps", "500"]
    done = run_cli(*command)
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["answered"], summary["passed"], summary["failed"]) == (10, 5, 0)
    assert {line["certify_id"]: line["passed"] for line in lines_of(results)} == {
        certify_id: number % 2 == 0 for number, certify_id in enumerate(certify_ids)
    }
    again = run_cli(*command)
    assert again.exit_code == 2 and "there already" in again.stderr
    asked = len(commands.requests)
    assert run_cli(*(command + ["--resume"])).exit_code == 0
    assert len(commands.requests) == asked and len(lines_of(results)) == 10


def test_a_batch_on_a_terminal_shows_a_bar(
    commands, certify_ids, tmp_path, on_a_terminal, monkeypatch
):
    pytest.importorskip("tqdm")
    monkeypatch.setattr("facecert.cli.query.is_terminal", lambda stream: True)
    source, results = tmp_path / "ids.txt", tmp_path / "results.csv"
    source.write_text("".join("%s\n" % one for one in certify_ids))
    done = run_cli("query", "--batch", str(source), "--output", str(results), "--qps", "500")
    assert "10 answered (5 passed)" in done.stdout and "10/10" in done.stderr
    assert results.read_text().startswith("certify_id,passed,")


def test_a_batch_through_pipes(commands, certify_ids):
    text = "\n".join(certify_ids[:3] + ["nonsense"])
    done = run_cli("query", "--batch", "-", "--qps", "500", stdin=text)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["certify_id"] for line in lines} == set(certify_ids[:3]) | {None}
    assert done.exit_code == 4 and "1 ids have no answer" in done.stderr
    assert "nonsense" not in done.stdout + done.stderr


def test_a_batch_whose_errors_may_pass(commands, certify_ids, tmp_path):
    source, results = tmp_path / "ids.txt", tmp_path / "results.jsonl"
    source.write_text("\n".join(certify_ids))
    commands.fail("http-503", times=2)
    command = ["query", "--batch", str(source), "--output", str(results), "--qps", "500"]
    done = run_cli(*command)
    assert done.exit_code == 4 and json.loads(done.stdout)["failed"] == 2
    assert len(lines_of(results)) == 10
    done = run_cli(*(command + ["--resume"]))
    assert done.exit_code == 0 and len(lines_of(results)) == 10
    assert all(line["error"] is None for line in lines_of(results))


def test_a_batch_without_its_file(commands, tmp_path):
    done = run_cli("query", "--batch", str(tmp_path / "no.csv"))
    assert done.exit_code == 2 and "cannot be read" in done.stderr


def test_what_the_ledger_waits_for(commands, person, tmp_path, monkeypatch):
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    url = str(tmp_path / "ledger.db")
    monkeypatch.setenv("FACECERT_LEDGER", url)
    with commands.client(ledger=url) as client:
        opened = [client.init(**person) for _ in range(3)]
        commands.complete(opened[0].certify_id)
        ledger = client.ledger
        done = run_cli("query", "--ledger-pending", "--qps", "100")
        assert done.exit_code == 0 and len(done.stdout.splitlines()) == 3
        assert ledger.get(opened[0].outer_order_no).state == "passed"
        assert len(run_cli("query", "--ledger-pending").stdout.splitlines()) == 2
    monkeypatch.delenv("FACECERT_LEDGER")
    done = run_cli("query", "--ledger-pending")
    assert done.exit_code == 6 and "FACECERT_LEDGER" in done.stderr


@pytest.mark.parametrize("arguments", [["--resume"], ["--output", "x.jsonl"]])
def test_one_question_has_no_file(commands, arguments):
    assert run_cli("query", "0" * 32, *arguments).exit_code == 2
    assert commands.requests == []


@pytest.mark.parametrize("arguments", [[], ["0" * 32, "--batch", "-"], ["--batch", "-",
                                       "--ledger-pending"]])  # fmt: skip
def test_one_kind_of_question_at_a_time(commands, arguments):
    done = run_cli("query", *arguments)
    assert done.exit_code == 2 and "--ledger-pending" in done.stderr


def test_bug_an_output_that_cannot_be_written_counted_as_refused(commands, certify_ids, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(certify_ids))
    output = str(tmp_path / "no" / "results.jsonl")
    done = run_cli("query", "--batch", str(ids), "--output", output)
    assert done.exit_code == 141 and output in done.stderr


def test_bug_ids_from_a_closed_standard_input(monkeypatch):
    monkeypatch.setattr("facecert.batch.ids.sys.stdin", None)
    with pytest.raises(OSError):
        list(read_ids("-"))


def test_bug_results_to_a_closed_standard_output(monkeypatch):
    monkeypatch.setattr("facecert.batch.results_file.sys.stdout", None)
    with pytest.raises(OutputFailed) as caught:
        ResultsFile("-")
    assert caught.value.__cause__.errno == errno.EBADF


def test_bug_a_batch_from_a_file_asked_for_sqlalchemy():
    run_python(
        "import sys; sys.modules['sqlalchemy'] = None;"
        "import facecert.cli.query, facecert.batch.ids, facecert.batch.run"
    )


@pytest.mark.parametrize("name", ["ids", "ids.csv", "ids.txt"])
def test_bug_a_first_line_too_long_for_csv_counted_as_a_bug(commands, tmp_path, name):
    ids = tmp_path / name
    ids.write_text("a" * 131073 + "\n")
    done = run_cli("query", "--batch", str(ids))
    assert done.exit_code == 2 and "Line 1 of the file of ids" in done.stderr
    assert "aaa" not in done.stderr and commands.requests == []


def test_a_single_query_does_not_load_the_batch():
    out = run_python(
        "import sys, facecert.cli.query\n"
        "print([name for name in sys.modules if name.startswith('facecert.batch')])"
    )
    assert out == "[]\n"
