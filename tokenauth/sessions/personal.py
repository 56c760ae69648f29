"""Personal access tokens: what a user hands to scripts and other services."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from .. import events
from ..errors import (
    AuthError,
    InvalidRequestError,
    StoreUnavailableError,
    TokenRevokedError,
)
from ..events import LOGGER, Emit
from ..tokens.redact import Redacted
from ..tokens.scopes import grant
from .issuer import TokenIssuer
from .session import PERSONAL, Session, new_session
from .store import SessionStore
from .verifier import Identity

MAX_PERSONAL_TOKENS: Final = 100
"""Personal access tokens that one user may have at a time."""

USE_INTERVAL: Final = 300
"""Seconds in which the use of a token is written down at most once."""


class PersonalTokens(Redacted):
    """Makes personal access tokens and notes when they were last used.

    Each is kept alive by a session of its own, so it is listed, checked and ended as
    logins are.

    Args:
        issuer: The signers.
        sessions: Where sessions are kept.
        emit: Announces an event.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        sessions: SessionStore,
        *,
        emit: Emit,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._sessions = sessions
        self._emit = emit
        self.now = now

    def create(
        self,
        identity: Identity,
        *,
        name: str,
        scope: str | None = None,
        expires_in: int | None = None,
    ) -> tuple[Session, str]:
        """Make a personal access token; whoever calls has asked for a fresh login.

        Args:
            identity: Who makes it, and with which token.
            name: The user's name for it.
            scope: What it shall be able to do, separated by spaces; None: all that the
                token can with which it is made.
            expires_in: Seconds that it lives; None: until it is ended.

        Returns:
            Its session, and its text, which is kept nowhere.

        Raises:
            InvalidScopeError: the user or the making token does not have a scope that
                was asked for.
            TokenRevokedError: the login ended meanwhile.
            InvalidRequestError: the user has `MAX_PERSONAL_TOKENS` already.
            StoreUnavailableError: it could not be kept.
        """
        now = self.now()
        session = new_session(
            identity.claims.subject,
            now=now,
            lifetime=expires_in,
            kind=PERSONAL,
            label=name,
            scopes=grant(scope, identity.claims.scopes),
            authenticated_at=0,  # nobody proves a password with it: never fresh
            refreshed_at=0,  # never used yet
        )
        self._refuse_more_than(MAX_PERSONAL_TOKENS - 1, session.user_id)
        # The store's own limit ends the oldest, which somebody may rely on. It only
        # bounds those that are made at the same moment.
        self._sessions.add(session, limit=2 * MAX_PERSONAL_TOKENS)
        try:
            self._refuse_more_than(MAX_PERSONAL_TOKENS, session.user_id)
            # Whoever ended the login meanwhile was told that nothing of it is left.
            if self._sessions.get(identity.session.id) is None:
                raise TokenRevokedError
        except AuthError:
            self._sessions.end(session.id)
            raise
        self._emit(events.token_created, user_id=session.user_id, session_id=session.id)
        return session, self._issuer.personal_token(session)

    def of_user(self, user_id: str) -> list[Session]:
        """Return the sessions of a user's tokens that still stand, newest first."""
        now = self.now()
        sessions = self._sessions.of_user(user_id, kind=PERSONAL)
        return [session for session in sessions if not session.is_over(now)]

    def note_use(self, session: Session) -> None:
        """Write down that a token is in use, at most once in `USE_INTERVAL`.

        Nothing depends on it: a failure is announced or logged, and that is all.

        Args:
            session: What the token was checked against; that of a login is passed over.
        """
        now = self.now()
        if session.kind != PERSONAL or now - session.refreshed_at < USE_INTERVAL:
            return
        try:
            self._sessions.touch(session.id, now=now)
        except StoreUnavailableError as error:
            self._emit(
                events.store_failed,
                user_id=session.user_id,
                session_id=session.id,
                reason=error.error_code,
            )
        except Exception:  # noqa: BLE001 # whatever it is, it is logged, not raised
            LOGGER.exception("the use of a personal access token was not written down")

    def _refuse_more_than(self, most: int, user_id: str) -> None:
        if len(self.of_user(user_id)) > most:
            raise InvalidRequestError(
                f"You have {MAX_PERSONAL_TOKENS} personal access tokens, which is the "
                "most: end one first."
            )
