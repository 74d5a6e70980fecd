import os
import re
import subprocess
import sys
import threading
import time
from urllib.parse import urlencode

import pytest
import urllib3
from conftest import NAME, NUMBER, ROOT, run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")
from facecert.cli import demo  # noqa: E402
from facecert.cli.demo import DEMO_PERSON  # noqa: E402


def live_environment(sandbox, **changes):
    environ = {
        "FACECERT_CERT_NAME": NAME,
        "FACECERT_CERT_NO": NUMBER,
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
    }
    environ.update(sandbox.environment)
    environ.update(changes)
    return dict(os.environ, **environ)


def test_demo_shows_the_whole_way():
    done = run_cli("demo")
    assert done.exit_code == 0, done.stdout
    for words in ("facecert.init(", "certify_id", "certify_url", "facecert.query(", "True",
                  "facecert.confirm(", "GET /verified?order=", "CallbackToken=..."):  # fmt: skip
        assert words in done.stdout
    assert re.search(r"\b[0-9a-f]{32}\b", done.stdout)
    assert not any(private in done.stdout for private in DEMO_PERSON)
    assert "张*" in done.stdout and "3****************0" in done.stdout


@pytest.mark.long
def test_demo_page_waits_for_a_person():
    process = subprocess.Popen(
        [sys.executable, "-m", "facecert", "demo", "--page"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8", PYTHONUNBUFFERED="1"),
    )
    try:
        url = None
        for line in process.stdout:
            found = re.search(r"http://127\S+gateway\.do\S+", line.decode("utf-8"))
            if found:
                url = found.group()
            if b"2. " in line:
                break
        pool = urllib3.PoolManager()
        pool.request(
            "POST",
            url,
            body=urlencode({"answer": "pass"}),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )  # with the page that it leads to, as a browser fetches it
        pool.clear()
        rest = process.stdout.read().decode("utf-8")
        assert process.wait(timeout=30) == 0
        assert "True" in rest
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_demo_page_ends_when_nobody_comes(monkeypatch):
    monkeypatch.setattr(demo.time, "sleep", lambda seconds: None)
    done = run_cli("demo", "--page", "--minutes", "0")
    assert done.exit_code == 0 and "Not submitted in time" in done.stdout
    assert "False" in done.stdout


@pytest.mark.long
def test_demo_live_goes_where_the_environment_says(sandbox):
    def pass_it():
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for verification in sandbox.verifications():
                sandbox.complete(verification.certify_id)
                return
            time.sleep(0.02)

    person = threading.Thread(target=pass_it)
    person.start()
    done = subprocess.run(
        [sys.executable, "-m", "facecert", "demo", "--live"],
        env=live_environment(sandbox),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    person.join()
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0, output
    assert "Endpoint: " + sandbox.endpoint in output and "True" in output
    assert NAME not in output and NUMBER not in output
    assert sandbox.requests[0].service_parameters["certName"] == NAME


@pytest.mark.long
@pytest.mark.parametrize(
    "missing, told",
    [
        ("FACECERT_SCENE_ID", "FACECERT_SCENE_ID"),
        ("FACECERT_CERT_NO", "FACECERT_CERT_NO"),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "credential chain"),
    ],
)
def test_demo_live_says_what_is_missing(sandbox, missing, told):
    done = subprocess.run(
        [sys.executable, "-m", "facecert", "demo", "--live"],
        env=live_environment(sandbox, **{missing: ""}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    output = done.stdout.decode("utf-8")
    assert done.returncode != 0 and told in output and "Traceback" not in output
    assert sandbox.requests == []


def test_bug_without_flask_the_demo_called_it_a_bug_of_facecert():
    code = "import sys; sys.modules['flask'] = None; sys.argv[1:] = ['demo'];"
    code += "from facecert.__main__ import main; main()"
    environ = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, env=environ)
    assert done.returncode == 6 and b"pip install flask" in done.stderr, done.stderr
