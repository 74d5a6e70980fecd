import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from datetime import datetime, timezone

import pytest
from conftest import NAME, NUMBER, ROOT, run_python

import facecert
from facecert.batch.many import HOPELESS_IN_A_ROW, BatchItem, is_hopeless, query_many


def batch_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("facecert-batch")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    assert not batch_threads()
    yield
    if batch_threads():
        gc.collect()  # not after every test, because it looks at every object of the suite
    for thread in batch_threads():
        thread.join(10)
    assert not batch_threads()


def asked(sandbox):
    return [request.service_parameters.get("certifyId") for request in sandbox.requests]


def test_each_id_has_its_own_answer(sandbox, client, open_many):
    ids = open_many(12)
    before = datetime.now(timezone.utc)
    items = sorted(query_many(ids, client=client, qps=200), key=lambda found: found.position)
    assert [found.position for found in items] == list(range(1, 13))
    assert [found.certify_id for found in items] == ids
    assert [found.answer.certify_id for found in items] == ids
    assert [found.answer.passed for found in items] == [True, False] * 6
    assert {found.error for found in items} == {None}
    assert all(
        before <= found.asked_at <= datetime.now(timezone.utc) and found.asked_at.tzinfo
        for found in items
    )
    assert sorted(asked(sandbox)) == sorted(ids)
    with pytest.raises(AttributeError):
        items[0].answer = None


def test_the_default_client_is_the_one_of_facecert_query(sandbox, open_many):
    (found,) = query_many(open_many(1))
    assert found.answer.passed


def test_importing_the_package_is_cheap():
    out = run_python(
        "import sys, facecert.batch\n"
        "print([name for name in ('concurrent.futures', 'sqlite3', 'ssl', 'aliyunsdkcore')"
        " if name in sys.modules])"
    )
    assert out == "[]\n"


def test_nothing_comes_of_nothing(client):
    batch = query_many([], client=client)
    assert list(batch) == [] and list(batch) == []


def test_what_cannot_be_an_id_is_not_repeated_and_stops_nobody(client, open_many, sandbox):
    good = open_many(2)
    bad = [NAME, NUMBER, "110101198001019", "13800138000", "Zhang San", "E12345678", None, 7, b"x",
           (), ("a", "b", "c"), (NUMBER, None), "", "x" * 65, {"certify_id": NUMBER}]  # fmt: skip
    items = good[:1] + bad + good[1:]
    answers = list(query_many(iter(items), client=client, qps=500))
    assert sorted(found.position for found in answers) == list(range(1, len(items) + 1))
    for found in answers:
        if found.position in (1, len(items)):
            assert found.answer is not None
        else:
            assert found.certify_id == "" and found.answer is None
            assert type(found.error) is facecert.InvalidParameter
            assert found.error.field == "certify_id"
            assert found.error.__traceback__ is None
            for text in (NAME, NUMBER, "San"):
                assert text not in repr(found) + str(found.error)
    assert sorted(asked(sandbox)) == sorted(good)


def test_an_id_may_bring_its_scene_along(client, open_many, sandbox):
    ids = open_many(3)
    items = [(ids[0], "77"), (ids[1], None), [ids[2], sandbox.scene_id]]
    found = {o.certify_id: o for o in query_many(items, client=client, qps=100)}
    assert found[ids[0]].error.code == 400
    assert found[ids[1]].answer is not None and found[ids[2]].answer is not None
    scenes = {
        request.service_parameters["certifyId"]: request.service_parameters["sceneId"]
        for request in sandbox.requests
    }
    assert scenes == {ids[0]: "77", ids[1]: sandbox.scene_id, ids[2]: sandbox.scene_id}


def test_scene_id_is_for_those_that_come_without(client, open_many, sandbox):
    ids = open_many(2)
    list(query_many([ids[0], (ids[1], sandbox.scene_id)], client=client, scene_id="88", qps=100))
    scenes = sorted(request.service_parameters["sceneId"] for request in sandbox.requests)
    assert scenes == sorted(["88", sandbox.scene_id])


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({"qps": 0}, "qps"),
        ({"threads": 0}, "threads"),
        ({"threads": 257}, "threads"),
        ({"threads": 2.0}, "threads"),
        ({"threads": True}, "threads"),
        ({"scene_id": "x"}, "scene_id"),
        ({"ids": "0" * 32}, "ids"),
    ],
)
def test_arguments_are_checked_at_once(client, arguments, field):
    with pytest.raises(facecert.InvalidParameter) as caught:
        query_many(**dict({"ids": [], "client": client}, **arguments))
    assert caught.value.field == field


