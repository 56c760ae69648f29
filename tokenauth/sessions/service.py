"""Session rules: start and revoke; to refresh, see `refresh`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from .. import events
from ..accounts.password_check import confirm_active
from ..accounts.users import UserRecord, id_of, scopes_of
from ..errors import (
    InvalidCredentialsError,
    InvalidScopeError,
    TokenError,
)
from ..tokens.scopes import grant
from .issuer import TokenPair
from .refresh import RefreshRules
from .session import COOKIES_ENDED, LOGIN, Session, new_session

_LONGEST_COOKIE: Final = 366 * 86400
"""Seconds after which no cookie is accepted: browsers keep Flask-Login's for a year."""


class SessionService(RefreshRules, frozen=True):
    """Starts, refreshes and revokes sessions."""

    def start(
        self,
        user: UserRecord,
        *,
        scopes: str | Iterable[str] | None = None,
        confirm: Callable[[], object] | None = None,
        **names: str | None,
    ) -> TokenPair:
        """Start a session for a user who has been authenticated; see `add`."""
        if confirm is None:
            confirm = partial(confirm_active, self.users, id_of(user), self.emit)
        session = self.add(user, scopes, confirm=confirm, **names)
        self._announce(events.login_succeeded, session)
        return self.issuer.pair(session, user, session.created_at)

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
            now=self.now(),
            lifetime=self.settings.session_lifetime,
            idle_lifetime=self.settings.session_idle_lifetime,
            scopes=self._granted(user, scopes),
            **names,
        )
        limit = self.settings.session_limit
        others = self.active_sessions(session.user_id, kind=LOGIN)
        self.sessions.add(session, limit=limit)
        for ended in others[limit - 1 :]:
            self._announce(events.session_revoked, ended, reason="session_limit")
        try:
            confirm()
        except InvalidCredentialsError:
            self.sessions.end(session.id)
            raise
        return session

    def log_out(self, token: str) -> None:
        """End the session of an access token. Calling it again has no effect."""
        claims = None
        try:
            signer, _ = self.issuer.bearer(token)
            claims = signer.read(token)
            signer.check_times(claims, self.now())
        except TokenError as error:
            self._announce_refusal(error, claims)
            raise
        self.revoke_session(claims.session_id, user_id=claims.subject)

    def revoke_session(self, session_id: str, *, user_id: str | None = None) -> bool:
        """End a session with all its tokens; return whether it was active."""
        has_ended = self.sessions.end(session_id)
        if has_ended:
            self.emit(events.session_revoked, user_id=user_id, session_id=session_id)
        return has_ended

    def revoke_user(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions, of one kind or all, but one; return how many ended.

        Who ends all of them ends the cookie logins of Flask-Login, too.
        """
        ended = self.sessions.end_all(user_id, kind=kind, keep=keep)
        if kind is None:
            self.end_cookies(user_id)
        self.emit(events.session_revoked, user_id=user_id)
        return ended

    def end_cookies(self, user_id: str | None = None) -> None:
        """End the cookie logins of a user, or of all users, that began until now."""
        ending = new_session(
            _cookies_of(user_id),
            now=self.now(),
            lifetime=_LONGEST_COOKIE,
            kind=COOKIES_ENDED,
        )
        self.sessions.add(ending, limit=1)

    def cookie_proof(self, user: UserRecord) -> str:
        """Return what a cookie says of a login: when it began, and a keyed digest."""
        began_at = str(self.now())
        digest = self.issuer.cookie.get_signature(_cookie_facts(user, began_at))
        return f"{began_at}~{digest.decode()}"

    def accepts_cookie(self, user: UserRecord, proof: str) -> bool:
        """Return whether the password is the one of then, and nothing was ended."""
        began_at, _, digest = proof.partition("~")
        facts = _cookie_facts(user, began_at)
        if not self.issuer.cookie.verify_signature(facts, digest):
            return False
        # A copy of a remember cookie outlives what tells that it was ended.
        if self.now() - float(began_at) >= _LONGEST_COOKIE:
            return False
        return all(
            float(began_at) > ending.created_at
            for whose in (str(user.get_id()), None)
            for ending in self.sessions.of_user(_cookies_of(whose), kind=COOKIES_ENDED)
        )

    def revoke_token(self, token: str) -> None:
        """End the session of any token (RFC 7009); a bad token ends nothing."""
        for signer in self.issuer.signers.values():
            with contextlib.suppress(TokenError):
                claims = signer.verify(token, self.now())
                self.revoke_session(claims.session_id, user_id=claims.subject)

    def session_of_refresh(self, token: str) -> str | None:
        """Return the id of a refresh token's session, which may be over."""
        try:
            return self.issuer.refresh.read(token).session_id
        except TokenError:
            return None

    def _granted(
        self, user: UserRecord, scopes: str | Iterable[str] | None
    ) -> frozenset[str]:
        try:
            return grant(scopes, scopes_of(user))
        except InvalidScopeError as error:
            user_id = user.get_id()
            self.emit(events.login_failed, user_id=user_id, reason=error.error_code)
            raise


def _cookies_of(user_id: str | None) -> str:
    """Return under which id is kept when the cookie logins of a user, or all, ended."""
    # No username has a control character, so nobody's own sessions are under it. In
    # ASCII any store can hold it, whatever is asked for. None alone is not quoted.
    return f"\x01cookies of {user_id!a}"


def _cookie_facts(user: UserRecord, began_at: str) -> str:
    # Users of the application's own need not have a hash.
    password = getattr(user, "password_hash", None)
    return repr((began_at, str(user.get_id()), password))
