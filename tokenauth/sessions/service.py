"""Session rules: start, refresh, revoke."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from typing import Final

from .. import events
from ..accounts.networks import network_of
from ..accounts.users import UserRecord, active_user, id_of, scopes_of
from ..errors import (
    InvalidCredentialsError,
    InvalidGrantError,
    InvalidScopeError,
    TokenError,
    TokenRevokedError,
)
from ..tokens.claims import RefreshClaims
from ..tokens.scopes import grant
from ..tokens.signing import REFRESH
from .grace import GraceNetworks
from .issuer import TokenPair
from .session import COOKIES_ENDED, LOGIN, Session, new_session
from .verifier import SessionRules, Shared

_LONGEST_COOKIE: Final = 366 * 86400
"""Seconds after which no cookie is left of a login: Flask-Login's live for a year."""


class SessionService(SessionRules):
    """Starts, refreshes and revokes sessions."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._networks = GraceNetworks()

    def start(
        self,
        user: UserRecord,
        *,
        scopes: Iterable[str] | None = None,
        label: str | None = None,
        client: str | None = None,
    ) -> TokenPair:
        """Start a session for a user whom the application has authenticated itself."""
        session = self.add(
            user,
            scopes,
            confirm=lambda: self._check_active(user),
            label=label,
            client=client,
        )
        self._announce(events.login_succeeded, session)
        return self._issuer.pair(session, user, session.created_at)

    def add(
        self,
        user: UserRecord,
        scopes: str | Iterable[str] | None,
        *,
        confirm: Callable[[], object],
        **names: str | None,
    ) -> Session:
        """Store a new session, and end it if `confirm` refuses the user.

        `confirm` is called when the session is stored: who changes a password or
        disables a user ends all sessions afterwards, so none slips through.
        `names` are the label and the client of the session.
        """
        session = new_session(
            id_of(user),
            now=self._now(),
            lifetime=self._settings.session_lifetime,
            idle_lifetime=self._settings.session_idle_lifetime,
            scopes=self._granted(user, scopes),
            **names,
        )
        limit = self._settings.session_limit
        others = self.active_sessions(session.user_id, kind=LOGIN)
        self._sessions.add(session, limit=limit)
        for ended in others[limit - 1 :]:
            self._announce(events.session_revoked, ended, reason="session_limit")
        try:
            confirm()
        except InvalidCredentialsError:
            self._sessions.end(session.id)
            raise
        return session

    def refresh(
        self,
        token: str,
        *,
        scope: str | None = None,
        address: str | None = None,
        admit: Callable[[str], object] | None = None,
    ) -> TokenPair:
        """Exchange a refresh token for the next pair; the old one stops working.

        Of any number of uses of one token, one rotates it. A retry within the grace
        gets the same successor, since signing the same row gives the same token; any
        later use is a theft and ends the session (RFC 9700 section 4.14). `scope`
        narrows the new access token alone (RFC 6749 section 6). `admit` may refuse the
        user of a good token.
        """
        now = self._now()
        claims = None
        try:
            claims = self._issuer.refresh.read(token)
            identity = self._identify(claims, LOGIN, now)
            if admit is not None:
                admit(claims.subject)
            scopes = grant(scope, identity.session.scopes)
            session = self._advance(claims, identity.session, now, address)
        except TokenError as error:
            self._announce_refusal(error, claims, REFRESH)
            raise InvalidGrantError from None
        return self._issuer.pair(session, identity.user, now, scopes=scopes)

    def log_out(self, token: str) -> None:
        """End the session of an access token. Calling it again has no effect."""
        claims = None
        try:
            signer, _ = self._issuer.bearer(token)
            claims = signer.read(token)
            signer.check_times(claims, self._now())
        except TokenError as error:
            self._announce_refusal(error, claims)
            raise
        self.revoke_session(claims.session_id, user_id=claims.subject)

    def revoke_session(self, session_id: str, *, user_id: str | None = None) -> bool:
        """End a session with all its tokens; return whether it was active."""
        has_ended = self._sessions.end(session_id)
        if has_ended:
            self._emit(events.session_revoked, user_id=user_id, session_id=session_id)
        return has_ended

    def revoke_user(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions, of one kind or all, but one; return how many ended.

        Who ends all of them ends the cookie logins of Flask-Login, too.
        """
        if kind is None:
            self.end_cookies(user_id)
        ended = self._sessions.end_all(user_id, kind=kind, keep=keep)
        self._emit(events.session_revoked, user_id=user_id)
        return ended

    def end_cookies(self, user_id: str | None = None) -> None:
        """End the cookie logins of a user, or of all users, that began until now."""
        ending = new_session(
            _cookies_of(user_id),
            now=self._now(),
            lifetime=_LONGEST_COOKIE,
            kind=COOKIES_ENDED,
        )
        self._sessions.add(ending, limit=1)

    def cookie_proof(self, user: UserRecord) -> str:
        """Return what a cookie says of a login: when it began, and a keyed digest."""
        began_at = str(self._now())
        digest = self._issuer.cookie.get_signature(_cookie_facts(user, began_at))
        return f"{began_at}~{digest.decode()}"

    def accepts_cookie(self, user: UserRecord, proof: str) -> bool:
        """Return whether the password is the one of then, and nothing was ended."""
        began_at, _, digest = proof.partition("~")
        facts = _cookie_facts(user, began_at)
        if not self._issuer.cookie.verify_signature(facts, digest):
            return False
        endings = [
            ending
            for user_id in (str(user.get_id()), None)
            for ending in self._sessions.of_user(
                _cookies_of(user_id), kind=COOKIES_ENDED
            )
        ]
        return all(float(began_at) > ending.created_at for ending in endings)

    def revoke_token(self, token: str) -> None:
        """End the session of any token (RFC 7009); a bad token ends nothing."""
        for signer in self._issuer.signers.values():
            with contextlib.suppress(TokenError):
                claims = signer.verify(token, self._now())
                self.revoke_session(claims.session_id, user_id=claims.subject)

    def session_of_refresh(self, token: str) -> str | None:
        """Return the id of a refresh token's session, which may be over."""
        try:
            return self._issuer.refresh.read(token).session_id
        except TokenError:
            return None

    def _check_active(self, user: UserRecord) -> None:
        if active_user(self._users, user.get_id()) is None:
            self._emit(events.login_failed, user_id=user.get_id(), reason="disabled")
            raise InvalidCredentialsError

    def _granted(
        self, user: UserRecord, scopes: str | Iterable[str] | None
    ) -> frozenset[str]:
        try:
            return grant(scopes, scopes_of(user))
        except InvalidScopeError as error:
            user_id = user.get_id()
            self._emit(events.login_failed, user_id=user_id, reason=error.error_code)
            raise

    def _advance(
        self, claims: RefreshClaims, session: Session, now: float, address: str | None
    ) -> Session:
        """Return the session as a refresh token leaves it.

        The expiry of an older generation is not checked: also a token of long ago
        shows that it was stolen.
        """
        network = network_of(address)
        if claims.generation == session.generation:
            self._issuer.refresh.check_times(claims, now)
            rotated = self._rotate(session, now)
            if rotated is not None:
                self._networks.note(rotated, network)
                self._announce(events.session_refreshed, rotated)
                return rotated
            latest = self.active_session(session.id)
            if latest is None:
                raise TokenRevokedError
            session = latest  # another use came first
        if self._is_retry(claims, session, now):
            retries = self._networks.retries(session, network)
            if retries < (self._settings.refresh_other_networks or math.inf):
                reason = "other_network" if retries else None
                self._announce(events.refresh_repeated, session, reason=reason)
                return session
        self._end_reused(claims, session)
        raise InvalidGrantError

    def _rotate(self, session: Session, now: float) -> Session | None:
        idle_end = min(now + self._settings.session_idle_lifetime, session.expires_at)
        return self._sessions.rotate(
            session.id, session.generation, now=now, idle_expires_at=idle_end
        )

    def _is_retry(self, claims: RefreshClaims, session: Session, now: float) -> bool:
        """Return whether a token is the previous one, rotated within the grace.

        The rotation may lie in the future: another host's clock made it, or another
        request while this one waited.
        """
        grace, leeway = self._settings.refresh_grace, self._settings.clock_leeway
        since = now - session.refreshed_at
        is_in_grace = max(since, 0) < grace and since >= -max(leeway, grace)
        return is_in_grace and claims.generation == session.generation - 1

    def _end_reused(self, claims: RefreshClaims, session: Session) -> None:
        self._sessions.end(session.id)
        if claims.generation > session.generation:
            # Nobody can have it before the client: the store was restored.
            self._announce(events.session_revoked, session, reason="store_set_back")
        else:
            self._announce(events.refresh_reused, session)


def _cookies_of(user_id: str | None) -> str:
    """Return under which id is kept when the cookie logins of a user, or all, ended."""
    return "all cookies" if user_id is None else f"cookies of {user_id}"


def _cookie_facts(user: UserRecord, began_at: str) -> str:
    # Users of the application's own need not have a hash.
    password = getattr(user, "password_hash", None)
    return repr((began_at, str(user.get_id()), password))
