"""Forks wait until nobody in this process has an SQLite file open.

SQLite keeps its locks in the process's memory. A child that is forked while another thread has the
file open takes them for its own: it hangs, or writes beside the parent and spoils the file
(sqlite.org, How To Corrupt An SQLite Database File, 2.6).
"""

import os
import threading
from contextlib import contextmanager
from typing import Dict, Iterator


class Guard:
    """Keeps forks and uses of a file apart. Threads do not wait for each other."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        #: thread -> how many uses it is in
        self._using: Dict[int, int] = {}
        self._forking = 0

    @contextmanager
    def use(self) -> Iterator[None]:
        """Have no fork begin before the block ends, and wait for one that has begun."""
        thread = threading.get_ident()
        with self._changed:
            # A thread that is in already may go on, or the fork would wait for it for ever.
            while self._forking and thread not in self._using:
                self._changed.wait()
            self._using[thread] = self._using.get(thread, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._using[thread] -= 1
                if not self._using[thread]:
                    del self._using[thread]
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread is in a use; let none begin."""
        with self._changed:
            self._forking += 1
            while set(self._using) - {threading.get_ident()}:
                self._changed.wait()

    def after_fork(self) -> None:
        """Let uses begin again, in the parent."""
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()

    def register(self) -> "Guard":
        """Have this process's forks wait. Python 3.6 cannot."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self.before_fork,
                after_in_parent=self.after_fork,
                after_in_child=self._begin_anew,
            )
        return self

    def _begin_anew(self) -> None:
        """In the child there is one thread; the lock may be held by one that is not there."""
        here = threading.get_ident()
        self._changed = threading.Condition(threading.Lock())
        self._using = {here: self._using[here]} if here in self._using else {}
        self._forking = 0


sqlite_files = Guard().register()
