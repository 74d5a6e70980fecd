"""Runs a target: draws inputs, judges each, counts outcomes, keeps the smallest failing input."""

import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

#: CPU seconds that one input may take, and more for every KB of it.
SLOWEST = 2.0
SLOWEST_PER_KB = 0.005

#: Characters of the long inputs. The time may grow by a factor of 24 at most, thrice the length's.
SHORT, LONG = 16 * 1024, 128 * 1024


class Target:
    """One reader of foreign input and its property.

    Args:
        name: for ``--only``.
        inputs: a Hypothesis strategy.
        judge: takes an input and raises AssertionError when the property does not hold. It
            returns the outcome: the type of the result or of the FacecertError.
        long: functions that make an input of about ``n`` characters, to measure how the time
            grows with the length.
        share: the share of the examples, for a target with slow inputs.
        close: called at the end of a run.
    """

    def __init__(self, name, inputs, judge, long=(), share=1.0, close=lambda: None):
        self.name = name
        self.inputs = inputs
        self.judge = judge
        self.long = long
        self.share = share
        self.close = close


class Trial:
    """A run of one target: its inputs, outcomes and time."""

    def __init__(self, target):
        self.target = target
        self.tried = 0
        self.outcomes = Counter()
        self.seconds = 0.0
        #: The last input. After a failure it is Hypothesis's smallest.
        self.last = None

    def judge(self, value):
        """Judge an input and count its outcome."""
        self.tried += 1
        self.last = value
        begun = time.process_time()
        outcome = self.target.judge(value)
        spent = time.process_time() - begun
        allowed = SLOWEST + SLOWEST_PER_KB * size(value) / 1024
        assert spent <= allowed, "took %.1f s of CPU time, more than %.1f" % (spent, allowed)
        self.outcomes[outcome] += 1

    def test(self, examples, seed_number=None):
        """Return a Hypothesis test with this many inputs; without a seed always the same ones."""
        # Hypothesis needs a function without self.
        def judged(value):
            self.judge(value)

        test = settings(
            max_examples=examples,
            derandomize=seed_number is None,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.target, Phase.shrink],
            suppress_health_check=[
                HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much,
            ],
            report_multiple_bugs=False,
        )(given(self.target.inputs)(judged))  # fmt: skip
        return test if seed_number is None else seed(seed_number)(test)

    def run(self, examples, seed_number=None):
        """Try this many inputs, then the long ones."""
        begun = time.monotonic()
        try:
            self.test(max(5, int(examples * self.target.share)), seed_number)()
            self.measure_long()
        finally:
            self.target.close()
            self.seconds += time.monotonic() - begun

    def run_for(self, seconds, seed_number):
        """Try the long inputs, then others for some seconds, in rounds with a seed each."""
        begun = time.monotonic()
        try:
            self.measure_long()
            while time.monotonic() - begun < seconds:
                self.test(200, seed_number)()
                seed_number += 1
        finally:
            self.target.close()
            self.seconds += time.monotonic() - begun

    def measure_long(self):
        """Fail when the time grows faster than the input; quadratic growth is a factor of 64."""
        for make in self.target.long:
            short, long = (self._best_of_three(make, n) for n in (SHORT, LONG))
            assert long <= 24 * short + 0.05, (
                "an input 8 times as long takes %.0f ms instead of %.0f ms of CPU time"
                % (1000 * long, 1000 * short)
            )

    def _best_of_three(self, make, characters):
        value, times = make(characters), []
        for _ in range(3):
            begun = time.process_time()
            self.judge(value)
            times.append(time.process_time() - begun)
        return min(times)


def size(value):
    """Return the approximate number of characters of an input."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, dict):
        return size(list(value.items()))
    if isinstance(value, (list, tuple)):
        return sum(map(size, value))
    return 8


def table(trials):
    """Return the lines of a table: target, inputs tried, outcomes, seconds."""
    lines = ["%-12s %9s %8s  %s" % ("target", "inputs", "seconds", "outcomes")]
    for trial in trials:
        outcomes = ", ".join("%s %d" % item for item in trial.outcomes.most_common())
        lines.append(
            "%-12s %9d %8.1f  %s" % (trial.target.name, trial.tried, trial.seconds, outcomes)
        )
    total = sum(trial.tried for trial in trials), sum(trial.seconds for trial in trials)
    return lines + ["%-12s %9d %8.1f" % (("together",) + total)]
