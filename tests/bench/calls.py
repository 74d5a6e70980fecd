"""Time one warm call by facecert, by what the documentation offers, and by bare urllib3.

    python tests/bench/calls.py [--rounds N] [--calls N] [--peers a,b,...] [--venvs DIR]
                                [--legacy-python FILE] [--json FILE]

A TLS server on loopback answers at once, ``near``, or from 30 ms away, ``far``; calls_server.py
says what that models. Every peer is a process of its own and trusts the server's authority alone.
They are measured in turn, again and again, so that a busy machine slows all of them; figures are
medians over the turns, and so are the ratios of two peers that were measured one after the other.

"wall" is the median call of one thread; with 16 threads it is the time that passed divided by the
calls, and says how fast the process gets through them. "CPU" is the peer's process alone, its mean;
connections and bytes (TLS included) are what the server saw for each call. Every peer that keeps a
client may keep 16 connections. All make the same query, but for f, which makes an init, the call
that carries a name and a number.
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

import calls_interpreters
from calls_interpreters import TITLES
from calls_server import Server

ROUND_TRIP_MS = 30.0

#: name -> (address, threads, calls for one of --calls, turns in a round)
SETTINGS: Dict[str, Tuple[str, int, float, int]] = {
    "near_1": ("near", 1, 1, 5),
    "near_16": ("near", 16, 8, 1),
    "far_1": ("far", 1, 0.5, 1),
    "far_16": ("far", 16, 4, 1),
}

#: Calls of each thread before a turn, which are not measured.
WARMING_UP = 3

#: facecert's time divided by another peer's, and what it should be at most.
LIMITS = [("b", 0.8), ("c", 0.35), ("a", 0.2), ("g", 1.5)]
FAR_LIMIT = 1.05

Figures = Dict[str, float]


class Peer:
    """A process that makes calls when it is told to."""

    def __init__(self, name: str, python: str, server: Server) -> None:
        self._server = server
        self._command = [python, str(Path(__file__).with_name("calls_peers.py")), name]
        self._process = subprocess.Popen(
            self._command + [server.bundle],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            env=calls_interpreters.environ(),
        )
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        self._tell("stranger", 1, 1)  # all peers at once, until each is asked for its answer

    def _tell(self, address: str, calls: int, threads: int) -> None:
        order = {"address": self._server.addresses[address], "calls": calls, "threads": threads}
        self._in.write(json.dumps(order) + "\n")
        self._in.flush()

    def _hear(self) -> Dict[str, Any]:
        line = self._out.readline()
        if not line:
            raise SystemExit("This ended: %s" % " ".join(self._command))
        answer: Dict[str, Any] = json.loads(line)
        return answer

    def verifies(self) -> bool:
        """Tell, once and first, whether it refused a certificate that nobody vouches for."""
        return "certificate" in self._hear().get("error", "").lower()

    def measure(self, address: str, calls: int, threads: int) -> Figures:
        self._checked(address, WARMING_UP * threads, threads)
        before = self._server.counters()
        answer = self._checked(address, calls, threads)
        after = self._server.counters()
        return {
            "wall_ms": answer["wall"] * 1000,
            "cpu_ms": answer["cpu"] * 1000,
            "connections": (after["connections"] - before["connections"]) / calls,
            "bytes": (after["bytes"] - before["bytes"]) / calls,
        }

    def _checked(self, address: str, calls: int, threads: int) -> Dict[str, Any]:
        self._tell(address, calls, threads)
        answer = self._hear()
        if "error" in answer:
            raise SystemExit("A call failed: %s" % answer["error"])
        return answer

    def close(self) -> None:
        self._in.close()
        self._process.wait()
        self._out.close()


def measure(peers: Dict[str, Peer], rounds: int, calls: int) -> Dict[str, Dict[str, List[Figures]]]:
    """Return peer -> setting -> its figures in each turn."""
    figures: Dict[str, Dict[str, List[Figures]]] = {
        name: {setting: [] for setting in SETTINGS} for name in peers
    }
    names = list(peers)
    for _ in range(rounds):
        for setting, (address, threads, share, turns) in SETTINGS.items():
            count = max(threads, int(calls * share) // threads * threads)
            for _ in range(turns):
                for name in names:
                    figures[name][setting].append(peers[name].measure(address, count, threads))
                names.append(names.pop(0))
    return figures


def medians(turns: List[Figures]) -> Figures:
    return {key: statistics.median(figures[key] for figures in turns) for key in turns[0]}


def ratios(figures: Dict[str, Dict[str, List[Figures]]]) -> List[Dict[str, Any]]:
    """Compare facecert's query with the others, one thread, wall time."""

    def walls(peer: str, setting: str) -> List[float]:
        return [turn["wall_ms"] for turn in figures.get(peer, {}).get(setting, [])]

    def ratio(text: str, values: List[float], limit: float) -> Dict[str, Any]:
        value = statistics.median(values) if values else None
        holds = None if value is None else value <= limit
        return {"text": text, "value": value, "limit": limit, "holds": holds}

    found = []
    for other, limit in LIMITS:
        pairs = zip(walls("e", "near_1"), walls(other, "near_1"))
        found.append(ratio("e / %s" % other, [ours / theirs for ours, theirs in pairs], limit))
    text = "e from %g ms away / (%g ms + g)" % (ROUND_TRIP_MS, ROUND_TRIP_MS)
    floor = walls("g", "near_1")
    least = ROUND_TRIP_MS + (statistics.median(floor) if floor else 0)
    far = [wall / least for wall in walls("e", "far_1") if floor]
    return found + [ratio(text, far, FAR_LIMIT)]


