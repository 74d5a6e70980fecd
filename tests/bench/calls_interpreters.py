"""The interpreter of each peer of calls.py and cold.py: virtual environments, made once.

facecert and bare urllib3 run in the interpreter that measures. The packages of the other peers
exclude each other, so each set of them has a virtual environment.
"""

import os
import subprocess
import sys
from pathlib import Path

TITLES = {
    "sample": "documented sample, a client per call",
    "documented": "documented sample with CredClient",
    "acs": "AcsClient kept, core 2.16.1",
    "acs-v3": "AcsClient kept, core-v3 2.13.33",
    "tea": "alibabacloud_saf20170331 (Tea)",
    "query": "facecert, query",
    "environment": "facecert, query, keys in environment",
    "init": "facecert, init with encrypt=True",
    "urllib3": "the floor: urllib3 sends a signed body",
}

REQUIREMENTS = {
    "core": ["aliyun-python-sdk-core==2.16.1", "aliyun-python-sdk-saf"],
    "legacy": ["aliyun-python-sdk-core-v3==2.13.33", "aliyun-python-sdk-saf==1.0.0"],
    "tea": ["alibabacloud_saf20170331"],
}

#: Peer -> its requirements. The others run in this interpreter.
ENVIRONMENTS = {"sample": "core", "acs": "core", "acs-v3": "legacy", "tea": "tea"}


def add_options(parser, peers):
    """Add the options that calls.py and cold.py share; ``peers`` are the default ones."""
    parser.add_argument("--peers", default=peers, help="peers, separated by commas (%s)" % peers)
    parser.add_argument(
        "--venvs", metavar="DIR", help="keep the virtual environments here (a temporary directory)"
    )
    parser.add_argument(
        "--legacy-python", metavar="FILE", help="an interpreter that has core-v3 and saf 1.0.0"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")


def find(options, temporary, here=()):
    """Return peer -> (its interpreter, None), or (None, why it cannot be measured).

    A missing virtual environment is made, which takes about ten seconds.

    Args:
        here: peers that run in this interpreter although they have an environment.
    """
    folder = Path(options.venvs or temporary).resolve()
    found = {}
    for peer in options.peers.split(","):
        name = ENVIRONMENTS.get(peer)
        if peer not in TITLES:
            sys.exit("There is no peer %r; the peers are %s." % (peer, ", ".join(TITLES)))
        if name is None or peer in here:
            found[peer] = (sys.executable, None)
        elif name == "legacy" and options.legacy_python:
            found[peer] = (options.legacy_python, None)
        elif name == "legacy" and sys.version_info >= (3, 12):
            found[peer] = (None, "core-v3 needs Python 3.11 or older: give --legacy-python")
        else:
            found[peer] = _environment(folder / name, REQUIREMENTS[name])
    return found


def _environment(folder, requirements):
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


def environ():
    """Return the environment without proxies, keys, settings and warnings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("ALIBABA_CLOUD_", "ALIYUN_", "FACECERT_"))
        and not name.upper().endswith("_PROXY")
        and name not in ("DEBUG", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    }
    return dict(
        kept, PYTHONIOENCODING="utf-8", PYTHONWARNINGS="ignore",
        ALIBABA_CLOUD_ECS_METADATA_DISABLED="true",
    )  # fmt: skip