def test_ids_are_taken_as_it_goes_and_nothing_before_it_is_iterated(client, open_many):
    certify_id = open_many(1)[0]
    taken = itertools.count(1)
    last = [0]

    def endless():
        while True:
            last[0] = next(taken)
            yield certify_id

    batch = query_many(endless(), client=client, qps=200, threads=3)
    assert last[0] == 0 and not batch_threads()
    for number, _ in enumerate(itertools.islice(batch, 40), 1):
        assert last[0] <= number + 2 * 3 and len(batch_threads()) <= 3
    batch.close()


def test_ids_are_taken_in_the_thread_that_iterates(client, open_many):
    """A generator may use a database that belongs to one thread."""
    ids, threads = open_many(5), set()

    def source():
        for certify_id in ids:
            threads.add(threading.current_thread())
            yield certify_id

    assert len(list(query_many(source(), client=client, qps=100))) == 5
    assert threads == {threading.current_thread()}


def test_an_error_of_the_ids_comes_after_the_results(client, open_many):
    ids = open_many(7)

    def source():
        yield from ids
        raise RuntimeError("the database went away")

    found = []
    batch = query_many(source(), client=client, qps=100)
    with pytest.raises(RuntimeError, match="went away"):
        for item in batch:
            found.append(item.certify_id)
    assert sorted(found) == sorted(ids)
    assert list(batch) == []


@pytest.mark.long
def test_retries_take_their_turns_too(client, open_many, sandbox):
    ids = open_many(4)
    sandbox.fail("http-503", times=4)
    begin = time.monotonic()
    assert all(o.answer is not None for o in query_many(ids, client=client, qps=4, threads=4))
    assert len(sandbox.requests) == 8
    # 8 calls at 4 a second: two seconds but for the first call's.
    assert time.monotonic() - begin >= 1.25


def test_one_hundredth_of_bad_answers_does_not_stop_it(client, open_many, sandbox):
    ids = open_many(6) * 20
    for number in range(HOPELESS_IN_A_ROW):
        sandbox.fail("code-402", share=0.02)
    items = list(query_many(ids, client=client, qps=1000, threads=8))
    assert len(items) == 120
    assert 10 < sum(found.error is not None for found in items) < 100


def hopeless_errors():
    return [
        facecert.CredentialsError("x"),
        facecert.DependencyError("x"),
        facecert.SignatureError("x", code="SignatureDoesNotMatch"),
        facecert.ClockSkew("x", code="InvalidTimeStamp.Expired"),
        facecert.GatewayError("x", code="Forbidden.RAM"),
        facecert.GatewayError("x", code="NoPermission"),
        facecert.ServiceError("x", code=402),
        facecert.ServiceError("x", code=403),
        facecert.ServiceError("x", code=404),
        facecert.InvalidParameter("x", field="scene_id"),
    ]


def other_errors():
    return [
        facecert.InvalidParameter("x", field="certify_id"),
        facecert.ConnectionFailed("x"),
        facecert.NoAnswer("x"),
        facecert.BadAnswer("x"),
        facecert.Throttled("x", code="Throttling.User"),
        facecert.GatewayError("x", code="InvalidParameter.X"),
        facecert.GatewayError("x"),
        facecert.ServiceError("x", code=400),
        facecert.ServiceError("x", code=500),
        None,
    ]


@pytest.mark.parametrize("error", hopeless_errors(), ids=repr)
def test_hopeless(error):
    assert is_hopeless(error)


@pytest.mark.parametrize("error", other_errors(), ids=repr)
def test_not_hopeless(error):
    assert not is_hopeless(error)


def test_a_wrong_secret_ends_it_after_twenty(client, open_many, sandbox):
    ids = open_many(2) * 1000
    wrong = sandbox.client(credentials=(sandbox.access_key_id, "wrong"))
    taken = itertools.count()
    found = []
    with pytest.raises(facecert.SignatureError):
        for item in query_many(
            (certify_id for certify_id in ids if next(taken) >= 0),
            client=wrong, qps=1000, threads=4,
        ):  # fmt: skip
            found.append(item)
    # Two for each thread are handed out; on a busy machine all of them are answered by then.
    assert HOPELESS_IN_A_ROW <= len(found) <= HOPELESS_IN_A_ROW + 2 * 4
    assert next(taken) <= HOPELESS_IN_A_ROW + 2 * 4 + 1
    assert {type(item.error) for item in found} == {facecert.SignatureError}


def test_a_wrong_secret_ends_a_short_one_too_and_bad_ids_do_not_count(client, open_many, sandbox):
    wrong = sandbox.client(credentials=(sandbox.access_key_id, "wrong"))
    found = []
    with pytest.raises(facecert.SignatureError):
        for item in query_many(open_many(3) + [None], client=wrong, qps=100):
            found.append(item)
    assert len(found) == 4


