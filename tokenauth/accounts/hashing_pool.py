"""Limits how many passwords are hashed at once, and how long a request waits for it.

Hashing is made to be slow, so a flood of logins could take every processor and every
thread of a server. A semaphore alone does not limit how many requests wait.
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
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

from ..errors import OverloadedError

R = TypeVar("R")


class _Rules(NamedTuple):
    """What holds for requests from networks of one kind.

    Attributes:
        longest_wait: Seconds that a request may have to wait before its turn.
        earlier: It is served as if it had come so many seconds earlier.
        most_of_one: How many may be accepted and not finished of one account, one
            network, and one wider network: a login that takes long is tried again.
        few: Before how many it is accepted whoever waits behind it: owners get in while
            strangers use up the rest.
    """

    longest_wait: float
    earlier: float
    most_of_one: tuple[int, ...]
    few: int


_STRANGERS: Final = _Rules(1.5, 0.0, (1, 2, 3), few=0)
_OWNERS: Final = _Rules(3.0, 3.0, (2, 4, 6), few=4)

# Seconds that it may take longer than expected, and that a computation may take.
_LATER: Final = 1.0
_LAST_RESORT: Final = 10.0

# How many may be accepted and not finished, for each one that is hashed at a time, even
# where the process has few threads.
_FEWEST: Final = 2

# So many more are accepted in a burst (a page that logs in twenty times at once, people
# of one address in the morning), and so many a second are allowed again after it.
_BURST: Final = 20
_BURST_PER_SECOND: Final = 2.0

_NICENESS: Final = 5


class HashingPool:
    """Computes password hashes in threads of low priority.

    A request is accepted while it would wait for less than about a second and a half,
    while less than half of the process's threads wait, and while few of its account
    and its network do. Beyond that it is refused at once, except for short bursts; and
    a second later than expected if hashing has become slower meanwhile. One from a
    network that the account has logged in from before overtakes others.

    Args:
        concurrency: How many are computed at a time in this process.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        # By process: after a fork the threads of the parent do not run in the child.
        self._queues: dict[int, _Queue] = {}

    def run(
        self, work: Callable[[], R], keys: tuple[str, ...], *, is_known: bool = False
    ) -> R:
        """Return what a computation returns, or raise what it raises.

        Args:
            work: The computation.
            keys: Whom it is done for: an account, a network and a wider network, or
                the account alone.
            is_known: Whether the account has logged in from this network before.

        Raises:
            OverloadedError: too many are waiting, or too many with one of these keys.
        """
        queue, rules = self._queue(), _OWNERS if is_known else _STRANGERS
        try:
            future = queue.submit(work, keys, rules)
        except RuntimeError:  # the system gives no more threads
            self._queues.pop(os.getpid(), None)
            raise OverloadedError from None
        for seconds in (rules.longest_wait + _LATER, _LAST_RESORT):
            with contextlib.suppress(TimeoutError):
                return future.result(seconds)
            if queue.give_up(future, keys):
                break
        raise OverloadedError

    def check(self, keys: tuple[str, ...], *, is_known: bool = False) -> None:
        """Return if `run` would accept a computation now; raise as it does."""
        self._queue().check(keys, _OWNERS if is_known else _STRANGERS)

    def _queue(self) -> _Queue:
        # Made at first use, not at set-up: gevent may replace threads after that.
        # `setdefault` is atomic, so that two first logins share one queue.
        process = os.getpid()
        return self._queues.get(process) or self._queues.setdefault(
            process, _Queue(self._concurrency)
        )


class _Waiting(NamedTuple):
    """A computation that waits; who came first is served first."""

    came_at: float
    number: int
    work: Callable[[], Any]
    keys: tuple[str, ...]
    future: Future[Any]


