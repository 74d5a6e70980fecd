"""The measuring programs run and write all their figures. The figures are not judged here."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

FIGURES = {"wall_ms", "cpu_ms", "connections", "bytes"}


def bench(program, *options):
    """Run a program of tests/bench and return the process."""
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "bench" / program)] + list(options),
        env=dict(os.environ, PYTHONIOENCODING="utf-8"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=60,
    )


def result(tmp_path, program, *options):
    written = tmp_path / "figures.json"
    done = bench(program, "--json", str(written), *options)
    assert done.returncode == 0, done.stdout
    return json.loads(written.read_text("utf-8")), done.stdout


@pytest.mark.long
def test_calls(tmp_path):
    found, shown = result(
        tmp_path, "calls.py", "--rounds", "1", "--calls", "3", "--peers", "query,init,urllib3"
    )
    assert set(found) == {
        "python", "core", "rounds", "calls", "round_trip_ms", "peers", "ratios"
    }  # fmt: skip
    assert list(found["peers"]) == ["query", "init", "urllib3"]
    for peer in found["peers"].values():
        assert peer["verifies"] is True and peer["not_measured"] is None
        assert peer["title"] in shown
        assert set(peer["figures"]) == {"near_1", "near_16", "far_1", "far_16"}
        for figures in peer["figures"].values():
            assert set(figures) == FIGURES
            assert figures["wall_ms"] > 0 and figures["cpu_ms"] > 0 and figures["bytes"] > 400
        assert peer["figures"]["far_1"]["wall_ms"] >= found["round_trip_ms"]
    size = {name: peer["figures"]["near_1"]["bytes"] for name, peer in found["peers"].items()}
    assert size["init"] > size["query"]  # an init with ciphertext
    ratios = {ratio["text"]: ratio for ratio in found["ratios"]}
    assert {text: ratio["limit"] for text, ratio in ratios.items()} == {
        "query / acs": 0.68,
        "query / acs-v3": 0.35,
        "query / sample": 0.2,
        "query / urllib3": 1.2,
        "query 30 ms away / (30 ms + urllib3)": 1.05,
    }
    for text, ratio in ratios.items():
        measured = "urllib3" in text
        assert (ratio["value"] is None) is not measured
        assert ratio["holds"] is (ratio["value"] <= ratio["limit"] if measured else None)
    assert shown.count("not measured") == 3


@pytest.mark.long
def test_cold(tmp_path):
    peers = ["documented", "environment", "urllib3"]
    found, shown = result(tmp_path, "cold.py", "--rounds", "1", "--peers", ",".join(peers))
    assert set(found) == {"python", "rounds", "bare_ms", "import_ms", "peers", "verdicts"}
    assert 0 < found["bare_ms"] and 0 < found["import_ms"]
    assert list(found["peers"]) == peers
    for peer in found["peers"].values():
        assert set(peer) == {"title", "not_measured", "bare_ms", "response_ms", "peak_mb"}
        assert peer["title"] in shown and peer["bare_ms"] > 0 and peer["response_ms"] > 0
        assert peer["peak_mb"] is None or 5 < peer["peak_mb"] < 500
    assert {verdict["text"]: verdict["limit"] for verdict in found["verdicts"]} == {
        "import facecert, ms above bare": 25,
        "first response, environment / documented": 0.45,
        "peak memory, environment / documented": 0.55,
    }
    assert found["verdicts"][1]["value"] > 0 and shown.count("wanted <= ") == 3


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_the_peak_memory_is_not_that_of_the_parent_process():
    code = "import sys; sys.path.insert(0, %r); import calls_peers; print(calls_peers.peak())"
    command = [sys.executable, "-c", code % str(ROOT / "tests" / "bench")]
    large = bytearray(200 * 1024 * 1024)
    assert len(large) > 3 * int(subprocess.check_output(command))


@pytest.mark.parametrize("program", ["calls.py", "cold.py"])
def test_an_unknown_peer_is_named(program):
    done = bench(program, "--peers", "query,x")
    assert done.returncode == 1 and "'x'" in done.stdout
