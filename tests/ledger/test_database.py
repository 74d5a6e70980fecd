"""Forks, interruptions, and the SQLite file itself."""

import concurrent.futures
import contextlib
import os
import sqlite3
import stat
import sys
import threading
import traceback

import pytest
from conftest import run_python
from strikes import struck

import facecert

sqlalchemy = pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
from facecert.ledger import Ledger, database  # noqa: E402

python_3_6_has_no_hooks = pytest.mark.skipif(
    sys.version_info < (3, 7), reason="Python 3.6 has no os.register_at_fork"
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger.db")


@pytest.fixture
def ledger(path):
    ledger = Ledger(path)
    yield ledger
    ledger.close()


@pytest.fixture
def other():
    """Another thread, for what it does to the lock of this one."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result(30)


@contextlib.contextmanager
def held(other):
    """Have the other thread hold the lock, as it does in the middle of a use."""
    lock = database._sqlite_lock()
    other(lock.acquire)
    try:
        yield
    finally:
        other(lock.release)


#: One thread is in the middle of a transaction; ``leave.set()`` lets it commit.
HOLDING = """
import os, threading, warnings
import sqlalchemy
from facecert.ledger import Ledger, database

warnings.simplefilter("ignore")
ledger = Ledger("ledger.db")
ledger.check()
inside, leave = threading.Event(), threading.Event()


def hold(*arguments):
    if threading.current_thread() is holder:
        inside.set()
        leave.wait(30)


sqlalchemy.event.listen(ledger.database._engine(), "after_cursor_execute", hold)
holder = threading.Thread(target=ledger.check)
holder.start()
inside.wait(30)
"""


@python_3_6_has_no_hooks
def test_bug_a_fork_beside_a_thread_that_writes_spoiled_the_file(tmp_path):
    """SQLite's locks are in memory: the child took the thread's for its own."""
    code = HOLDING + (
        "forked = threading.Event()\n"
        "def fork():\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        ledger.check()\n"
        "        os._exit(7)\n"
        "    forked.set()\n"
        "    print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))\n"
        "forking = threading.Thread(target=fork)\n"
        "forking.start()\n"
        "print(forked.wait(0.3))\n"
        "leave.set()\n"
        "holder.join()\n"
        "forking.join()\n"
        "ledger.check()\n"
    )
    assert run_python(code, cwd=tmp_path).split() == ["False", "7"]


@pytest.mark.long
@python_3_6_has_no_hooks
def test_a_fork_waits_no_longer_than_the_longest_lock(tmp_path):
    code = HOLDING + (
        "database.LONGEST_LOCK = 0.1\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(7 if database._sqlite_lock().acquire(False) else 1)\n"
        "print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))\n"
        "print(database._sqlite_lock().acquire(False))\n"  # the parent took nothing away
        "leave.set()\n"
        "holder.join()\n"
        "ledger.check()\n"
    )
    assert run_python(code, cwd=tmp_path).split() == ["7", "False"]


def test_a_child_forked_in_the_middle_of_a_use_may_use_the_ledger(tmp_path):
    code = (
        "import os, sqlalchemy\n"
        "from facecert.ledger import Ledger\n"
        "ledger, children = Ledger('ledger.db'), []\n"
        "ledger.check()\n"
        "def fork(*arguments):\n"
        "    if not children:\n"
        "        children.append(os.fork())\n"
        "        if children == [0]:\n"
        "            ledger.check()\n"
        "sqlalchemy.event.listen(ledger.database._engine(), 'before_cursor_execute', fork)\n"
        "assert ledger.get('order1') is None\n"
        "ledger.check()\n"
        "if children == [0]:\n"
        "    os._exit(7)\n"
        "print(os.WEXITSTATUS(os.waitpid(children[0], 0)[1]))\n"
        "ledger.check()\n"
    )
    assert run_python(code, cwd=tmp_path).split() == ["7"]


def test_a_child_needs_no_hook(ledger, other, monkeypatch):
    """uWSGI does not call all of them; the thread that held the lock is not in the child."""
    ledger.check()
    with held(other):
        monkeypatch.setattr(os, "getpid", lambda: -1)
        ledger.check()
        other(ledger.check)
        ledger.close()
        monkeypatch.undo()


@pytest.mark.long
def test_bug_after_a_late_patch_greenlets_shared_the_lock_and_the_old_engine(tmp_path):
    """All greenlets of a thread own a plain RLock at once."""
    pytest.importorskip("gevent")
    code = (
        "from facecert.ledger import Ledger, database\n"
        "ledger = Ledger('ledger.db')\n"
        "ledger.check()\n"
        "before = ledger.database._engine()\n"
        "from gevent import monkey, spawn\n"
        "monkey.patch_all()\n"
        "def other():\n"
        "    return database._sqlite_lock().acquire(False)\n"
        "with database._sqlite_lock():\n"
        "    print(spawn(other).get(timeout=30))\n"
        "print(spawn(other).get(timeout=30), ledger.database._engine() is before)\n"
    )
    assert run_python(code, cwd=tmp_path).split() == ["False", "True", "False"]


def test_a_use_waits_no_longer_than_the_longest_lock(ledger, other, monkeypatch):
    monkeypatch.setattr(database, "LONGEST_LOCK", 0.1)
    with held(other):
        words = "could not be written: other threads used SQLite for 0.1 seconds"
        with pytest.raises(facecert.LedgerError, match=words) as caught:
            ledger.check()
    assert caught.value.outcome == "not sent" and caught.value.retryable
    ledger.check()


@pytest.mark.long
def test_a_server_needs_no_lock(postgresql, other, monkeypatch):
    monkeypatch.setattr(database, "LONGEST_LOCK", 0.1)
    ledger = Ledger(postgresql)
    with held(other):
        ledger.check()
    ledger.close()


def free():
    """Tell whether a thread can take the lock."""
    taken = database._sqlite_lock().acquire(False)
    if taken:
        database._sqlite_lock().release()
    return taken


@pytest.mark.parametrize("name", ["check", "entries"])
def test_bug_an_interruption_at_any_step_left_the_ledger_locked(ledger, other, name):
    def use():
        return list(getattr(ledger, name)() or ())

    ledger.check()
    step = 1
    while other(struck, database.__file__, use, step):
        assert free(), step
        step += 1
    assert step > 20
    ledger.check()


#: Signals that raise, at random moments, while another thread uses the ledger too.
STRUCK = """
import random, signal, threading, time
from facecert.ledger import Ledger


class Strike(BaseException):
    pass


def strike(number, frame):
    raise Strike


def use():
    while not stop.is_set():
        ledger.check()
        used.append(1)


def until_struck(call):  # a function, because 3.13 has a jump in a loop that try does not cover
    end = time.monotonic() + 1  # for a strike that a finalizer swallows
    while time.monotonic() < end:
        call()


signal.signal(signal.SIGALRM, strike)
ledger, stop, used, strikes = Ledger("ledger.db"), threading.Event(), [], 0
ledger.check()
other = threading.Thread(target=use, daemon=True)
other.start()
for turn in range(2000):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.003))
        until_struck(ledger.check if turn % 2 else lambda: ledger.get("order1"))
    except BaseException:  # SQLAlchemy's own assertions may be struck, too
        strikes += 1
