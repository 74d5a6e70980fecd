"""Errors and results through a real Celery worker and a real Redis, as JSON and as pickles."""

import json
import os
import subprocess
import sys

import pytest
from conftest import NAME, NUMBER, ROOT, run_python

import facecert
from facecert.sandbox import Sandbox

pytest.importorskip("celery", reason="Celery is not installed")
pytest.importorskip("redis", reason="Celery's transport is not installed")

pytestmark = pytest.mark.long

#: A process that reads results has imported no more than this. It sends the tasks of ``argv``.
READER = """
import json, sys
import celery, facecert
from described import described

socket, serializer, tasks = json.loads(sys.argv[1])
app = celery.Celery(
    broker="redis+socket://%s?virtual_host=0" % socket,
    backend="redis+socket://%s?virtual_host=1" % socket,
)
app.conf.update(
    result_serializer=serializer, result_accept_content=[serializer], task_default_queue=serializer
)
sent = [
    app.send_task(name, args, kwargs, soft_time_limit=limit) for name, args, kwargs, limit in tasks
]
for one in sent:
    found = one.get(timeout=100, propagate=False)
    print(json.dumps(described(found) if one.failed() else found))
"""


@pytest.fixture(scope="module")
def worker_sandbox():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module", params=["json", "pickle"])
def run_tasks(request, redis_socket, worker_sandbox, tmp_path_factory):
    """Return a function that has the worker do tasks, and what another process reads of them."""
    folder = tmp_path_factory.mktemp("worker")
    environ = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "tests" / "task_queues")]),
        REDIS_SOCKET=redis_socket,
        RESULT_SERIALIZER=request.param,
        PERSON=json.dumps({"cert_name": NAME, "cert_no": NUMBER}),
        **worker_sandbox.environment
    )
    arguments = "-A worker_app worker -c 1 -l WARNING --without-gossip --without-mingle"
    with open(str(folder / "log"), "wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery"] + arguments.split(),
            env=environ,
            cwd=str(folder),
            stdout=log,
            stderr=log,
        )

    def run(*tasks):
        given = json.dumps([redis_socket, request.param, tasks])
        code = "import sys; sys.argv[1:] = [%r]\n%s" % (given, READER)
        assert worker.poll() is None, (folder / "log").read_text(encoding="utf-8")
        out = run_python(code, cwd=ROOT / "tests" / "task_queues", timeout=120)
        text = (folder / "log").read_text(encoding="utf-8")
        assert NAME not in out + text and NUMBER not in out + text
        return [json.loads(line) for line in out.splitlines()]

    try:
        yield run
    finally:
        worker.terminate()
        worker.wait(60)


#: Other than the defaults of the classes, too.
EVIDENCE = (
    {},
    {"outcome": "unknown", "retryable": False, "code": 402, "outer_order_no": "order1"},
    {"outcome": "refused", "retryable": True, "code": "A.B", "request_id": "R-1"},
    {"retry_after": 1.5, "service_message": "超出100%配额"},
)


def called(name, *args, limit=None, **kwargs):
    return name, args, kwargs, limit


def test_bug_a_queue_lost_what_became_of_the_call(run_tasks):
    """``outcome="unknown"`` came back as ``"refused"``, code and order number as None."""
    names, = run_tasks(called("classes"))
    assert len(names) > 15 and "facecert.transport.retry.Stopped" in names
    given = [(name, evidence) for name in names for evidence in EVIDENCE]
    found = run_tasks(*(called(task, *one) for task in ("describe", "fail") for one in given))
    assert found[len(given) :] == found[: len(given)]
    for (name, evidence), one in zip(given, found):
        assert one["kind"] == name and one["args"] == ["words", evidence]
        assert dict(one["values"], **evidence) == one["values"]


def test_bug_evidence_that_is_not_json_lost_all_of_it(run_tasks):
    found, = run_tasks(called("odd"))
    assert found["kind"] == "facecert.errors.BadAnswer" and found["args"][0] == "words"
    values = found["values"]
    assert (values["outcome"], values["outer_order_no"]) == ("unknown", "order1")
    assert (values["code"], values["http_status"]) == ("2026-10-01", 502)


def test_errors_of_real_calls(run_tasks, worker_sandbox):
    """``outer_order_no`` and ``retryable`` are set after the error was made."""
    worker_sandbox.reset()
    worker_sandbox.fail("truncated", on="init")
    worker_sandbox.fail("code-402", on="query")
    bad, invalid, quota = run_tasks(
        called("init", outer_order_no="order1"),
        called("init", outer_order_no="not one"),
        called("query", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
    )
    assert bad["kind"] == "facecert.errors.BadAnswer" and "order1" in bad["text"]
    assert bad["values"]["outcome"] == "unknown" and bad["values"]["retryable"] is False
    assert bad["values"]["outer_order_no"] == "order1" and bad["values"]["http_status"] == 200
    assert invalid["kind"] == "facecert.errors.InvalidParameter"
    assert invalid["values"]["field"] == "outer_order_no"
    assert invalid["values"]["outcome"] == "not sent"
    assert quota["values"]["code"] == 402 and quota["values"]["outcome"] == "refused"
    assert quota["values"]["request_id"] == quota["args"][1]["request_id"]


def test_an_error_that_celery_retries(run_tasks, worker_sandbox):
    worker_sandbox.reset()
    worker_sandbox.fail("throttled", times=100)
    found, = run_tasks(called("retried", "order2"))
    assert found["kind"] == "facecert.errors.Throttled"
    assert found["values"]["outer_order_no"] == "order2" and found["values"]["retryable"]
    orders = [one.service_parameters["outerOrderNo"] for one in worker_sandbox.requests]
    assert len(orders) >= 2 and set(orders) == {"order2"}


def test_results(run_tasks, worker_sandbox):
    worker_sandbox.reset()
    opened, = run_tasks(called("init", outer_order_no="order3"))
    result = facecert.InitResult.from_dict(opened)
    assert result.outer_order_no == "order3" and result.as_dict() == opened
    worker_sandbox.complete(result.certify_id)
    answered, = run_tasks(called("query", result.certify_id))
    answer = facecert.QueryResult.from_dict(answered)
    assert answer and answer.as_dict() == answered and answer.raw["Data"]["passed"] == "T"


def test_a_soft_time_limit_leaves_the_worker_usable(run_tasks, worker_sandbox):
    worker_sandbox.reset()
    worker_sandbox.fail("no-answer", on="init")
    struck, opened = run_tasks(called("init", limit=1), called("init"))
    assert struck["kind"].endswith(".SoftTimeLimitExceeded")
    assert facecert.InitResult.from_dict(opened).certify_id
