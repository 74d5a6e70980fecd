"""Which interpreter each peer of calls.py and cold.py runs in: virtual environments, made once.

facecert and the floor run in the interpreter that measures. The others need packages that exclude
each other, so each set has an environment of its own.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

TITLES = {
    "a": "documented sample, a client per run",
    "b": "AcsClient kept, core 2.16.1",
    "c": "AcsClient kept, core-v3 2.13.33",
    "d": "alibabacloud_saf20170331 (Tea)",
    "e": "facecert, query",
    "f": "facecert, init with encrypt=True",
    "g": "the floor: a signed body by urllib3",
    "h": "facecert, query, standard chain",
}

REQUIREMENTS: Dict[str, List[str]] = {
    "core": ["aliyun-python-sdk-core==2.16.1", "aliyun-python-sdk-saf"],
    "legacy": ["aliyun-python-sdk-core-v3==2.13.33", "aliyun-python-sdk-saf==1.0.0"],
    "tea": ["alibabacloud_saf20170331"],
}
ENVIRONMENTS = {"a": "core", "b": "core", "c": "legacy", "d": "tea"}

#: Peer -> (its interpreter, why it cannot be measured); one of them is None.
Interpreters = Dict[str, Tuple[Optional[str], Optional[str]]]


def add_options(parser: argparse.ArgumentParser, peers: str) -> None:
    parser.add_argument("--peers", default=peers, help="which of them, with commas (%s)" % peers)
    parser.add_argument(
        "--venvs", metavar="DIR", help="where their environments are kept (a temporary directory)"
    )
    parser.add_argument(
        "--legacy-python", metavar="FILE", help="an interpreter that has core-v3 and saf 1.0.0"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")


def find(options: argparse.Namespace, temporary: Path, here: str = "") -> Interpreters:
    """Make what is missing; that takes about ten seconds for each of three environments.

    Args:
        here: peers that shall run in this interpreter although they have an environment.
    """
    folder = Path(options.venvs) if options.venvs else temporary
    found: Interpreters = {}
    for peer in options.peers.split(","):
        name = ENVIRONMENTS.get(peer)
        if peer not in TITLES:
            sys.exit("There is no peer %r; they are %s." % (peer, ", ".join(TITLES)))
        if name is None or peer in here:
            found[peer] = (sys.executable, None)
        elif name == "legacy" and options.legacy_python:
            found[peer] = (options.legacy_python, None)
        elif name == "legacy" and sys.version_info >= (3, 12):
            found[peer] = (None, "core-v3 needs Python 3.11 or older: give --legacy-python")
        else:
            found[peer] = _environment(folder.resolve() / name, REQUIREMENTS[name])
    return found


def _environment(folder: Path, requirements: List[str]) -> Tuple[Optional[str], Optional[str]]:
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        print("making %s: %s" % (folder.name, " ".join(requirements)), file=sys.stderr)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        for command in ([sys.executable, "-m", "venv", str(folder)], install + requirements):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                sys.stderr.buffer.write(done.stdout)
                return None, "its packages could not be installed"
        complete.touch()
    return str(python), None


def environ() -> Dict[str, str]:
    """Return an environment without proxies, keys and settings, where .pyc files are written."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("ALIBABA_CLOUD_", "ALIYUN_", "FACECERT_"))
        and not name.upper().endswith("_PROXY")
        and name not in ("DEBUG", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    }
    return dict(kept, PYTHONIOENCODING="utf-8", ALIBABA_CLOUD_ECS_METADATA_DISABLED="true")
