"""Fuzz every reader of foreign input; print the number of inputs and their outcomes.

    python tests/fuzz/run.py --seconds 300
    python tests/fuzz/run.py --examples 2000 --only answers,callbacks --seed 7
    python tests/fuzz/run.py --seconds 60 --atheris

When a property does not hold, the smallest failing input is printed, and the exit status is 1.
``--atheris`` guides the inputs by code coverage (``pip install atheris``; Linux, Python 3.11 to
3.13).
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
# The facecert of this tree, whatever is installed.
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))


def main():
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--seconds", type=float, help="total time of all targets")
    amount.add_argument("--examples", type=int, default=500, help="inputs for each target")
    parser.add_argument("--only", help="names of targets, separated by commas")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--atheris", action="store_true", help="guided by coverage")
    parser.add_argument("--atheris-child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.atheris_child:
        return atheris_child(arguments.atheris_child, arguments.seconds, arguments.seed)
    if arguments.atheris and not arguments.seconds:
        parser.error("--atheris needs --seconds")

    from fuzz_engine import table
    from fuzz_targets import TARGETS

    wanted = arguments.only.split(",") if arguments.only else [target.name for target in TARGETS]
    unknown = set(wanted) - {target.name for target in TARGETS}
    if unknown:
        parser.error("no such target: %s" % ", ".join(sorted(unknown)))
    targets = [target for target in TARGETS if target.name in wanted]
    print("Python %s, seed %d" % (sys.version.split()[0], arguments.seed), flush=True)
    trials, failed = [], []
    for target in targets:
        seconds = arguments.seconds and arguments.seconds / len(targets)
        run = run_with_atheris if arguments.atheris else run_with_hypothesis
        trial, failure = run(target, arguments, seconds)
        trials.append(trial)
        if failure:
            failed.append(target.name)
            print("%s FAILED\n%s" % (target.name, failure), flush=True)
    print("\n".join(table(trials)))
    if failed:
        print("FAILED: %s" % ", ".join(failed))
    return 1 if failed else 0


def run_with_hypothesis(target, arguments, seconds):
    """Return the trial, and the failure as a text or None."""
    from fuzz_engine import Trial

    trial = Trial(target)
    try:
        if seconds:
            trial.run_for(seconds, arguments.seed)
        else:
            trial.run(arguments.examples, arguments.seed)
    except Exception as error:
        return trial, failure_of(error, trial.last)
    return trial, None


def failure_of(error, value):
    """Return the last frames of a traceback, and the input."""
    lines = traceback.format_exception(type(error), error, error.__traceback__, limit=-4)
    shown = repr(value)
    if len(shown) > 2000:
        shown = "%s... (%d characters)" % (shown[:2000], len(shown))
    return "%sinput: %s" % ("".join(lines), shown)


def run_with_atheris(target, arguments, seconds):
    """Run a target in a process of its own, because Atheris never returns; read its output."""
    from fuzz_engine import Trial

    trial = Trial(target)
    command = [sys.executable, os.path.abspath(__file__), "--atheris-child", target.name]
    command += ["--seconds", str(seconds), "--seed", str(arguments.seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    last = done.stdout.decode("utf-8", "replace").strip().splitlines()[-1:]
    try:
        told = json.loads(last[0])
    except (IndexError, ValueError):
        return trial, done.stderr.decode("utf-8", "replace")[-3000:] or "it printed nothing"
    trial.tried, trial.seconds = told["tried"], told["seconds"]
    trial.outcomes.update(told["outcomes"])
    return trial, told["failure"]


def atheris_child(name, seconds, seed):
    """Fuzz one target for some seconds, print one line of JSON, and end the process."""
    import atheris

    with atheris.instrument_imports(include=["facecert"]):
        from fuzz_engine import Trial
        from fuzz_targets import TARGETS

    trial = Trial(next(target for target in TARGETS if target.name == name))
    fuzz_one_input = trial.test(1, seed).hypothesis.fuzz_one_input
    begun = time.monotonic()

    def end(failure):
        told = {
            "tried": trial.tried,
            "seconds": time.monotonic() - begun,
            "outcomes": dict(trial.outcomes),
            "failure": failure,
        }
        print(json.dumps(told), flush=True)
        os._exit(0)

    def one(data):
        try:
            fuzz_one_input(data)
        except Exception as error:
            end(failure_of(error, trial.last))
        if time.monotonic() - begun > seconds:
            end(None)

    # Hypothesis needs some kilobytes for an input with many parts.
    atheris.Setup([sys.argv[0], "-seed=%d" % seed, "-max_len=8192", "-len_control=0"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
