"""The gate before password hashing: few at a time, few waiting, nobody twice.

Hashing is made to be slow, so a flood of logins could take every processor and every
thread of a server. What a semaphore alone does not bound is what waits; this does.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from .errors import OverloadedError

P = ParamSpec("P")
R = TypeVar("R")

# Who comes while no more than this wait is let in, whoever it is.
_FEW: Final = 2

# Beyond that, newcomers still wait while no more than this do.
_MOST: Final = 6

# How many more of one owner's burst may wait (twenty parallel logins), until the gate
# has been idle again: a burst has that patience once, a flood never gets it back.
_BURST: Final = 20

_NICENESS: Final = 10


class Gate:
    """Runs hash computations on kept threads of low priority.

    Args:
        concurrency: How many run at a time in this process.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._reset()

    def run(
        self,
        holders: tuple[str, ...],
        function: Callable[P, R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Return what a computation returns, or raise what it raises.

        Args:
            holders: Whom it is done for: names of the account and the network.
            function: The computation.
            args: Its arguments.
            kwargs: Its keyword arguments.

        Raises:
            OverloadedError: too many are waiting, or these holders have one in hand
                while many are.
        """
        if self._pid != os.getpid():  # forked: the parent's threads are not here
            self._reset()
        with self._place(holders):
            return self._pool.submit(function, *args, **kwargs).result()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._pool = ThreadPoolExecutor(
            self._concurrency, "tokenauth-hash", initializer=_lower_priority
        )
        self._in_hand = 0
        self._patience = _BURST
        self._held: Counter[str] = Counter()

    @contextlib.contextmanager
    def _place(self, holders: tuple[str, ...]) -> Generator[None]:
        with self._lock:
            if not self._admits(holders):
                raise OverloadedError
            self._in_hand += 1
            self._held.update(holders)
        try:
            yield
        finally:
            with self._lock:
                self._in_hand -= 1
                self._held -= Counter(holders)
                if not self._in_hand:
                    self._patience = _BURST

    def _admits(self, holders: tuple[str, ...]) -> bool:
        waiting = self._in_hand - self._concurrency
        if waiting < _FEW:
            return True
        if waiting < _MOST and not any(self._held[holder] for holder in holders):
            return True
        if not self._patience:
            return False
        self._patience -= 1
        return True


def _lower_priority() -> None:
    """Let the threads that answer requests go first (Linux: priority is a thread's)."""
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
