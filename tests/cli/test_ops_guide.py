"""The pages of examples/ops: commands run, tables are complete."""

import ast
import configparser
import inspect
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from datetime import datetime

import guides
import pytest
from conftest import ROOT

import facecert
from facecert import errors
from facecert.lifecycle import CHINA, STATES
from facecert.settings import VARIABLES
from facecert.transport.answers import SERVICE_CODES
from facecert.transport.connect import CA_VARIABLES
from facecert.transport.credentials import ID, SECRET, TOKEN

click = pytest.importorskip("click", reason="the command line is the extra `cli`")
from facecert.cli.main import COMMANDS, cli  # noqa: E402

OPS = ROOT / "examples" / "ops"
PAGES = ["README", "SETUP", "ERRORS"]


def differ(found, expected):
    """Return how a table differs from what it should have."""
    assert len(set(found)) == len(found)
    return sorted(set(found) ^ set(expected), key=str)


def read(name):
    return (OPS / name).read_text(encoding="utf-8")


def blocks(name, language):
    return guides.blocks(OPS / name, language)


def section(name, heading):
    return re.split("\n[^\n]+\n---+\n", read(name).split("\n%s\n---" % heading)[1])[0]


def first_cells(text):
    """Return the literal in the first cell of each row of the tables."""
    found, borders = [], 0
    for line in text.splitlines():
        borders += bool(re.match("=+ =", line))
        if borders % 3 == 2:  # behind the table's head
            found += re.findall("^``([^`]+)`` ", line)
    return found


def is_there(line):
    """Tell whether all commands and options of a line of the guide exist."""
    for part in re.split(r" && | \| |\$\(", line[2:]):
        words = part.split()
        if words[0] != "facecert":
            continue
        command = cli
        while isinstance(command, click.Group) and len(words) > 1:
            words = words[1:]
            command = command.get_command(click.Context(command), words[0])
        parameters = getattr(command, "params", [])
        known = {one for each in parameters for one in each.opts + each.secondary_opts}
        if not known or not {word for word in words if re.match("--[a-z]", word)} <= known:
            return False
    return True


@pytest.mark.parametrize("page", PAGES + ["../encryption/README"])
def test_every_command_of_the_pages_exists(page):
    lines = "".join(blocks(page + ".rst", "console")).splitlines()
    assert lines and all(line.startswith("$ ") for line in lines)
    assert [line for line in lines if not is_there(line)] == []
    assert not is_there("$ facecert query --no-such-option")
    assert not is_there("$ facecert ledger no-such-command")


def test_the_table_has_every_command():
    expected = []
    for name in COMMANDS:
        below = getattr(cli.get_command(click.Context(cli), name), "commands", {})
        expected += ["facecert %s %s" % (name, one) for one in below] or ["facecert " + name]
    assert differ(first_cells(section("README.rst", "Commands")), expected) == []


