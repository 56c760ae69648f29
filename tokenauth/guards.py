"""What a view may ask of a token: its scopes, the age of its login, what it says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import flask_login
from flask import current_app
from werkzeug.local import LocalProxy

from . import login, state
from .errors import AuthError, FreshLoginRequiredError, InsufficientScopeError
from .responses import Problem
from .tokens import Claims
from .users import UserRecord, scopes_of

P = ParamSpec("P")
R = TypeVar("R")


def _current_claims() -> Claims | None:
    try:
        identity = login.identity()
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
    """
    required = frozenset(scopes)

    def check() -> None:
        user = cast(UserRecord, flask_login.current_user)
        held = current_claims.scopes if current_claims else scopes_of(user)
        if not required <= held:
            _refuse(InsufficientScopeError(required))

    return _guard(check)


def fresh_login_required(
    *, max_age: int = 300
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only users in who proved their password a short time ago (RFC 9470).

    Refreshing does not make a login fresh. For a cookie user, Flask-Login's own notion
    of freshness counts.

    Args:
        max_age: Greatest accepted age of the login in seconds.
    """

    def check() -> None:
        if current_claims:
            now = int(state.current().authority.now())
            if now - current_claims.authenticated_at > max_age:
                _refuse(FreshLoginRequiredError(max_age))
        elif not flask_login.login_fresh():
            _refuse(FreshLoginRequiredError(max_age))

    return _guard(check)


def _guard(check: Callable[[], None]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a decorator of a check that follows Flask-Login's `login_required`."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            check()
            return cast(R, current_app.ensure_sync(view)(*args, **kwargs))

        return cast(Callable[P, R], flask_login.login_required(checked))

    return decorate


def _refuse(error: AuthError) -> None:
    raise Problem(error, state.current().settings.realm)
