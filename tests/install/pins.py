"""Install facecert beside old pinned packages, show that none of them changes, and run it there.

    python tests/install/pins.py [CASE...] [--wheel FILE] [--all]

Each case has a new virtual environment with the pins of an app of its year. ``pip install`` of
facecert with the case's extra must keep every package that was installed. Then an app of this
folder, or ``facecert demo``, runs in the environment, against a sandbox that runs in another one.
An app makes a round trip in a real web server, with its states in a real database; see
``trips.py``. With ``--all`` it makes one in each of the servers, and one with each database.

The four ordered packages themselves lift old releases of requests and cryptography. In that case
facecert may change nothing beyond what they change, and nothing at all with the pins as
constraints (``pip install -c pins.txt``).
"""

import argparse
import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import trips
from environments import Environment, clean_environment, run
from trips import DJANGO, FLASK, Trip

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent

ORDERED = [
    'aliyun-python-sdk-core-v3; python_version < "3.12"',
    "aliyun-python-sdk-saf",
    "alibabacloud-credentials",
    "gmssl",
]

PLAIN = [str(HERE / "plain.py")]
DEMO = ["-m", "facecert", "demo"]


class Case(NamedTuple):
    """Pins of an old app, and what is installed and run beside them.

    ``lifted`` says that the ordered packages cannot stand beside the pins without constraints.
    """

    python: str
    pins: str
    extra: str
    programs: Sequence[List[str]] = ()
    lifted: bool = False
    trip: Optional[Trip] = None

    def tools(self, everything: bool) -> List[str]:
        """Return the drivers and web servers of the trip, or all of them."""
        if self.trip is None:
            return []
        # The last releases that are built, or have wheels, for these interpreters. Django before
        # 3.1 does not work with psycopg2 2.9.
        old = {"PyMySQL": "1.0.2", "mysqlclient": "1.4.6", "psycopg2-binary": "2.8.6"}
        pins = old if self.python in ("3.6", "3.7") else {}
        names = trips.TOOLS if everything else trips.tools(self.trip)
        if "gevent" in names and "gunicorn" in names:
            names = names + ["packaging"]  # which gunicorn's gevent worker imports
        return ["%s==%s" % (name, pins[name]) if name in pins else name for name in names]


CASES = {
    "flask-0.12": Case(
        "3.6",
        "Flask==0.12.5 Werkzeug==0.12 Jinja2==2.9 MarkupSafe==1.0 itsdangerous==0.24"
        " click==6.7 SQLAlchemy==1.4.54",
        "flask,ledger",
        trip=Trip(FLASK, "uwsgi --gevent-early", "mariadb latin1"),
    ),
    "flask-1.0": Case(
        "3.7",
        "Flask==1.0.4 Werkzeug==0.16.1 Jinja2==2.10.3 MarkupSafe==1.1.1 itsdangerous==1.1.0"
        " click==7.0 SQLAlchemy==1.4.54",
        "cli,sandbox,flask,ledger",
        [DEMO],
        trip=Trip(FLASK, "gunicorn gevent", "mariadb utf8mb3, repeatable read"),
    ),
    "flask-1.1": Case(
        "3.8",
        "Flask==1.1.4 MarkupSafe==2.0.1 SQLAlchemy==1.4.54",
        "flask,ledger",
        trip=Trip(FLASK, "gunicorn gthread", "mariadb with wait_timeout 2", "mysqlclient"),
    ),
    "flask-2": Case(
        "3.10",
        "Flask==2.3.3 Werkzeug==2.3.8 SQLAlchemy",
        "flask,ledger",
        trip=Trip(FLASK, "gunicorn sync", "postgresql"),
    ),
    "flask-newest": Case(
        "3.13",
        "Flask SQLAlchemy",
        "flask,ledger",
        trip=Trip(FLASK, "gunicorn gevent --preload", "mariadb gbk"),
    ),
    "django-1.11": Case(
        "3.6",
        "Django==1.11.29 pytz==2018.9",
        "django",
        trip=Trip(DJANGO, "uwsgi", "mariadb latin1", "mysqlclient"),
    ),
    "django-2.0": Case(
        "3.6",
        "Django==2.0.13 pytz==2018.9",
        "django",
        trip=Trip(DJANGO, "uwsgi --enable-threads", "mariadb gbk"),
    ),
    "django-2.1": Case(
        "3.7",
        "Django==2.1.15 pytz==2018.9",
        "django",
        trip=Trip(DJANGO, "gunicorn sync", "mariadb utf8mb3, repeatable read", "mysqlclient"),
    ),
    "django-2.2": Case(
        "3.7",
        "Django==2.2.28 pytz==2018.9",
        "django",
        trip=Trip(
            DJANGO, "gunicorn gthread", "mariadb with an empty sql_mode", "mysqlclient", False
        ),
    ),
    "django-3.2": Case(
        "3.9",
        "Django==3.2.25",
        "django",
        trip=Trip(DJANGO, "gunicorn gevent", "mariadb with wait_timeout 2"),
    ),
    "django-4.2": Case(
        "3.10",
        "Django==4.2",
        "django",
        trip=Trip(DJANGO, "gunicorn sync --preload", "postgresql"),
    ),
    "django-newest": Case(
        "3.13",
        "Django",
        "django",
        trip=Trip(DJANGO, "gunicorn gthread --preload", "mariadb utf8mb4", "mysqlclient"),
    ),
    "urllib3-1.24": Case("3.6", "urllib3==1.24.3", "", [PLAIN]),
    "urllib3-1.25": Case("3.7", "urllib3==1.25.3 requests==2.22.0", "cli", [PLAIN]),
    "oldest-dependencies": Case(
        "3.6",
        "aliyun-python-sdk-core-v3==2.8.2 aliyun-python-sdk-saf==1.0.0"
        " alibabacloud-credentials==0.0.4 gmssl==3.2.1",
        "",
        [PLAIN],
    ),
    "requests-2.20": Case("3.6", "requests==2.20.1 cryptography==2.7", "", [PLAIN], lifted=True),
}