class _Queue:
    """The threads of one process, and who waits for them."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(
            concurrency, "tokenauth-hash", initializer=_lower_priority
        )
        self._waiting: list[_Waiting] = []  # a heap
        self._numbers = itertools.count()
        self._accepted = 0
        self._of_key: Counter[str] = Counter()
        self._seconds = 0.0  # that one computation takes, on average
        self._burst = float(_BURST)
        self._burst_at = time.monotonic()

    def submit(
        self, work: Callable[[], R], keys: tuple[str, ...], rules: _Rules
    ) -> Future[R]:
        """Queue a computation, or raise `OverloadedError`."""
        came_at = time.monotonic() - rules.earlier
        future: Future[R] = Future()
        with self._lock:
            from_burst = self._admit(came_at, keys, rules)
            self._burst -= from_burst
            self._accepted += 1
            self._of_key.update(keys)
            waiting = _Waiting(came_at, next(self._numbers), work, keys, future)
            heapq.heappush(self._waiting, waiting)
            # Inside the lock: gevent switches while a thread starts, and the executor
            # then holds a lock that gevent does not know.
            self._executor.submit(self._serve_next)
        return future

    def check(self, keys: tuple[str, ...], rules: _Rules) -> None:
        """Raise `OverloadedError` if a computation would not be queued."""
        with self._lock:
            self._admit(time.monotonic() - rules.earlier, keys, rules)

    def give_up(self, future: Future[R], keys: tuple[str, ...]) -> bool:
        """Take a computation off the queue; False if it has begun."""
        is_waiting = future.cancel()
        if is_waiting:
            self._finish(keys, self._seconds)
        return is_waiting

    def _admit(self, came_at: float, keys: tuple[str, ...], rules: _Rules) -> int:
        """Return how many of the burst it takes, or raise `OverloadedError`."""
        before = self._accepted - sum(
            each.came_at > came_at and not each.future.cancelled()
            for each in self._waiting
        )
        wait = before * self._seconds / self._concurrency
        is_one_of_few = all(
            self._of_key[key] < number
            for key, number in zip(keys, rules.most_of_one, strict=False)
        )
        has_place = self._accepted < self._most() or before < rules.few
        if is_one_of_few and has_place:
            if wait <= rules.longest_wait:
                return 0
        # Not longer for a burst of a known network: its places are for other owners.
        elif wait <= _STRANGERS.longest_wait and self._burst_now() >= 1:
            return 1
        raise OverloadedError

    def _most(self) -> int:
        """Return half of the process's threads, not counting ours and the main one.

        A server of four threads keeps two for other requests. No setting is needed:
        under load a server has started all the threads that it may have.
        """
        others = threading.active_count() - self._concurrency - 1
        return max(_FEWEST * self._concurrency, others // 2)

    def _burst_now(self) -> float:
        now = time.monotonic()
        gained = (now - self._burst_at) * _BURST_PER_SECOND
        self._burst, self._burst_at = min(_BURST, self._burst + gained), now
        return self._burst

    def _serve_next(self) -> None:
        with self._lock:
            _, _, work, keys, future = heapq.heappop(self._waiting)
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(self._compute(work, keys))
        except BaseException as error:  # noqa: BLE001 # it is the caller's
            future.set_exception(error)

    def _compute(self, work: Callable[[], R], keys: tuple[str, ...]) -> R:
        began = time.monotonic()
        try:
            return work()
        finally:  # before the caller gets the result: its next one is not in the way
            self._finish(keys, time.monotonic() - began)

    def _finish(self, keys: tuple[str, ...], seconds: float) -> None:
        with self._lock:
            self._accepted -= 1
            self._of_key -= Counter(keys)
            self._seconds += (seconds - self._seconds) / (8 if self._seconds else 1)


def _lower_priority() -> None:
    """Let the threads that answer requests go first."""
    # Only on Linux does a thread have a priority of its own; gevent's are no threads.
    thread = threading.get_native_id()
    if sys.platform == "linux" and thread != os.getpid():
        with contextlib.suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
