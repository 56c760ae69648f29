"""Who was found for a request, kept on `g` and shown to that request only.

Flask-Login keeps the user on `g`. An outer application context, as in a shell, a worker
or a test, is one `g` for all requests in it, one after another or one inside another.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from flask import Flask, current_app, g, has_request_context, request

from .authenticator import Identity
from .errors import AuthError

# The first name is Flask-Login's. Beside its user is what the request's token said, if
# it carries one, and which request it was.
_USER = "_login_user"
_OUTCOME = "_tokenauth_outcome"
_CARRIER = "_tokenauth_carrier"


def keep(user: Any, outcome: Identity | AuthError | None) -> None:
    """Note who was found for the current request, and what its token said."""
    vars(g._get_current_object()).update(
        {
            _USER: user,
            _OUTCOME: outcome,
            _CARRIER: request._get_current_object(),  # type: ignore[attr-defined]
        }
    )


def is_known() -> bool:
    """Whether somebody, or nobody, was found for the current request already."""
    return _USER in g


def outcome() -> Identity | AuthError | None:
    """Return what the token of the current request said, as far as is known."""
    return g.get(_OUTCOME) if is_known() else None


def join(app: Flask) -> None:
    """Let an application's `g` show a user to that user's request only."""
    app.app_ctx_globals_class = _joined(app.app_ctx_globals_class)


def join_outer(app: Flask) -> None:
    """Do the same for the `g` of an outer context, which may be older than `join`."""
    if current_app._get_current_object() is app:  # type: ignore[attr-defined]
        outer = g._get_current_object()
        # Not by assignment: Flask's own puts whatever is assigned into the dict.
        object.__setattr__(outer, "__class__", _joined(outer.__class__))


class _ToItsRequest:
    """Mixin of `g`: Flask-Login finds another request's user not there, and looks anew.

    Whether somebody is there is what it asks each time.
    """

    def __contains__(self, name: str) -> bool:
        if name != _USER:
            return bool(super().__contains__(name))  # type: ignore[misc]
        held = vars(self)
        return (
            _USER in held
            and has_request_context()
            and held.get(_CARRIER) is request._get_current_object()  # type: ignore[attr-defined]
        )


@cache
def _joined(kind: Any) -> Any:
    is_joined = issubclass(kind, _ToItsRequest)
    return kind if is_joined else type(kind.__name__, (_ToItsRequest, kind), {})
