"""`TokenAuth`: joins token authentication to a Flask application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from flask import Flask, current_app, has_request_context, request

from ..accounts.users import User, UserRecord, UserStore
from ..cli import tokenauth
from ..cli.running import announce_memory, check_tables_at_start
from ..sessions.session import check_label
from ..sessions.store import SessionStore
from ..tokens.claims import Claims
from ..web import identity, session_interface
from ..web.administration import Administration, trust_network
from ..web.api import routes
from ..web.login import TokenLoginManager, manager_of
from ..web.request import client_name, this_request
from ..web.responses import TokenPair
from ..web.state import KEY, current_state
from .build import build


class TokenAuth(Administration):
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

    Example:
        >>> app = Flask(__name__)
        >>> app.config.update(SECRET_KEY=secrets.token_hex(32), TESTING=True)
        >>> auth = TokenAuth(app, {"Ann": hash_password("correct horse battery")})
        >>> body = {"username": "ann", "password": "correct horse battery"}
        >>> app.test_client().post("/auth/login", json=body).get_json()["token_type"]
        'Bearer'
    """

    def __init__(
        self,
        app: Flask | None = None,
        users: UserStore | Mapping[str, str | User] | None = None,
        *,
        sessions: SessionStore | None = None,
    ) -> None:
        self.login_manager = TokenLoginManager()
        self._users = users if app is None else None
        self._sessions = sessions if app is None else None
        if app is not None:
            self.init_app(app, users, sessions=sessions)

    def init_app(
        self,
        app: Flask,
        users: UserStore | Mapping[str, str | User] | None = None,
        *,
        sessions: SessionStore | None = None,
    ) -> None:
        """Join to an application.

        Args:
            app: The application, with its configuration.
            users: As in the class, in place of the users given there.
            sessions: As in the class, in place of the store given there.

        Raises:
            ConfigurationError: the application is set up in a way that is unsafe or
                cannot work, or has a `TokenAuth` or a `LoginManager` already.
        """
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

        Example:
            >>> with example_app().app_context():
            ...     pair = auth.login(auth.users.find("ann"), label="Ann's laptop")
            ...     auth.verify(pair.access_token).subject
            'ann'
        """
        check_label(label)
        client = client_name(this_request()) if has_request_context() else None
        pair = current_state().service.start(
            user, scopes=scopes, label=label, client=client
        )
        trust_network(user)
        return TokenPair(**pair.to_dict())

    def check_password(self, username: str, password: str) -> UserRecord:
        """Return the user with this name and password: the check of `/auth/login`.

        It counts as an attempt on the account from the client's network, and takes as
        long for unknown names. For an application's own login page.

        Args:
            username: The name, in any spelling.
            password: The password, exactly as it was typed.

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

        Args:
            token: An access token or a personal access token.

        Returns:
            The token's user.

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
        check_label(name)
        if isinstance(expires_in, timedelta):
            expires_in = expires_in.total_seconds()
        _, token = current_state().personal.create_for(
            user, name=name, scopes=scopes, expires_in=expires_in
        )
        return token
