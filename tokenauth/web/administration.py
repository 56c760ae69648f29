"""What an application does with its users, their sessions and their tokens."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

from flask import has_request_context, request

from ..accounts.users import UserRecord, UserStore, id_of
from ..errors import StoreUnavailableError
from ..sessions.session import LOGIN, Session
from ..sessions.store import SessionStore
from .api import docs_page, openapi
from .state import current_state


class Administration:
    """The methods of `TokenAuth` that are of use outside a request, too."""

    @property
    def users(self) -> UserStore:
        """The user store of the current application."""
        return current_state().stores.users

    @property
    def sessions(self) -> SessionStore:
        """The session store of the current application."""
        return current_state().stores.sessions

    def hash_password(self, password: str, user: UserRecord | str) -> str:
        """Return the hash to store for a new password, as the settings want it.

        Args:
            password: The new password (text).
            user: The user, or the username of one who is still to be added.

        Raises:
            PasswordRefusedError: the policy refuses it; the error names the rule.
            OverloadedError: too many passwords are being hashed.
            StoreUnavailableError: the application's breach check failed.
        """
        return current_state().checker.hash_new(password, user)

    def set_password(self, user: UserRecord, new_password: str) -> int:
        """Give a user another password, and end all of the user's sessions and tokens.

        For somebody who has shown in another way who they are, as by `redeem`.

        Args:
            user: The user, as the store has it.
            new_password: The new password.

        Returns:
            How many sessions ended.

        Raises:
            PasswordRefusedError: the policy refuses it; the error names the rule.
            InvalidCredentialsError: the password was changed by somebody else at the
                same time.
            OverloadedError: too many passwords are being hashed.
            StoreUnavailableError: the change may not have happened.
        """
        ended = current_state().password_login.set_password(user, new_password)
        trust_network(user)
        return ended

    def issue_once(
        self, purpose: str, user: UserRecord, max_age: float | timedelta
    ) -> str:
        """Return a token for one use, for a link that the application sends.

        It ends when it or another one of this purpose and user is used, when the
        password changes, and when it expires. A user can have five of a purpose: from
        15 minutes on, a newer one ends the oldest. Redeem it on a POST: programs that
        look at mails follow links.

        Args:
            purpose: What it is for: at most 32 lower-case letters, digits, hyphens and
                underscores.
            user: The user.
            max_age: How long it lives, in seconds or as a `timedelta`: from a second
                to a year.

        Raises:
            ValueError: the purpose or the age cannot be used.
            TypeError: the user's `get_id()` returns no text.
            TooManyAttemptsError: five were issued in the last 15 minutes. Do not let a
                client see this: it tells that the account exists.
            StoreUnavailableError: it could not be kept.
        """
        return current_state().one_time.issue(purpose, user, max_age)

    def redeem(
        self, purpose: str, token: str, *, new_password: str | None = None
    ) -> UserRecord:
        """Return the user of a one-time token, and end it: only one use succeeds.

        Args:
            purpose: What the token was issued for.
            token: The token.
            new_password: Set this as the user's password, as `set_password` does. If
                the policy refuses it, the token is not used up.

        Raises:
            ValueError: the purpose cannot be used.
            TokenInvalidError: it was not issued here for this purpose, or altered.
            TokenExpiredError: it has expired.
            TokenRevokedError: it or another one was used, five newer ones were issued,
                the password was changed since, or the user is gone or disabled.
            PasswordRefusedError: the policy refuses the new password.
            OverloadedError: too many passwords are being hashed.
            StoreUnavailableError: a store cannot answer.
        """
        state = current_state()
        if new_password is None:
            user = state.one_time.redeem(purpose, token)
        else:
            user = state.password_login.reset_password(purpose, token, new_password)
        trust_network(user)
        return user

    def revoke_session(self, session_id: str) -> bool:
        """End a session at once, with all its tokens.

        Args:
            session_id: Its id: `current_claims.session_id`, or `id` of a `Session`.

        Returns:
            Whether it was active until now.

        Raises:
            TypeError: the id is no text.
            StoreUnavailableError: the session may still be active.
        """
        return current_state().service.revoke_session(session_id)

    def revoke_user(self, user: UserRecord | str) -> int:
        """End all sessions of a user at once, with all their tokens.

        Args:
            user: The user, or the user's id.

        Returns:
            How many ended.

        Raises:
            TypeError: the id is no text.
            StoreUnavailableError: some sessions may still be active.
        """
        return current_state().service.revoke_user(_id_of(user))

    def sessions_of(self, user: UserRecord | str) -> list[Session]:
        """Return a user's active logins, newest first.

        Args:
            user: The user, or the user's id.

        Raises:
            TypeError: the id is no text.
            StoreUnavailableError: the store cannot answer.
        """
        return current_state().service.active_sessions(_id_of(user), kind=LOGIN)

    def personal_tokens_of(self, user: UserRecord | str) -> list[Session]:
        """Return the sessions of a user's personal access tokens, newest first.

        Args:
            user: The user, or the user's id.

        Raises:
            TypeError: the id is no text.
            StoreUnavailableError: the store cannot answer.
        """
        return current_state().personal.of_user(_id_of(user))

    def merge_openapi(self, document: dict[str, Any]) -> dict[str, Any]:
        """Add the endpoints to an application's own description, in place.

        An operation of the application's that needs a token names the security scheme
        `tokenauth`.

        Args:
            document: The description (OpenAPI 3.1), or the beginnings of one.

        Returns:
            The document.

        Raises:
            ConfigurationError: it is of another version of OpenAPI, or has something
                else under one of the names.
        """
        return openapi.merge(document, docs_page.description())

    def check_stores(self) -> None:
        """Return if users, sessions and attempts can be read; for readiness probes.

        Raises:
            StoreUnavailableError: a store cannot answer.
        """
        state = current_state()
        state.stores.check()
        state.throttle.check()


def trust_network(user: UserRecord) -> None:
    """Let the user of this request in from its network, whatever strangers guessed.

    Should the counters fail, what has been done stays done.
    """
    if has_request_context():
        with contextlib.suppress(StoreUnavailableError):
            throttle = current_state().checker.throttle
            throttle.record_trusted(user.get_id(), request.remote_addr)


def _id_of(user: UserRecord | str) -> str:
    return user if isinstance(user, str) else id_of(user)
