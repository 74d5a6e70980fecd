"""Every target with a few inputs, always the same; ``run.py`` tries as many new ones as you like.

How many were tried stands at the end of pytest's output.
"""

import fuzz_engine
import pytest
from fuzz_engine import LONG, Target, Trial, table
from fuzz_targets import TARGETS
from hypothesis import strategies as st

EXAMPLES = 60


class Summary:
    """Prints the table when all tests are done."""

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


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
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
def test_a_violation_is_found_and_made_small(judge):
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
    with pytest.raises(AssertionError, match="8 times as long"):
        trial.measure_long()


def test_an_input_that_takes_too_long_is_found(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(fuzz_engine.time, "process_time", lambda: now[0])

    def judge(text):
        now[0] += 3.0
        return "done"

    with pytest.raises(AssertionError, match="took 3.0 s"):
        Trial(Target("slow", st.just("a"), judge)).run(5)
