"""The user of a request: Flask-Login's `request_loader`, and the manager around it.

Flask-Login asks the session cookie and the remember cookie before its `request_loader`.
Here the token decides: a request that carries one gets that token's user or nobody. Any
other gets the user of the application's `request_loader`, else Flask-Login's, of a
cookie.

Five things used here are not documented by Flask-Login. Each has a test in
`tests/neighbours/test_public_ground.py` that fails when a release moves it:

- `LoginManager._load_user` is where Flask-Login asks cookies first;
- `LoginManager._update_request_context_with_user` is how `login_user` and `logout_user`
  set the current user: from then on no token speaks for the user;
- `LoginManager._update_remember_cookie` opens the Flask session of every request;
- `LoginManager._set_cookie` writes the user's id into the remember cookie;
- `g._login_user` is where Flask-Login keeps the current user. An outer application
  context is one `g` for all requests in it, so it is dropped with each request.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from flask import Flask, Request, Response, request_tearing_down, session
from flask_login import (
    LoginManager,
    session_protected,
    user_accessed,
    user_loaded_from_request,
    user_logged_in,
    user_logged_out,
    user_needs_refresh,
    user_unauthorized,
)

from ..accounts.users import UserRecord
from ..errors import (
    AuthError,
    ConfigurationError,
    FreshLoginRequiredError,
    InvalidRequestError,
    TokenInvalidError,
    TokenMissingError,
)
from ..sessions.verifier import Identity
from . import cookie_logins, identity
from .request import (
    is_our_endpoint,
    request_token,
    this_app,
    this_request,
    uses_cookies,
    wants_page,
)
from .state import current_state

LoaderT = TypeVar("LoaderT", bound=Callable[..., Any])


def load_user(request: Request) -> UserRecord | None:
    """Return the user of the token that a request carries; None: it carries none.

    Registered as Flask-Login's `request_loader`.

    Raises:
        AuthError: the token is bad, or a store cannot answer.
    """
    token = request_token(request)
    if token is None:
        return None
    found = current_state().verifier.authenticate(token, may_be_foreign=True)
    identity.keep(found)
    if identity.is_fresh(found, current_state().clock()):
        # For Flask-Login's `fresh_login_required`: this session is never saved.
        session["_fresh"] = True
    return found.user


class TokenLoginManager(LoginManager):  # type: ignore[misc] # Flask-Login has no types
    """Flask-Login's manager, which asks the token before any cookie.

    Register a `user_loader` for cookie users, or a `request_loader` for credentials of
    another kind, as with Flask-Login.
    """

    def __init__(self) -> None:
        super().__init__()
        super().request_loader(load_user)
        self._cookie_loader: Callable[[str], Any] | None = None
        self._other_loader: Callable[[Request], Any] | None = None

    def init_app(
        self,
        app: Flask,
        add_context_processor: bool = True,  # noqa: FBT001, FBT002 # Flask-Login's
    ) -> None:
        """Join the manager to an application."""
        super().init_app(app, add_context_processor)
        user_logged_in.connect(self._bind_login, app)
        user_logged_out.connect(identity.end_with_logout, app)
        for signal in (user_logged_out, session_protected):
            signal.connect(cookie_logins.unbind, app)
        request_tearing_down.connect(identity.end_request, app)  # after the last hook

    def user_loader(self, callback: LoaderT) -> LoaderT:
        """Register what takes a user id (str) and returns a cookie's user."""
        super().user_loader(partial(cookie_logins.load, callback))
        self._cookie_loader = callback
        return callback

    def request_loader(self, callback: LoaderT) -> LoaderT:
        """Register a function that takes a request and returns its user, or None.

        It is asked where the request carries no token of ours. For a token of ours from
        another place, call `auth.act_by(token)` in it.
        """
        self._other_loader = callback
        return callback

    def act_by(self, found: Identity) -> None:
        """Let the current request act by a verified token from now on."""
        identity.keep(found)
        super()._update_request_context_with_user(found.user)

    def _load_user(self) -> None:
        """Set the current user. Whatever fails lets nobody in, and fails once."""
        super()._update_request_context_with_user()  # a receiver of a signal may ask
        try:
            self._find_user()
        except AuthError as error:
            self._refuse(error)
        except Exception as error:
            self._refuse(error)
            raise
        except BaseException:
            identity.forget()
            raise

    def _find_user(self) -> None:
        request, user = this_request(), None
        if self.user_callback is not None and uses_cookies(request):
            user = self._load_from_application(request)
            if user is None:
                with identity.loading():
                    super()._load_user()
                return
        if user_accessed.receivers:
            user_accessed.send(this_app())
        if user is None:
            user = self._load_from_request(request)
        if user is not None and user_loaded_from_request.receivers:
            found = identity.kept_identity()
            user_loaded_from_request.send(this_app(), user=user)
            identity.keep(found)  # a receiver may have made a request of its own
        super()._update_request_context_with_user(user)

    def _refuse(self, error: Exception) -> None:
        self._update_request_context_with_user()
        identity.keep(error=error.with_traceback(None))

    def _load_from_request(self, request: Request) -> Any:
        """Return the user of the token, else of the application's loader."""
        try:
            user = load_user(request)
        except (TokenInvalidError, TokenMissingError) as error:
            # Credentials of another scheme may look like a token of ours.
            user = self._load_from_application(request)
            if user is None:
                identity.announce(error)
                raise
            return user
        except InvalidRequestError as error:
            identity.announce(error)
            raise
        return self._load_from_application(request) if user is None else user

    def _load_from_application(self, request: Request) -> Any:
        if self._other_loader is None or is_our_endpoint(request):
            return None
        with identity.loading():
            user = self._other_loader(request)
        identity.keep_for(user)
        # A disabled user is refused, whatever the class says of `is_authenticated`.
        return user if getattr(user, "is_active", True) else None

    def _update_request_context_with_user(self, user: Any = None) -> None:
        """Set the current user, for whom no token speaks unless it is the token's."""
        super()._update_request_context_with_user(user)
        identity.keep_for(user)
        if user is not None and not identity.is_loading():
            cookie_logins.begin()  # `login_user` does not load

    def _update_remember_cookie(self, response: Response) -> Response:
        """Set or clear the remember cookie, where there are cookie users at all."""
        if self.user_callback is None or not uses_cookies(this_request()):
            return response
        updated: Response = super()._update_remember_cookie(response)
        return updated

    def _set_cookie(self, response: Response) -> None:
        cookie_logins.remember(super()._set_cookie, response)

    def unauthorized(self) -> Any:
        """Answer a request that needs a login.

        A request without a token is answered as by Flask-Login where there is a login
        page, unless its `Accept` prefers JSON; any other by an error with a challenge.
        """
        request = this_request()
        if is_our_endpoint(request):
            return None  # it checks the token itself; a guard for all must not close it
        view = self.blueprint_login_views.get(request.blueprint, self.login_view)
        page = self.unauthorized_callback or view
        error = identity.refusal()
        if isinstance(error, TokenMissingError) and wants_page(request, page):
            return super().unauthorized()
        user_unauthorized.send(this_app())
        raise error

    def needs_refresh(self) -> Any:
        """Answer a request that needs Flask-Login's fresh login."""
        page = self.needs_refresh_callback or self.refresh_view
        if wants_page(this_request(), page):
            return super().needs_refresh()
        user_needs_refresh.send(this_app())
        raise FreshLoginRequiredError(identity.FRESH_SECONDS)

    def _bind_login(self, _: Flask, user: Any) -> None:
        """Bind `login_user` to the password, or refuse it if nothing loads the user."""
        if uses_cookies(this_request()):
            cookie_logins.bind(self._cookie_loader, self._other_loader, user)


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
