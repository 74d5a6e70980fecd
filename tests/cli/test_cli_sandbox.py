import os
import re
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, run_cli, run_python

pytest.importorskip("click", reason="the command line is the extra `cli`")


def apps_with(printed):
    """Open a verification in a Flask app and in a Django site that take the printed lines."""
    flask = pytest.importorskip("flask")
    pytest.importorskip("blinker")
    from facecert.contrib.flask import FaceCert

    app = flask.Flask("shop")
    eval(next(line for line in printed if line.startswith("app.config.update(")))
    ext = FaceCert(app)
    with app.app_context():
        yield ext.init(cert_name="a", cert_no="1").certify_id
        ext.client.close()
    pytest.importorskip("django")
    import django_project

    django_project.start()
    from django.test import override_settings
    from facecert.contrib.django import conf

    names = {}
    exec(next(line for line in printed if line.startswith("FACECERT = ")), names)
    with override_settings(FACECERT=names["FACECERT"]):
        fields = {"cert_name": "a", "cert_no": "1", "callback_url": conf.callback_url()}
        yield conf.client().init(**fields).certify_id


@pytest.mark.long
def test_the_sandbox_command_serves_other_programs():
    process = subprocess.Popen(
        [sys.executable, "-m", "facecert", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1"),
    )
    try:
        environ, printed = {}, []
        for line in process.stdout:
            found = re.match(r"  export (\w+)=(\S+)", line.decode("utf-8"))
            if found:
                environ[found.group(1)] = found.group(2)
            printed.append(line.decode("utf-8").strip())
            if b"Ctrl-C" in line:
                break
        code = "import facecert; print(facecert.init(cert_name='a', cert_no='1').certify_id)"
        assert re.match("[0-9a-f]{32}$", run_python(code, env=environ).strip())
        for found in apps_with(printed):
            assert re.match("[0-9a-f]{32}$", found)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_the_sandbox_command_with_a_port_that_is_taken(sandbox):
    done = run_cli("sandbox", "--port", sandbox.endpoint.rpartition(":")[2])
    assert done.exit_code == 1 and "--port" in done.stderr
