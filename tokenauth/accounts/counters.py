"""Counts of attempts in the memory of this process, for the limits library.

The library's own memory loses counts when the first attempts on a key are parallel,
never stops growing under random names, looks through all keys in a thread that it
starts at each attempt, and knows no clock but the machine's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from typing import Final

from limits.storage import Storage

CAPACITY: Final = 1 << 17
"""Most counts that are kept: 40 MB of them."""


class MemoryCounters(Storage):
    """Counts that end with their window, bounded in number.

    Args:
        now: Seconds since the epoch.
        capacity: Most counts that are kept; beyond that those go to which nothing was
            added for longest.
    """

    STORAGE_SCHEME = None

    def __init__(self, now: Callable[[], float], capacity: int = CAPACITY) -> None:
        super().__init__()
        self._now = now
        self._capacity = capacity
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        self._sweep_at = 0

    def __len__(self) -> int:
        return len(self._counts)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a count, atomically, and return it; nothing counts less than 0."""
        now = self._now()
        with self._lock:
            count, ends_at = self._counts.pop(key, (0, 0.0))  # to come last again
            if ends_at <= now:
                self._make_room(now)
                count, ends_at = 0, now + expiry
            count += amount
            if count > 0:
                self._counts[key] = count, ends_at
            return max(count, 0)

    def get(self, key: str) -> int:
        """Return a count, 0 when its window is over."""
        with self._lock:
            count, ends_at = self._counts.get(key, (0, 0.0))
        return count if ends_at > self._now() else 0

    def get_expiry(self, key: str) -> float:
        """Return when a count's window ends, in seconds since the epoch."""
        with self._lock:
            return self._counts.get(key, (0, self._now()))[1]

    def clear(self, key: str) -> None:
        """Forget a count."""
        with self._lock:
            self._counts.pop(key, None)

    def check(self) -> bool:
        """Say that this process's memory is there."""
        return True

    def reset(self) -> int:
        """Forget every count and return how many there were."""
        with self._lock:
            forgotten = len(self._counts)
            self._counts.clear()
        return forgotten

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing that memory does fails."""
        return MemoryError

    def _make_room(self, now: float) -> None:
        """Drop what is over, now and then, and where that is not enough, the stalest.

        A sixteenth of them at once: each look through all of them takes 10 ms.
        """
        if len(self._counts) < min(self._sweep_at, self._capacity):
            return
        for key, (_, ends_at) in list(self._counts.items()):
            if ends_at <= now:
                del self._counts[key]
        if len(self._counts) >= self._capacity:
            for key in list(islice(self._counts, self._capacity // 16 + 1)):
                del self._counts[key]
        self._sweep_at = 2 * len(self._counts) + 1024
