"""Sessions: one login each, and what a store of them promises."""

from __future__ import annotations

import re
import secrets
from typing import Final, NamedTuple, Protocol, runtime_checkable

import msgspec

LOGIN: Final = "login"
"""Kind of a session that began with a password or with `TokenAuth.login`."""

PERSONAL: Final = "personal"
"""Kind of a session that keeps a personal access token alive."""

NEVER: Final = 253_402_300_799.0
"""End of a session that has none: the last second that calendars can write."""

PURGE_STEP: Final = 2
"""Rows whose time is over that go at most with each new one: so their number falls."""

MOST_ENDINGS: Final = 10_000
"""More are not told at once, but that they were too many."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")


# gc=False: it refers to nothing that could refer back, and there may be a million.
class Session(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One login, alive for as long as its row stands and its time lasts.

    It holds no token and nothing a token can be made from. Times are seconds since the
    epoch.

    Attributes:
        id: 128 random bits in base64url.
        user_id: Whose login it is.
        kind: `LOGIN`, `PERSONAL` or `once:<purpose>`: what the row keeps alive.
        label: Name that the client gave it.
        client: The client's `User-Agent`.
        scopes: What its tokens may do.
        generation: How often it was refreshed.
        created_at: When it began.
        authenticated_at: When the password was proved.
        refreshed_at: When it was last refreshed, or its personal access token last
            used; 0: never.
        idle_expires_at: When it ends unless refreshed before.
        expires_at: When it ends whatever happens.
    """

    id: str
    user_id: str
    kind: str = LOGIN
    label: str | None = None
    client: str | None = None
    scopes: frozenset[str] = frozenset()
    generation: int = 0
    created_at: float
    authenticated_at: float
    refreshed_at: float
    idle_expires_at: float
    expires_at: float

    @property
    def ends_at(self) -> float:
        """When it ends if nothing more happens: the nearer of its two ends."""
        return min(self.idle_expires_at, self.expires_at)

    def is_over(self, now: float) -> bool:
        """Whether its time is over."""
        return now >= self.idle_expires_at or now >= self.expires_at


def new_session_id() -> str:
    """Return 128 bits from the system's random source, 22 characters of base64url."""
    return secrets.token_urlsafe(16)


def is_session_id(text: str) -> bool:
    """Whether a text can be a session's id: no store is asked for any other."""
    return _ID.fullmatch(text) is not None


class Endings(NamedTuple):
    """What a store tells of sessions that ended.

    Attributes:
        session_ids: Which ones; None: too many to tell.
        mark: What to ask with for what ends next.
    """

    session_ids: list[str] | None
    mark: str


@runtime_checkable
class SessionStore(Protocol):
    """What a store of sessions promises.

    Each method is one atomic step: it happened or it did not, for every process that
    shares the store. When it returns, its effect is as durable as the engine is. Every
    method raises `StoreUnavailableError` when the store cannot answer.
    """

    def add(self, session: Session, *, limit: int) -> None:
        """Keep a new session; end its user's oldest ones of that kind beyond a limit.

        Those whose time is over go first; the new one always stays. Up to `PURGE_STEP`
        rows of others whose time is over go too.

        Args:
            session: The session; its id is new.
            limit: How many sessions of this kind the user may have, this one included.
        """

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when it has ended or never was."""
        ...

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one.

        Args:
            session_id: The session.
            generation: The generation that it must be at.
            now: Its new `refreshed_at`.
            idle_expires_at: Its new idle end.

        Returns:
            The session as it is now, or None when it is at another generation or gone.
        """
        ...

    def touch(self, session_id: str, *, now: float) -> None:
        """Note that a session was used, if it still stands."""
        ...

    def end(self, session_id: str) -> bool:
        """End a session.

        Returns:
            Whether it stood until now: true for one of many callers at most.
        """
        ...

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions.

        Args:
            user_id: Whose.
            kind: Only those of this kind; None: of every kind.
            keep: Id of one to leave alone.

        Returns:
            How many ended.
        """
        ...

    def of_user(self, user_id: str, *, kind: str) -> list[Session]:
        """Return a user's sessions of one kind, newest first."""
        ...

    def purge(self, *, now: float, limit: int) -> int:
        """Drop at most so many rows whose time is over, where the engine does not.

        Returns:
            How many were dropped.
        """
        ...


@runtime_checkable
class EndingFeed(SessionStore, Protocol):
    """A store that tells which sessions ended, to those who trust what they saw."""

    def ended_since(self, mark: str | None) -> Endings:
        """Return which sessions ended since a mark, in whatever way.

        None is missed, however late its end becomes visible; one may be told twice.

        Args:
            mark: The mark of the last answer, some minutes old at most; None: the
                first question, whose answer only begins.

        Raises:
            StoreUnavailableError: it cannot be told.
        """
        ...