def show(result: Dict[str, Any]) -> None:
    print("Python %(python)s, %(core)s, %(rounds)d rounds of %(calls)d calls" % result)
    for setting, (address, threads, _, _) in SETTINGS.items():
        away = "loopback" if address == "near" else "%g ms away" % ROUND_TRIP_MS
        print("\n%s, %d thread%s, for each call" % (away, threads, "s" * (threads > 1)))
        print(" " * 40 + " wall ms   CPU ms  connections   bytes  verifies TLS")
        for name, peer in result["peers"].items():
            print("%s  %-37s" % (name, peer["title"]), end="")
            if peer["not_measured"]:
                print("  not measured: %s" % peer["not_measured"])
                continue
            row = dict(peer["figures"][setting], verifies="yes" if peer["verifies"] else "NO")
            print(
                "%(wall_ms)8.2f %(cpu_ms)8.2f %(connections)12.2f %(bytes)7.0f  %(verifies)s" % row
            )
    print("\nwall time, one thread, median of each turn's ratio")
    for ratio in result["ratios"]:
        verdict = {None: "not measured", True: "holds", False: "does not hold"}[ratio["holds"]]
        value = "    -" if ratio["value"] is None else "%5.2f" % ratio["value"]
        print("%-36s %s, wanted <= %g: %s" % (ratio["text"], value, ratio["limit"], verdict))


def core_version() -> str:
    import aliyunsdkcore

    return "aliyunsdkcore %s" % aliyunsdkcore.__version__


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="how often to measure (9)")
    parser.add_argument("--calls", type=int, default=10, help="calls of one thread in a turn (10)")
    calls_interpreters.add_options(parser, "a,b,c,d,e,f,g")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        interpreters = calls_interpreters.find(options, Path(temporary))
        server = Server(Path(temporary), ROUND_TRIP_MS)
        peers = {
            name: Peer(name, python, server)
            for name, (python, _) in interpreters.items()
            if python is not None
        }
        verify = {name: peer.verifies() for name, peer in peers.items()}
        figures = measure(peers, options.rounds, options.calls)
        for process in list(peers.values()) + [server]:
            process.close()
    result = {
        "python": platform.python_version(),
        "core": core_version(),
        "rounds": options.rounds,
        "calls": options.calls,
        "round_trip_ms": ROUND_TRIP_MS,
        "peers": {
            name: {
                "title": TITLES[name],
                "not_measured": problem,
                "verifies": verify.get(name),
                "figures": {
                    setting: medians(turns) for setting, turns in figures.get(name, {}).items()
                },
            }
            for name, (_, problem) in interpreters.items()
        },
        "ratios": ratios(figures),
    }
    show(result)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
