"""What a view may ask of a token: its scopes, the age of its login, what it says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

import flask_login
from flask import current_app, has_request_context
from werkzeug.local import LocalProxy

from ..accounts.users import UserRecord, scopes_of
from ..errors import AuthError, FreshLoginRequiredError, InsufficientScopeError
from ..tokens.claims import Claims
from ..tokens.scopes import check_names
from . import login, state
from .responses import Problem

P = ParamSpec("P")
R = TypeVar("R")


def _current_claims() -> Claims | None:
    if not has_request_context():
        return None
    try:
        identity = login.token_identity()
    except AuthError:
        return None
    return None if identity is None else identity.claims


current_claims = cast(Claims, LocalProxy(_current_claims))
"""What the current request's token says; falsy when it carries no good one."""


def require_scopes(*scopes: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only users in whose token has all these scopes (RFC 6750 section 3.1).

    A cookie user has no token; the user's own scopes count then. The answer to a token
    without them is 403 `insufficient_scope`.

    Args:
        scopes: Names of scopes.

    Raises:
        ValueError: one cannot be the name of a scope.
    """
    check_names(scopes)
    required = frozenset(scopes)

    def is_allowed() -> bool:
        user = cast(UserRecord, flask_login.current_user)
        held = current_claims.scopes if current_claims else scopes_of(user)
        return required <= held

    def refuse() -> NoReturn:
        raise Problem(InsufficientScopeError(required), state.current().settings.realm)

    return _guard(is_allowed, refuse)


def fresh_login_required(
    *, max_age: int = 300
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only users in who proved their password a short time ago (RFC 9470).

    Refreshing does not make a login fresh. For a cookie user, Flask-Login's own notion
    of freshness counts, and its `refresh_view` answers.

    Args:
        max_age: Greatest accepted age of the login in seconds.

    Raises:
        ValueError: it is no number of seconds.
    """
    if not isinstance(max_age, int | float) or not max_age >= 0:  # nor is NaN
        raise ValueError("max_age must be a number of seconds, for example 300.")

    def is_fresh() -> bool:
        if not current_claims:
            return bool(flask_login.login_fresh())
        proved_at = current_claims.authenticated_at  # 0: no password was
        now = int(state.current().service.now())
        return proved_at > 0 and now - proved_at <= max_age

    def refuse() -> Any:
        if not current_claims:
            return current_app.login_manager.needs_refresh()  # type: ignore[attr-defined]
        raise Problem(FreshLoginRequiredError(max_age), state.current().settings.realm)

    return _guard(is_fresh, refuse)


def _guard(
    is_allowed: Callable[[], bool], refuse: Callable[[], Any]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a decorator: Flask-Login's `login_required`, and then a question more.

    Like that, it asks nothing where `LOGIN_DISABLED` is set. Unlike that, it takes a
    view's own OPTIONS for a method as any other.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if not current_app.config.get("LOGIN_DISABLED"):
                if not flask_login.current_user.is_authenticated:
                    return cast(R, current_app.login_manager.unauthorized())  # type: ignore[attr-defined]
                if not is_allowed():
                    return cast(R, refuse())
            return cast(R, current_app.ensure_sync(view)(*args, **kwargs))

        return guarded

    return decorate
