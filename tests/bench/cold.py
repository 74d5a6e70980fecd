"""Time a fresh process: ``import facecert``, and the first response of facecert and of its peers.

    python tests/bench/cold.py [--rounds N] [--peers a,b,...] [--venvs DIR]
                               [--legacy-python FILE] [--json FILE]

Each figure is a process of its own; all of them take turns, and the medians over the rounds count.
The first response is timed from the start of the process to the line that it prints, over TLS on
loopback (calls_server.py, ``near``). "bare" is the same interpreter with an empty program. Memory
is the peak of the process (VmHWM, Linux only). All files are compiled before. The samples run in
facecert's interpreter, because facecert installs what they need, and an interpreter with more
packages starts more slowly. ``environment`` and ``documented`` take the key from the environment;
the other peers get it as an argument.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import calls_interpreters
from calls_interpreters import TITLES
from calls_server import Server
from figures import median, number, show_verdicts, verdict, write

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = "documented,sample,acs-v3,tea,environment,query,init,urllib3"

IMPORT = "import sys; sys.path.insert(0, %r); import facecert" % str(ROOT)
IMPORT_LIMIT_MS = 25.0

#: What facecert's first response and memory may be of the documented sample's.
FIRST_LIMIT, MEMORY_LIMIT = 0.45, 0.55


def start(command, environ, peer):
    """Run a process; return its milliseconds and its peak memory in bytes.

    The time ends with the first line of a peer, and with the end of any other process.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)
    line = process.stdout.readline()
    if not peer:
        process.wait()
    passed = (time.perf_counter() - begin) * 1000
    memory = process.stdout.read()
    process.stdout.close()
    if process.wait() or line != (b"answered\n" if peer else b""):
        raise SystemExit("This process failed: %s" % " ".join(command[:3]))
    return passed, json.loads(memory.decode("ascii")) if peer else None


def commands(interpreters, server):
    """Return name -> command of every process to measure."""
    found = {"bare": [sys.executable, "-c", "pass"], "import": [sys.executable, "-c", IMPORT]}
    script = str(Path(__file__).with_name("calls_peers.py"))
    for peer, (python, _) in interpreters.items():
        if python is not None:
            found["bare " + peer] = [python, "-c", "pass"]
            found[peer] = [python, script, peer, server.bundle, server.addresses["near"]]
    return found


def measure(starts, rounds, environ):
    """Return name -> milliseconds of each round, and peer -> peak memory of each round."""
    times = {name: [] for name in starts}
    peaks = {name: [] for name in starts if name in TITLES}
    names = list(starts)
    for counted in range(rounds + 1):
        for name in names:
            passed, peak = start(starts[name], environ, name in TITLES)
            if counted:  # the first round compiles
                times[name].append(passed)
                if peak is not None:
                    peaks[name].append(peak)
        names.append(names.pop(0))
    return times, peaks


def verdicts(times, peaks):
    """Compare facecert with the bare interpreter and with the documented sample."""

    def ratio(figures):
        pairs = zip(figures.get("environment", []), figures.get("documented", []))
        return median(ours / theirs for ours, theirs in pairs)

    above = median(ours - bare for ours, bare in zip(times["import"], times["bare"]))
    return [
        dict(verdict(above, IMPORT_LIMIT_MS), text="import facecert, ms above bare"),
        dict(verdict(ratio(times), FIRST_LIMIT), text="first response, environment / documented"),
        dict(verdict(ratio(peaks), MEMORY_LIMIT), text="peak memory, environment / documented"),
    ]


def show(result):
    """Print the table and the verdicts."""
    print("Python %(python)s, %(rounds)d rounds" % result)
    print("the bare interpreter %45.0f ms" % result["bare_ms"])
    print("import facecert %50.0f ms\n" % result["import_ms"])
    print("%-52s bare   response     memory" % "from the start to the first response")
    for name, peer in result["peers"].items():
        print("%-12s %-37s" % (name, peer["title"]), end="")
        if peer["not_measured"]:
            print("  not measured: %s" % peer["not_measured"])
        else:
            megabytes = number(peer["peak_mb"], "%.1f")
            print("%6.0f ms %7.0f ms %7s MB" % (peer["bare_ms"], peer["response_ms"], megabytes))
    print()
    show_verdicts(result["verdicts"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="how often to measure (15)")
    calls_interpreters.add_options(parser, PEERS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        interpreters = calls_interpreters.find(options, Path(temporary), here=["sample"])
        environ = dict(calls_interpreters.environ(), PYTHONPYCACHEPREFIX=temporary + "/compiled")
        server = Server(Path(temporary), 0.0)
        times, peaks = measure(commands(interpreters, server), options.rounds, environ)
        server.close()
    result = {
        "python": platform.python_version(),
        "rounds": options.rounds,
        "bare_ms": median(times["bare"]),
        "import_ms": median(times["import"]),
        "peers": {
            name: {
                "title": TITLES[name],
                "not_measured": problem,
                "bare_ms": median(times.get("bare " + name, [])),
                "response_ms": median(times.get(name, [])),
                "peak_mb": median(peak / 1e6 for peak in peaks.get(name, [])),
            }
            for name, (_, problem) in interpreters.items()
        },
        "verdicts": verdicts(times, peaks),
    }
    show(result)
    write(options.json, result)


if __name__ == "__main__":
    main()