def test_the_tables_have_every_state_setting_and_package():
    assert first_cells(section("README.rst", "The ledger")) == list(STATES)
    setup = read("SETUP.rst")
    rows = re.findall("^``(FACECERT_[A-Z_0-9]+)`` +``([a-z_0-9]+)``", setup, re.M)
    assert differ(rows, [(name, VARIABLES[name][0]) for name in VARIABLES]) == []
    code = "".join(path.read_text("utf-8") for path in (ROOT / "facecert").rglob("*.py"))
    for name in set(re.findall("[\"'](FACECERT_[A-Z_0-9]+[A-Z])[\"']", code)):
        assert "``%s``" % name in setup or name in FLASK_ONLY, name
    for name in CA_VARIABLES + (ID, SECRET, TOKEN, "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        assert "``%s``" % name in setup
    config = configparser.ConfigParser()
    config.read(str(ROOT / "setup.cfg"), encoding="ascii")
    required = re.findall("^[a-z0-9-]+", config["options"]["install_requires"], re.M)
    extras = list(config["options.extras_require"])
    assert differ(first_cells(section("SETUP.rst", "What is installed")), required + extras) == []


#: Not variables: keys of a Flask app's config. The guide to Flask has them.
FLASK_ONLY = {"FACECERT_CREDENTIALS", "FACECERT_CALLBACK_PATH"}


def test_the_page_of_errors_has_every_class_attribute_and_code():
    classes = [one for one in vars(errors).values() if inspect.isclass(one)]
    names = [one.__name__ for one in classes if issubclass(one, facecert.FacecertError)]
    assert sorted(first_cells(section("ERRORS.rst", "The classes"))) == sorted(
        set(names) - {"FacecertError"}
    )
    said = first_cells(section("ERRORS.rst", "What every error says"))
    assert sorted(said) == sorted(facecert.FacecertError.__annotations__)
    codes = re.findall("^([0-9]{3}) ", section("ERRORS.rst", "Codes of ``ServiceError``"), re.M)
    assert [int(code) for code in codes] == sorted(SERVICE_CODES)


def test_every_message_of_the_page_is_one_of_facecerts():
    # ast.Str of Python 3.6 and 3.7 is deprecated later.
    text_node = ast.Constant if sys.version_info >= (3, 8) else ast.Str
    texts = []
    for path in (ROOT / "facecert").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = [id(node.value) for node in nodes if isinstance(node, ast.Expr)]
        for node in nodes:
            if isinstance(node, text_node) and id(node) not in docstrings:
                text = node.value if sys.version_info >= (3, 8) else node.s
                texts.append(re.sub("%[sdr]", "…", str(text)))
    lines = re.findall("^``.+$", section("ERRORS.rst", "Messages").partition("\n\n``")[2], re.M)
    terms = [term for line in lines for term in re.findall("``(.+?)``", line)]
    assert len(terms) > 25
    # The name of a field is put before a rule.
    rules = [re.sub("^[a-z_]+ (?=is |has |must )", "", term) for term in terms]
    assert [rule for rule in rules if not any(rule in text for text in texts)] == []


def test_the_python_of_the_guide_runs(client, open_many, tmp_path, monkeypatch):
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    monkeypatch.chdir(tmp_path)
    many, ledger = blocks("README.rst", "python")
    kept = {}
    ids = open_many(3)
    exec(many, {"certify_ids": ids, "client": client, "store": kept.__setitem__})
    assert kept == {ids[0]: True, ids[1]: False, ids[2]: True}
    names = {"facecert": facecert}
    exec(ledger, names)
    names["client"].close()


@pytest.mark.parametrize(
    "query, unsettled, code, calls",
    [(0, 0, 0, 2), (0, 1, 1, 2), (4, 0, 0, 2), (4, 1, 1, 2), (5, 0, 5, 1), (6, 0, 6, 1)],
)
def test_the_exit_status_of_the_nightly_job(tmp_path, query, unsettled, code, calls):
    fake = "#!/bin/sh\necho called >> calls\ntest $1 = query && exit %d\nexit %d\n"
    program(tmp_path / "facecert", fake % (query, unsettled))
    path = "%s%s%s" % (tmp_path, os.pathsep, os.environ["PATH"])
    done = subprocess.run(
        ["sh", str(OPS / "nightly.sh"), "."], cwd=str(tmp_path), env=dict(os.environ, PATH=path),
        timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    assert (tmp_path / "calls").read_text().count("called") == calls


def program(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def in_a_shell(folder, script, environ):
    """Run lines of the guide; a line that fails ends them."""
    python = 'exec "%s" ' % sys.executable
    program(folder / "facecert-command" / "facecert", "#!/bin/sh\n%s-m facecert \"$@\"\n" % python)
    program(folder / "facecert-command" / "python", '#!/bin/sh\n%s"$@"\n' % python)
    # Instead of the real one, which a machine may not have: jq -r .NAME [FILE]
    program(folder / "facecert-command" / "jq", JQ % sys.executable)
    path = "%s%s%s" % (folder / "facecert-command", os.pathsep, os.environ["PATH"])
    done = subprocess.run(
        ["sh", "-e", "-x", "-c", script], cwd=str(folder), timeout=120,
        env=dict(os.environ, PATH=path, PYTHONIOENCODING="utf-8", **environ),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0, output
    return output


JQ = """#!%s
import json, sys
print(json.load(open(sys.argv[3]) if sys.argv[3:] else sys.stdin)[sys.argv[2][1:]])
"""


@pytest.fixture
def busy_person(sandbox):
    """The person of every verification: passes it at once."""
    over = threading.Event()

    def person():
        while not over.wait(0.05):
            for opened in sandbox.verifications():
                if not sandbox.is_submitted(opened.certify_id):
                    sandbox.complete(opened.certify_id)

    thread = threading.Thread(target=person)
    thread.start()
    yield
    over.set()
    thread.join()


def typed(block, **values):
    """Return the commands of a console block, with other values for those in the guide."""
    lines = [line[2:] for line in block.splitlines() if is_there(line)]
    text = "\n".join(lines) + "\n"
    for old, new in values.items():
        text = text.replace(old, new)
    return text


@pytest.mark.long
def test_the_commands_of_the_guide_run_one_after_the_other(sandbox, busy_person, tmp_path):
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    pytest.importorskip("segno", reason="QR codes need segno")
    (tmp_path / "facecert-command").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "person.json").write_text(blocks("README.rst", "json")[0], encoding="utf-8")
    (tmp_path / "facecert.env").write_text("FACECERT_LEDGER=verifications.db\n")
    shutil.copy(str(OPS / "nightly.sh"), str(tmp_path))
    install, single, many, ledger, bill, doctor, cron = blocks("README.rst", "console")
    month = datetime.now(CHINA).strftime("%Y-%m")
    script = single
    script += "$ printf 'certifyId\\n%s\\n' \"$certify_id\" > ids.csv\n" + many + ledger
    script += "$ printf 'certifyId\\n%s\\n' \"$(jq -r .certify_id opened.json)\" > bill.csv\n"
    script += bill + "$ facecert init < person.json\n$ unset FACECERT_LEDGER\n" + cron
    environ = dict(sandbox.environment, PYTHONPATH=str(ROOT))
    output = in_a_shell(tmp_path, typed(script).replace("2026-10", month), environ)
    assert output.count("welcome") == 2  # the command that sh -x shows, and what it prints
    assert '"passed": true' in (tmp_path / "results.jsonl").read_text()
    assert '"passed": true' in (tmp_path / "pending.jsonl").read_text()
    assert "passed" in (tmp_path / "all.csv").read_text()
    assert len(list((tmp_path / "results").iterdir())) == 1
    assert "doctor --call" in doctor and "reconcile.py" in install


@pytest.mark.long
def test_the_script_with_the_copied_core_runs(sandbox, client, open_many, tmp_path):
    (tmp_path / "facecert-command").mkdir()
    ids = open_many(2)
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    script, = blocks("SETUP.rst", "python")
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    found = [block for block in blocks("SETUP.rst", "console") if "script.py" in block]
    copy, pack = (re.sub(".* pip install .*\n", "", block) for block in found)
    script = copy + pack.replace("$ PYTHONPATH", "$ rm -r facecert\n$ PYTHONPATH")
    environ = {name: value for name, value in sandbox.environment.items()}
    environ["PYTHONPATH"] = ""
    output = in_a_shell(tmp_path, typed(script).replace(".../", "%s/" % ROOT), environ)
    assert output.count("%s passed\n" % ids[0]) == 2
    assert output.count("%s not passed, or not yet\n" % ids[1]) == 2
    assert {request.service_parameters["certifyId"] for request in sandbox.requests} == set(ids)
