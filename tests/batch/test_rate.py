import heapq
import math
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecert.errors import FacecertError, InvalidParameter
from facecert.batch.rate import MARGIN, Rate, Stopped


def most_in_a_second(stamps, seconds=1.0):
    """Return how many stamps the fullest half-open window holds."""
    stamps, first, most = sorted(stamps), 0, 0
    for last, stamp in enumerate(stamps):
        while stamp - stamps[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class World:
    """Calls that overlap, in one thread: while one waits, others are answered."""

    def __init__(self, qps):
        self.now = 0.0
        self.rate = Rate(qps, clock=lambda: self.now, sleep=self.go_on)
        self.under_way = []  # (when the answer comes, number, turn)
        self.sent, self.stamps = [], []

    def go_on(self, seconds):
        until = self.now + seconds
        while self.under_way and self.under_way[0][0] <= until:
            self.answer()
        self.now = max(self.now, until)

    def answer(self):
        at, _, turn = heapq.heappop(self.under_way)
        self.now = max(self.now, at)
        turn.__exit__(None, None, None)

    def send(self, way_there, way_back):
        while len(self.under_way) == self.rate.slots:
            self.answer()  # or it would wait for ever: there is no other thread
        turn = self.rate.turn()
        turn.__enter__()
        self.sent.append(self.now)
        self.stamps.append(self.now + way_there)
        heapq.heappush(
            self.under_way, (self.now + way_there + way_back, len(self.sent), turn)
        )


LATENCY = st.one_of(st.just(0.0), st.floats(0, 0.2), st.floats(0, 5))


@pytest.mark.long
@settings(deadline=None, max_examples=300)
@given(
    qps=st.one_of(st.integers(1, 20), st.floats(0.2, 20)),
    ways=st.lists(st.tuples(LATENCY, LATENCY), min_size=1, max_size=80),
)
def test_no_second_at_the_server_holds_more_than_allowed_whatever_the_network_does(qps, ways):
    world = World(qps)
    for way_there, way_back in ways:
        world.send(way_there, way_back)
    assert most_in_a_second(world.stamps) <= max(1, math.floor(qps))
    if qps < 1:
        assert most_in_a_second(world.stamps, 1 / qps) == 1
    gaps = [later - earlier for earlier, later in zip(world.sent, world.sent[1:])]
    assert all(gap >= 1 / qps - 1e-9 for gap in gaps)


def test_a_token_bucket_would_fail_the_test_above():
    """So the test can fail: evenly sent, but the first ones are held up on their way."""
    sent = [number * 0.101 for number in range(20)]
    stamps = [at + (0.99 if number < 10 else 0) for number, at in enumerate(sent)]
    assert most_in_a_second(sent) == 10 and most_in_a_second(stamps) > 10
    world = World(10)
    for number in range(20):
        world.send(0.99 if number < 10 else 0, 0)
    assert most_in_a_second(world.stamps) <= 10


def test_with_quick_answers_nearly_all_of_the_rate_is_used():
    world = World(20)
    for _ in range(200):
        world.send(0.01, 0.01)
    assert 200 / world.now > 0.9 * 20


def test_lost_time_is_not_caught_up_with():
    world = World(10)
    world.send(0, 0)
    world.go_on(5)
    for _ in range(5):
        world.send(0, 0)
    assert world.sent[-1] - world.sent[1] == pytest.approx(0.4)


def test_between_two_attempts_it_sleeps_as_long_as_it_was_told():
    world = World(10)
    world.rate.sleep(0.75)
    assert world.now == 0.75
    world.rate.sleep(0)
    assert world.now == 0.75


def test_a_failed_call_holds_its_slot_too():
    world = World(1)
    with pytest.raises(OSError):
        with world.rate.turn():
            world.now += 3
            raise OSError()
    with world.rate.turn():
        assert world.now == pytest.approx(4 + MARGIN)


@pytest.mark.long
def test_real_threads():
    rate, stamps, end = Rate(40), [], time.monotonic() + 2.2

    def call():
        while time.monotonic() < end:
            with rate.turn():
                time.sleep(0.01)
                stamps.append(time.monotonic())

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 20 <= len(stamps)
    assert most_in_a_second(stamps) <= 40


@pytest.mark.parametrize("held", ["by the pace", "by a call under way", "between two attempts"])
def test_stopping_wakes_everybody_at_once(held):
    rate, waiting, woken = Rate(0.01), threading.Event(), []
    turn = rate.turn()
    turn.__enter__()
    if held == "by the pace":
        turn.__exit__(None, None, None)

    def wait():
        waiting.set()
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
    waiting.wait(10)
    rate.stop()
    for thread in threads:
        thread.join(10)
    assert woken == ["stopped"] * 3
    with pytest.raises(Stopped):
        with rate.turn():
            pass


def test_who_waits_for_a_slot_is_woken_when_it_is_given_back():
    now, through = [0.0], threading.Event()
    rate = Rate(1, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    turn = rate.turn()
    turn.__enter__()

    def wait():
        try:
            with rate.turn():
                through.set()
        except Stopped:
            pass

    waits = threading.Thread(target=wait, daemon=True)
    gives_back = threading.Thread(target=turn.__exit__, args=(None, None, None), daemon=True)
    try:
        waits.start()
        assert not through.wait(0.1)
        gives_back.start()
        assert through.wait(10)
    finally:
        rate.stop()
        waits.join(10)
        gives_back.join(10)


def test_who_sleeps_no_time_is_stopped_too():
    rate = Rate(1, clock=lambda: 0.0)
    rate.sleep(0)
    rate.stop()
    with pytest.raises(Stopped):
        rate.sleep(0)


def test_a_wait_that_is_interrupted_gives_its_slot_back():
    now = iter(range(100))
    rate = Rate(2, clock=lambda: next(now), sleep=lambda seconds: None)

    def interrupt(seconds):
        raise KeyboardInterrupt()

    for _ in range(2):
        with rate.turn():
            pass
    idle = list(rate._idle)
    rate._clock, rate._wait = lambda: 0.0, interrupt
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            rate.turn().__enter__()
    assert list(rate._idle) == idle == sorted(idle) and len(set(idle)) == 2
    assert not rate._door.locked()


@pytest.mark.parametrize("qps", [0, -1, 0.0001, 1001, float("nan"), float("inf"), True, "20", None])
def test_qps_is_checked(qps):
    with pytest.raises(InvalidParameter) as caught:
        Rate(qps)
    assert caught.value.field == "qps"


def test_the_least_and_the_most():
    assert Rate(0.001).slots == 1 and Rate(1000).slots == 1000


def test_half_a_call_is_no_call():
    assert Rate(2.5).slots == 2 and Rate(0.5).slots == 1 and Rate(1.99).slots == 1


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
    assert paced._gateway.wire is client._gateway.wire


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
