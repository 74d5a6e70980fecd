"""Change facecert in small ways, one at a time, and print the changes that no test notices.

    python tests/mutation/run.py
    python tests/mutation/run.py --only params,transport/retry --sample 50 --seed 1
    python tests/mutation/run.py --check-equal

Each change (a mutant) is made in a temporary copy of the tree. A fork of this process runs the
tests of the module there, then the tests of the modules that use it. ``equal.txt`` lists the
changes that no test can see, each with the reason. They are tried only with ``--check-equal``. The
exit status is 1 when a mutant survives. Needs Python 3.9.
"""

import argparse
import glob
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time

from mutants import mutants

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

_LEDGER = ["tests/ledger/test_ledger.py", "-k", "not postgresql and not killed and not sixteen"]

#: module -> the stages of its tests. ``own_tests`` is the default for other modules.
MODULES = {
    "params": [["tests/test_params.py"], ["tests/test_callback.py", "tests/test_client.py"]],
    "results": [["tests/test_results.py"], ["tests/test_client.py"]],
    "transport/retry": [
        ["tests/transport/test_retry.py"],
        ["tests/transport/test_gateway.py", "tests/test_client.py"],
    ],
    "callback": [
        ["tests/test_callback.py", "-k", "not no_input and not djangos"],
        ["tests/test_callback.py", "-k", "no_input or djangos"],
    ],
    # The tests left out are slow, and only test the curve and the sandbox.
    "crypto/sm2": [
        ["tests/crypto/test_sm2.py", "-k", "not lstrip_04_and and not c3_not_compared"
         " and not multiply and not add_and_double and (another_nonce or not none_from_encrypt)"],
    ],
    "ledger/store": [_LEDGER, ["tests/ledger/test_bill.py", "tests/cli/test_cli_ledger.py"]],
    "ledger/bill": [["tests/ledger/test_bill.py"], ["tests/cli/test_cli_ledger.py"]],
    "lifecycle": [["tests/test_lifecycle.py"], _LEDGER],
    "client": [
        ["tests/test_client.py", "tests/test_callback.py"],
        _LEDGER,
        ["tests/test_settings.py"],
        ["tests/test_package.py", "-k", "importing_facecert"],
    ],
    "batch/rate": [["tests/batch/test_rate.py"]],
}  # fmt: skip

#: Imported once before the forks, to save time. No module of facecert may be among them.
WARM = ["pytest", "hypothesis.strategies", "sqlalchemy.dialects.sqlite", "flask", "ssl"]


def own_tests(module):
    """Return the stages of a module that ``MODULES`` does not name: the test file of its name."""
    folder, name = os.path.split(module)
    return [[os.path.join("tests", folder, "test_%s.py" % name)]]


def source_path(root, module):
    """Return the path of a module's file: ``transport/retry`` is facecert/transport/retry.py."""
    return os.path.join(root, "facecert", module + ".py")


def read_equal(path):
    """Read equal.txt: a module in brackets, a line of it, and indented ``change :: reason``."""
    equal, module, line = {}, None, None
    with open(path, encoding="utf-8") as file:
        for text in filter(str.strip, file):
            if text.startswith("["):
                module = text.strip()[1:-1]
            elif text.startswith("    "):
                words, reason = text.strip().split(" :: ")
                equal[module, line, words] = reason
            elif not text.startswith("#"):
                line = text.strip()
    return equal


