"""Changes facecert in small ways, one at a time, and prints which changes no test notices.

    python tests/mutation/run.py
    python tests/mutation/run.py --only params,retry --sample 50 --seed 1
    python tests/mutation/run.py --check-equal

Each change (a mutant) is made in a temporary copy of the tree, where the room's own tests run in a
fork of this process, and after those the ones that reach the room from further up. ``equal.txt``
lists the changes that change nothing a test could see, with the reason; they are not tried, but for
``--check-equal``, which tries just them. Ends with 1 when a mutant survives. Needs Python 3.9.
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

_LEDGER = ["tests/test_ledger.py", "-k", "not postgresql and not killed and not sixteen"]

#: room -> the tests that run, one stage after the other. A room that is missing here has its own.
ROOMS = {
    "params": [["tests/test_params.py"], ["tests/test_callback.py", "tests/test_client.py"]],
    "results": [["tests/test_results.py"], ["tests/test_client.py"]],
    "retry": [["tests/test_retry.py"], ["tests/test_gateway.py", "tests/test_client.py"]],
    "callback": [
        ["tests/test_callback.py", "-k", "not no_input and not djangos"],
        ["tests/test_callback.py", "-k", "no_input or djangos"],
    ],
    # Those left out are slow, and about the curve and the sandbox; the others see sm2.py's faults.
    "sm2": [["tests/test_sm2.py", "-k", "not lstrip_04_and and not c3_not_compared and not multiply"
             " and not add_and_double and (another_nonce or not none_from_encrypt)"]],
    "ledger": [_LEDGER, ["tests/test_bill.py", "tests/test_commands_ledger.py"]],
    "calls": [
        _LEDGER,
        ["tests/test_callback.py", "tests/test_client.py"],
        ["tests/test_package.py", "-k", "importing_facecert"],
    ],
    "lifecycle": [["tests/test_lifecycle.py"], _LEDGER],
    "bill": [["tests/test_bill.py"], ["tests/test_commands_ledger.py"]],
    "rate": [["tests/test_rate.py"]],
}  # fmt: skip

#: Imported once, before the forks; nothing of facecert may be.
WARM = ["pytest", "hypothesis.strategies", "sqlalchemy.dialects.sqlite", "flask", "urllib3"]


def read_equal(path):
    """Read equal.txt: a room in brackets, a line of it, and indented ``change: reason``."""
    equal, room, line = {}, None, None
    with open(path, encoding="utf-8") as file:
        for text in filter(str.strip, file):
            if text.startswith("["):
                room = text.strip()[1:-1]
            elif text.startswith("    "):
                words, reason = text.strip().split(" :: ")
                equal[room, line, words] = reason
            elif not text.startswith("#"):
                line = text.strip()
    return equal


class Tree:
    """A temporary copy of the tree, in which one mutant at a time is tried."""

    def __init__(self, root):
        self.folder = tempfile.mkdtemp(prefix="facecert-mutation-")
        self.root = os.path.join(self.folder, "tree")
        no = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
        shutil.copytree(root, self.root, ignore=no)

    def put(self, room, source):
        with open(os.path.join(self.root, "facecert", room + ".py"), "wb") as file:
            file.write(source)
        # Within a second, and with the same size, Python would take it for the same.
        for stale in glob.glob(os.path.join(self.root, "facecert", "__pycache__", room + ".*")):
            os.remove(stale)

    def run(self, arguments, limit):
        """Run pytest in a fork; return its exit code, or None when it took too long."""
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
    """Run each stage on the tree as it is; return how many seconds a mutant may take there."""
    found = []
    for arguments in stages:
        began = time.monotonic()
        if tree.run(arguments, 600) != 0:
            sys.exit("%s fails without any change:\n%s" % (arguments, tree.log()))
        found.append(10 + 5 * (time.monotonic() - began))
    return found


def survives(tree, mutant, stages, seconds):
    """Tell whether no stage notices the mutant."""
    tree.put(mutant.room, mutant.source)
    return all(tree.run(arguments, limit) == 0 for arguments, limit in zip(stages, seconds))


def main():
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="rooms, with commas between")
    parser.add_argument("--sample", type=int, help="so many mutants in all, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check-equal", action="store_true", help="try those of equal.txt")
    parser.add_argument("--root", default=ROOT, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    rooms = arguments.only.split(",") if arguments.only else list(ROOMS)
    equal = read_equal(os.path.join(arguments.root, "tests", "mutation", "equal.txt"))
    sources, chosen = {}, []
    for room in rooms:
        with open(os.path.join(arguments.root, "facecert", room + ".py"), "rb") as file:
            sources[room] = file.read()
        chosen += mutants(room, sources[room].decode("utf-8"))
    stale = [key for key in equal if key[0] in rooms and key not in {m.key for m in chosen}]
    if arguments.sample and arguments.sample < len(chosen):
        chosen = random.Random(arguments.seed).sample(chosen, arguments.sample)
    for name in WARM if arguments.root == ROOT else WARM[:1]:
        importlib.import_module(name)
    tree, rows, failed = Tree(arguments.root), [], bool(stale)
    try:
        for room in rooms:
            mine = [mutant for mutant in chosen if mutant.room == room]
            listed = [mutant for mutant in mine if mutant.key in equal]
            tried = listed if arguments.check_equal else [m for m in mine if m not in listed]
            stages = ROOMS.get(room, [["tests/test_%s.py" % room]])
            seconds = limits(tree, stages) if tried else []
            left = 0
            for mutant in tried:
                survived = survives(tree, mutant, stages, seconds)
                left += survived
                if survived is not arguments.check_equal:
                    print("%s.py:%d  %s" % (room, mutant.line, mutant.key[1]))
                    what = "survives" if survived else "is not equal"
                    print("    %s  %s" % (mutant.key[2], what), flush=True)
                    failed = True
            tree.put(room, sources[room])
            rows.append((room, len(mine), len(tried) - left, len(listed), left))
    finally:
        shutil.rmtree(tree.folder)
    print("%-10s %8s %8s %8s %8s" % ("room", "mutants", "killed", "equal", "survived"))
    for row in rows + [("all",) + tuple(map(sum, zip(*(row[1:] for row in rows))))]:
        print("%-10s %8d %8d %8d %8d" % row)
    for key in stale:
        print("equal.txt names what is not there: %s" % " :: ".join(key))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
