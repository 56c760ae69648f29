"""Counts of attempts, by the limits library: in the memory of this process or on Redis.

The library's own memory loses counts when the first attempts on a key are parallel,
never stops growing under random names, looks through all keys in a thread that it
starts at each attempt, and knows no clock but the machine's.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from limits import RateLimitItem, parse_many
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from ..errors import ConfigurationError, StoreUnavailableError, TooManyAttemptsError

Limited: TypeAlias = tuple[RateLimitItem, str]
"""A limit, and the key of what it limits."""

CAPACITY: Final = 1 << 17
"""Most counts that are kept in memory: 40 MB of them."""

_LONGEST_WINDOW: Final = 366 * 86400
_KEY_PREFIX: Final = "tokenauth"  # like all keys of this package on Redis
_COUNT: Final = """
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if count <= 0 then
  redis.call('DEL', KEYS[1])
elseif redis.call('TTL', KEYS[1]) < 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return math.max(count, 0)
"""


class _Counts(Storage):
    """What storages that are made here have in common."""

    STORAGE_SCHEME = None

    def check(self) -> bool:
        """Return True, or raise what the storage raises."""
        self.get("check")
        return True

    def reset(self) -> None:
        """Do nothing: others may count here, too."""

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the limits library wraps: whatever a driver raises."""
        return Exception


class MemoryCounters(_Counts):
    """A storage in the memory of this process.

    Args:
        now: Seconds since the epoch.
        capacity: Most counts that are kept; beyond that those go to which nothing was
            added for longest.
    """

    def __init__(self, now: Callable[[], float], capacity: int = CAPACITY) -> None:
        super().__init__()
        self._now = now
        self._capacity = capacity
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a count, atomically, and return it; no count is less than 0."""
        now = self._now()
        with self._lock:
            count, ends_at = self._counts.pop(key, (0, 0.0))  # to come last again
            if ends_at <= now:
                count, ends_at = 0, now + expiry
            count = max(count + amount, 0)
            if count:
                self._counts[key] = count, ends_at
            if len(self._counts) > self._capacity:
                self._counts.popitem(last=False)
        return count

    def get(self, key: str) -> int:
        """Return a count, 0 when its window has ended."""
        with self._lock:
            count, ends_at = self._counts.get(key, (0, 0.0))
        return count if ends_at > self._now() else 0

    def get_expiry(self, key: str) -> float:
        """Return when a count's window ends, in seconds since the epoch."""
        with self._lock:
            return self._counts.get(key, (0, self._now()))[1]

    def clear(self, key: str) -> None:
        """Remove a count."""
        with self._lock:
            self._counts.pop(key, None)


class RedisCounters(_Counts):
    """A storage on Redis: one server, a cluster, or what Sentinel leads to.

    The library's own connects to a cluster when it is made, and keeps counts of 0.

    Each method raises `StoreUnavailableError` when the server cannot answer.

    Args:
        client: A client of redis-py.
    """

    def __init__(self, client: Any) -> None:
        super().__init__()
        self._client = client

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a count, atomically, and return it; no count is less than 0."""
        return int(self._ask("EVAL", _COUNT, 1, _named(key), amount, int(expiry)))

    def get(self, key: str) -> int:
        """Return a count, 0 when its window has ended."""
        return int(self._ask("GET", _named(key)) or 0)

    def get_expiry(self, key: str) -> float:
        """Return when a count's window ends, in seconds since the epoch."""
        return time.time() + max(float(self._ask("TTL", _named(key))), 0)

    def clear(self, key: str) -> None:
        """Remove a count."""
        self._ask("DEL", _named(key))

    def _ask(self, *command: Any) -> Any:
        try:
            return self._client.execute_command(*command)
        except Exception as error:  # noqa: BLE001 # whatever a driver raises
            # A server that answers with an error may have changed its role since.
            if pool := vars(self._client).get("connection_pool"):
                pool.disconnect(inuse_connections=False)
            raise StoreUnavailableError(reason=error) from None


def _named(key: str) -> str:
    return f"{_KEY_PREFIX}:{key}"


class Counters(FixedWindowRateLimiter):
    """Counts against limits in one storage.

    Args:
        storage: Keeps the counts.
        now: Seconds since the epoch.
    """

    def __init__(self, storage: Storage, now: Callable[[], float]) -> None:
        super().__init__(storage)
        self._now = now

    def reserve(self, limited: tuple[Limited, ...]) -> None:
        """Count for every limit, or raise `TooManyAttemptsError` and count for none."""
        for taken, (item, key) in enumerate(limited, start=1):
            if not self.hit(item, key):
                error = self.refusal(item, key)
                self.give_back(limited[:taken])
                raise error

    def give_back(self, limited: Iterable[Limited]) -> None:
        """Take back what was counted; nothing, where the window has ended meanwhile."""
        for item, key in limited:
            self.hit(item, key, cost=-1)

    def refusal(self, item: RateLimitItem, key: str) -> TooManyAttemptsError:
        """Return the error of a limit that is reached."""
        seconds = self.get_window_stats(item, key).reset_time - self._now()
        # A shared storage goes by its own clock.
        return TooManyAttemptsError(math.ceil(min(max(seconds, 1), item.get_expiry())))


def parse_limits(notation: str) -> list[RateLimitItem]:
    """Return the limits that a text describes, the shortest window first.

    Args:
        notation: For example `"30 per minute; 100 per day"`.

    Raises:
        ConfigurationError: it cannot be read, or allows nothing.
    """
    try:
        limits = parse_many(notation)
    except ValueError:
        limits = []
    windows = [item.get_expiry() for item in limits if item.amount > 0]
    if not windows or len(windows) < len(limits) or max(windows) > _LONGEST_WINDOW:
        raise ConfigurationError(
            "TOKENAUTH_LOGIN_LIMITS must be in the notation of the limits library, for "
            "example '30 per minute; 100 per day': at least 1, per a year at most."
        )
    return sorted(limits, key=lambda item: item.get_expiry())


def times(item: RateLimitItem, factor: int) -> RateLimitItem:
    """Return a limit that allows so many times as much."""
    return type(item)(item.amount * factor, item.multiples)
