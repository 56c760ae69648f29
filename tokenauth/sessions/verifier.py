"""Who a token stands for, now: the whole check, and nothing that changes anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from ..accounts.users import UserRecord, UserStore, scopes_of
from ..errors import AuthError, TokenError, TokenRevokedError
from ..tokens.claims import Claims, RefreshClaims
from ..tokens.redact import Redacted
from .issuer import TokenIssuer
from .session import Session
from .store import SessionStore


class Identity(msgspec.Struct, frozen=True):
    """Who a token stands for, what it may do, and the session that keeps it alive."""

    user: UserRecord
    claims: Claims
    session: Session


class Inspection(NamedTuple):
    """What a token of ours says, and why it is refused now, if it is."""

    purpose: str
    claims: Claims
    refusal: AuthError | None


class TokenVerifier(Redacted):
    """Checks tokens against their signature, their time, their session and their user.

    Args:
        issuer: The signers.
        users: Where users are kept.
        sessions: Where sessions are kept.
        read: Reads the session of an access token.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        users: UserStore,
        sessions: SessionStore,
        *,
        read: Callable[[str], Session | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._users = users
        self._sessions = sessions
        self._read = read
        self.now = now

    def authenticate(self, token: str) -> Identity:
        """Return who an access token or a personal access token stands for, now.

        Raises:
            TokenInvalidError: it was not issued here for this purpose, or altered.
            TokenExpiredError: its time is over.
            TokenRevokedError: its session has ended, or its user is gone or disabled.
            StoreUnavailableError: a store cannot answer.
        """
        now = self.now()
        signer = self._issuer.bearer_signer(token)
        claims = signer.read(token)
        try:
            signer.check_times(claims, now)
            return self._identify(claims, self._read(claims.session_id), now)
        except AuthError as error:
            error.about.update(user_id=claims.subject, session_id=claims.session_id)
            raise

    def inspect(self, token: str) -> Inspection:
        """Return what a token of any purpose says, and whether it is accepted now.

        Raises:
            TokenInvalidError: it was not issued here, or altered.
            StoreUnavailableError: a store cannot answer.
        """
        purpose, signer = self._issuer.signer_of(token)
        claims = signer.read(token)
        now = self.now()
        try:
            signer.check_times(claims, now)
            session = self._sessions.get(claims.session_id)
            identity = self._identify(claims, session, now)
            if isinstance(claims, RefreshClaims):
                _check_generation(claims, identity.session)
            claims = identity.claims
        except TokenError as error:
            return Inspection(purpose, claims, error)
        return Inspection(purpose, claims, None)

    def _identify(
        self, claims: Claims, session: Session | None, now: float
    ) -> Identity:
        """Return who verified claims stand for, if session and user still stand."""
        if session is None or session.is_over(now):
            raise TokenRevokedError
        user = self._users.get(claims.subject)
        if user is None or not user.is_active:
            raise TokenRevokedError
        # A scope taken from the user is gone from the user's tokens at once.
        if claims.scopes and not claims.scopes <= (allowed := scopes_of(user)):
            claims = msgspec.structs.replace(claims, scopes=claims.scopes & allowed)
        return Identity(user, claims, session)


def _check_generation(claims: RefreshClaims, session: Session) -> None:
    if claims.generation != session.generation:
        raise TokenRevokedError
