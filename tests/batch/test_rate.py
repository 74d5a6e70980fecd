import ctypes
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strikes import struck

from facecert.batch import rate as rate_module
from facecert.batch.rate import Rate
from facecert.errors import FacecertError, InvalidParameter
from facecert.transport.retry import Pace, Stopped


class World:
    """A rate whose clock moves when the rate sleeps, or when it is told."""

    def __init__(self, qps):
        self.now = 0.0
        self.rate = Rate(qps, clock=lambda: self.now, sleep=self.pass_time)
        self.turns = []

    def pass_time(self, seconds):
        self.now += seconds

    def turn(self):
        with self.rate.turn():
            self.turns.append(self.now)

    def gaps(self):
        return [later - earlier for earlier, later in zip(self.turns, self.turns[1:])]


@pytest.mark.long
@settings(deadline=None, max_examples=100)
@given(
    qps=st.floats(0.2, 50),
    idle=st.lists(st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 20)), max_size=40),
)
def test_turns_are_never_closer_than_the_rate_says(qps, idle):
    world = World(qps)
    for seconds in idle:
        world.pass_time(seconds)
        world.turn()
    assert all(gap >= 1 / qps - 1e-9 for gap in world.gaps())


def test_all_of_the_rate_is_used():
    world = World(20)
    for _ in range(200):
        world.turn()
    assert world.now == pytest.approx(199 / 20)


def test_lost_time_is_not_caught_up_with():
    world = World(10)
    world.turn()
    world.pass_time(5)
    for _ in range(5):
        world.turn()
    assert world.gaps() == pytest.approx([5, 0.1, 0.1, 0.1, 0.1])


def test_a_late_wake_up_does_not_slow_the_rate_down():
    world = World(10)
    for _ in range(50):
        world.turn()
        world.pass_time(0.09)
    assert world.turns[-1] == pytest.approx(4.9)


def test_between_two_attempts_it_sleeps_as_long_as_it_was_told():
    world = World(10)
    world.rate.sleep(0.75)
    assert world.now == pytest.approx(0.75)
    world.rate.sleep(0)
    assert world.now == pytest.approx(0.75)


def test_a_request_under_way_holds_no_turn():
    world = World(1)
    with world.rate.turn():
        world.turn()
    assert world.turns == [1]


def test_a_failed_request_uses_its_turn():
    world = World(1)
    with pytest.raises(OSError):
        with world.rate.turn():
            raise OSError()
    world.turn()
    assert world.turns == [1]


def test_real_threads():
    rate, turns, begin = Rate(200), [], time.monotonic()

    def call():
        for _ in range(5):
            with rate.turn():
                turns.append(time.monotonic())

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 60 and max(turns) - begin >= 59 / 200


@pytest.mark.parametrize("held", ["by the pace", "between two attempts"])
def test_stopping_wakes_everybody_at_once(held):
    rate, waiting, woken = Rate(0.01), threading.Semaphore(0), []
    with rate.turn():
        pass

    def wait():
        waiting.release()
        try:
            if held == "between two attempts":
                rate.sleep(600)
            with rate.turn():
                woken.append("let through")
        except Stopped:
            woken.append("stopped")

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
        assert waiting.acquire(timeout=10)
    assert not rate.stopped
    rate.stop()
    for thread in threads:
        thread.join(10)
    assert woken == ["stopped"] * 3 and rate.stopped
    with pytest.raises(Stopped):
        with rate.turn():
            pass


def test_who_sleeps_no_time_is_stopped_too():
    rate = Rate(1, clock=lambda: 0.0)
    rate.sleep(0)
    rate.stop()
    with pytest.raises(Stopped):
        rate.sleep(0)


def test_a_wait_that_is_interrupted_leaves_the_rate_usable():
    world = World(1)
    world.turn()

    def interrupt(seconds):
        raise KeyboardInterrupt()

    world.rate._sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.turn()
    world.rate._sleep = world.pass_time
    world.turn()
    assert world.turns == [0, 1]


