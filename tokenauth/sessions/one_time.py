"""One-time tokens, for the links that an application sends: reset, verify, invite."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final

from .. import events
from ..accounts.users import UserRecord, id_of
from ..errors import TokenError, TokenRevokedError, TooManyAttemptsError
from ..tokens.claims import OnceClaims
from .issuer import is_password_unchanged
from .session import new_session
from .verifier import Identity, SessionRules

MAX_AT_A_TIME: Final = 5
"""One-time tokens of one purpose that one user may have at a time."""

ISSUE_INTERVAL: Final = 900
"""Seconds in which so many may be issued, and in which no newer one ends a token.

So a stranger who asks for links in a user's name neither ends the link that the user
asked for nor fills the mailbox.
"""

_PURPOSE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_MAX_AGE: Final = 366 * 86400


class OneTimeTokens(SessionRules, frozen=True):
    """Issues and redeems tokens that work once.

    Each has a session of the kind `once:<purpose>`; of many uses at once, the one that
    ends the session succeeds.
    """

    def issue(self, purpose: str, user: UserRecord, max_age: float | timedelta) -> str:
        """Return a new token; of more than `MAX_AT_A_TIME` the oldest ends.

        Raises:
            ValueError: the purpose or the age cannot be used.
            TypeError: the user's `get_id()` returns no text.
            TooManyAttemptsError: so many were issued in the last `ISSUE_INTERVAL`.
            StoreUnavailableError: it could not be stored.
        """
        kind, lifetime = _kind_of(purpose), _seconds(max_age)
        user_id, now = id_of(user), self.now()
        self._refuse_more(user_id, kind, now)
        session = new_session(
            user_id, now=now, lifetime=lifetime, kind=kind, authenticated_at=0
        )
        self.sessions.add(session, limit=MAX_AT_A_TIME)
        return self.issuer.once_token(session, user)

    def _refuse_more(self, user_id: str, kind: str, now: float) -> None:
        tokens = self.active_sessions(user_id, kind=kind)
        ages = [now - each.created_at for each in tokens[:MAX_AT_A_TIME]]
        if len(ages) == MAX_AT_A_TIME and max(ages) < ISSUE_INTERVAL:
            self.emit(events.attempts_limited, user_id=user_id, purpose=kind)
            raise TooManyAttemptsError(math.ceil(ISSUE_INTERVAL - max(ages)))

    def check(self, purpose: str, token: str) -> UserRecord:
        """Return the user of a token without using it up; raise as `redeem` does."""
        return self._check(_kind_of(purpose), token).user

    def redeem(self, purpose: str, token: str) -> UserRecord:
        """Return the user of a token, and end all of the user's for this purpose.

        Raises:
            ValueError: the purpose cannot be used.
            TokenInvalidError: not issued here for this purpose, or altered.
            TokenExpiredError: expired.
            TokenRevokedError: it was used, or ended by newer ones, the password was
                changed since, or the user is gone or disabled.
            StoreUnavailableError: a store cannot answer.
        """
        kind = _kind_of(purpose)
        identity = self._check(kind, token)
        claims = identity.claims
        # The others first: should the store fail in between, this one can be retried.
        self.sessions.end_all(claims.subject, kind=kind, keep=claims.session_id)
        if not self.sessions.end(claims.session_id):  # another use came first
            error = TokenRevokedError()
            self._announce_refusal(error, claims, kind)
            raise error
        self._announce(events.token_redeemed, identity.session, purpose=kind)
        return identity.user

    def _check(self, kind: str, token: str) -> Identity:
        signer = self.issuer.once(kind)
        claims: OnceClaims | None = None
        try:
            claims = signer.read(token)
            now = self.now()
            signer.check_times(claims, now)
            identity = self._identify(claims, kind, now)
            if not is_password_unchanged(signer, claims, identity.user):
                raise TokenRevokedError
        except TokenError as error:
            self._announce_refusal(error, claims, kind)
            raise
        return identity


def _kind_of(purpose: str) -> str:
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError(
            f"{purpose[:40]!r} cannot be a purpose: use at most 32 lower-case letters, "
            "digits, hyphens and underscores, for example 'reset-password'."
        )
    return f"once:{purpose}"


def _seconds(max_age: float | timedelta) -> float:
    seconds = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
    if not 1 <= seconds <= _MAX_AGE:
        raise ValueError("max_age must be between one second and 366 days.")
    return seconds
