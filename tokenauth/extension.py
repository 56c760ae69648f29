"""`TokenAuth`: joins the rooms to a Flask application."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from flask import Flask, has_request_context

from .accounts.users import User, UserRecord, UserStore
from .cli import tokenauth
from .errors import ConfigurationError
from .events import LOGGER
from .sessions.issuer import TokenPair
from .sessions.store import SessionStore
from .stores.provision import if_many_processes
from .tokens.signing import Claims
from .web import assembly, entrance, state
from .web.api import openapi, routes, schemas
from .web.login import TokenLoginManager
from .web.refusals import announced
from .web.request import client_name


class TokenAuth:
    """Token authentication for Flask applications.

    Nothing of an application is kept here: one object may serve several applications,
    each with its own settings, users and sessions. Users and sessions that are given
    without an application are those of each that `init_app` is given none for.

    Args:
        app: The application; without one, call `init_app` later.
        users: Where users are kept: a `UserStore`, or a mapping username -> hash; the
            default is what `TOKENAUTH_USERS_URL` names.
        sessions: Where sessions are kept; the default is what
            `TOKENAUTH_SESSION_URL` names.

    Raises:
        ConfigurationError: the application is set up in a way that is not safe.
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
        now: Callable[[], float] = time.time,
    ) -> None:
        """Join to an application; see the class for the arguments.

        Args:
            app: The application.
            users: Where users are kept; None: where `TokenAuth(users=...)` said.
            sessions: Where sessions are kept; None: where `TokenAuth(sessions=...)`
                said.
            now: Seconds since the epoch; tests may stop the clock.

        Raises:
            ConfigurationError: the application is set up in a way that is not safe, or
                has a `TokenAuth` or a `LoginManager` already.
        """
        _refuse_other_objects(app)
        _refuse_second(app)
        rooms = assembly.assemble(
            app,
            self._users if users is None else users,
            self._sessions if sessions is None else sessions,
            now=now,
        )
        app.extensions[state.KEY] = rooms
        if rooms.settings.query_param is not None:
            LOGGER.warning(
                "TOKENAUTH_QUERY_PARAM: tokens in URLs end up in logs, histories and "
                "Referer headers"
            )
        self.login_manager.init_app(app)
        entrance.join(app, if_many_processes=if_many_processes(rooms.stores))
        routes.register(app, rooms.settings)
        app.cli.add_command(tokenauth)

    @announced
    def login(
        self,
        user: UserRecord,
        *,
        scopes: Iterable[str] | None = None,
        label: str | None = None,
    ) -> TokenPair:
        """Start a session for a user whom the application has authenticated itself.

        Args:
            user: Who.
            scopes: What the tokens shall be able to do; None: all that the user may.
            label: A name for the session, of 1 to 100 characters.

        Raises:
            InvalidRequestError: the label cannot be used.
            InvalidCredentialsError: the store has no such user, or a disabled one.
            InvalidScopeError: the user does not have a scope that was asked for.
            TypeError: the user's `get_id()` returns no text.
            StoreUnavailableError: the session could not be kept.
        """
        schemas.check_label(label)
        client = client_name() if has_request_context() else None
        return state.current().service.start(
            user, scopes=scopes, label=label, client=client
        )

    @announced
    def verify(self, token: str) -> Claims:
        """Return what a token says, after the whole check that a request gets.

        Args:
            token: An access token or a personal access token.

        Raises:
            TokenInvalidError: it was not issued here for this purpose, or altered.
            TokenExpiredError: its time is over.
            TokenRevokedError: its session has ended, or its user is gone or disabled.
            StoreUnavailableError: a store cannot answer.
        """
        current = state.current()
        identity = current.verifier.authenticate(token)
        current.personal.note_use(identity.session)
        return identity.claims

    @announced
    def issue_once(
        self, purpose: str, user: UserRecord, max_age: float | timedelta
    ) -> str:
        """Return a token for one use, for a link that the application sends.

        It ends when it is used, when a newer one is issued for this purpose and user,
        when the password changes, and after its time. Redeem it on a POST: programs
        that look at mails follow links.

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
        return state.current().once.issue(purpose, user, max_age)

    @announced
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
        return state.current().once.redeem(purpose, token)

    @announced
    def set_password(self, user: UserRecord, new_password: str) -> int:
        """Give a user another password, and end all of the user's sessions and tokens.

        For somebody who has shown in another way who they are, as by `redeem`.

        Args:
            user: Whose, as the store has it.
            new_password: What it shall be.

        Returns:
            How many sessions ended.

        Raises:
            PasswordRefusedError: the policy refuses it; the error names the rule.
            InvalidCredentialsError: the password was changed by somebody else at the
                same time.
            OverloadedError: too many passwords are being hashed.
            StoreUnavailableError: the change may not have happened.
        """
        return state.current().service.set_password(user, new_password)

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
        return openapi.merge(document, state.current().describe())

    @announced
    def revoke_session(self, session_id: str) -> bool:
        """End a session at once, with all its tokens.

        Returns:
            Whether it stood until now.

        Raises:
            StoreUnavailableError: the session may still stand.
        """
        return state.current().service.revoke_session(session_id)

    @announced
    def revoke_user(self, user_id: str) -> int:
        """End all sessions of a user at once, with all their tokens.

        Returns:
            How many ended.

        Raises:
            StoreUnavailableError: some sessions may still stand.
        """
        return state.current().service.revoke_user(user_id)


def _refuse_other_objects(app: object) -> None:
    if not isinstance(app, Flask):
        raise ConfigurationError(
            "The first argument is the Flask application: TokenAuth(app, users)."
        )


def _refuse_second(app: Flask) -> None:
    if state.KEY in app.extensions:
        raise ConfigurationError(
            "This application has a TokenAuth already: use that one."
        )
    if hasattr(app, "login_manager"):
        raise ConfigurationError(
            "This application has a LoginManager already. TokenAuth brings its own: "
            "register the user_loader on 'auth.login_manager' instead."
        )
