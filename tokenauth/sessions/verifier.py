"""The whole check of a token: signature, times, session and user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from blinker import NamedSignal

from .. import events
from ..accounts.users import (
    TokenUser,
    UserRecord,
    UserStore,
    active_user,
    scopes_of,
)
from ..errors import TokenError, TokenInvalidError, TokenRevokedError
from ..events import Emit
from ..settings import Settings
from ..tokens.claims import Claims
from ..tokens.redact import Redacted
from .issuer import TokenIssuer
from .session import PERSONAL, Session, new_session
from .store import SessionStore

# In place of a session that is not looked at.
_UNSEEN: Final = new_session("", now=0, lifetime=None, kind="unseen")


class Identity(msgspec.Struct, frozen=True):
    """The user of a token, what the token may do, and its session."""

    user: UserRecord
    claims: Claims
    session: Session


class SessionRules(Redacted, msgspec.Struct, frozen=True):
    """The base of the classes that decide about sessions and their tokens.

    Attributes:
        settings: Lifetimes, limits and the grace.
        issuer: The signers.
        users: The store of users.
        sessions: The store of sessions.
        emit: Announces an event.
        now: Seconds since the epoch.
        read: Reads the session of a token; for requests possibly from a cache.
    """

    settings: Settings
    issuer: TokenIssuer
    users: UserStore
    sessions: SessionStore
    emit: Emit
    now: Callable[[], float]
    read: Callable[[str], Session | None]

    def active_session(self, session_id: str) -> Session | None:
        """Return the session with this id; None when it has ended or expired."""
        session = self.sessions.get(session_id)
        return None if session is None or session.is_over(self.now()) else session

    def active_sessions(
        self, user_id: str, *, kind: str | None = None
    ) -> list[Session]:
        """Return a user's active sessions, of one kind or all, newest first."""
        now = self.now()
        found = self.sessions.of_user(user_id, kind=kind)
        return [session for session in found if not session.is_over(now)]

    def _identify(self, claims: Claims, kind: str, now: float) -> Identity:
        """Return the user of verified claims, if session and user are active.

        Token, session and user are compared with each other: a signing key alone makes
        no token of a user who has no session, and write access to the sessions alone
        none of another user.

        Raises:
            TokenRevokedError: the session has ended, is of another kind or of another
                user; or the user is gone or disabled.
        """
        session = self._session_of(claims, kind, now)
        user = active_user(self.users, claims.subject)
        if user is None:
            raise TokenRevokedError
        # A scope taken from the user is gone from the user's tokens at once.
        if claims.scopes and not claims.scopes <= (allowed := scopes_of(user)):
            claims = msgspec.structs.replace(claims, scopes=claims.scopes & allowed)
        return Identity(user, claims, session)

    def _session_of(self, claims: Claims, kind: str, now: float) -> Session:
        """Return the active session of verified claims; raises as `_identify`."""
        session = self.read(claims.session_id)
        if (
            session is None
            or session.is_over(now)
            or session.user_id != claims.subject
            or session.kind != kind
        ):
            raise TokenRevokedError
        return session

    def _announce(
        self, signal: NamedSignal, session: Session, **details: str | None
    ) -> None:
        """Announce an event about a session."""
        self.emit(signal, user_id=session.user_id, session_id=session.id, **details)

    def _announce_refusal(
        self, error: TokenError, claims: Claims | None, purpose: str | None = None
    ) -> None:
        """Announce that a token was refused.

        Args:
            error: The reason.
            claims: What the token says; None when it was not issued here.
            purpose: What the token was used for; None: access.
        """
        self.emit(
            events.token_refused,
            reason=error.error_code,
            purpose=purpose,
            user_id=None if claims is None else claims.subject,
            session_id=None if claims is None else claims.session_id,
        )


class TokenVerifier(SessionRules, frozen=True):
    """Verifies access tokens and personal access tokens."""

    def authenticate(self, token: str, *, may_be_foreign: bool = False) -> Identity:
        """Return the user, claims and session of a token; announce a refusal.

        Args:
            token: The token's text.
            may_be_foreign: The caller asks another scheme about a token that is
                invalid here, and announces it if that does not accept it either.

        Raises:
            TokenInvalidError: not issued here for this purpose, or altered.
            TokenExpiredError: expired.
            TokenRevokedError: its session has ended, or its user is gone or disabled.
            StoreUnavailableError: a store cannot answer.
        """
        claims = None
        try:
            signer, kind = self.issuer.bearer(token)
            claims = signer.read(token)
            now = self.now()
            signer.check_times(claims, now)
            return self._identify(claims, kind, now)
        except TokenError as error:
            if not (may_be_foreign and isinstance(error, TokenInvalidError)):
                self._announce_refusal(error, claims)
            raise


class ServiceVerifier(TokenVerifier, frozen=True):
    """Verifies tokens on a service that has no users: the token says who it is.

    Attributes:
        sees_sessions: Whether sessions are looked at; if not, only what soon expires is
            accepted: no personal access token.
    """

    sees_sessions: bool

    def _identify(self, claims: Claims, kind: str, now: float) -> Identity:
        session = _UNSEEN
        if self.sees_sessions:
            session = self._session_of(claims, kind, now)
        elif kind == PERSONAL:
            raise TokenInvalidError(
                "This service takes no personal access tokens: log in."
            )
        return Identity(TokenUser(claims.subject, claims.scopes), claims, session)
