"""From which network a session was refreshed, for as long as a retry is answered."""

from __future__ import annotations

import itertools
import threading
from typing import Final

from .session import Session

_MOST_SESSIONS: Final = 10_000


class GraceNetworks:
    """Notices a retry from another network, which may be a thief's.

    It knows the refreshes of its own process only, and counts the retries of the
    sessions that had one last.

    Args:
        grace: Seconds in which the previous refresh token is still answered.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, str]] = {}  # oldest first
        self._retries: dict[str, int] = {}

    def note(self, session: Session, network: str) -> None:
        """Remember the network of a rotation."""
        now = session.refreshed_at
        with self._lock:
            self._seen.pop(session.id, None)
            self._seen[session.id] = (now, network)
            # Two go for each that comes, so what is over does not pile up.
            for session_id, (at, _) in list(itertools.islice(self._seen.items(), 2)):
                if now - at > self._grace:
                    del self._seen[session_id]

    def retries(self, session: Session, network: str) -> int:
        """Return how many came from another network, this one included, or 0."""
        with self._lock:
            _, first = self._seen.get(session.id, (0, network))
            if network == first:
                return 0
            count = self._retries.pop(session.id, 0) + 1
            self._retries[session.id] = count
            if len(self._retries) > _MOST_SESSIONS:
                del self._retries[next(iter(self._retries))]
        return count
