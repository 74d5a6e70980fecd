"""The measuring programs run and write what they promise; how fast things are is not tested."""

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
        tmp_path, "calls.py", "--rounds", "1", "--calls", "3", "--peers", "e,f,g"
    )
    assert set(found) == {
        "python", "core", "rounds", "calls", "round_trip_ms", "peers", "ratios"
    }  # fmt: skip
    assert list(found["peers"]) == ["e", "f", "g"]
    for peer in found["peers"].values():
        assert peer["verifies"] is True and peer["not_measured"] is None
        assert peer["title"] in shown
        assert set(peer["figures"]) == {"near_1", "near_16", "far_1", "far_16"}
        for figures in peer["figures"].values():
            assert set(figures) == FIGURES
            assert figures["wall_ms"] > 0 and figures["cpu_ms"] > 0 and figures["bytes"] > 400
        assert peer["figures"]["far_1"]["wall_ms"] >= found["round_trip_ms"]
    size = {name: peer["figures"]["near_1"]["bytes"] for name, peer in found["peers"].items()}
    assert size["f"] > size["e"]  # an init with ciphertext
    ratios = {ratio["text"]: ratio for ratio in found["ratios"]}
    assert list(ratios)[:4] == ["e / b", "e / c", "e / a", "e / g"] and len(ratios) == 5
    for text, ratio in ratios.items():
        measured = "g" in text
        assert (ratio["value"] is None) is not measured
        assert ratio["holds"] is (ratio["value"] <= ratio["limit"] if measured else None)
    assert shown.count("not measured") == 3


@pytest.mark.long
def test_cold(tmp_path):
    found, shown = result(tmp_path, "cold.py", "--rounds", "1", "--peers", "e")
    assert set(found) == {"python", "rounds", "bare_ms", "import_ms", "peers", "verdicts"}
    peer = found["peers"]["e"]
    assert set(peer) == {"title", "not_measured", "bare_ms", "answer_ms"}
    assert 0 < peer["bare_ms"] and 0 < found["bare_ms"] and 0 < found["import_ms"]
    assert peer["answer_ms"] > 0 and peer["title"] in shown
    assert [verdict["value"] is None for verdict in found["verdicts"]] == [False, True]
    assert "wanted <= 30" in shown


@pytest.mark.parametrize("program", ["calls.py", "cold.py"])
def test_an_unknown_peer_is_named(program):
    done = bench(program, "--peers", "e,x")
    assert done.returncode == 1 and "'x'" in done.stdout
