"""What a view may ask of a token: its presence, its scopes, the age of its login."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar, cast, overload

import flask_login
from flask import current_app, has_request_context
from werkzeug.local import LocalProxy

from ..accounts.users import UserRecord, scopes_of
from ..errors import FreshLoginRequiredError, InsufficientScopeError
from ..sessions.verifier import Identity
from ..tokens.claims import Claims
from ..tokens.scopes import check_names
from .identity import FRESH_SECONDS, denied, is_fresh, refusal, token_identity
from .login import manager_of
from .state import current_state

P = ParamSpec("P")
R = TypeVar("R")


def _current_claims() -> Claims | None:
    if not has_request_context():
        return None
    try:
        identity = token_identity()
    except Exception:  # noqa: BLE001 # raised already where the user was looked for
        return None
    return None if identity is None else identity.claims


current_claims = cast(Claims, LocalProxy(_current_claims))
"""What the current request's token says; falsy when it carries no good one."""


def require_token() -> Identity:
    """Return whom the current request's token stands for.

    Raises:
        AuthError: it carries none, or one that is bad, or a store cannot answer.
    """
    identity = token_identity()
    if identity is None or not flask_login.current_user.is_authenticated:
        raise refusal()
    return identity


@overload
def token_required(view: Callable[P, R]) -> Callable[P, R]: ...
@overload
def token_required(
    *, optional: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def token_required(view: Any = None, *, optional: bool = False) -> Any:
    """Let only requests in that carry a good token; no cookie opens the view.

    Any other request is answered with the error that says what is wrong: a
    `TokenError` (401, RFC 6750 section 3.1), `AmbiguousTokenError` (400) where it
    carries several tokens, or `StoreUnavailableError` (503).

    Args:
        view: The view, where the decorator is used without parentheses.
        optional: Whether a request without a token is let in, too. One with a bad
            token is refused all the same, so that its client learns to refresh.

    Returns:
        The view, or a decorator where there was no view yet.

    Example:
        >>> app = example_app()
        >>> @app.get("/hello")
        ... @token_required(optional=True)
        ... def hello():
        ...     return current_claims.subject if current_claims else "a stranger"
        >>> app.test_client().get("/hello").text
        'a stranger'
        >>> client_as(app, "ann").get("/hello").text
        'ann'
    """

    def is_allowed() -> bool:
        if token_identity() is None:
            return optional
        return bool(flask_login.current_user.is_authenticated)

    guard = _guard(is_allowed, _refuse)
    return guard if view is None else guard(view)


def require_scopes(*scopes: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only users in whose token has all these scopes (RFC 6750 section 3.1).

    A cookie user has no token; the user's own scopes count then. The answer to a token
    without them is 403 `insufficient_scope`.

    Args:
        scopes: Names of scopes.

    Returns:
        A decorator of views.

    Raises:
        ValueError: one cannot be the name of a scope.

    Example:
        >>> app = example_app()
        >>> @app.get("/reports")
        ... @require_scopes("reports:read")
        ... def reports():
        ...     return "42"
        >>> client_as(app, "ann", scopes=["reports:read"]).get("/reports").text
        '42'
        >>> client_as(app, "ann", scopes=[]).get("/reports").get_json()["code"]
        'insufficient_scope'
    """
    check_names(scopes)
    required = frozenset(scopes)

    def is_allowed() -> bool:
        user = cast(UserRecord, flask_login.current_user)
        held = current_claims.scopes if current_claims else scopes_of(user)
        return required <= held

    def refuse() -> NoReturn:
        raise denied(InsufficientScopeError(required))

    return _guard(is_allowed, refuse, needs_login=True)


@overload
def fresh_login_required(view: Callable[P, R]) -> Callable[P, R]: ...
@overload
def fresh_login_required(
    *, max_age: int = FRESH_SECONDS
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def fresh_login_required(view: Any = None, *, max_age: int = FRESH_SECONDS) -> Any:
    """Let only users in who proved their password a short time ago (RFC 9470).

    Refreshing does not make a login fresh. For a cookie user, Flask-Login's own notion
    of freshness counts, and its `refresh_view` answers. The answer to a token whose
    login is older is 401 `fresh_login_required`.

    Args:
        view: The view, where the decorator is used without parentheses.
        max_age: Greatest accepted age of the login in seconds.

    Returns:
        The view, or a decorator where there was no view yet.

    Raises:
        ValueError: it is no number of seconds.
    """
    if not isinstance(max_age, int | float) or not max_age >= 0:  # nor is NaN
        raise ValueError("max_age must be a number of seconds, for example 300.")

    def is_allowed() -> bool:
        identity = token_identity()
        if identity is None:
            return bool(flask_login.login_fresh())
        return is_fresh(identity, current_state().clock(), max_age)

    def refuse() -> Any:
        if token_identity() is None:
            return manager_of(current_app).needs_refresh()
        raise denied(FreshLoginRequiredError(max_age))

    guard = _guard(is_allowed, refuse, needs_login=True)
    return guard if view is None else guard(view)


def _refuse() -> NoReturn:
    raise refusal()


def _guard(
    is_allowed: Callable[[], bool],
    refuse: Callable[[], Any],
    *,
    needs_login: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that asks before the view is called, for OPTIONS, too."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            current_state()  # without a `TokenAuth`, its error says so
            if needs_login and not flask_login.current_user.is_authenticated:
                return cast(R, manager_of(current_app).unauthorized())
            if not is_allowed():
                return cast(R, refuse())
            return cast(R, current_app.ensure_sync(view)(*args, **kwargs))

        return guarded

    return decorate
