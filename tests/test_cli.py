import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import urlencode

import pytest
import urllib3
from conftest import NAME, NUMBER, ROOT, run_python

pytest.importorskip("click", reason="the command line is the extra `cli`")
from click.testing import CliRunner  # noqa: E402

from facecert import cli as cli_module  # noqa: E402
from facecert.cli import DEMO_PERSON, cli  # noqa: E402


def run(*arguments, env=None):
    return CliRunner().invoke(cli, list(arguments), env=env or {})


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
    done = run("demo")
    assert done.exit_code == 0, done.output
    for words in ("facecert.init(", "certify_id", "certify_url", "facecert.query(", "True",
                  "facecert.confirm(", "GET /verified?order=", "CallbackToken=..."):  # fmt: skip
        assert words in done.output
    assert re.search(r"\b[0-9a-f]{32}\b", done.output)
    assert not any(private in done.output for private in DEMO_PERSON)
    assert "张*" in done.output and "3****************4" in done.output


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
    monkeypatch.setattr(cli_module.time, "sleep", lambda seconds: None)
    done = run("demo", "--page", "--minutes", "0")
    assert done.exit_code == 0 and "Nobody submitted it" in done.output
    assert "False" in done.output


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


def test_the_sandbox_command_serves_other_programs():
    process = subprocess.Popen(
        [sys.executable, "-m", "facecert", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1"),
    )
    try:
        environ = {}
        for line in process.stdout:
            found = re.match(r"  export (\w+)=(\S+)", line.decode("utf-8"))
            if found:
                environ[found.group(1)] = found.group(2)
            if b"Ctrl-C" in line:
                break
        code = "import facecert; print(facecert.init(cert_name='a', cert_no='1').certify_id)"
        assert re.match("[0-9a-f]{32}$", run_python(code, env=environ).strip())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_the_sandbox_command_with_a_port_that_is_taken(sandbox):
    done = run("sandbox", "--port", sandbox.endpoint.rpartition(":")[2])
    assert done.exit_code == 1 and "--port" in done.output


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_has_an_example_and_is_in_the_readme(command):
    done = run(command, "--help")
    assert done.exit_code == 0 and "Example: facecert " + command in done.output
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    assert "facecert " + command in readme
    for option in cli.commands[command].params:
        assert max(option.opts, key=len) in readme


def test_without_click_it_says_what_to_install(tmp_path):
    (tmp_path / "click.py").write_text("raise ImportError('no click', name='click')\n")
    path = "%s%s%s" % (tmp_path, os.pathsep, ROOT)
    said = run_python(
        "from facecert.__main__ import main; main()", env={"PYTHONPATH": path}, check=False
    )
    assert "pip install click" in said and "Traceback" not in said


def test_without_a_locale_it_works_or_says_what_to_set():
    done = subprocess.run(
        [sys.executable, "-m", "facecert", "demo"],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    assert b"Traceback" not in done.stdout
    assert done.returncode == 0 or b"LC_ALL" in done.stdout


def test_setup_cfg_can_be_read_without_a_locale():
    (ROOT / "setup.cfg").read_text(encoding="ascii")


def test_version():
    import facecert

    assert facecert.__version__ in run("--version").output
    assert pathlib.Path(ROOT, "CHANGELOG.rst").read_text(encoding="utf-8").count(
        facecert.__version__
    )
