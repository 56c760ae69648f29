"""Sessions in the memory of one process."""

from __future__ import annotations

import threading
from collections import deque

import msgspec

from ..accounts.names import check_id
from ..sessions.session import Session
from ..sessions.store import PURGE_STEP


class MemorySessionStore:
    """Sessions in a dict: for tests, and for services of one process.

    They end with the process, and another process does not see them.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # its methods call each other
        self._sessions: dict[str, Session] = {}
        self._ids_of_user: dict[str, dict[str, None]] = {}
        self._queue: deque[str] = deque()  # the ids that are looked at next by a purge

    @property
    def is_empty(self) -> bool:
        """Whether it holds no session at all."""
        return not self._sessions

    def add(self, session: Session, *, limit: int) -> None:
        """Keep a new session; end its user's oldest of that kind beyond a limit."""
        with self._lock:
            self.purge(now=session.created_at, limit=PURGE_STEP)
            self._sessions[session.id] = session
            self._ids_of_user.setdefault(session.user_id, {})[session.id] = None
            self._trim(session, limit)
            self._queue.append(session.id)

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when there is none with this id."""
        check_id(session_id)
        return self._sessions.get(session_id)

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one."""
        check_id(session_id)
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or session.generation != generation:
                return None
            return self._change(
                session,
                generation=generation + 1,
                refreshed_at=now,
                idle_expires_at=idle_expires_at,
            )

    def touch(self, session_id: str, *, now: float) -> None:
        """Set when a session was last used, if there is one with this id."""
        check_id(session_id)
        with self._lock:
            if session := self._sessions.get(session_id):
                self._change(session, refreshed_at=now)

    def end(self, session_id: str) -> bool:
        """End a session; True for exactly one of many callers."""
        check_id(session_id)
        with self._lock:
            session = self._sessions.pop(session_id, None)
            if session is None:
                return False
            ids = self._ids_of_user[session.user_id]
            del ids[session_id]
            if not ids:
                del self._ids_of_user[session.user_id]
            return True

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions, of one kind or all, but for one to keep."""
        with self._lock:
            sessions = self.of_user(user_id, kind=kind)
            return sum(self.end(each.id) for each in sessions if each.id != keep)

    def end_everyone(self) -> int:
        """End every session of every user; return how many."""
        with self._lock:
            return sum(map(self.end, list(self._sessions)))

    def of_user(self, user_id: str, *, kind: str | None = None) -> list[Session]:
        """Return a user's sessions, of one kind or all, newest first."""
        check_id(user_id)
        with self._lock:
            ids = reversed(self._ids_of_user.get(user_id, {}))
            sessions = [self._sessions[session_id] for session_id in ids]
        return [each for each in sessions if kind in (None, each.kind)]

    def purge(self, *, now: float, limit: int) -> int:
        """Look at this many sessions, and drop those that expired.

        As each new one has two looked at, half of what is kept is active at least.
        """
        dropped = 0
        with self._lock:
            for _ in range(min(limit, len(self._queue))):
                session = self._sessions.get(session_id := self._queue.popleft())
                if session and session.is_over(now):
                    dropped += self.end(session_id)
                elif session:
                    self._queue.append(session_id)
        return dropped

    def _trim(self, newest: Session, limit: int) -> None:
        kept = 0
        for session in self.of_user(newest.user_id, kind=newest.kind):
            if session.is_over(newest.created_at) or kept == limit:
                self.end(session.id)
            else:
                kept += 1

    def _change(self, session: Session, **changes: float) -> Session:
        changed = msgspec.structs.replace(session, **changes)
        self._sessions[session.id] = changed
        return changed
