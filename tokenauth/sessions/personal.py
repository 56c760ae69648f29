"""Personal access tokens: for scripts and other services that act for a user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .. import events
from ..accounts.users import UserRecord, active_user, id_of, scopes_of
from ..errors import (
    InvalidCredentialsError,
    InvalidRequestError,
    StoreUnavailableError,
    TokenRevokedError,
)
from ..events import LOGGER
from ..tokens.scopes import grant
from .session import NEVER, PERSONAL, Session, new_session
from .verifier import Identity, SessionRules

MAX_PERSONAL_TOKENS: Final = 100
"""Personal access tokens that one user may have at a time."""

USE_INTERVAL: Final = 300
"""Seconds in which the use of a token is recorded at most once."""


class PersonalTokens(SessionRules, frozen=True):
    """Makes personal access tokens and records when they were last used.

    Each has a session of its own, so it is listed, checked and ended as logins are.
    """

    def create(
        self,
        identity: Identity,
        *,
        name: str,
        scope: str | None = None,
        expires_in: int | None = None,
    ) -> tuple[Session, str]:
        """Make a token for the user of another token, which bounds its scopes.

        Args:
            identity: The user and token that make it, from a recent login.
            name: The user's name for it.
            scope: What it may do, separated by spaces; by default all that the
                other token may.
            expires_in: Seconds until it expires; None: it does not.

        Returns:
            Its session, and its text, which is stored nowhere.
        """
        scopes = grant(scope, identity.claims.scopes)
        session = self._add(identity.claims.subject, name, scopes, expires_in)
        # Who ended the login meanwhile was told that nothing of it is left.
        if self.active_session(identity.session.id) is None:
            self.sessions.end(session.id)
            raise TokenRevokedError
        self._announce(events.token_created, session)
        return session, self.issuer.personal_token(session)

    def create_for(
        self,
        user: UserRecord,
        *,
        name: str,
        scopes: str | Iterable[str] | None = None,
        expires_in: float | None = None,
    ) -> tuple[Session, str]:
        """Make a token for a user on behalf of an operator; see `create`."""
        if expires_in is not None and not 1 <= expires_in <= NEVER - self.now():
            raise ValueError("expires_in must be None, or at least one second.")
        session = self._add(
            id_of(user), name, grant(scopes, scopes_of(user)), expires_in
        )
        if active_user(self.users, session.user_id) is None:
            self.sessions.end(session.id)
            raise InvalidCredentialsError
        self._announce(events.token_created, session, reason="operator")
        return session, self.issuer.personal_token(session)

    def of_user(self, user_id: str) -> list[Session]:
        """Return the active sessions of a user's tokens, newest first."""
        return self.active_sessions(user_id, kind=PERSONAL)

    def note_use(self, session: Session) -> None:
        """Record that a personal access token is in use, once in `USE_INTERVAL`.

        Nothing depends on it, so a failure is announced or logged, and not raised.
        """
        now = self.now()
        if session.kind != PERSONAL or now - session.refreshed_at < USE_INTERVAL:
            return
        try:
            self.sessions.touch(session.id, now=now)
        except StoreUnavailableError:
            pass  # the store has announced it
        except Exception:  # noqa: BLE001 # whatever it is, it is logged, not raised
            LOGGER.exception("the use of a personal access token was not recorded")

    def _add(
        self, user_id: str, name: str, scopes: frozenset[str], expires_in: float | None
    ) -> Session:
        if len(self.of_user(user_id)) >= MAX_PERSONAL_TOKENS:
            raise InvalidRequestError(
                f"You have {MAX_PERSONAL_TOKENS} personal access tokens, which is the "
                "most: end one first."
            )
        session = new_session(
            user_id,
            now=self.now(),
            lifetime=expires_in,
            kind=PERSONAL,
            label=name,
            scopes=scopes,
            authenticated_at=0,  # made without a password: never fresh
            refreshed_at=0,  # not used yet
        )
        # The store's own limit ends the oldest, which somebody may rely on: it only
        # bounds those that are made at the same moment.
        self.sessions.add(session, limit=2 * MAX_PERSONAL_TOKENS)
        return session
