"""The desk: the rules by which logins start, go on and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

import msgspec
from blinker import NamedSignal

from .. import events
from ..accounts.password_check import PasswordChecker, account_of
from ..accounts.users import UserRecord, UserStore, id_of, scopes_of
from ..errors import (
    AuthError,
    InvalidCredentialsError,
    InvalidGrantError,
    InvalidScopeError,
    TokenError,
    TokenRevokedError,
)
from ..events import Emit
from ..settings import Settings
from ..tokens.claims import Claims, RefreshClaims
from ..tokens.redact import Redacted
from ..tokens.scopes import grant
from ..tokens.signing import REFRESH
from .issuer import TokenIssuer, TokenPair
from .session import LOGIN, Session, new_session
from .store import SessionStore
from .verifier import Identity


class SessionService(Redacted):
    """Logs in, refreshes and revokes, by the rules and nothing else.

    Args:
        settings: What the application decided.
        issuer: The signers.
        users: Where users are kept.
        sessions: Where sessions are kept.
        checker: Proves passwords.
        emit: Announces an event.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        issuer: TokenIssuer,
        users: UserStore,
        sessions: SessionStore,
        checker: PasswordChecker,
        *,
        emit: Emit,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._issuer = issuer
        self._users = users
        self._sessions = sessions
        self._checker = checker
        self._emit = emit
        self.now = now

    def log_in(
        self,
        username: str,
        password: str,
        *,
        scope: str | None = None,
        label: str | None = None,
        client: str | None = None,
        address: str | None = None,
    ) -> TokenPair:
        """Start a session for whoever proves a password.

        Args:
            username: As the client sent it.
            password: As the client sent it.
            scope: What the tokens shall be able to do, separated by spaces (RFC 6749
                section 3.3); None: all that the user may.
            label: The client's name for the session.
            client: The client's `User-Agent`.
            address: The client's network address.

        Raises:
            InvalidCredentialsError: the two do not belong together.
            InvalidScopeError: the user does not have a scope that was asked for.
            TooManyAttemptsError: the account or the network has no attempts left.
            OverloadedError: too many passwords are being checked.
            StoreUnavailableError: a store cannot answer.
            TypeError: the user's `get_id()` returns no text.
        """
        proof = self._checker.check(username, password, address)
        session = self._start(proof.user, scope, label, client)
        with self._ended_on_refusal(session):
            proof = self._checker.recheck(proof, password)
        self._checker.upgrade(proof, password)
        self._announce(events.login_succeeded, session)
        return self._issuer.pair(session, proof.user, session.created_at)

    def start(
        self,
        user: UserRecord,
        *,
        scopes: Iterable[str] | None = None,
        label: str | None = None,
        client: str | None = None,
    ) -> TokenPair:
        """Start a session for a user whom the application has authenticated itself.

        Args:
            user: Who.
            scopes: What the tokens shall be able to do; None: all that the user may.
            label: A name for the session.
            client: The client's `User-Agent`.

        Raises:
            InvalidCredentialsError: the store has no such user, or a disabled one.
            InvalidScopeError: the user does not have a scope that was asked for.
            StoreUnavailableError: the session could not be kept.
            TypeError: the user's `get_id()` returns no text.
        """
        session = self._start(user, scopes, label, client)
        with self._ended_on_refusal(session):
            self._checker.active_user(session.user_id)
        self._announce(events.login_succeeded, session)
        return self._issuer.pair(session, user, session.created_at)

    def refresh(self, token: str) -> TokenPair:
        """Trade a refresh token for the next pair; the old one stops working.

        Of any number of uses of one token, one rotates it. A retry within the grace
        gets the same successor, since signing the same row gives the same token; any
        later use is a theft and ends the session (RFC 9700 section 4.14).

        Raises:
            InvalidGrantError: it is bad, expired, reused or revoked.
            StoreUnavailableError: a store cannot answer.
        """
        now = self.now()
        try:
            user, session = self._refresh(self._issuer.refresh.read(token), now)
        except TokenError as error:
            self._emit(
                events.token_refused,
                purpose=REFRESH,
                reason=error.error_code,
                **error.about,
            )
            raise InvalidGrantError from None
        self._announce(events.session_refreshed, session)
        return self._issuer.pair(session, user, now)

    def log_out(self, token: str) -> None:
        """End the session of an access token; a session that has ended stays ended.

        Raises:
            TokenInvalidError: it was not issued here for this purpose, or altered.
            TokenExpiredError: its time is over.
            StoreUnavailableError: the session may still stand.
        """
        signer = self._issuer.bearer_signer(token)
        claims = signer.read(token)
        try:
            signer.check_times(claims, self.now())
            self.revoke_session(claims.session_id, user_id=claims.subject)
        except AuthError as error:
            error.about.update(user_id=claims.subject, session_id=claims.session_id)
            raise

    def revoke_session(self, session_id: str, *, user_id: str | None = None) -> bool:
        """End a session at once, with all its tokens.

        Args:
            session_id: Which.
            user_id: Whose it is, where that is known.

        Returns:
            Whether it stood until now.
        """
        has_ended = self._sessions.end(session_id)
        if has_ended:
            self._emit(events.session_revoked, user_id=user_id, session_id=session_id)
        return has_ended

    def revoke_user(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions at once, with all their tokens.

        Args:
            user_id: Whose.
            kind: Only those of this kind; None: all.
            keep: Id of one session to leave alone.

        Returns:
            How many ended.
        """
        ended = self._sessions.end_all(user_id, kind=kind, keep=keep)
        self._emit(events.session_revoked, user_id=user_id)
        return ended

    def revoke_token(self, token: str) -> None:
        """End what a token of any purpose belongs to; holding it is the right to.

        A token that is not good (any more) has nothing left to end (RFC 7009 section
        2.2).

        Raises:
            StoreUnavailableError: the session may still stand.
        """
        try:
            _, signer = self._issuer.signer_of(token)
            claims = signer.verify(token, self.now())
        except TokenError:
            return
        self.revoke_session(claims.session_id, user_id=claims.subject)

    def sessions_of(self, user_id: str) -> list[Session]:
        """Return a user's logins that still stand, newest first."""
        now = self.now()
        sessions = self._sessions.of_user(user_id, kind=LOGIN)
        return [session for session in sessions if not session.is_over(now)]

    def purge(self, *, limit: int) -> int:
        """Drop at most so many sessions whose time is over; return how many."""
        return self._sessions.purge(now=self.now(), limit=limit)

    def session(self, session_id: str) -> Session | None:
        """Return a session, or None when it has ended."""
        return self._sessions.get(session_id)

    def change_password(
        self,
        identity: Identity,
        current: str,
        new: str,
        *,
        address: str | None = None,
        end_tokens: bool,
    ) -> TokenPair:
        """Change a password and end every login of the user; return a new one.

        Args:
            identity: Who changes it, and in which login.
            current: The current password.
            new: The new password.
            address: The client's network address.
            end_tokens: Whether the personal access tokens end, too.

        Raises:
            InvalidCredentialsError: the current password is wrong, or was changed by
                somebody else at the same time.
            PasswordRefusedError: the policy refuses the new one.
            TokenRevokedError: the login ended meanwhile.
            TooManyAttemptsError: the account or the network has no attempts left.
            OverloadedError: too many passwords are being checked.
            StoreUnavailableError: the change may not have happened.
        """
        user, claims = identity.user, identity.claims
        proof = self._checker.check_user(user, current, address)
        new_hash = self._checker.hash_new(new, proof)
        session = self._sessions.get(claims.session_id)
        if session is None:
            raise TokenRevokedError
        # Hashing took its time: a change that came too late ends nobody's login.
        proof = self._checker.recheck(proof, current)
        kind = None if end_tokens else LOGIN
        self._replace_hash(claims.subject, proof.password_hash, new_hash, kind=kind)
        self._announce(events.password_changed, session)
        scopes = session.scopes & scopes_of(user)
        renewed = self._start(user, scopes, session.label, session.client)
        with self._ended_on_refusal(renewed):
            proof = msgspec.structs.replace(proof, password_hash=new_hash)
            self._checker.recheck(proof, new)
        return self._issuer.pair(renewed, user, renewed.created_at)

    def set_password(self, user: UserRecord, new: str) -> int:
        """Give a user another password, and end every session of the user.

        Args:
            user: Whose, as the store has it.
            new: The new password.

        Returns:
            How many sessions ended.

        Raises:
            InvalidCredentialsError: it was changed by somebody else at the same time.
            PasswordRefusedError: the policy refuses the new one.
            OverloadedError: too many passwords are being hashed.
            StoreUnavailableError: the change may not have happened.
        """
        user_id, old = user.get_id(), user.password_hash
        new_hash = self._checker.hash_set(new, account_of(user))
        ended = self._replace_hash(user_id, old, new_hash)
        self._emit(events.password_changed, user_id=user_id)
        return ended

    def _replace_hash(
        self, user_id: str, old: str | None, new: str, *, kind: str | None = None
    ) -> int:
        """Change a stored hash; end what the old password began, and say how much.

        Before and after: should a store fail in between, the old logins are gone all
        the same, and none that began in between is left.
        """
        ended = self._sessions.end_all(user_id, kind=kind)
        if not self._users.set_password_hash(user_id, new, expected=old):
            self._emit(events.login_failed, user_id=user_id, reason="overtaken")
            raise InvalidCredentialsError
        return ended + self._sessions.end_all(user_id, kind=kind)

    def _start(
        self,
        user: UserRecord,
        scopes: str | Iterable[str] | None,
        label: str | None,
        client: str | None,
    ) -> Session:
        user_id = id_of(user)
        try:
            granted = grant(scopes, scopes_of(user))
        except InvalidScopeError as error:
            self._emit(events.login_failed, user_id=user_id, reason=error.error_code)
            raise
        now = self.now()
        session = new_session(
            user_id,
            now=now,
            lifetime=self._settings.session_lifetime,
            idle_lifetime=self._settings.session_idle_lifetime,
            label=label,
            client=client,
            scopes=granted,
        )
        self._sessions.add(session, limit=self._settings.session_limit)
        return session

    @contextmanager
    def _ended_on_refusal(self, session: Session) -> Generator[None]:
        """End a session should what it began on not hold any more.

        What is checked after it began cannot have been overtaken: whoever changed a
        password or disabled a user meanwhile was told that no session is left.
        """
        try:
            yield
        except InvalidCredentialsError:
            self._sessions.end(session.id)
            raise

    def _refresh(self, claims: RefreshClaims, now: float) -> tuple[UserRecord, Session]:
        """Return the user of a refresh token, and the session that it leads to."""
        try:
            user = self._users.get(claims.subject)
            if user is None or not user.is_active:
                raise TokenRevokedError
            return user, self._advance(claims, now)
        except AuthError as error:
            error.about.update(user_id=claims.subject, session_id=claims.session_id)
            raise

    def _advance(self, claims: RefreshClaims, now: float) -> Session:
        """Return the session that a refresh token leads to.

        Of old generations not even the expiry is looked at: a token of long ago still
        betrays its thief.
        """
        session = self._standing(claims, now)
        if claims.generation == session.generation:
            self._issuer.refresh.check_times(claims, now)
            rotated = self._sessions.rotate(
                session.id,
                session.generation,
                now=now,
                idle_expires_at=session.idle_end(
                    now, self._settings.session_idle_lifetime
                ),
            )
            if rotated is not None:
                return rotated
            session = self._standing(claims, now)  # another use came first
        if claims.generation == session.generation - 1 and self._is_in_grace(
            session, now
        ):
            return session
        self._sessions.end(session.id)
        self._announce(events.refresh_reused, session)
        raise InvalidGrantError

    def _standing(self, claims: Claims, now: float) -> Session:
        session = self._sessions.get(claims.session_id)
        if session is None or session.is_over(now):
            raise TokenRevokedError
        return session

    def _is_in_grace(self, session: Session, now: float) -> bool:
        """Whether a session was rotated less than the grace ago.

        A rotation may lie in the future: another host's clock made it, or another
        request, while this one waited.
        """
        grace, leeway = self._settings.refresh_grace, self._settings.clock_leeway
        since = now - session.refreshed_at
        return max(since, 0) < grace and since >= -max(leeway, grace)

    def _announce(self, signal: NamedSignal, session: Session) -> None:
        self._emit(signal, user_id=session.user_id, session_id=session.id)
