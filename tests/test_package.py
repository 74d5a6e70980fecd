import ast
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, run_python

import facecert

MODULES = sorted(
    path for path in (ROOT / "facecert").rglob("*.py") if "__pycache__" not in str(path)
)

#: The floors, lowest first. A module imports from floors below its own; within one floor no cycle.
FLOORS = [
    {"_version", "locale"},
    {"errors", "redact"},
    {"results"},
    {"crypto", "lifecycle", "links"},
    {"callback", "identity"},
    {"params"},
    {"settings"},
    {"transport"},
    {"ledger"},
    {"client", "official"},
    {"default"},
    {"batch", "sandbox", "contrib", "doctor"},
    {"cli"},
    {"__main__"},
]

#: Imports from a floor above, inside a function: who, what, why.
LAZY = {
    ("client", "ledger"): "Client(ledger=URL); the core works without the folder",
}

COMMANDS = {path.stem for path in (ROOT / "facecert" / "cli").glob("[!_]*.py")}

HEAVY = ("aliyunsdkcore", "aliyunsdksaf", "alibabacloud_credentials", "Tea", "urllib3", "gmssl",
         "cryptography", "flask", "click", "requests", "sqlalchemy")  # fmt: skip


def test_all_are_the_public_names():
    public = {
        name
        for name, value in vars(facecert).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(facecert.__all__) == public
    assert facecert.__all__ == sorted(facecert.__all__)


def test_importing_facecert_imports_nothing_heavy_and_reads_no_environment():
    code = (
        "import os, sys\n"
        "class Environ(dict):\n"
        "    def refuse(self, *a): raise AssertionError('environment read: %%r' %% (a,))\n"
        "    __getitem__ = get = items = keys = __iter__ = refuse\n"
        "import logging, json, datetime, re, base64, urllib.parse\n"
        "os.environ = Environ()\n"
        "import facecert\n"
        "print([m for m in sys.modules if m.split('.')[0] in %r])" % (HEAVY,)
    )
    assert run_python(code).strip() == "[]"


def test_one_null_handler():
    code = "import logging, facecert; print(logging.getLogger('facecert').handlers)"
    assert run_python(code).strip() == "[<NullHandler (NOTSET)>]"


def imported_by(path):
    """Yield the absolute name of each module of facecert that a module imports, lazily too."""
    package = list(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) + 1 - node.level] + (node.module or "").split(".")
            base = [part for part in base if part]
            for alias in node.names:
                target = ROOT.joinpath(*base, alias.name)
                named = target.with_suffix(".py").exists() or target.is_dir()
                yield base + [alias.name] if named else base


def room(parts):
    """Return the file or folder at the package's root to which a module belongs."""
    return parts[1] if len(parts) > 1 else ""


def floor(name):
    return next(number for number, floor in enumerate(FLOORS) if name in floor)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downwards_only(path):
    own = room(path.relative_to(ROOT).with_suffix("").parts)
    if own == "__init__":
        return
    for imported in map(room, imported_by(path)):
        assert imported, "%s imports the package root" % path
        assert imported == own or floor(imported) < floor(own) or (own, imported) in LAZY


def test_no_import_cycle():
    graph = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).replace(".__init__", ""): {
            ".".join(parts) for parts in imported_by(path)
        }
        for path in MODULES
    }
    done = set()

    def visit(name, above):
        assert name not in above, "a cycle: %s" % " -> ".join(above + [name])
        if name not in done:
            for other in sorted(graph[name] - {name}):
                visit(other, above + [name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])


@pytest.mark.parametrize(
    "package, only",
    [
        ("urllib3", set()),
        ("aliyunsdkcore", {"gateway"}),
        ("aliyunsdksaf", {"gateway"}),
        ("alibabacloud_credentials", {"credentials"}),
        ("click", COMMANDS - {"prompts"}),
        ("sqlalchemy", {"schema", "database", "bill", "report"}),
        ("gmssl", {"sm2"}),
        ("cryptography", {"pictures", "keys", "network"}),
    ],
)
def test_who_may_import_what(package, only):
    pattern = re.compile(r"^\s*(import|from) %s\b" % package, re.M)
    found = {path.stem for path in MODULES if pattern.search(path.read_text(encoding="utf-8"))}
    assert found == only


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_public_things_have_docstrings(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def test_the_folder_alone_beside_a_script_works(tmp_path, sandbox):
    shutil.copytree(str(ROOT / "facecert"), str(tmp_path / "facecert"))
    script = tmp_path / "script.py"
    script.write_text(
        "import facecert, os\n"
        "assert os.path.dirname(facecert.__file__) == %r\n"
        "client = facecert.Client(%r, endpoint=%r, credentials=(%r, %r))\n"
        "print(client.init(cert_name='a', cert_no='1').certify_id)\n"
        % (
            str(tmp_path / "facecert"),
            sandbox.scene_id,
            sandbox.endpoint,
            sandbox.access_key_id,
            sandbox.access_key_secret,
        )
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for command in ([str(script)], ["-m", "facecert", "--version"]):
        done = subprocess.run(
            [sys.executable] + command,
            cwd=str(tmp_path),
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    "name, printed", [("quickstart.py", "Passed: True"), ("ops/reconcile.py", "total: 1")]
)
def test_examples_run(name, printed):
    example = ROOT / "examples" / name
    environ = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(example)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0, output
    assert "assert" in example.read_text(encoding="utf-8")
    assert printed in output


def test_every_type_is_exported_and_typed():
    assert pathlib.Path(facecert.__file__).with_name("py.typed").exists()


def test_setup_finds_every_package():
    from setuptools import find_packages

    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in MODULES
        if path.name == "__init__.py"
    }
    assert set(find_packages(str(ROOT), include=["facecert*"])) == found
