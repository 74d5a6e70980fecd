"""SharedRate: one rate for the processes of several machines, counted in Redis.

The package ``limits`` is not used. Its moving window counts when a request may leave, by the clock
of each machine; a request that is late then arrives among those of the next second. Here a request
counts from its turn until one second after its response, by the clock of Redis.
"""

import os
import threading
from contextlib import suppress
from typing import Any, Dict

from ..errors import ConnectionFailed, invalid, unimportable
from ..redact import Hidden, guarded
from .rate import LOOK, Rate

#: Seconds that the turn of a process counts if the process is killed before the response.
LEASE = 30

#: Returns the microseconds to wait, or 0 when the turn was taken. KEYS: the turns, with the time
#: until which they count; the time of the next turn. ARGV: name, gap, limit, lease.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local gap, limit, lease = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now)
local turn = tonumber(redis.call('GET', KEYS[2]) or 0)
if turn > now + math.max(gap, lease) then  -- the clock was set back
    redis.call('DEL', KEYS[1])
    turn = 0
end
if turn > now then
    return turn - now
end
if redis.call('ZCARD', KEYS[1]) >= limit then
    return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] - now
end
redis.call('ZADD', KEYS[1], now + lease, ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.ceil((lease + gap) / 1000))
-- A process that wakes up late may be followed by turns at once, for a quarter of a second at most.
redis.call('SET', KEYS[2], math.max(turn, now - 250000) + gap)
redis.call('PEXPIRE', KEYS[2], math.ceil((lease + gap) / 1000))
return 0
"""

_END = """
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], 'XX', time[1] * 1000000 + time[2] + ARGV[2], ARGV[1])
"""


class SharedRate(Rate):
    """A ``Rate`` that all processes with the same Redis share. Needs the package ``redis``.

    The turns are evenly spaced. At most ``qps`` requests arrive in any second, however long each
    was on its way: one counts until a second after its response. So the throughput is
    ``qps / (1 + s)`` for responses that take ``s`` seconds. A killed process's turn counts for 30
    seconds. A turn raises ConnectionFailed while Redis is away: nothing is sent.

    Args:
        qps: requests a second, 0.001 to 1000; above 1 the fraction is dropped.
        url: ``redis://host:6379/0``, ``rediss://…`` or ``unix://…`` of a Redis 5 or later.

    Raises:
        InvalidParameter: ``qps`` or ``url`` breaks a rule.
        DependencyError: the package ``redis`` is missing.
    """

    @guarded
    def __init__(self, qps: float, url: str) -> None:
        super().__init__(qps)
        self._url = Hidden(url)  # which may hold a password
        self._connections: Dict[Any, Any] = {}
        try:
            self._connection()
        except ImportError as error:
            raise unimportable("SharedRate needs redis", "redis", error) from error
        except (AttributeError, TypeError, ValueError):
            rule = "must be the URL of a Redis: redis://host:6379/0, rediss://… or unix://…"
            raise invalid("url", rule) from None

    def _take(self) -> str:
        name, wait = os.urandom(16).hex(), 0
        numbers = int(1e6 / self.qps), max(1, int(self.qps)), LEASE * 1000000
        while True:
            self.sleep(wait / 1e6)
            wait = self._run(_TAKE, name, *numbers)
            if not wait:
                return name
            # Not for long, because a response may come, or another process may end its turn.
            wait = min(wait, int(LOOK * 1e6))

    def _end(self, taken: str) -> None:
        with suppress(ConnectionFailed):  # Then it counts until its lease is over.
            self._run(_END, taken, int(1e6 * max(1, 1 / self.qps)))

    @guarded  # because the frames of redis hold the password
    def _run(self, script: str, *arguments: Any) -> Any:
        import redis

        try:
            keys = ("{facecert}:turns", "{facecert}:next")  # One slot of a cluster.
            return self._connection().eval(script, len(keys), *keys, *arguments)
        except redis.RedisError as error:
            place = self._url.value.rpartition("@")[2].partition("?")[0]
            words = "Redis at %s failed: %s. Nothing was sent. Start Redis, or correct the URL."
            raise ConnectionFailed(words % (place, type(error).__name__)) from error

    def _connection(self) -> Any:
        import redis

        # One for each process, and made anew after a patch by gevent or eventlet.
        here = os.getpid(), threading.Lock
        if here not in self._connections:
            limits = {"socket_timeout": 5, "socket_connect_timeout": 5}
            self._connections[here] = redis.Redis.from_url(self._url.value, **limits)
        return self._connections[here]
