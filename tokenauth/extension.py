"""`TokenAuth`: joins token authentication to a Flask application."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from flask import Flask, current_app, has_request_context, request

from .accounts.names import fold_username
from .accounts.password_check import account_of
from .accounts.users import User, UserRecord, UserStore, id_of
from .cli import tokenauth
from .cli.running import announce_memory, check_tables_at_start
from .errors import ConfigurationError, StoreUnavailableError
from .sessions.session import LOGIN, Session
from .sessions.store import SessionStore
from .tokens.claims import Claims
from .web import identity, session_interface
from .web.api import docs_page, openapi, routes, schemas
from .web.login import TokenLoginManager, manager_of
from .web.request import client_name, this_request
from .web.responses import TokenPair
from .web.state import KEY, build, current_state


class TokenAuth:
    """Token authentication for Flask applications.

    Nothing of an application is kept here: one object may serve several applications,
    each with its own settings, users and sessions. Users and sessions that are given
    without an application are those of each that `init_app` is given none for.

    Args:
        app: The application; without one, call `init_app` later.
        users: Where users are kept: a `UserStore`, or a mapping username -> hash.
            Defaults to what `TOKENAUTH_USERS_URL` names.
        sessions: Where sessions are kept. Defaults to what `TOKENAUTH_SESSION_URL`
            names.

    Attributes:
        login_manager: The application's `flask_login.LoginManager`. Register a
            `user_loader` on it for cookie users, or a `request_loader` for credentials
            of another kind.

    Raises:
        ConfigurationError: the application is set up in a way that is unsafe or cannot
            work.
    """

    def __init__(
        self,
        app: Flask | None = None,
        users: UserStore | Mapping[str, str | User] | None = None,
        *,
        sessions: SessionStore | None = None,
    ) -> None:
        self.login_manager = TokenLoginManager()
        self._users: UserStore | Mapping[str, str | User] | None = None
        self._sessions: SessionStore | None = None
        if app is None:
            self._users, self._sessions = users, sessions
        else:
            self.init_app(app, users, sessions=sessions)

    def init_app(
        self,
        app: Flask,
        users: UserStore | Mapping[str, str | User] | None = None,
        *,
        sessions: SessionStore | None = None,
    ) -> None:
        """Join to an application; see the class for the arguments.

        Raises:
            ConfigurationError: the application is set up in a way that is unsafe or
                cannot work, or has a `TokenAuth` or a `LoginManager` already.
        """
        _refuse_other_objects(app)
        _refuse_second(app)
        state = build(
            app,
            self._users if users is None else users,
            self._sessions if sessions is None else sessions,
        )
        check_tables_at_start(state.stores)
        if not app.testing:
            announce_memory(state.stores)
        app.extensions[KEY] = state
        self.login_manager.init_app(app)
        session_interface.join(app)
        routes.register(app, state.settings)
        app.cli.add_command(tokenauth)

    @property
    def users(self) -> UserStore:
        """The user store of the current application."""
        return current_state().stores.users

    @property
    def sessions(self) -> SessionStore:
        """The session store of the current application."""
        return current_state().stores.sessions

    def login(
        self,
        user: UserRecord,
        *,
        scopes: Iterable[str] | None = None,
        label: str | None = None,
    ) -> TokenPair:
        """Start a session for a user whom the application has authenticated itself.

        Return it from a view with `.to_response()`, or parts of it with `.to_dict()`.

        Args:
            user: The user.
            scopes: What the tokens may do. Defaults to all that the user may.
            label: A name for the session, of 1 to 100 characters.

        Raises:
            InvalidRequestError: the label cannot be used.
            InvalidCredentialsError: the store has no such user, or a disabled one.
            InvalidScopeError: the user does not have a scope that was asked for.
            TypeError: the user's `get_id()` returns no text.
            StoreUnavailableError: the session could not be kept.
        """
        schemas.check_label(label)
        client = client_name(this_request()) if has_request_context() else None
        pair = current_state().service.start(
            user, scopes=scopes, label=label, client=client
        )
        _trust_network(user)
        return TokenPair(**pair.to_dict())

    def check_password(self, username: str, password: str) -> UserRecord:
        """Return the user with this name and password: the check of `/auth/login`.

        It counts as an attempt on the account from the client's network, and takes as
        long for unknown names. For an application's own login page.

        Raises:
            InvalidCredentialsError: they do not belong together, or the user is
                disabled.
            TooManyAttemptsError: the account or the network has no attempts left.
            OverloadedError: too many passwords are being checked.
            StoreUnavailableError: a store cannot answer.
        """
        address = request.remote_addr if has_request_context() else None
        checker = current_state().checker
        checked = checker.check(username, password, address)
        checker.upgrade(checked, password)
        return checked.user

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
        account = user if isinstance(user, str) else account_of(user)
        return current_state().checker.hash_new(password, fold_username(account) or "")

    def verify(self, token: str) -> Claims:
        """Return what a token says, after the whole check that a request gets.

        Args:
            token: An access token or a personal access token.

        Raises:
            TokenInvalidError: it was not issued here for this purpose, or altered.
            TokenExpiredError: its lifetime has passed.
            TokenRevokedError: its session has ended, or its user is gone or disabled.
            StoreUnavailableError: a store cannot answer.
        """
        state = current_state()
        found = state.verifier.authenticate(token)
        identity.note_verified(found)
        state.personal.note_use(found.session)
        return found.claims

    def act_by(self, token: str) -> UserRecord:
        """Let the current request act by a token, and return the token's user.

        From now on `current_user`, `current_claims` and the scopes are those of the
        token: for a token from another place, such as the handshake of Socket.IO.

        Raises:
            RuntimeError: outside a request.
            AuthError: as `verify`.
        """
        found = current_state().verifier.authenticate(token)
        manager_of(current_app).act_by(found)
        return found.user

    def logout(self) -> bool:
        """End the session of the current request's token, as `logout_user()` does.

        Returns:
            Whether a session was ended.

        Raises:
            AuthError: the request's token is bad.
            StoreUnavailableError: the session may still be active.
        """
        return identity.log_out()

    def create_personal_token(
        self,
        user: UserRecord,
        *,
        name: str,
        scopes: Iterable[str] | None = None,
        expires_in: float | timedelta | None = None,
    ) -> str:
        """Return a new personal access token, for a service account or an admin page.

        Args:
            user: The user for whom it acts.
            name: A name by which it is listed, of 1 to 100 characters.
            scopes: What it may do. Defaults to all that the user may now; a scope that
                the user is given later is not added.
            expires_in: How long it works, in seconds or as a `timedelta`. By default
                until it is revoked.

        Raises:
            InvalidRequestError: the name cannot be used, or the user has 100 already.
            InvalidCredentialsError: the store has no such user, or a disabled one.
            InvalidScopeError: the user does not have a scope that was asked for.
            ValueError: `expires_in` is less than a second.
            TypeError: the user's `get_id()` returns no text.
            StoreUnavailableError: it could not be stored.
        """
        schemas.check_label(name)
        if isinstance(expires_in, timedelta):
            expires_in = expires_in.total_seconds()
        _, token = current_state().personal.create_for(
            user, name=name, scopes=scopes, expires_in=expires_in
        )
        return token

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
        _trust_network(user)
        return user

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
        _trust_network(user)
        return ended

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

    def revoke_session(self, session_id: str) -> bool:
        """End a session at once, with all its tokens.

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

    def check_stores(self) -> None:
        """Return if users, sessions and attempts can be read; for readiness probes.

        Raises:
            StoreUnavailableError: a store cannot answer.
        """
        state = current_state()
        state.stores.check()
        state.throttle.check()


def _trust_network(user: UserRecord) -> None:
    """Let the user of this request in from its network, whatever strangers guessed.

    Should the counters fail, what has been done stays done.
    """
    if has_request_context():
        with contextlib.suppress(StoreUnavailableError):
            current_state().checker.record_trusted(user.get_id(), request.remote_addr)


def _id_of(user: UserRecord | str) -> str:
    if isinstance(user, str):
        return user
    if hasattr(user, "get_id"):
        return id_of(user)
    raise TypeError(
        f"A user, or an id that is text, is needed here, not {type(user).__name__}; "
        "for an integer id, pass str(id)."
    )


def _refuse_other_objects(app: object) -> None:
    # No class is asked for: OpenTelemetry puts another one in Flask's place.
    if not isinstance(getattr(app, "extensions", None), dict):
        raise ConfigurationError(
            "The first argument is the Flask application: TokenAuth(app, users)."
        )


def _refuse_second(app: Flask) -> None:
    if KEY in app.extensions:
        raise ConfigurationError(
            "This application has a TokenAuth already: use that one."
        )
    if hasattr(app, "login_manager"):
        raise ConfigurationError(
            "This application has a LoginManager already. TokenAuth brings its own: "
            "register the user_loader on 'auth.login_manager' instead."
        )
