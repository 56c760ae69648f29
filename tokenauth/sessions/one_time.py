"""One-time tokens, for the links that an application sends: reset, verify, invite."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta

from .. import events
from ..accounts.users import UserRecord, UserStore, id_of
from ..errors import AuthError, TokenRevokedError
from ..events import Emit
from ..tokens.claims import OnceClaims
from ..tokens.redact import Redacted
from ..tokens.signing import TokenSigner
from .issuer import TokenIssuer
from .session import new_session
from .store import SessionStore

_PURPOSE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_MAX_AGE = 366 * 86400


class OneTimeTokens(Redacted):
    """Issues tokens that one use ends, and redeems them.

    Each is kept alive by a session of the kind `once:<purpose>`, and whoever ends that
    session is the one that may use it.

    Args:
        issuer: The signers.
        users: Where users are kept.
        sessions: Where sessions are kept.
        emit: Announces an event.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        users: UserStore,
        sessions: SessionStore,
        *,
        emit: Emit,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._users = users
        self._sessions = sessions
        self._emit = emit
        self.now = now

    def issue(self, purpose: str, user: UserRecord, max_age: float | timedelta) -> str:
        """Return a token for one use; an older one of this purpose and user ends.

        Args:
            purpose: What it is for: lower-case letters, digits and hyphens, at most 32.
            user: Whose it is.
            max_age: How long it lives, in seconds or as a `timedelta`: from a second
                to a year.

        Raises:
            ValueError: the purpose or the age cannot be used.
            TypeError: the user's `get_id()` returns no text.
            StoreUnavailableError: it could not be kept.
        """
        kind, lifetime = _kind_of(purpose), _seconds(max_age)
        now = self.now()
        session = new_session(
            id_of(user), now=now, lifetime=lifetime, kind=kind, authenticated_at=0
        )
        signer = self._issuer.once(kind)
        claims = OnceClaims(
            subject=session.user_id,
            session_id=session.id,
            issued_at=int(now),
            expires_at=int(session.expires_at),
            authenticated_at=0,
            scopes=frozenset(),
            password=signer.get_signature(_password_of(user)).decode(),
        )
        self._sessions.add(session, limit=1)
        return signer.issue(claims)

    def redeem(self, purpose: str, token: str) -> UserRecord:
        """Return whose token this is, and end it: of any number of uses one succeeds.

        Raises:
            ValueError: the purpose cannot be used.
            TokenInvalidError: it was not issued here for this purpose, or altered.
            TokenExpiredError: its time is over.
            TokenRevokedError: it was used, a newer one was issued, the password was
                changed since, or the user is gone or disabled.
            StoreUnavailableError: a store cannot answer.
        """
        kind = _kind_of(purpose)
        about = {"purpose": kind}
        try:
            signer = self._issuer.once(kind)
            claims = signer.read(token)
            about.update(user_id=claims.subject, session_id=claims.session_id)
            user = self._redeem(signer, claims)
        except AuthError as error:
            error.about.update(about)
            raise
        self._emit(events.token_redeemed, **about)
        return user

    def _redeem(
        self, signer: TokenSigner[OnceClaims], claims: OnceClaims
    ) -> UserRecord:
        signer.check_times(claims, self.now())
        user = self._users.get(claims.subject)
        if user is None or not user.is_active:
            raise TokenRevokedError
        if not signer.verify_signature(_password_of(user), claims.password):
            raise TokenRevokedError
        if not self._sessions.end(claims.session_id):
            raise TokenRevokedError
        return user


def _kind_of(purpose: str) -> str:
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError(
            f"{purpose[:40]!r} cannot be a purpose: use at most 32 lower-case letters, "
            "digits and hyphens, for example 'reset-password'."
        )
    return f"once:{purpose}"


def _seconds(max_age: float | timedelta) -> float:
    seconds = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
    if not 1 <= seconds <= _MAX_AGE:
        raise ValueError("max_age must be between one second and 366 days.")
    return seconds


def _password_of(user: UserRecord) -> bytes:
    """Return what is signed of a user's password: no content of a token has a colon."""
    return f"password:{user.password_hash or ''}".encode()