#: Name of a package -> its version before and after.
Changes = Dict[str, Tuple[str, str]]


def changes(before: Dict[str, str], after: Dict[str, str]) -> Changes:
    """Return the packages of ``before`` that ``after`` has in another version, or not at all."""
    return {
        name: (version, after.get(name, "none"))
        for name, version in before.items()
        if after.get(name) != version
    }


def check(
    name: str, case: Case, wheel: str, sandbox: Dict[str, str], folder: Path,
    databases: trips.Databases, everything: bool
) -> None:
    """Try one case.

    Raises:
        SystemExit: something changed that must not, or a program failed.
    """
    requirement = "%s[%s]" % (wheel, case.extra) if case.extra else wheel

    pinned = case.pins.split() + case.tools(everything)

    def installed(*arguments: str) -> Tuple[Environment, Dict[str, str], Changes]:
        """Return an environment with the pins and more, the pins as they were, what changed."""
        environment = Environment(interpreter(case.python), Path(tempfile.mkdtemp(dir=str(folder))))
        environment.install(*pinned)
        before = environment.versions()
        environment.install(*arguments)
        return environment, before, changes(before, environment.versions())

    environment, before, changed = installed(requirement)
    if case.lifted:
        _, _, lifts = installed(*ORDERED)
        print("%s: the four ordered packages change %s" % (name, lifts))
        require(set(changed.items()) <= set(lifts.items()), "%s: facecert changes" % name, changed)
        pins = folder / "pins.txt"
        pins.write_text("".join("%s==%s\n" % pin for pin in before.items()))
        environment, _, changed = installed("-c", str(pins), requirement)
    require(not changed, "%s: facecert changes" % name, changed)
    for program in case.programs:
        shown = run([environment.python] + program, sandbox)
        print("%s: %s" % (name, shown.strip().splitlines()[-1]))
    if case.trip is None:
        return
    others = list(trips.others(case.trip))
    known = environment.versions()
    for trip in [case.trip] + others * everything:
        begun = time.monotonic()
        trips.run(trip, databases, sandbox, environment.python, clean_environment())
        cells = [name, "Python " + case.python, trip.server, trip.database]
        cells += [" + ".join(trips.versions(trip, known)), "%.0f s" % (time.monotonic() - begun)]
        print(" | ".join(cells), flush=True)
    if not everything:
        words = "%s: not run here, but with --all: %s"
        left = [one.server for one in others if one.database == case.trip.database]
        left += [one.database for one in others if one.server == case.trip.server]
        print(words % (name, "; ".join(left)), flush=True)
    for server in trips.SERVERS:
        why = trips.never(case.trip._replace(server=server))
        if why and server != "wsgiref":
            print("%s: never run in %s, because %s" % (name, server, why), flush=True)


def require(true: bool, words: str, changed: Changes) -> None:
    """Exit unless something is true."""
    if not true:
        sys.exit("%s %s" % (words, changed))


def interpreter(version: str) -> str:
    """Return the path of an installed Python, of pyenv's or on PATH.

    Raises:
        SystemExit: there is none.
    """
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    found = sorted(glob.glob("%s/versions/%s.*/bin/python" % (root, version)))
    path = found[-1] if found else shutil.which("python%s" % version)
    if path is None:
        sys.exit("Python %s is not installed." % version)
    return path


@contextlib.contextmanager
def running_sandbox(python: str) -> Iterator[Dict[str, str]]:
    """Run a sandbox with an interpreter; yield the variables that lead to it."""
    process = subprocess.Popen(
        [python, str(HERE / "serve_sandbox.py")],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin and process.stdout
        try:
            yield json.loads(process.stdout.readline().decode("ascii"))
        finally:
            process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--wheel", help="facecert's wheel; without it, one is built")
    parser.add_argument("--all", action="store_true", help="every server and database")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory())
        folder = Path(temporary)
        ours = Environment(sys.executable, folder / "sandbox")
        if not options.wheel:
            build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", temporary]
            run(build + [str(PROJECT)])
        wheel = os.path.abspath(options.wheel or glob.glob(temporary + "/facecert-*.whl")[0])
        ours.install(wheel + "[sandbox]", "trustme")
        sandbox = stack.enter_context(running_sandbox(ours.python))
        # The person's step is taken in this process.
        os.environ["ALIBABA_CLOUD_CA_BUNDLE"] = sandbox["ALIBABA_CLOUD_CA_BUNDLE"]
        databases = trips.Databases(stack, folder)
        left = set(CASES).difference(options.cases or CASES)
        if left:
            print("Not run here, but with --all: %s" % ", ".join(sorted(left)), flush=True)
        for name in options.cases or CASES:
            begun = time.monotonic()
            check(name, CASES[name], wheel, sandbox, folder, databases, options.all)
            print("%s: no pin changed (%.0f s)" % (name, time.monotonic() - begun), flush=True)


if __name__ == "__main__":
    main()