stop.set()
other.join(30)
print(strikes > 1000, len(used) > 100, other.is_alive())
ledger.check()
after = threading.Thread(target=ledger.check, daemon=True)
after.start()
after.join(30)
print(after.is_alive())
"""


@pytest.mark.long
def test_bug_interruptions_hung_every_later_call(tmp_path):
    assert run_python(STRUCK, cwd=tmp_path).split() == ["True", "True", "False", "False"]


def test_bug_threads_that_came_first_together_left_connections_open(tmp_path, monkeypatch):
    together, disposed = threading.Barrier(2), []

    class Engine:
        def dispose(self):
            disposed.append(self)

    def open_engine(url):
        together.wait(10)
        return Engine()

    monkeypatch.setattr(database, "_open_engine", open_engine)
    ledger, used = Ledger(str(tmp_path / "ledger.db")), []
    threads = [
        threading.Thread(target=lambda: used.append(ledger.database._engine())) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert used[0] is used[1] and len(disposed) == 1 and disposed[0] is not used[0]


def mode(path):
    return stat.S_IMODE(os.stat(str(path)).st_mode)


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("missing", [None, "O_NOFOLLOW"])
def test_a_new_file_is_its_owners_only(path, ledger, open_umask, monkeypatch, missing):
    if missing:
        monkeypatch.delattr(os, missing)
    ledger.check()
    assert mode(path) == 0o600
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM facecert_verifications")
        connection.commit()
        assert mode(path + "-wal") == mode(path + "-shm") == 0o600


def test_an_existing_file_keeps_its_mode(path, ledger, open_umask):
    with open(path, "w"):
        pass
    os.chmod(path, 0o640)
    ledger.check()
    assert mode(path) == 0o640


def test_a_planted_link_creates_no_file(path, ledger, tmp_path):
    target = tmp_path / "planted.db"
    os.symlink(str(target), path)
    with pytest.raises(facecert.LedgerError, match="symbolic link") as caught:
        ledger.check()
    assert caught.value.outcome == "not sent" and not target.exists()
    target.touch()
    ledger.check()
    assert target.stat().st_size


def test_a_folder_that_is_missing_is_sqlites_error(tmp_path):
    with pytest.raises(facecert.LedgerError, match="unable to open database file"):
        Ledger(str(tmp_path / "missing" / "ledger.db")).check()


def test_a_uri_is_left_to_sqlite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ledger = Ledger("sqlite:///file:ledger.db?mode=rwc&uri=true")
    assert ledger.database.is_there
    ledger.check()
    ledger.close()
    assert (tmp_path / "ledger.db").exists() and not (tmp_path / "file:ledger.db").exists()


def test_bug_a_missing_driver_left_the_password_in_the_frames():
    with pytest.raises(facecert.DependencyError) as caught:
        Ledger("mysql+nothing://user:canary-password@host/name")
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    frames += [frame for frame, _ in traceback.walk_tb(caught.value.__cause__.__traceback__)]
    held = [value for frame in frames for value in frame.f_locals.values()]
    # A URL is a tuple, and crash reporters list what a tuple holds.
    assert not any(isinstance(one, tuple) and "canary-password" in one for one in held)
