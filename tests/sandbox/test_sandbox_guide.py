"""The guide in examples/testing: its tests run, its certificate serves."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, run_python

GUIDE = ROOT / "examples" / "testing"
PAGE = (GUIDE / "README.rst").read_text(encoding="utf-8")


def test_the_page_names_every_option_of_the_command():
    pytest.importorskip("click", reason="the command line is the extra `cli`")
    from facecert.cli.sandbox import command

    options = {option for parameter in command.params for option in parameter.opts}
    assert options - {"--verbose"} == set(re.findall("(?<=``)--[a-z-]+", PAGE))


@pytest.mark.long
def test_the_examples_tests_pass(tmp_path):
    for path in GUIDE.glob("*.py"):
        shutil.copy(str(path), str(tmp_path))
    # The SDKs, too, warn of the newest and of the oldest Python.
    code = "import pytest; pytest.main(['-q', '-W', 'error::ResourceWarning'])"
    said = run_python(code, cwd=tmp_path, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, timeout=300)
    assert "4 passed" in said, said


@pytest.mark.long
def test_the_certificate_of_the_guide_serves_https(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    make, serve = re.findall(r"^    \$ (.+)$", PAGE, re.MULTILINE)[-2:]
    subprocess.run(shlex.split(make), cwd=str(tmp_path), check=True, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(
        [sys.executable, "-m"] + shlex.split(serve) + ["--port", "0", "--person", "pass"],
        cwd=str(tmp_path), stdout=subprocess.PIPE, universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1"),
    )  # fmt: skip
    try:
        environ = {"ALIBABA_CLOUD_CA_BUNDLE": str(tmp_path / "certificate.pem")}
        for line in process.stdout:
            environ.update(re.findall(r"  export (\w+)=(\S+)", line))
            if "Ctrl-C" in line:
                break
        assert environ["FACECERT_ENDPOINT"].startswith("https://")
        code = (GUIDE / "shop.py").read_text(encoding="utf-8")
        assert run_python(code, env=environ).split() == ["passed"]
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
