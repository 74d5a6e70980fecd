"""examples/celery_worker: its page and its program."""

import subprocess
import sys

import fleet
import guides
import pytest
from conftest import ROOT
from web_servers import free_port

EXAMPLE = ROOT / "examples" / "celery_worker"
PAGE = EXAMPLE / "README.rst"


def test_the_guides_code_is_the_programs():
    program = (EXAMPLE / "tasks.py").read_text(encoding="utf-8")
    quoted = guides.blocks(PAGE, "python")
    assert len(quoted) == 2 and all(block.strip() in program for block in quoted)


@pytest.mark.long
def test_the_commands_of_the_guide(redis_server, tmp_path):
    pytest.importorskip("celery", reason="Celery is not installed")
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    worker, demo = guides.blocks(PAGE, "console")[0].replace("$ ", "").splitlines()[2:4]
    worker = worker.replace("/tmp/facecert-beat", str(tmp_path / "beat")).split()
    port = str(free_port())
    environ = fleet.environment(tmp_path, redis_server.url[:-1] + "3", SHOP_PORT=port)
    with open(str(tmp_path / "log"), "wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m"] + worker, env=environ, cwd=str(EXAMPLE), stdout=log, stderr=log
        )
    try:
        done = subprocess.run(
            [sys.executable] + demo.split()[1:], env=environ, cwd=str(EXAMPLE), timeout=200,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        log = (tmp_path / "log").read_text(encoding="utf-8")
        assert done.returncode == 0, done.stdout.decode("utf-8") + log
        assert b"Two deliveries sent one init." in done.stdout
    finally:
        running.terminate()
        running.wait(60)
