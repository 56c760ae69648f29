"""The gate before password hashing: few at a time, few waiting, owners first.

Hashing is made to be slow, so a flood of logins could take every processor and every
thread of a server. What a semaphore alone does not bound is what waits; this does.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from ..errors import OverloadedError

R = TypeVar("R")

# Each one that waits holds a thread of the server. Who comes is let in while fewer than
# this wait: anybody; who has none in hand; and an owner who has none in hand.
_FEW: Final = 2
_SOME: Final = 6
_MOST: Final = 10

# So many more of one owner's burst may wait (twenty parallel logins), once. The gate
# has this patience again when it has been idle for a while; a flood never lets it.
_BURST: Final = 20
_QUIET_SECONDS: Final = 1.0
_PATIENT: Final = 3

_LONGEST_WAIT: Final = 10.0

_NICENESS: Final = 5


class HashingPool:
    """Runs hash computations on kept threads of low priority.

    Args:
        concurrency: How many run at a time in this process.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._reset()

    def run(
        self, work: Callable[[], R], holders: tuple[str, ...], *, is_known: bool = False
    ) -> R:
        """Return what a computation returns, or raise what it raises.

        Args:
            work: The computation.
            holders: Whom it is done for: the budgets of account and network.
            is_known: Whether this network has logged in to this account before; then
                it goes before strangers.

        Raises:
            OverloadedError: too many are waiting, or these holders have one in hand
                while many are.
        """
        if self._pid != os.getpid():  # forked: the parent's threads are not here
            self._reset()
        with self._turn(holders, is_known=is_known):
            return self._pool.submit(work).result()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(
            self._concurrency, "tokenauth-hash", initializer=_lower_priority
        )
        self._running = 0
        self._waiting: list[tuple[int, int, threading.Event]] = []
        self._number = itertools.count()
        self._held: Counter[str] = Counter()
        self._patience = _BURST
        self._idle_since = 0.0

    @contextlib.contextmanager
    def _turn(self, holders: tuple[str, ...], *, is_known: bool) -> Generator[None]:
        called = threading.Event()
        with self._lock:
            self._enter(called, holders, is_known=is_known)
        try:
            if not called.wait(_LONGEST_WAIT):
                raise OverloadedError
            yield
        finally:
            with self._lock:
                self._leave(called, holders)

    def _enter(
        self, called: threading.Event, holders: tuple[str, ...], *, is_known: bool
    ) -> None:
        in_hand = [holder for holder in holders if self._held[holder]]
        # Owners first, then who has none in hand, then as they came.
        rank = 2 if in_hand else 1 - is_known
        if self._running < self._concurrency:
            self._start(called)
        elif self._has_room(rank):
            heapq.heappush(self._waiting, (rank, next(self._number), called))
        elif len(in_hand) == len(holders) and self._patience:
            self._patience -= 1
            heapq.heappush(self._waiting, (_PATIENT, next(self._number), called))
        else:
            raise OverloadedError
        self._held.update(holders)

    def _start(self, called: threading.Event) -> None:
        if not self._running and time.monotonic() - self._idle_since > _QUIET_SECONDS:
            self._patience = _BURST
        self._running += 1
        called.set()

    def _has_room(self, rank: int) -> bool:
        # Those of a burst go last, and take nobody's room.
        waiting = sum(each[0] < _PATIENT for each in self._waiting)
        return waiting < (_MOST, _SOME, _FEW)[rank]

    def _leave(self, called: threading.Event, holders: tuple[str, ...]) -> None:
        self._held -= Counter(holders)
        if not called.is_set():  # gave up waiting
            self._waiting = [each for each in self._waiting if each[2] is not called]
            heapq.heapify(self._waiting)
        elif self._waiting:
            heapq.heappop(self._waiting)[2].set()  # the next one takes this place
        else:
            self._running -= 1
            self._idle_since = time.monotonic()


def _lower_priority() -> None:
    """Let the threads that answer requests go first."""
    # Only on Linux is a thread's priority its own; and a thread of gevent's is none.
    thread = threading.get_native_id()
    if sys.platform == "linux" and thread != os.getpid():
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, _NICENESS)
