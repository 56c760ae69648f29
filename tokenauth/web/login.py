"""Request to user: Flask-Login's manager, for which the token decides.

The only room that knows Flask-Login's manager. A request that carries a token gets
that token's user or nobody; any other request is left to Flask-Login as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import (
    Flask,
    Request,
    Response,
    after_this_request,
    current_app,
    request,
)
from flask_login import LoginManager, current_user
from flask_login.signals import (
    user_accessed,
    user_loaded_from_request,
    user_needs_refresh,
    user_unauthorized,
)

from ..errors import (
    AuthError,
    ConfigurationError,
    FreshLoginRequiredError,
    TokenInvalidError,
    TokenMissingError,
    TokenRevokedError,
)
from ..sessions.session import PERSONAL
from ..sessions.verifier import Identity
from . import found, preflight, state
from .found import Found, Other
from .refusals import announce
from .request import (
    is_for_a_page,
    is_our_endpoint,
    is_token_request,
    token_in,
    url_parameters,
    uses_cookies,
)
from .responses import Problem


def token_identity() -> Identity | None:
    """Return who the current request's token stands for; None: it carries none.

    Raises:
        AuthError: it carries one that is bad, or a store cannot answer.
    """
    if found.of_request() is None:
        current_app.login_manager._load_user()  # type: ignore[attr-defined]
    outcome = found.outcome()
    if isinstance(outcome, AuthError):
        raise outcome
    return outcome


def authenticate(token: str) -> Identity:
    """Return who a token stands for, now; its use is noted once that is answered.

    Raises:
        AuthError: it is bad, or a store cannot answer.
    """
    current = state.current()
    identity = current.verifier.authenticate(token)
    if identity.session.kind == PERSONAL:
        _note_use(current, identity)
    return identity


def _note_use(current: state.State, identity: Identity) -> None:
    @after_this_request
    def note_use(response: Response) -> Response:
        response.call_on_close(partial(current.personal.note_use, identity.session))
        return response


class TokenLoginManager(LoginManager):  # type: ignore[misc] # Flask-Login has no types
    """Flask-Login's manager, with the token before session and remember cookie.

    It keeps nothing of an application: register a `user_loader` for cookie users, or a
    `request_loader` for credentials of another kind, as with Flask-Login.
    """

    def init_app(
        self,
        app: Flask,
        add_context_processor: bool = True,  # noqa: FBT001, FBT002 # Flask-Login's
    ) -> None:
        """Join the manager to an application."""
        super().init_app(app, add_context_processor)
        # Flask-Login opens the session there, for every answer; see `sessionless`.
        app.after_request_funcs[None].remove(self._update_remember_cookie)

    def _load_user(self) -> None:
        """Find the user of the current request, for a `g` that does not itself."""
        carrier: Request = request._get_current_object()  # type: ignore[attr-defined]
        found.keep(self.find_user(state.current(), carrier))

    def find_user(self, current: state.State, carrier: Request) -> Found:
        """Return who the current request stands for.

        Whatever is wrong lets nobody in; who asks for a login later is told why.

        Args:
            current: The current application's state.
            carrier: The current request itself.
        """
        parameter = current.settings.query_param
        try:
            token = token_in(carrier, parameter)
            if parameter is not None and url_parameters(carrier, parameter):
                after_this_request(_kept_private)
            who = None if token is None else current.verifier.authenticate(token)
        except AuthError as error:
            return self._found_by(partial(self._load_foreign_user, error))
        if who is None:
            return self._found_by(self._load_other_user)
        if who.session.kind == PERSONAL:
            _note_use(current, who)
        if user_accessed.receivers or user_loaded_from_request.receivers:
            return self._told_of(who)
        return who

    def _told_of(self, who: Identity) -> Found:
        """Send Flask-Login's signals; what a receiver raises lets nobody in."""
        found.keep(who)
        try:
            return self._found_by(partial(_send_loaded, who.user))
        except BaseException:
            found.forget()
            raise

    def _found_by(self, load: Callable[[], None]) -> Found:
        """Return whom a function kept; nobody where it failed, or kept nobody."""
        try:
            load()
        except AuthError as error:
            found.keep(Other(self.anonymous_user(), error.with_traceback(None)))
            announce(error)
        return found.of_request() or Other(self.anonymous_user())

    def _load_foreign_user(self, error: AuthError) -> None:
        """Ask the application's `request_loader` and no cookie, or raise the error.

        What we did not issue may belong to another scheme.
        """
        is_unknown = isinstance(error, TokenInvalidError | TokenMissingError)
        user = (
            self._load_user_from_request(request)
            if is_unknown and not is_our_endpoint()
            else None
        )
        if user is None:
            raise error
        self._update_request_context_with_user(user)

    def _update_request_context_with_user(self, user: Any = None) -> None:
        """Note the user, for `login_user` too: no token speaks for them."""
        found.keep(Other(self.anonymous_user() if user is None else user))

    def _load_other_user(self) -> None:
        has_loader = self._user_callback or self._request_callback
        if has_loader and uses_cookies():
            super()._load_user()
        else:
            self._update_request_context_with_user()

    def unauthorized(self) -> Any:
        """Answer a request that needs a login.

        A person's browser without a token is sent to the login page, if there is one;
        everybody else gets 401 with a challenge, or 503 when a store cannot answer.
        """
        error = _why_unauthorized()
        is_missing = isinstance(error, TokenMissingError)
        if is_missing and self._has_login_page() and is_for_a_page():
            return super().unauthorized()
        user_unauthorized.send(current_app._get_current_object())  # type: ignore[attr-defined]
        raise Problem(error, state.current().settings.realm)

    def needs_refresh(self) -> Any:
        """Answer a request that needs Flask-Login's fresh login, a cookie's matter."""
        if (self.needs_refresh_callback or self.refresh_view) and is_for_a_page():
            return super().needs_refresh()
        user_needs_refresh.send(current_app._get_current_object())  # type: ignore[attr-defined]
        raise Problem(FreshLoginRequiredError(), state.current().settings.realm)

    def _has_login_page(self) -> bool:
        view = self.blueprint_login_views.get(request.blueprint, self.login_view)
        return bool(self.unauthorized_callback or view)

    def update_remember_cookie(self, response: Response) -> None:
        """Set or clear the remember cookie of a cookie user, as Flask-Login would."""
        if self._user_callback is not None:
            self._update_remember_cookie(response)

    def guard_options(self) -> Any:
        """Answer an OPTIONS that Flask-Login would let through to a guarded view."""
        if current_app.config.get("LOGIN_DISABLED"):
            return None
        if preflight.opens_a_guarded_view() and not current_user.is_authenticated:
            return self.unauthorized()
        return None


def manager_of(app: Flask) -> TokenLoginManager:
    """Return an application's manager.

    Raises:
        ConfigurationError: it is another's, and would let a cookie's user in for the
            token's.
    """
    manager = app.login_manager  # type: ignore[attr-defined]
    if not isinstance(manager, TokenLoginManager):
        raise ConfigurationError(
            "Another LoginManager took the place of TokenAuth's: remove it, and "
            "register its user_loader on 'auth.login_manager' instead."
        )
    return manager


def _send_loaded(user: Any) -> None:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    user_accessed.send(app)
    user_loaded_from_request.send(app, user=user)


def _kept_private(response: Response) -> Response:
    """Keep caches that see only the URL from an answer (RFC 6750 section 2.3)."""
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def _why_unauthorized() -> AuthError:
    try:
        token_identity()
    except AuthError as error:
        return error
    # A good token whose user does not count as authenticated is as good as ended.
    return TokenRevokedError() if is_token_request() else TokenMissingError()
