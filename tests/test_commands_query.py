import json

import pytest
from conftest import run_cli

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
