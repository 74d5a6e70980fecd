"""SharedRate on a real Redis."""

import pickle
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT, run_cli

import facecert
from facecert.batch import Rate, SharedRate, query_many
from facecert.batch import shared as shared_module
from facecert.transport.retry import Stopped

redis = pytest.importorskip("redis", reason="the package redis is the extra `celery`")


@pytest.fixture
def url(redis_server):
    url = redis_server.url[:-1] + "5"  # a database of its own
    redis.Redis.from_url(url).flushdb()
    return url


def take(rate, times):
    """Take turns, and return when each began."""
    begun = []
    for _ in range(times):
        with rate.turn():
            begun.append(time.monotonic())
    return begun


@pytest.mark.long
def test_two_rates_are_one(url):
    """As in two processes: of 60 turns at 40 a second, the last is at least half a second late."""
    begun, threads = [], []
    for rate in (SharedRate(40, url), SharedRate(40, url)):
        threads.append(threading.Thread(target=lambda rate=rate: begun.extend(take(rate, 30))))
        threads[-1].start()
    for thread in threads:
        thread.join(60)
    begun.sort()
    assert len(begun) == 60 and begun[59] - begun[0] >= 1
    assert begun[40] - begun[0] >= 1  # not more than 40 in any second


@pytest.mark.long
def test_a_turn_counts_until_a_second_after_its_response(url):
    """A request that is late on its way arrives late, and still meets no other 2 in its second."""
    rate, other = SharedRate(2, url), SharedRate(2, url)
    with rate.turn():
        with rate.turn():
            waiting = threading.Thread(target=lambda: begun.extend(take(other, 1)))
            begun = []
            waiting.start()
            waiting.join(1.5)
            assert begun == []
        ended = time.monotonic()
    waiting.join(30)
    assert begun[0] - ended >= 0.99


@pytest.mark.long
def test_a_killed_process_holds_its_turn_for_its_lease(url):
    code = (
        "import os, sys; from facecert.batch import SharedRate\n"
        "with SharedRate(1, sys.argv[1]).turn(): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, url], cwd=str(ROOT), timeout=60)
    left = redis.Redis.from_url(url).zrange("{facecert}:turns", 0, -1, withscores=True)
    lease = left[0][1] / 1e6 - time.time()
    assert len(left) == 1 and 0 < lease <= shared_module.LEASE
    rate = SharedRate(1, url)
    threading.Timer(0.5, rate.stop).start()
    with pytest.raises(Stopped):
        take(rate, 1)


def test_the_keys_expire(url):
    take(SharedRate(0.5, url), 1)
    server = redis.Redis.from_url(url)
    for key in server.keys("*"):
        assert 0 < server.pttl(key) <= 1000 * (shared_module.LEASE + 2)


def test_a_clock_that_was_set_back_stops_nobody(url):
    server = redis.Redis.from_url(url)
    later = int((time.time() + 86400) * 1e6)
    server.zadd("{facecert}:turns", {"one": later})
    server.set("{facecert}:next", later)
    rate = SharedRate(1, url)
    stopping = threading.Timer(60, rate.stop)
    stopping.start()
    take(rate, 1)
    stopping.cancel()


def test_stopping_ends_the_wait(url):
    rate = SharedRate(0.01, url)
    take(rate, 1)
    threading.Timer(0.2, rate.stop).start()
    with pytest.raises(Stopped):
        take(rate, 1)


def test_while_redis_is_away_nothing_is_sent(sandbox, person):
    away = "redis://user:secret-word@127.0.0.1:1/0?password=secret-word"
    with sandbox.client(attempts=1) as client:
        certify_id = client.init(**person).certify_id
        with pytest.raises(facecert.ConnectionFailed) as caught:
            client.paced(SharedRate(40, away)).query(certify_id)
        error = caught.value
        assert error.outcome == "not sent" and error.retryable
        assert "127.0.0.1:1/0" in str(error) and "Start Redis" in str(error)
        assert len(sandbox.requests) == 1
        assert "secret-word" not in str(error) + repr(error.__cause__) + str(pickle.dumps(error))
        frame = error.__traceback__
        while frame:
            if "shared.py" in frame.tb_frame.f_code.co_filename:
                assert "secret-word" not in repr(frame.tb_frame.f_locals)
            frame = frame.tb_next


def test_redis_may_be_away_for_the_end_of_a_turn(url):
    rate = SharedRate(40, url)
    with rate.turn():
        rate._url.value, rate._connections = "redis://127.0.0.1:1/0", {}


@pytest.mark.parametrize("wrong", ["", "http://127.0.0.1", "localhost:6379", None, 5])
def test_the_url_is_checked(wrong):
    with pytest.raises(facecert.InvalidParameter) as caught:
        SharedRate(40, wrong)
    assert caught.value.field == "url"


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(facecert.DependencyError) as caught:
        SharedRate(40, "redis://127.0.0.1/0")
    assert "pip install redis" in caught.value.msg


@pytest.mark.parametrize("kind", ["in this process", "shared"])
def test_a_batch_counts_with_its_rate_and_does_not_stop_it(client, open_many, url, kind):
    rate = SharedRate(1000, url) if kind == "shared" else Rate(1000)
    ids = open_many(4)
    with query_many(ids, client=client, rate=rate) as batch:
        assert next(batch).answer is not None
    assert not rate.stopped
    assert all(item.error is None for item in query_many(ids, client=client, rate=rate))
    if kind != "shared":
        assert rate._next["turn"] > 0
    take(rate, 1)


@pytest.mark.long
def test_the_command_line(commands, open_many, url, tmp_path, monkeypatch):
    monkeypatch.setenv("FACECERT_SCENE_ID", commands.scene_id)
    monkeypatch.setenv("FACECERT_ENDPOINT", commands.endpoint)
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(open_many(3)))
    for more, environ in (["--rate", url], {}), ([], {"FACECERT_RATE": url}):
        redis.Redis.from_url(url).flushdb()
        done = run_cli("query", "--batch", str(file), *more, env=environ)
        assert done.exit_code == 0 and len(done.stdout.splitlines()) == 3
        assert redis.Redis.from_url(url).zcard("{facecert}:turns") == 3
    away = run_cli("query", "--batch", str(file), "--rate", "redis://127.0.0.1:1/0")
    assert away.exit_code == 4 and away.stdout.count('"ConnectionFailed"') == 3