def test_an_asynchronous_exception_in_a_waiting_thread_leaves_the_rate_usable():
    """As a time-out that is thrown into another thread does it."""

    class TimeOut(Exception):
        pass

    now, caught = [0.0], []
    waits = threading.Event()

    def sleep(seconds):
        waits.set()
        time.sleep(0.001)

    rate = Rate(1, clock=lambda: now[0], sleep=sleep)
    with rate.turn():
        pass

    def wait():
        try:
            with rate.turn():
                caught.append("let through")
        except TimeOut:
            caught.append("timed out")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert waits.wait(10)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(TimeOut)
    )
    thread.join(10)
    assert caught == ["timed out"]
    now[0] = 1.0
    other = threading.Thread(target=wait, daemon=True)
    other.start()
    other.join(10)
    assert caught == ["timed out", "let through"]


def test_its_lock_is_made_at_first_use(monkeypatch):
    """So that gevent may be patched after a Rate was made at import."""
    made = []

    def lock(make=threading.RLock):
        made.append(make())
        return made[-1]

    monkeypatch.setattr(threading, "RLock", lock)
    rate = Rate(1000)
    assert made == []
    with rate.turn():
        assert made


def test_bug_a_timeout_at_any_step_left_the_lock_held():
    """Every other thread waited for its turn for ever."""
    rate, step = Rate(1000), 1

    def use():
        with rate.turn():
            pass

    def free():
        (lock,) = rate._locks.values()
        taken.append(lock.acquire(False))
        if taken[-1]:
            lock.release()

    use()
    while struck(rate_module.__file__, use, step):
        taken = []
        other = threading.Thread(target=free)
        other.start()
        other.join(30)
        assert taken == [True], step
        step += 1
    assert step > 10


@pytest.mark.parametrize("qps", [0.001, 1000, 1, 2.5])
def test_the_least_and_the_most(qps):
    assert isinstance(Rate(qps), Pace)


@pytest.mark.parametrize("qps", [0, -1, 0.0001, 1001, float("nan"), float("inf"), True, "20", None])
def test_qps_is_checked(qps):
    with pytest.raises(InvalidParameter) as caught:
        Rate(qps)
    assert caught.value.field == "qps"


def test_who_is_stopped_sent_nothing():
    assert issubclass(Stopped, FacecertError) and Stopped.outcome == "not sent"


class Counter:
    """In place of a Rate."""

    def __init__(self):
        self.turns = 0
        self.slept = []
        self.sleep = self.slept.append

    def turn(self):
        self.turns += 1
        return threading.Lock()


def test_every_attempt_takes_its_turn_and_the_first_client_none(client, sandbox, person):
    certify_id = client.init(**person).certify_id
    counter = Counter()
    paced = client.paced(counter)
    sandbox.fail("http-503", times=2, on="query")
    assert paced.query(certify_id).certify_id == certify_id
    assert counter.turns == 3 and len(counter.slept) == 2
    client.query(certify_id)
    assert counter.turns == 3
    assert len({request.peer for request in sandbox.requests[-1:]}) == 1
    assert paced._gateway.http is client._gateway.http


def test_the_default_client_can_be_paced_before_its_first_call(sandbox):
    from facecert.default import _DefaultClient

    paced = _DefaultClient().paced(Counter())
    assert paced.scene_id == sandbox.scene_id


def test_a_request_is_signed_when_its_turn_comes(client, sandbox, person):
    """Signed before, it would be too old (15 minutes) after a long wait."""
    certify_id = client.init(**person).certify_id
    asked = []
    counter = Counter()
    turn = counter.turn

    def late():
        asked.append("turn")
        return turn()

    counter.turn = late
    paced = client.paced(counter)
    snapshot = paced._gateway._credentials.snapshot
    paced._gateway._credentials.snapshot = lambda: asked.append("signed") or snapshot()
    paced.query(certify_id)
    assert asked == ["turn", "signed"]
