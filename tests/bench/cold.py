"""Time a fresh process: ``import facecert``, and the first answer of facecert and of its peers.

    python tests/bench/cold.py [--rounds N] [--peers a,c,...] [--venvs DIR]
                               [--legacy-python FILE] [--json FILE]

A process for each figure, started in turn with the others; medians over the rounds, in
milliseconds. The first answer is timed from the start of the process to the line that it prints,
over TLS on loopback (calls_server.py, ``near``). "bare" is the same interpreter doing nothing. All
files are compiled already. The sample runs in facecert's interpreter, since one with more installed
starts later, and what the sample needs is installed for facecert anyway. ``h`` takes its keys from
the environment by the standard credential chain; the others are given theirs.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import calls_interpreters
from calls_interpreters import TITLES
from calls_server import Server

ROOT = Path(__file__).resolve().parent.parent.parent

IMPORT = "import sys; sys.path.insert(0, %r); import facecert" % str(ROOT)
#: What any program imports by itself, so that facecert's own share shows.
IMPORT_LIMIT_MS = 30.0


def timed(command: List[str], environ: Dict[str, str], said: bytes) -> float:
    """Return milliseconds until a process has said its line, or has ended if it says nothing."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)
    assert process.stdout
    line = process.stdout.readline()
    if not said:
        process.wait()
    passed = (time.perf_counter() - begin) * 1000
    process.stdout.close()
    if process.wait() or line != said:
        raise SystemExit("This failed: %s" % " ".join(command[:3]))
    return passed


def commands(
    interpreters: calls_interpreters.Interpreters, server: Server
) -> Dict[str, List[str]]:
    """Return what to start: name of the figure -> command."""
    found = {"bare": [sys.executable, "-c", "pass"], "import": [sys.executable, "-c", IMPORT]}
    script = str(Path(__file__).with_name("calls_peers.py"))
    for peer, (python, _) in interpreters.items():
        if python is not None:
            found["bare " + peer] = [python, "-c", "pass"]
            found[peer] = [python, script, peer, server.bundle, server.addresses["near"]]
    return found


def measure(
    starts: Dict[str, List[str]], rounds: int, environ: Dict[str, str]
) -> Dict[str, List[float]]:
    """Return the milliseconds of each start in each round, after one that is not counted."""
    times: Dict[str, List[float]] = {name: [] for name in starts}
    names = list(starts)
    for number in range(rounds + 1):
        for name in names:
            said = b"answered\n" if name in TITLES else b""
            passed = timed(starts[name], environ, said)
            if number:  # the first one compiles
                times[name].append(passed)
        names.append(names.pop(0))
    return times


def verdicts(times: Dict[str, List[float]]) -> List[Dict[str, Any]]:
    above = [ours - bare for ours, bare in zip(times["import"], times["bare"])]
    ratios = [ours / theirs for ours, theirs in zip(times.get("e", []), times.get("a", []))]

    def verdict(text: str, values: List[float], limit: float) -> Dict[str, Any]:
        value = statistics.median(values) if values else None
        holds = None if value is None else value <= limit
        return {"text": text, "value": value, "limit": limit, "holds": holds}

    return [
        verdict("import facecert, ms above bare", above, IMPORT_LIMIT_MS),
        verdict("first answer, e / a", ratios, 1.0),
    ]


def show(result: Dict[str, Any]) -> None:
    print("Python %(python)s, %(rounds)d rounds" % result)
    print("the bare interpreter %36.0f ms" % result["bare_ms"])
    print("import facecert %41.0f ms\n" % result["import_ms"])
    print("from the start to the first answer         bare     answer")
    for name, peer in result["peers"].items():
        print("%s  %-37s" % (name, peer["title"]), end="")
        if peer["not_measured"]:
            print("  not measured: %s" % peer["not_measured"])
        else:
            print("%(bare_ms)7.0f ms %(answer_ms)7.0f ms" % peer)
    print()
    for verdict in result["verdicts"]:
        word = {None: "not measured", True: "holds", False: "does not hold"}[verdict["holds"]]
        value = "    -" if verdict["value"] is None else "%5.2f" % verdict["value"]
        print("%-32s %s, wanted <= %g: %s" % (verdict["text"], value, verdict["limit"], word))


def median(times: Optional[List[float]]) -> Optional[float]:
    return statistics.median(times) if times else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="how often to measure (15)")
    calls_interpreters.add_options(parser, "a,c,d,e,f,g,h")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        interpreters = calls_interpreters.find(options, Path(temporary), here="a")
        environ = dict(calls_interpreters.environ(), PYTHONPYCACHEPREFIX=temporary + "/compiled")
        server = Server(Path(temporary), 0.0)
        times = measure(commands(interpreters, server), options.rounds, environ)
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
                "bare_ms": median(times.get("bare " + name)),
                "answer_ms": median(times.get(name)),
            }
            for name, (_, problem) in interpreters.items()
        },
        "verdicts": verdicts(times),
    }
    show(result)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
