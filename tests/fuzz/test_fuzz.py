"""Every target with a few inputs, always the same ones; ``run.py`` tries new ones.

The end of pytest's output shows how many inputs were tried.
"""

import fuzz_engine
import pytest
from fuzz_engine import LONG, Target, Trial, table
from fuzz_targets import TARGETS
from hypothesis import strategies as st

EXAMPLES = 60


class Summary:
    """Prints the table after the last test."""

    def __init__(self):
        self.trials = []

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("fuzzing")
        for line in table(self.trials):
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def summary(request):
    summary = Summary()
    request.config.pluginmanager.register(summary, "facecert-fuzz-summary")
    return summary


#: Targets whose few inputs take seconds.
SLOW = {"answers", "exchange", "id-files", "links", "listener", "results", "rpc", "service"}


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(target, marks=pytest.mark.long if target.name in SLOW else (), id=target.name)
        for target in TARGETS
    ],
)
def test_the_property_holds(target, summary):
    trial = Trial(target)
    summary.trials.append(trial)
    trial.run(EXAMPLES)
    assert trial.tried and trial.outcomes


def test_names_are_unique():
    names = [target.name for target in TARGETS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "judge", [lambda text: 1 / (len(text) < 3), lambda text: text[:2] and text[2]]
)
def test_a_violation_is_found_and_minimised(judge):
    trial = Trial(Target("wrong", st.text(), judge))
    with pytest.raises((ZeroDivisionError, IndexError)):
        trial.run(200, seed_number=1)
    assert len(trial.last) <= 3


@pytest.mark.parametrize("power, found", [(1, False), (2, True)])
def test_quadratic_time_is_found(monkeypatch, power, found):
    now = [0.0]
    monkeypatch.setattr(fuzz_engine.time, "process_time", lambda: now[0])

    def judge(text):
        now[0] += (len(text) / LONG) ** power
        return "done"

    trial = Trial(Target("slow", st.just("a"), judge, long=[lambda n: "a" * n]))
    if not found:
        return trial.measure_long()
    with pytest.raises(AssertionError, match="8 times as long takes"):
        trial.measure_long()


def test_an_input_that_takes_too_long_is_found(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(fuzz_engine.time, "process_time", lambda: now[0])

    def judge(text):
        now[0] += 3.0
        return "done"

    with pytest.raises(AssertionError, match="took 3.0 s"):
        Trial(Target("slow", st.just("a"), judge)).run(5)
