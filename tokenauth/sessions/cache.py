"""A short-lived cache of active sessions, so that not every request reads the store.

Where checks may lag, a worker asks once in half a lag which sessions ended, and drops
those from its cache. So the cost is the same for sessions that are used once a second
and for those that are used all the time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from .session import LOGIN, Session
from .store import EndingFeed

_KEPT_SECONDS: Final = 60.0  # a row that was deleted by hand is noticed by then
_LONGEST_SILENCE: Final = 60.0  # stores tell for far longer which sessions ended
_MOST: Final = 200_000  # sessions of some 500 bytes each


class SessionCache:
    """Reads sessions for checks that may lag.

    Args:
        sessions: The store.
        lag: Seconds for which an ended session may still be returned, more than 0.
        now: Seconds since the epoch.
        monotonic: Seconds of a clock that is never set.
    """

    def __init__(
        self,
        sessions: EndingFeed,
        lag: float,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._lag = lag
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Session, float]] = {}  # until when
        self._mark: str | None = None
        self._asked_at = float("-inf")

    def get(self, session_id: str) -> Session | None:
        """Return a session that is active, or was a lag ago; None when it has ended.

        Raises:
            StoreUnavailableError: the store cannot answer.
        """
        now = self._monotonic()
        has_asked = now - self._asked_at >= self._lag / 2 and self._ask(now)
        kept, until = self._kept.get(session_id, (None, now))
        if kept is None or now >= until:
            return self._read(session_id, now)
        if not has_asked:
            return kept
        # Whoever asks reads its own session as well: if that is gone though no ending
        # was told, the store was emptied or set back, and others may be gone, too.
        session = self._read(session_id, now)
        if session is None:
            self._asked_at = float("-inf")
        return session

    def _ask(self, now: float) -> bool:
        """Drop sessions that ended; return whether this thread was the one that asked.

        The others wait for it only if the last answer is a whole lag old.
        """
        is_late = now - self._asked_at >= self._lag
        if not self._lock.acquire(blocking=is_late):
            return False
        try:
            started = self._monotonic()
            if started - self._asked_at < self._lag / 2:
                return False  # another thread asked while this one waited
            ended = self._sessions.ended_since(self._mark)
            is_silence = started - self._asked_at > _LONGEST_SILENCE
            if ended.session_ids is None or is_silence:
                self._kept = {}
            else:
                for session_id in ended.session_ids:
                    self._kept.pop(session_id, None)
            self._mark = ended.mark
            self._asked_at = started
            return True
        finally:
            self._lock.release()

    def _read(self, session_id: str, now: float) -> Session | None:
        asked_at = self._asked_at
        session = self._sessions.get(session_id)
        # The last use of a personal access token is compared with its row: not kept.
        if session is None or session.kind != LOGIN:
            return session
        left = min(session.ends_at - self._now(), _KEPT_SECONDS)
        with self._lock:
            # If its ending was told meanwhile, nothing would drop it any more.
            if asked_at == self._asked_at:
                while len(self._kept) >= _MOST:
                    del self._kept[next(iter(self._kept))]
                self._kept[session.id] = session, now + left
        return session
