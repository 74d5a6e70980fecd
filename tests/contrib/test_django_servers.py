"""The Django app on database servers: lost connections, sixteen at once, the budget, migrations.

``django_project.on_a_server`` is the program that runs there.
"""

import json
import os
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import ROOT

pytest.importorskip("django", reason="Django is an extra")

pytestmark = pytest.mark.long

SERVERS = ["postgresql", "mariadb at read committed", "mariadb at repeatable read"]


@pytest.fixture
def run(request, sandbox, tmp_path):
    """Run a work of the program on a server, and return its result."""
    running = []

    def start(server, work):
        if server == "sqlite":
            where = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db")}
        else:
            where = database(request, server)
        options = {
            "SCENE_ID": sandbox.scene_id,
            "ENDPOINT": sandbox.endpoint,
            "ACCESS_KEY": [sandbox.access_key_id, sandbox.access_key_secret],
            "CALLBACK_SECRET": "a-secret-of-sixteen-and-more",
        }
        environ = dict(os.environ, FACECERT_TEST_OPTIONS=json.dumps(options))
        environ["FACECERT_TEST_DATABASE"] = json.dumps(where)
        environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "django_project.on_a_server", work],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
            )
        )
        return running[-1]

    yield start
    for process in running:
        with process:  # closes the pipes
            process.kill()


def database(request, server):
    """Django's settings for the server of a fixture."""
    name, _, isolation = server.partition(" at ")
    url = urlsplit(request.getfixturevalue(name))
    found = {"USER": url.username, "PASSWORD": url.password, "NAME": url.path[1:]}
    for key, values in parse_qs(url.query).items():
        if key in ("host", "unix_socket"):
            found["HOST"] = values[0]
    if isolation:
        options = {"charset": "utf8mb4", "isolation_level": isolation}
        return dict(found, ENGINE="django.db.backends.mysql", OPTIONS=options)
    return dict(found, ENGINE="django.db.backends.postgresql")


def result(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]), err


def complete(sandbox, process):
    """Let the verifications that the program has opened pass."""
    line = process.stdout.readline()
    for certify_id in json.loads(line) if line else []:
        sandbox.complete(certify_id)
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("server", SERVERS)
def test_a_connection_that_is_killed_loses_no_result(sandbox, run, server):
    process = run(server, "killed")
    complete(sandbox, process)
    found, err = result(process)
    assert found == {"kept": 50, "stored": 50, "passed": 50, "told": 50}, err
    assert "Not stored" not in err


@pytest.mark.parametrize("server", SERVERS)
def test_sixteen_at_once_with_one_order_number_lose_no_id(run, server):
    found, err = result(run(server, "same_order"))
    assert found == {"won": 40, "orders": 40, "lost": []}, err
    assert "Not stored" not in err


@pytest.mark.parametrize("server", SERVERS)
def test_sixteen_processes_send_exactly_the_budget(sandbox, run, server):
    sandbox.fail("throttled", share=0.2)  # so that some inits are refused, and some repeated
    sandbox.requests.clear()
    found, err = result(run(server, "budget"))
    if found["midnight"]:
        pytest.skip("A day of China began meanwhile.")
    assert (found["sent"], found["counts"]) == (100, [100]), err
    orders = [one.service_parameters["outerOrderNo"] for one in sandbox.requests]
    assert len(set(orders)) == 100 < len(orders)


@pytest.mark.parametrize("server", ["sqlite"] + SERVERS[:2])
def test_the_migration_converts_the_rows(run, server):
    found, err = result(run(server, "migration"))
    assert found == {
        "rows": [
            ["stolen", None, "passed"], ["owner", "ab", "passed"], ["lost1", None, ""],
            ["lost2", None, ""], ["other", "cd", ""],
        ],
        "unique": True,
        "back": 3,
    }, err  # fmt: skip
    assert "outer_order_no stolen (passed) lost its certify_id" in err


def test_with_myisam_a_receiver_that_raised_is_called_again(sandbox, run):
    process = run(SERVERS[1], "myisam")
    complete(sandbox, process)
    found, err = result(process)
    states = ["passed", "CommandError", "passed"]
    assert found == {"states": states, "told": "passed", "warned": ["facecert.W005"]}, err
