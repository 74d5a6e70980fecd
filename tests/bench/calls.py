"""Time one warm call by facecert, by what the documentation offers, and by bare urllib3.

    python tests/bench/calls.py [--rounds N] [--calls N] [--peers a,b,...] [--venvs DIR]
                                [--legacy-python FILE] [--json FILE]

A TLS server on loopback responds at once (``near``) or from a distance of 30 ms (``far``);
calls_server.py describes the model. Every peer is a process of its own and trusts the server's
authority only. All peers take turns, so that a busy machine slows all of them. Figures are medians
over the turns. A ratio is the median over pairs of turns that were measured one after the other.

"wall" is the median call of one thread. With 16 threads it is the elapsed time divided by the
calls. "CPU" is the mean CPU time of the peer's process. Connections and bytes (TLS included) are
counted by the server. Peers that keep a client may keep 16 connections. All peers make the same
query, except ``init``, which sends a name and a number.
"""

import argparse
import platform
import tempfile
from pathlib import Path

import calls_interpreters
from calls_interpreters import TITLES
from calls_server import Server
from figures import Child, median, show_verdicts, verdict, write

ROUND_TRIP_MS = 30.0

#: name -> (address, threads, calls for one of --calls, turns in a round)
SETTINGS = {
    "near_1": ("near", 1, 1, 5),
    "near_16": ("near", 16, 8, 1),
    "far_1": ("far", 1, 0.5, 1),
    "far_16": ("far", 16, 4, 1),
}

#: Calls of each thread before a turn that are not measured.
WARMING_UP = 3

#: Another peer -> the limit of facecert's time divided by the time of that peer.
LIMITS = {"acs": 0.68, "acs-v3": 0.35, "sample": 0.2, "urllib3": 1.2}
FAR_LIMIT = 1.05


class Peer:
    """A process that makes calls."""

    def __init__(self, name, python, server):
        script = str(Path(__file__).with_name("calls_peers.py"))
        command = [python, script, name, server.bundle]
        self._server = server
        self._child = Child(command, calls_interpreters.environ())
        self.close = self._child.close

    def _call(self, address, calls, threads):
        order = {"address": self._server.addresses[address], "calls": calls, "threads": threads}
        return self._child.ask(order)

    def verifies(self):
        """Tell whether the peer refuses the certificate of an unknown authority."""
        return "certificate" in self._call("stranger", 1, 1).get("error", "").lower()

    def measure(self, address, calls, threads):
        """Make calls and return the figures of one call."""
        self._call(address, WARMING_UP * threads, threads)
        before = self._server.counters()
        measured = self._call(address, calls, threads)
        after = self._server.counters()
        if "error" in measured:
            raise SystemExit("A call failed: %s" % measured["error"])
        return {
            "wall_ms": measured["wall"] * 1000,
            "cpu_ms": measured["cpu"] * 1000,
            "connections": (after["connections"] - before["connections"]) / calls,
            "bytes": (after["bytes"] - before["bytes"]) / calls,
        }


def measure(peers, rounds, calls):
    """Return peer -> setting -> the figures of each turn."""
    figures = {name: {setting: [] for setting in SETTINGS} for name in peers}
    names = list(peers)
    for _ in range(rounds):
        for setting, (address, threads, share, turns) in SETTINGS.items():
            count = max(threads, int(calls * share) // threads * threads)
            for _ in range(turns):
                for name in names:
                    figures[name][setting].append(peers[name].measure(address, count, threads))
                names.append(names.pop(0))
    return figures


def ratios(figures):
    """Compare the wall time of facecert's query in one thread with the other peers."""

    def walls(peer, setting="near_1"):
        return [turn["wall_ms"] for turn in figures.get(peer, {}).get(setting, [])]

    found = []
    for other, limit in LIMITS.items():
        pairs = [ours / theirs for ours, theirs in zip(walls("query"), walls(other))]
        found.append(dict(verdict(median(pairs), limit), text="query / %s" % other))
    floor = ROUND_TRIP_MS + (median(walls("urllib3")) or 0)
    far = [wall / floor for wall in walls("query", "far_1") if walls("urllib3")]
    text = "query %g ms away / (%g ms + urllib3)" % (ROUND_TRIP_MS, ROUND_TRIP_MS)
    return found + [dict(verdict(median(far), FAR_LIMIT), text=text)]


def show(result):
    """Print the tables and the ratios."""
    print("Python %(python)s, %(core)s, %(rounds)d rounds of %(calls)d calls" % result)
    for setting, (address, threads, _, _) in SETTINGS.items():
        away = "loopback" if address == "near" else "%g ms away" % ROUND_TRIP_MS
        print("\n%s, %d thread%s, for each call" % (away, threads, "s" * (threads > 1)))
        print("%-51s wall ms   CPU ms  connections   bytes  verifies TLS" % "")
        for name, peer in result["peers"].items():
            print("%-12s %-37s" % (name, peer["title"]), end="")
            if peer["not_measured"]:
                print("  not measured: %s" % peer["not_measured"])
                continue
            row = dict(peer["figures"][setting], verifies="yes" if peer["verifies"] else "NO")
            print(
                "%(wall_ms)8.2f %(cpu_ms)8.2f %(connections)12.2f %(bytes)7.0f  %(verifies)s" % row
            )
    print("\nwall time, one thread, median ratio of the turns")
    show_verdicts(result["ratios"])


def core_version():
    import aliyunsdkcore

    return "aliyunsdkcore %s" % aliyunsdkcore.__version__


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often to measure (5)")
    parser.add_argument("--calls", type=int, default=10, help="calls of one thread in a turn (10)")
    calls_interpreters.add_options(parser, "sample,acs,acs-v3,tea,query,init,urllib3")
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
                    setting: {key: median(turn[key] for turn in turns) for key in turns[0]}
                    for setting, turns in figures.get(name, {}).items()
                },
            }
            for name, (_, problem) in interpreters.items()
        },
        "ratios": ratios(figures),
    }
    show(result)
    write(options.json, result)


if __name__ == "__main__":
    main()
