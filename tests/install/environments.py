"""Make a new virtual environment, and print which versions came into it.

    python tests/install/environments.py PYTHON FOLDER REQUIREMENT...
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import DEVNULL
from typing import Dict, List, Optional


class Environment:
    """A new virtual environment in a folder."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = str(folder / "bin" / "python")
        run([python, "-m", "venv", "--without-pip", str(folder)])
        # A pip of its own takes ten seconds to come, so this program's is tried first.
        self._pip = [sys.executable, "-m", "pip", "--python", self.python]
        if not subprocess.call(self._pip + ["--version"], stdout=DEVNULL, stderr=DEVNULL):
            return
        run([self.python, "-m", "ensurepip"])
        self._pip = [self.python, "-m", "pip"]
        # The newest one needs a third of the time. The one that comes with Python 3.6 takes
        # packages that are not for it, and only with "wheel" keeps what it has built.
        old = '; python_version < "3.7"'
        newest = 'pip; python_version >= "3.7"'
        self.install("--upgrade", newest, "pip==21.3.1" + old, "wheel==0.37.1" + old)

    def install(self, *arguments: str) -> None:
        run(self._pip + ["install", "-q", "--no-compile"] + list(arguments))

    def versions(self) -> Dict[str, str]:
        """Return name -> version of the installed packages."""
        listed = run(self._pip + ["list", "--format=json"])
        return {package["name"]: package["version"] for package in json.loads(listed)}


def run(command: List[str], environ: Optional[Dict[str, str]] = None) -> str:
    """Run a command outside of the project and return its standard output.

    Raises:
        SystemExit: it failed; its output was printed.
    """
    done = subprocess.run(
        command,
        cwd=tempfile.gettempdir(),
        env=dict(clean_environment(), **(environ or {})),
        stdin=DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        print(output + done.stderr.decode("utf-8", "replace"))
        sys.exit("Failed with %d: %s" % (done.returncode, " ".join(command)))
    return output


def clean_environment() -> Dict[str, str]:
    """Return this process's environment without settings of facecert, Python and others."""
    prefixes = ("FACECERT_", "ALIBABA_CLOUD_", "ALIYUN_", "PYTHON", "DJANGO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return dict(kept, PYTHONIOENCODING="utf-8", PIP_DISABLE_PIP_VERSION_CHECK="1")


def main() -> None:
    """Do what the command line asks for."""
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    environment = Environment(sys.argv[1], Path(sys.argv[2]).absolute())
    environment.install(*sys.argv[3:])
    print(" ".join("%s==%s" % package for package in environment.versions().items()))


if __name__ == "__main__":
    main()