def test_a_key_that_is_revoked_in_the_middle_ends_it(client, open_many, sandbox):
    ids = open_many(2) * 100
    found = []
    with pytest.raises(facecert.SignatureError):
        for item in query_many(ids, client=client, qps=1000, threads=2):
            found.append(item)
            if len(found) == 10:
                sandbox.revoke(sandbox.access_key_id)
    assert 10 + HOPELESS_IN_A_ROW <= len(found) <= 10 + HOPELESS_IN_A_ROW + 8


def test_no_credentials(sandbox, open_many):
    class Chain:
        def get_credential(self):
            raise OSError("nothing")

    with pytest.raises(facecert.CredentialsError):
        list(query_many(open_many(1), client=sandbox.client(credentials=Chain())))


def test_a_bug_in_a_thread_is_raised_where_it_is_seen(client, open_many):
    ids = open_many(3)

    class Broken:
        def paced(self, rate):
            return self

        def query(self, certify_id, scene_id=None):
            raise ZeroDivisionError(certify_id)

    with pytest.raises(ZeroDivisionError):
        list(query_many(ids, client=Broken()))


def test_a_machine_without_threads_to_spare(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        list(query_many(IDS, client=Slow()))


class Slow:
    """A client whose calls take until they are let go."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.asked = []

    def paced(self, rate):
        self.rate = rate
        return self

    def query(self, certify_id, scene_id=None):
        with self.rate.turn():
            self.asked.append(certify_id)
            self.begun.release()
            assert self.go.wait(20)
        return facecert.QueryResult(
            passed=True, certify_id=certify_id, identity_info=None, material_info=None,
            request_id=None, raw={},
        )  # fmt: skip


IDS = ["%032x" % number for number in range(1000, 1050)]


def stop_when_begun(slow, batch, number):
    def stop():
        for _ in range(number):
            slow.begun.acquire()
        batch.stop()
        slow.go.set()

    thread = threading.Thread(target=stop)
    thread.start()
    return thread


def test_after_stop_what_is_under_way_comes_and_nothing_else():
    slow = Slow()
    batch = query_many(IDS, client=slow, qps=1000, threads=3)
    stopper = stop_when_begun(slow, batch, 3)
    found = [item.certify_id for item in batch]
    stopper.join()
    assert len(found) == 3 and sorted(found) == sorted(slow.asked)
    assert batch.stopped and list(batch) == []


def test_stop_does_not_wait_for_the_rate():
    slow = Slow()
    batch = query_many(IDS, client=slow, qps=0.01, threads=3)
    stopper = stop_when_begun(slow, batch, 1)
    begin = time.monotonic()
    assert len(list(batch)) == 1
    assert time.monotonic() - begin < 20
    stopper.join()


def test_stop_does_not_wait_for_another_attempt(client, sandbox, open_many):
    """An id that failed and waits to be asked again has no item; nothing is known of it."""
    ids = open_many(1)
    client.query(ids[0])
    sandbox._exchange.requests.clear()
    sandbox.fail("http-503", times=3)
    patient = sandbox.client()
    patient._gateway._jitter = lambda: 1.0
    batch = query_many(ids, client=patient, qps=0.01)

    def stop():
        while not sandbox.requests:
            time.sleep(0.01)
        batch.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    assert list(batch) == []
    thread.join()
    assert len(sandbox.requests) == 1


def test_close_ends_the_threads(client, open_many):
    ids = open_many(4) * 50
    with query_many(ids, client=client, qps=500) as batch:
        next(batch)
        assert batch_threads()
    assert not batch_threads()
    assert list(batch) == []


def test_who_leaves_the_loop_leaves_no_threads(client, open_many):
    for _ in query_many(open_many(2) * 50, client=client, qps=500, threads=4):
        break
    gc.collect()
    for thread in batch_threads():
        thread.join(10)
    assert not batch_threads()


def test_ctrl_c_while_it_reads_stops_it_and_what_is_under_way_can_be_had():
    slow = Slow()

    def source():
        yield from IDS[:2]
        slow.go.set()
        raise KeyboardInterrupt()

    batch = query_many(source(), client=slow, qps=1000, threads=4)
    with pytest.raises(KeyboardInterrupt):
        list(batch)
    assert batch.stopped
    assert {item.certify_id for item in batch} <= set(IDS[:2])


def test_bug_a_timeout_in_the_middle_of_a_batch_hung_it():
    """It raises an Exception, unlike Ctrl-C. Here after an item was taken, before it counted."""

    class Timeout(Exception):
        pass

    class Struck:
        def __init__(self, queue):
            self.queue = queue

        def get(self, *arguments):
            self.queue.get(*arguments)
            batch._finished = self.queue
            raise Timeout

    client = Slow()
    client.go.set()
    batch = query_many(IDS[:3], client=client, qps=1000, threads=4)
    batch._finished = Struck(batch._finished)
    with pytest.raises(Timeout):
        next(batch)
    found = []
    other = threading.Thread(target=lambda: found.extend(batch), daemon=True)
    other.start()
    other.join(60)
    assert batch.stopped and not other.is_alive() and len(found) <= 2


@pytest.mark.long
def test_real_ctrl_c_while_it_waits(sandbox, open_many):
    """The program catches it, takes what is under way, and ends with a normal exit."""
    ids = open_many(2)
    sandbox.fail("slow", times=2, seconds=1.0)
    code = (
        "import sys, facecert\n"
        "from facecert.batch import query_many\n"
        "client = facecert.Client.from_environment()\n"
        "def source():\n"
        "    yield from %r\n"
        "    while True: yield '%%032x' %% 7\n"
        "batch = query_many(source(), client=client, qps=2, threads=2)\n"
        "found = []\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    for item in batch: found.append(item)\n"
        "except KeyboardInterrupt:\n"
        "    for item in batch: found.append(item)\n"
        "import threading\n"
        "print(len(found), [o.error for o in found], threading.active_count())\n" % (ids,)
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env=dict(os.environ, PYTHONPATH=str(ROOT), **sandbox.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    while len(sandbox.requests) < 2:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=60)
    assert child.returncode == 0, error
    assert out == "2 [None, None] 1\n"


CTRL_C = """
import random, signal, sys
from facecert.batch import query_many
from growth_subjects import AnswersAtOnce, certify_id
signal.signal(signal.SIGALRM, signal.default_int_handler)
draw = random.Random(1)
for _ in range(300):
    batch = query_many(map(certify_id, range(10 ** 9)), client=AnswersAtOnce(), threads=8)
    for _ in range(50):
        next(batch)
    signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.0005, 0.01))
    try:
        for item in batch:
            pass
    except KeyboardInterrupt:
        batch.close()
