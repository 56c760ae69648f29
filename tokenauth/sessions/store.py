"""What a store of sessions promises, and one that also tells which sessions ended."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, runtime_checkable

from .session import Session

PURGE_STEP: Final = 2
"""Most expired sessions that are dropped with each new one, so their number falls."""

MOST_ENDINGS: Final = 10_000
"""If more sessions have ended, a store says that there were too many."""


@runtime_checkable
class SessionStore(Protocol):
    """What a store of sessions promises.

    `rotate` and `end` are atomic for all processes that share the store. When a method
    returns, its effect is as durable as the engine is. Ids are text: any other type is
    a `TypeError`, and a text that the engine cannot hold finds nothing. Every method
    raises `StoreUnavailableError` when the store cannot answer.
    """

    def add(self, session: Session, *, limit: int) -> None:
        """Keep a new session; end its user's oldest ones of that kind beyond a limit.

        Expired ones go first, and the new one always stays. Of sessions that are added
        at the same moment, the last one sees all others, so that no more than the limit
        are left. Up to `PURGE_STEP` expired sessions of other users are dropped, too.

        Args:
            session: The session; its id is new.
            limit: How many sessions of this kind the user may have, this one included.
        """

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when there is none with this id.

        Args:
            session_id: The session's id, any text.
        """
        ...

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one.

        Args:
            session_id: The session.
            generation: The generation that it must be at.
            now: Its new `refreshed_at`, in seconds since the epoch.
            idle_expires_at: Its new idle end, not later than its `expires_at`.

        Returns:
            The session as it is now, or None when it is at another generation or gone.
        """
        ...

    def touch(self, session_id: str, *, now: float) -> None:
        """Set when a session was last used, if there is one with this id.

        Args:
            session_id: The session.
            now: Its new `refreshed_at`, in seconds since the epoch.
        """
        ...

    def end(self, session_id: str) -> bool:
        """End a session.

        Args:
            session_id: The session.

        Returns:
            Whether this call ended it, which is true for at most one of many callers.
        """
        ...

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions.

        Args:
            user_id: The user's id.
            kind: Only those of this kind; defaults to every kind.
            keep: Id of one to leave alone.

        Returns:
            How many ended.
        """
        ...

    def of_user(self, user_id: str, *, kind: str | None = None) -> list[Session]:
        """Return a user's sessions, of one kind or all, newest first.

        Args:
            user_id: The user's id.
            kind: Only those of this kind; defaults to every kind.
        """
        ...

    def purge(self, *, now: float, limit: int) -> int:
        """Drop at most this many expired sessions, where the engine does not.

        Args:
            now: Seconds since the epoch; what ended before is dropped.
            limit: Most sessions to drop.

        Returns:
            How many were dropped.
        """
        ...


class Endings(NamedTuple):
    """Which sessions ended.

    Attributes:
        session_ids: Their ids; None if there were too many, or if the store cannot
            tell: then any session may have ended.
        mark: What to pass for those that end next.
    """

    session_ids: list[str] | None
    mark: str


@runtime_checkable
class EndingFeed(SessionStore, Protocol):
    """A store that tells which sessions ended, for workers that keep active ones.

    What ends a session writes its ending in the same transaction or step.
    """

    def ended_since(self, mark: str | None) -> Endings:
        """Return which sessions were ended through a store since a mark.

        None is missed, however late its end becomes visible; one may be told twice.
        Those that expired, or whose row was deleted by other means, are not told.

        Args:
            mark: The mark of the last answer, some minutes old at most; None begins.

        Returns:
            A named pair of `session_ids`, a list that is None if there were too many or
            the store cannot tell, and `mark`, to be passed the next time.

        Raises:
            StoreUnavailableError: the store cannot answer.
        """
        ...
