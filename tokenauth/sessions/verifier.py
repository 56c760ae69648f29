"""The whole check of a token: signature, times, session and user."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .. import events
from ..accounts.users import UserRecord, UserStore, active_user, scopes_of
from ..errors import TokenError, TokenInvalidError, TokenRevokedError
from ..events import Emit
from ..tokens.claims import Claims
from .issuer import TokenIssuer
from .session import Session
from .store import SessionStore


class Identity(msgspec.Struct, frozen=True):
    """The user of a token, what the token may do, and its session."""

    user: UserRecord
    claims: Claims
    session: Session


class TokenVerifier:
    """Verifies access tokens and personal access tokens.

    Args:
        issuer: The signers.
        users: The store of users.
        read: Reads the session of a token, possibly from a cache.
        emit: Announces an event.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        users: UserStore,
        *,
        read: Callable[[str], Session | None],
        emit: Emit,
        now: Callable[[], float],
    ) -> None:
        self._issuer = issuer
        self._users = users
        self._read = read
        self._emit = emit
        self._now = now

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
            signer, kind = self._issuer.bearer(token)
            claims = signer.read(token)
            now = self._now()
            signer.check_times(claims, now)
            session = self._read(claims.session_id)
            return identify(claims, kind, session, self._users, now)
        except TokenError as error:
            if not (may_be_foreign and isinstance(error, TokenInvalidError)):
                announce_refusal(self._emit, error, claims)
            raise


def identify(
    claims: Claims, kind: str, session: Session | None, users: UserStore, now: float
) -> Identity:
    """Return the user of verified claims, if session and user are active.

    Token, session and user are compared with each other: a signing key alone makes no
    token of a user who has no session, and write access to the sessions alone none of
    another user.

    Raises:
        TokenRevokedError: the session has ended, is of another kind or of another
            user; or the user is gone or disabled.
    """
    if (
        session is None
        or session.is_over(now)
        or session.user_id != claims.subject
        or session.kind != kind
        or (user := active_user(users, claims.subject)) is None
    ):
        raise TokenRevokedError
    # A scope taken from the user is gone from the user's tokens at once.
    if claims.scopes and not claims.scopes <= (allowed := scopes_of(user)):
        claims = msgspec.structs.replace(claims, scopes=claims.scopes & allowed)
    return Identity(user, claims, session)


def active_session(
    sessions: SessionStore, session_id: str, now: float
) -> Session | None:
    """Return the session with this id; None when it has ended or expired."""
    session = sessions.get(session_id)
    return None if session is None or session.is_over(now) else session


def active_sessions(
    sessions: SessionStore, user_id: str, now: float, *, kind: str
) -> list[Session]:
    """Return a user's active sessions of one kind, newest first."""
    found = sessions.of_user(user_id, kind=kind)
    return [session for session in found if not session.is_over(now)]


def announce_refusal(
    emit: Emit, error: TokenError, claims: Claims | None, purpose: str | None = None
) -> None:
    """Announce that a token was refused.

    Args:
        emit: Announces an event.
        error: The reason.
        claims: What the token says; None when it was not issued here.
        purpose: What the token was used for; None: access.
    """
    emit(
        events.token_refused,
        reason=error.error_code,
        purpose=purpose,
        user_id=None if claims is None else claims.subject,
        session_id=None if claims is None else claims.session_id,
    )
