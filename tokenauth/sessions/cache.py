"""Session checks that may lag: what a worker saw alive, it trusts until it ended.

A store that is shared costs a round trip a request. Where a lag is allowed, a worker
asks instead once a lag what has ended, and drops that from what it saw alive. So the
cost is the same for sessions that are used once a second and for those used all the
time, which a time to live for each of them could not do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from .session import LOGIN, Session
from .store import EndingFeed

_TRUSTED_SECONDS: Final = 300.0  # what a store forgot to tell is found out by then
_LONGEST_SILENCE: Final = 60.0  # stores tell for far longer what has ended
_MOST: Final = 200_000  # sessions of some 500 bytes each


class _Seen(NamedTuple):
    session: Session
    until: float


class SessionCache:
    """Reads sessions for checks that may be some time behind.

    Args:
        sessions: Where sessions are kept.
        lag: Seconds that a check may be behind, more than 0.
        now: Seconds since the epoch.
        monotonic: Seconds since any moment, never set.
    """

    def __init__(
        self,
        sessions: EndingFeed,
        lag: float,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._lag = lag
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}
        self._mark: str | None = None
        self._told_at = float("-inf")

    def get(self, session_id: str) -> Session | None:
        """Return a session that stands, or stood a lag ago; None when it has ended.

        Raises:
            StoreUnavailableError: a store cannot answer.
        """
        now = self._monotonic()
        if now - self._told_at >= self._lag / 2:
            self._catch_up(now)
        seen = self._seen.get(session_id)
        if seen is not None and now < seen.until:
            return seen.session
        return self._look(session_id, now)

    def _catch_up(self, now: float) -> None:
        """Drop what has ended. Of many threads one asks, and few wait for it."""
        is_late = now - self._told_at >= self._lag
        if not self._lock.acquire(blocking=is_late):
            return  # another one asks, and what is known is good for as long
        try:
            started = self._monotonic()
            if started - self._told_at < self._lag / 2:
                return  # it has been asked while this one waited
            told = self._sessions.ended_since(self._mark)
            is_silence = started - self._told_at > _LONGEST_SILENCE
            if told.session_ids is None or is_silence:
                self._seen = {}
            else:
                for session_id in told.session_ids:
                    self._seen.pop(session_id, None)
            self._mark = told.mark
            self._told_at = started
        finally:
            self._lock.release()

    def _look(self, session_id: str, now: float) -> Session | None:
        told_at = self._told_at
        session = self._sessions.get(session_id)
        # The use of a personal access token is noted by what the store says of it.
        if session is None or session.kind != LOGIN:
            return session
        left = min(session.ends_at - self._now(), _TRUSTED_SECONDS)
        with self._lock:
            # Had it been told meanwhile that this one ended, nobody would drop it.
            if told_at == self._told_at:
                self._keep(session, now + left)
        return session

    def _keep(self, session: Session, until: float) -> None:
        while len(self._seen) >= _MOST:
            del self._seen[next(iter(self._seen))]
        self._seen[session.id] = _Seen(session, until)
