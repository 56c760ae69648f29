"""Login with a password, and changes of passwords."""

from __future__ import annotations

import msgspec

from .. import events
from ..accounts.password_check import PasswordChecker
from ..accounts.users import UserRecord, scopes_of
from ..errors import InvalidCredentialsError, TokenRevokedError
from .issuer import TokenPair
from .one_time import OneTimeTokens
from .service import SessionService
from .session import LOGIN
from .verifier import Identity, SessionRules


class PasswordLogin(SessionRules, frozen=True):
    """Logs in with a password, and changes passwords.

    Attributes:
        service: Starts the sessions.
        once: The one-time tokens, by which a password is reset.
        checker: Checks passwords.
    """

    service: SessionService
    once: OneTimeTokens
    checker: PasswordChecker

    def log_in(
        self,
        username: str,
        password: str,
        *,
        scope: str | None = None,
        address: str | None = None,
        **names: str | None,
    ) -> TokenPair:
        """Start a session for a username and a password, as the client sent them.

        `names` are as in `SessionService.add`.
        """
        checked = self.checker.check(username, password, address)
        pair = self.service.start(
            checked.user,
            scopes=scope,
            confirm=lambda: self.checker.recheck(checked, password),
            **names,
        )
        self.checker.upgrade(checked, password)
        return pair

    def change_password(
        self,
        identity: Identity,
        current: str,
        new: str,
        *,
        address: str | None = None,
        end_tokens: bool,
    ) -> TokenPair:
        """Change a password, end every session of the user, and start a new one.

        Args:
            identity: The user, and the session from which the change is made.
            current: The current password.
            new: The new password.
            address: The client's network address.
            end_tokens: Whether the personal access tokens end, too.
        """
        user, user_id = identity.user, identity.claims.subject
        checked = self.checker.check_user(user, current, address)
        new_hash = self.checker.hash_new(new, user)
        session = self.active_session(identity.session.id)
        if session is None:
            raise TokenRevokedError
        # Hashing took its time: a change that came too late ends nobody's session.
        checked = self.checker.recheck(checked, current)
        kind = None if end_tokens else LOGIN
        self._replace_hash(user_id, checked.password_hash, new_hash, kind=kind)
        self._announce(events.password_changed, session)
        changed = msgspec.structs.replace(checked, password_hash=new_hash)
        renewed = self.service.add(
            user,
            session.scopes & scopes_of(user),
            confirm=lambda: self.checker.recheck(changed, new),
            label=session.label,
            client=session.client,
        )
        return self.issuer.pair(renewed, user, renewed.created_at)

    def set_password(self, user: UserRecord, new: str) -> int:
        """Set a user's password without the old one, and end all sessions of the user.

        Returns:
            How many sessions ended.
        """
        return self._set_hash(user, self.checker.hash_new(new, user))

    def reset_password(self, purpose: str, token: str, new: str) -> UserRecord:
        """Set the password of a one-time token's user; return the user.

        The token is used up only when the new password is accepted.
        """
        user = self.once.check(purpose, token)
        new_hash = self.checker.hash_new(new, user)
        user = self.once.redeem(purpose, token)
        self._set_hash(user, new_hash)
        return user

    def _set_hash(self, user: UserRecord, new_hash: str) -> int:
        user_id = user.get_id()
        ended = self._replace_hash(user_id, user.password_hash, new_hash)
        self.emit(events.password_changed, user_id=user_id)
        return ended

    def _replace_hash(
        self, user_id: str, old: str | None, new: str, *, kind: str | None = None
    ) -> int:
        """Change a stored hash, and end the sessions that the old password started.

        They end before and after: should the store fail in between, they are gone all
        the same, and none that started in between is left.
        """
        ended = self.sessions.end_all(user_id, kind=kind)
        if not self.users.set_password_hash(user_id, new, expected=old):
            self.emit(events.login_failed, user_id=user_id, reason="overtaken")
            raise InvalidCredentialsError
        return ended + self.sessions.end_all(user_id, kind=kind)
