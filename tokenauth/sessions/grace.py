"""From which network a session was refreshed, and from which it was repeated."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from .session import Session

_MOST_SESSIONS: Final = 10_000


class GraceNetworks:
    """Notices a retry from another network, which may be a thief's.

    It knows the refreshes of its own process only, and of those the latest.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def note(self, session: Session, network: str) -> None:
        """Remember the network of a rotation."""
        with self._lock:
            _, retries = self._seen.pop(session.id, ("", 0))
            self._seen[session.id] = network, retries
            if len(self._seen) > _MOST_SESSIONS:
                self._seen.popitem(last=False)

    def retries(self, session: Session, network: str) -> int:
        """Return how many came from another network, this one included, or 0."""
        with self._lock:
            first, retries = self._seen.get(session.id, (network, 0))
            if network == first:
                return 0
            self._seen[session.id] = first, retries + 1
        return retries + 1
