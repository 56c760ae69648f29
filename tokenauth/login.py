"""Request to user: Flask-Login's manager, for which the token decides.

The only room that knows Flask-Login's manager. A request that carries a token gets
that token's user or nobody; any other request is left to Flask-Login as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from flask import (
    Flask,
    Request,
    Response,
    after_this_request,
    current_app,
    g,
    request,
)
from flask.sessions import SessionInterface, SessionMixin
from flask_login import LoginManager, fresh_login_required, login_required
from flask_login.signals import user_loaded_from_request, user_unauthorized

from . import bearer, events, state
from .authenticator import Identity
from .errors import (
    AmbiguousTokenError,
    AuthError,
    FreshLoginRequiredError,
    StoreUnavailableError,
    TokenInvalidError,
    TokenMissingError,
)
from .responses import Problem
from .sessions import PERSONAL

# Where Flask-Login keeps the user of a request, and where we keep what the token said.
_USER = "_login_user"
_OUTCOME = "_tokenauth_outcome"

_PRESENTED = "tokenauth.presented"

# All views that a decorator of Flask-Login protects share that decorator's code.
_GUARDS = frozenset(
    getattr(guard(lambda: None), "__code__", None)
    for guard in (login_required, fresh_login_required)
)


def presented_token(
    request: Request, query_param: str | None
) -> str | AuthError | None:
    """Return the token that a request carries.

    Args:
        request: The request.
        query_param: URL parameter that may carry the token, too.

    Returns:
        The token's text; None when nothing is addressed to us; or the error that what
        is addressed to us makes.
    """
    environ = request.environ
    if _PRESENTED not in environ:
        environ[_PRESENTED] = _read(
            bearer.read_header, environ.get("HTTP_AUTHORIZATION")
        )
    presented: str | AuthError | None = environ[_PRESENTED]
    if query_param is None or query_param not in request.args:
        return presented
    if presented is not None or len(request.args.getlist(query_param)) > 1:
        return AmbiguousTokenError()
    return _read(bearer.read_token, request.args[query_param])


def _read(
    reader: Callable[[Any], str | None], text: str | None
) -> str | AuthError | None:
    try:
        return reader(text)
    except AuthError as error:
        return error.with_traceback(None)  # kept, and a traceback would keep frames


def is_token_request() -> bool:
    """Whether the current request carries a token, good or bad."""
    query_param = state.current().settings.query_param
    return presented_token(request, query_param) is not None


def identity() -> Identity | None:
    """Return who the current request's token stands for; None: it carries none.

    Raises:
        AuthError: it carries one that is bad, or nobody can tell.
    """
    if _USER not in g:
        current_app.login_manager._load_user()  # type: ignore[attr-defined]
    outcome: Identity | AuthError | None = g.get(_OUTCOME)
    if isinstance(outcome, AuthError):
        raise outcome
    return outcome


def authenticate(token: str) -> Identity:
    """Return who a token stands for, now; its use is noted once that is answered.

    Raises:
        AuthError: it is bad, or nobody can tell.
    """
    current = state.current()
    identity = current.authenticator.authenticate(token)
    if identity.session.kind == PERSONAL:

        @after_this_request
        def note_use(response: Response) -> Response:
            response.call_on_close(partial(current.personal.note_use, identity.session))
            return response

    return identity


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
        app.session_interface = cast(
            SessionInterface, TokenSessionInterface(app.session_interface)
        )
        app.before_request(self._guard_options)
        app.teardown_request(_forget_user)

    def _load_user(self) -> None:
        """Find the user of the current request, once."""
        current = state.current()
        presented = presented_token(request, current.settings.query_param)
        if presented is None:
            self._load_cookie_user()
            return
        try:
            if isinstance(presented, AuthError):
                raise presented
            outcome = authenticate(presented)
        except AuthError as error:
            self._refuse(error)
            return
        setattr(g, _OUTCOME, outcome)
        self._update_request_context_with_user(outcome.user)
        if user_loaded_from_request.receivers:
            user_loaded_from_request.send(
                current_app._get_current_object(),  # type: ignore[attr-defined]
                user=outcome.user,
            )

    def _load_cookie_user(self) -> None:
        if self._user_callback is None and self._request_callback is None:
            self._update_request_context_with_user()
        else:
            super()._load_user()

    def _refuse(self, error: AuthError) -> None:
        """Let nobody in; who asks for a login later is told why.

        A token that we did not issue may belong to another scheme for which the
        application has its own `request_loader`: that one is asked, and no cookie.
        """
        user = None
        if isinstance(error, TokenInvalidError):
            user = self._load_user_from_request(request)
        if user is None:
            setattr(g, _OUTCOME, error.with_traceback(None))
            _announce_refusal(error)
        self._update_request_context_with_user(user)

    def unauthorized(self) -> Any:
        """Answer a request that needs a login.

        A person's browser without a token is sent to the `login_view`, if there is one;
        everybody else gets 401 with a challenge, or 503 when nobody can tell.
        """
        realm = state.current().settings.realm
        try:
            found = identity()
        except AuthError as error:
            raise Problem(error, realm) from None
        if found is None and self._has_login_page() and _prefers_html():
            return super().unauthorized()
        user_unauthorized.send(current_app._get_current_object())  # type: ignore[attr-defined]
        raise Problem(TokenMissingError(), realm)

    def needs_refresh(self) -> Any:
        """Answer a request that needs Flask-Login's fresh login, a cookie's matter."""
        if not is_token_request():
            return super().needs_refresh()
        raise Problem(FreshLoginRequiredError(), state.current().settings.realm)

    def _has_login_page(self) -> bool:
        return bool(
            self.unauthorized_callback or self.login_view or self.blueprint_login_views
        )

    def _update_remember_cookie(self, response: Response) -> Response:
        # Flask-Login opens the session here, for every answer.
        if self._user_callback is None or is_token_request():
            return response
        updated: Response = super()._update_remember_cookie(response)
        return updated

    def _guard_options(self) -> Any:
        """Protect views that answer OPTIONS themselves, which Flask-Login exempts."""
        if request.method != "OPTIONS":
            return None
        rule = request.url_rule
        if rule is None or getattr(rule, "provide_automatic_options", False):
            return None
        view = current_app.view_functions[rule.endpoint]
        if not _is_guarded(view) or _is_authenticated():
            return None
        return self.unauthorized()


class TokenSession(dict[str, Any], SessionMixin):
    """The Flask session of a token request: it lasts as long as the request."""


class TokenSessionInterface:
    """Steps aside when a token decides: no session is opened, none is saved.

    Everything else is the application's own session interface, unchanged.
    """

    def __init__(self, inner: SessionInterface) -> None:
        self._inner = inner

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        """Return the session of a request."""
        _forget_user()
        query_param = app.extensions[state.KEY].settings.query_param
        if presented_token(request, query_param) is not None:
            return TokenSession()
        return self._inner.open_session(app, request)

    def save_session(
        self, app: Flask, session: SessionMixin, response: Response
    ) -> None:
        """Save a session, unless a token decided."""
        if not isinstance(session, TokenSession):
            self._inner.save_session(app, session, response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _forget_user(_: BaseException | None = None) -> None:
    """Drop what an earlier request left: `g` lives as long as an outer app context."""
    held = vars(g._get_current_object())
    held.pop(_USER, None)
    held.pop(_OUTCOME, None)


def _announce_refusal(error: AuthError) -> None:
    is_store = isinstance(error, StoreUnavailableError)
    signal = events.store_failed if is_store else events.token_refused
    state.current().emit(signal, reason=error.code)


def _is_authenticated() -> bool:
    if _USER not in g:
        current_app.login_manager._load_user()  # type: ignore[attr-defined]
    return bool(getattr(g, _USER).is_authenticated)


def _prefers_html() -> bool:
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def _is_guarded(view: Callable[..., Any]) -> bool:
    """Whether one of Flask-Login's decorators protects a view's OPTIONS method."""
    view_class = getattr(view, "view_class", None)
    chains = [view, getattr(view_class, "options", None)]
    chains += getattr(view_class, "method_decorators", ())
    return any(_is_wrapped(function) for function in chains)


def _is_wrapped(function: Any) -> bool:
    while function is not None:
        if function in (login_required, fresh_login_required):
            return True
        if getattr(function, "__code__", None) in _GUARDS:
            return True
        function = getattr(function, "__wrapped__", None)
    return False
