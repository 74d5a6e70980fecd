"""The program that measures growth, and the one that draws it. The figures are not judged here."""

import json
import math
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from conftest import ROOT

pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")

BENCH = ROOT / "tests" / "bench"
SVG = "{http://www.w3.org/2000/svg}"
ITEMS = {
    "query", "keep init", "keep answer", "find", "entries", "pending", "unsettled", "bill add",
    "missing here", "missing there", "batch",
}  # fmt: skip


@pytest.fixture
def growth(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import growth

    return growth


@pytest.fixture
def picture(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import picture

    return picture


def run(program, *options):
    done = subprocess.run(
        [sys.executable, str(BENCH / program)] + [str(option) for option in options],
        env=dict(os.environ, PYTHONIOENCODING="utf-8"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=60,
    )
    return done.returncode, done.stdout


def read_json(path):
    return json.loads(path.read_text("utf-8"))


def check_figures(result, sizes):
    assert set(result) == {"python", "sqlite", "sizes", "times", "memory", "seconds"}
    assert result["sizes"] == sizes
    assert set(result["times"]) == ITEMS
    for name, figures in result["times"].items():
        assert figures["single"] is (name in ("keep init", "keep answer", "find"))
        assert len(figures["us"]) == len(figures["cpu_us"]) == len(sizes)
        assert min(figures["us"]) > 0 and min(figures["cpu_us"]) > 0
        k = figures["k_cpu"]
        assert k["limit"] == (0.2 if figures["single"] else 1.1)
        assert k["holds"] is (k["value"] <= k["limit"])
    assert set(result["memory"]) == {"calls", "ledger", "bill", "batch"}
    for figures in result["memory"].values():
        assert len(figures["peak_mb"]) == len(sizes)


def check_picture(text, result):
    drawing = ElementTree.fromstring(text)
    assert drawing.tag == SVG + "svg" and drawing.get("viewBox") == "0 0 480 540"
    lines = [line for line in drawing.iter(SVG + "polyline") if "leader" not in line.get("class")]
    assert len(lines) == 6
    words = " ".join(text.text for text in drawing.iter(SVG + "text"))
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        assert len(points) == len(result["sizes"])
        assert all(0 < x < 480 and 0 < y < 540 for x, y in points)
    for text in drawing.iter(SVG + "text"):
        assert 0 < float(text.get("x")) < 480 and 0 < float(text.get("y")) < 540
    for said in ("keep an init", "find by id", "a query", "id of a batch", "{:,}".format(
        result["sizes"][-1]
    )):  # fmt: skip
        assert said in words


@pytest.mark.long
def test_it_measures_and_it_is_drawn(tmp_path):
    written, drawn = tmp_path / "growth.json", tmp_path / "growth.svg"
    status, shown = run("growth.py", "--largest", 100, "--json", written)
    assert status == 0, shown
    result = read_json(written)
    check_figures(result, [10, 100])
    assert shown.count("holds") + shown.count("does not hold") >= len(ITEMS)
    # Too few items to say anything about memory.
    assert shown.count("not measured") == 4
    status, shown = run("picture.py", written, drawn)
    assert (status, shown) == (0, "")
    check_picture(drawn.read_text("utf-8"), result)


def test_the_picture_in_tests_readme_is_that_of_the_figures_beside_it(picture):
    result = read_json(BENCH / "growth.json")
    check_figures(result, [10, 100, 1000, 10000, 100000])
    for figures in result["memory"].values():
        assert figures["growth_mb"]["value"] is not None
    drawn = (BENCH / "growth.svg").read_text("utf-8")
    assert drawn == picture.draw(result)
    check_picture(drawn, result)
    page = (ROOT / "tests" / "README.rst").read_text("utf-8")
    assert re.search(r"^\.\. image:: bench/growth\.svg\n +:alt: \S", page, re.M)


@pytest.mark.parametrize("k", [0, 1, 1.5])
def test_the_exponent_is_that_of_the_three_largest_sizes(growth, k):
    sizes = [10, 100, 1000, 10000, 100000]
    times = [7, 3] + [2e-6 * size ** k for size in sizes[2:]]
    assert math.isclose(growth.exponent(sizes, times), k, abs_tol=1e-9)


def test_what_grows_does_not_hold(growth):
    mb = 1000 * 1000
    steps = [
        {"n": n, "peak": (30 + n // 10000) * mb, "seconds": {"find": [n, n], "entries": [n, n]}}
        for n in (1000, 10000, 100000)
    ]
    found = growth.grown("ledger", steps)
    assert found["find"]["k_cpu"] == {"value": pytest.approx(1), "limit": 0.2, "holds": False}
    assert found["entries"]["k_cpu"]["holds"] is True
    memory = growth.memory(steps)
    assert memory["growth_mb"] == {"value": 10.0, "limit": 5.0, "holds": False}
    assert memory["bytes_an_item"] == pytest.approx(101, abs=0.1)
    steps[-1]["peak"] = None  # no /proc
    steps[0]["peak"] = None
    assert growth.memory(steps)["growth_mb"]["holds"] is None


def test_too_small_a_size_is_refused():
    status, shown = run("growth.py", "--largest", 9)
    assert status == 2 and "10 or more" in shown