print("end")
"""


@pytest.mark.long
@pytest.mark.skipif(sys.version_info < (3, 7), reason="it has no SimpleQueue")
def test_ctrl_c_at_any_moment_leaves_no_lock_behind():
    code = "import sys; sys.path.insert(0, %r)\n" % str(ROOT / "tests" / "bench") + CTRL_C
    assert run_python(code) == "end\n"


ENDS_HALF_WAY = """
import facecert, itertools
from facecert.batch import query_many
client = facecert.Client.from_environment()
batch = query_many(itertools.repeat(%r), client=client, qps=%s, threads=8)
next(batch)
%s
print('end')
"""


@pytest.mark.long
@pytest.mark.parametrize("qps, then", [(50, ""), (0.005, ""), (0.005, "del batch")])
def test_an_interpreter_that_ends_half_way_ends(sandbox, open_many, qps, then):
    """Its exit joins the threads. At 0.005 a second the next turn would come after 200 s."""
    code = ENDS_HALF_WAY % (open_many(1)[0], qps, then)
    assert run_python(code, env=sandbox.environment) == "end\n"


def test_an_interpreter_that_ends_waits_for_the_query_under_way():
    code = (
        "import threading, time\n"
        "from facecert.batch import query_many\n"
        "begun = threading.Event()\n"
        "class Client:\n"
        "    def paced(self, rate):\n"
        "        return self\n"
        "    def query(self, certify_id, scene_id):\n"
        "        begun.set()\n"
        "        time.sleep(0.3)\n"
        "        print('done')\n"
        "batch = query_many([None, '0' * 32], client=Client(), threads=2)\n"
        "next(batch)\n"
        "begun.wait(30)\n"
        "print('end')\n"
    )
    assert run_python(code) == "end\ndone\n"


def test_an_interpreter_that_ends_does_not_end_a_batch_in_silence(sandbox, open_many):
    """A thread that iterates when the main thread is at its end gets all items, or an error."""
    code = (
        "import facecert, threading\n"
        "from facecert.batch import query_many\n"
        "client = facecert.Client.from_environment()\n"
        "def iterate():\n"
        "    found = []\n"
        "    try:\n"
        "        found += query_many([%r] * 20, client=client, qps=40, threads=2)\n"
        "        print(len(found))\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__)\n"
        "threading.Thread(target=iterate).start()\n" % open_many(1)[0]
    )
    assert run_python(code, env=sandbox.environment) in ("20\n", "RuntimeError\n", "Stopped\n")


@pytest.mark.long
def test_many_ids_take_no_memory(client):
    """Bad ids, so that nothing is sent."""

    def growth(keep):
        batch = query_many((None for _ in range(4000)), client=client, qps=100, threads=2)
        next(batch)
        tracemalloc.start()
        kept = [item for item in batch if keep]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(kept) in (0, 3999)
        return peak

    assert growth(keep=True) > 1000000  # so it would be seen
    assert growth(keep=False) < 200000


def test_an_item_is_a_plain_value():
    assert BatchItem._fields == ("certify_id", "answer", "error", "asked_at", "position")
