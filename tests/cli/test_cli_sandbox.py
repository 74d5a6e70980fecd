import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

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


@contextmanager
def serving(*options):
    """Run ``facecert sandbox``; yield the variables it prints, and all lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "facecert", "sandbox", "--port", "0"] + list(options),
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
        yield environ, printed
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


@pytest.mark.long
def test_the_sandbox_command_serves_other_programs():
    with serving() as (environ, printed):
        code = "import facecert; print(facecert.init(cert_name='a', cert_no='1').certify_id)"
        assert re.match("[0-9a-f]{32}$", run_python(code, env=environ).strip())
        for found in apps_with(printed):
            assert re.match("[0-9a-f]{32}$", found)


@pytest.mark.long
@pytest.mark.parametrize("one_file", [True, False])
def test_https_and_a_played_person_for_other_programs(authority, tmp_path, one_file):
    issued = authority.issue_cert("127.0.0.1")
    bundle, certificate, key = (str(tmp_path / name) for name in ("ca", "certificate", "key"))
    authority.cert_pem.write_to_path(bundle)
    if one_file:
        issued.private_key_and_cert_chain_pem.write_to_path(certificate)
        options = ["--certificate", certificate]
    else:
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        options = ["--certificate", certificate, "--key", key]
    options += ["--person", "pass", "--after", "0", "--data-as-text"]
    with serving(*options) as (environ, printed):
        assert environ["FACECERT_ENDPOINT"].startswith("https://127.0.0.1:")
        assert any("ALIBABA_CLOUD_CA_BUNDLE" in line for line in printed)
        code = (
            "import facecert, time\n"
            "opened = facecert.init(cert_name='a', cert_no='1')\n"
            "while not facecert.query(opened.certify_id).passed: time.sleep(0.05)\n"
            "print('passed')"
        )
        environ["ALIBABA_CLOUD_CA_BUNDLE"] = bundle
        assert run_python(code, env=environ).strip() == "passed"


@pytest.mark.parametrize(
    "options, words",
    [
        (["--key", "FILE"], "--key needs --certificate"),
        (["--certificate", "FILE"], "must be a certificate in PEM format and its key"),
        (["--certificate", "/nowhere"], "--certificate is not valid"),
        (["--person", "passes"], "--person is not valid"),
        (["--after", "-1"], "--after is not valid"),
    ],
)
def test_what_the_sandbox_command_refuses(tmp_path, options, words):
    (tmp_path / "file").write_text("no certificate")
    options = [str(tmp_path / "file") if it == "FILE" else it for it in options]
    done = run_cli("sandbox", "--port", "0", *options)
    assert done.exit_code == 2 and words in done.stderr


def test_the_sandbox_command_with_a_port_that_is_taken(sandbox):
    done = run_cli("sandbox", "--port", sandbox.endpoint.rpartition(":")[2])
    assert done.exit_code == 1 and "--port" in done.stderr