class Tree:
    """A temporary copy of the project's files, in which one mutant at a time is tried."""

    def __init__(self, root):
        self.folder = tempfile.mkdtemp(prefix="facecert-mutation-")
        self.root = os.path.join(self.folder, "tree")
        no = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
        shutil.copytree(root, self.root, ignore=no)

    def put(self, module, source):
        """Write the source of a module."""
        path = source_path(self.root, module)
        with open(path, "wb") as file:
            file.write(source)
        # Python would use the old bytecode for a file of the same size and second.
        cached = os.path.join(os.path.dirname(path), "__pycache__")
        for stale in glob.glob(os.path.join(cached, os.path.basename(module) + ".*")):
            os.remove(stale)

    def run(self, arguments, limit):
        """Run pytest in a fork. Return its exit code, or None after ``limit`` seconds."""
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            self._test(arguments)
        end = time.monotonic() + limit
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None

    def _test(self, arguments):
        code = -1
        try:
            os.setsid()
            log = os.open(os.path.join(self.folder, "log"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self.root)
            sys.path[0] = os.environ["PYTHONPATH"] = self.root
            options = "-x -q -p no:cacheprovider -W ignore::pytest.PytestAssertRewriteWarning"
            code = sys.modules["pytest"].main(options.split() + arguments)
            ours = sys.modules["facecert"].__file__.startswith(self.root)
            code = int(code) if ours else 70
        finally:
            os._exit(code)

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()


def limits(tree, stages):
    """Run each stage without a mutant. Return the seconds that a mutant may take in each."""
    found = []
    for arguments in stages:
        began = time.monotonic()
        if tree.run(arguments, 600) != 0:
            sys.exit("%s fails without a mutant:\n%s" % (arguments, tree.log()))
        found.append(10 + 5 * (time.monotonic() - began))
    return found


def survives(tree, mutant, stages, seconds):
    """Tell whether no stage notices the mutant."""
    tree.put(mutant.module, mutant.source)
    return all(tree.run(arguments, limit) == 0 for arguments, limit in zip(stages, seconds))


def main():
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="modules, separated by commas")
    parser.add_argument("--sample", type=int, help="number of mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice (0)")
    parser.add_argument("--check-equal", action="store_true", help="try the mutants of equal.txt")
    parser.add_argument("--root", default=ROOT, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    modules = arguments.only.split(",") if arguments.only else list(MODULES)
    equal = read_equal(os.path.join(arguments.root, "tests", "mutation", "equal.txt"))
    sources, chosen = {}, []
    for module in modules:
        with open(source_path(arguments.root, module), "rb") as file:
            sources[module] = file.read()
        chosen += mutants(module, sources[module].decode("utf-8"))
    stale = [key for key in equal if key[0] in modules and key not in {m.key for m in chosen}]
    if not arguments.only:
        stale += [key for key in equal if key[0] not in modules]
    if arguments.sample and arguments.sample < len(chosen):
        chosen = random.Random(arguments.seed).sample(chosen, arguments.sample)
    for name in WARM if arguments.root == ROOT else WARM[:1]:
        importlib.import_module(name)
    tree, rows, failed = Tree(arguments.root), [], bool(stale)
    try:
        for module in modules:
            mine = [mutant for mutant in chosen if mutant.module == module]
            listed = [mutant for mutant in mine if mutant.key in equal]
            tried = listed if arguments.check_equal else [m for m in mine if m not in listed]
            stages = MODULES.get(module) or own_tests(module)
            seconds = limits(tree, stages) if tried else []
            left = 0
            for mutant in tried:
                survived = survives(tree, mutant, stages, seconds)
                left += survived
                if survived is not arguments.check_equal:
                    print("%s.py:%d  %s" % (module, mutant.line, mutant.key[1]))
                    what = "survives" if survived else "is not equal"
                    print("    %s  %s" % (mutant.key[2], what), flush=True)
                    failed = True
            tree.put(module, sources[module])
            rows.append((module, len(mine), len(tried) - left, len(listed), left))
    finally:
        shutil.rmtree(tree.folder)
    print("%-15s %8s %8s %8s %8s" % ("module", "mutants", "killed", "equal", "survived"))
    for row in rows + [("all",) + tuple(map(sum, zip(*(row[1:] for row in rows))))]:
        print("%-15s %8d %8d %8d %8d" % row)
    for key in stale:
        print("equal.txt lists a change that does not exist: %s" % " :: ".join(key))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
