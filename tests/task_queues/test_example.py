"""examples/celery_worker: its README in two languages, and its program."""

import re
import subprocess
import sys

import fleet
import pytest
from conftest import ROOT

EXAMPLE = ROOT / "examples" / "celery_worker"


def parts(name):
    """Return how many headings, and the code, the literals of the tables and the list's length."""
    text = (EXAMPLE / name).read_text(encoding="utf-8")
    code = re.findall(r"\.\. code-block:: (?:.*)\n\n((?:    .*\n|\n)+)", text)
    tables = re.findall(r"^(``[^`]+``)  +", text, re.M)
    return len(re.findall(r"^(?:==+|--+)$", text, re.M)), code, tables, text.count("\n* ")


def test_both_languages_say_the_same():
    headings, code, tables, items = parts("README.rst")
    assert parts("README.zh.rst") == (headings, code, tables, items)
    assert (headings, len(code), len(tables), items) == (4, 3, 4, 6)


def test_the_guides_code_is_the_programs():
    program = (EXAMPLE / "tasks.py").read_text(encoding="utf-8")
    for block in parts("README.rst")[1][1:]:
        assert re.sub("^    ", "", block, flags=re.M).strip() in program


@pytest.mark.long
def test_the_commands_of_the_guide(redis_server, tmp_path):
    pytest.importorskip("celery", reason="Celery is not installed")
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    worker, demo = parts("README.rst")[1][0].replace("    $ ", "").split("\n")[2:4]
    worker = worker.replace("/tmp/facecert-beat", str(tmp_path / "beat")).split()
    environ = fleet.environment(tmp_path, redis_server.url[:-1] + "3")
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
