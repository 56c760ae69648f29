"""Who was found for a request: kept with its context, and shown on `g` to no other.

Flask-Login keeps the user on `g`. An outer application context, as in a shell, a worker
or a test, is one `g` for all requests in it: one after another, one inside another, or
at the same time.
"""

from __future__ import annotations

import itertools
from contextvars import ContextVar
from typing import Any, TypeAlias

import msgspec
from flask import Flask, current_app, g, has_request_context
from flask.globals import request_ctx

from ..errors import AuthError
from ..sessions.verifier import Identity
from . import state

# Where Flask-Login looks on `g`.
_USER = "_login_user"

# What is behind Flask's proxy: through the proxy, each look takes three calls more.
_CONTEXT: ContextVar[Any] = request_ctx.__wrapped__  # type: ignore[attr-defined]

_NUMBERS = itertools.count()


class Other(msgspec.Struct, frozen=True):
    """A user, anonymous or not, whom no token of ours stands for.

    Attributes:
        user: The user.
        error: Why the token that the request carries does not, if it carries one.
    """

    user: Any
    error: AuthError | None = None


Found: TypeAlias = Identity | Other


def keep(found: Found) -> None:
    """Note who was found for the current request by the current application."""
    shown = g._get_current_object()
    if not isinstance(shown, _Shown):  # older than `join`, or of a class set since
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        if shown.__class__ is app.app_ctx_globals_class:
            join(app)
        # Not by assignment: Flask's own puts whatever is assigned into the dict.
        object.__setattr__(shown, "__class__", _showing(shown.__class__, app))
    notes = request_ctx._get_current_object().__dict__  # type: ignore[attr-defined]
    notes[shown.tokenauth_key] = found


def of_request() -> Found | None:
    """Return who was found for the current request; None: nobody looked yet."""
    shown = g._get_current_object()
    if not has_request_context() or not isinstance(shown, _Shown):
        return None
    found: Found | None = vars(_CONTEXT.get()).get(shown.tokenauth_key)
    return found


def outcome() -> Identity | AuthError | None:
    """Return what the current request's token said, as far as anybody looked."""
    found = of_request()
    return found.error if isinstance(found, Other) else found


def forget() -> None:
    """Let whoever was found for the current request be looked for again."""
    g.pop(_USER, None)


def join(app: Flask) -> None:
    """Let an application's `g` show each request its own user."""
    kind = app.app_ctx_globals_class
    if isinstance(kind, type):  # a function's `g` is joined when it is used
        app.app_ctx_globals_class = _showing(kind, app)


def _showing(kind: type, app: Flask) -> Any:
    # Another application's context may be entered within a request: to each its key.
    key = f"_tokenauth_{next(_NUMBERS)}"
    manager, its_state = app.login_manager, state.of(app)  # type: ignore[attr-defined]

    # Flask-Login calls both for each look at `current_user`. What they need is theirs,
    # no attribute of `g`: its `__getattr__` makes each of those slow to read.

    def contains(self: _Shown, name: str) -> bool:
        if name != _USER:
            return bool(super(made, self).__contains__(name))
        try:
            context = _CONTEXT.get()
        except LookupError:  # there is no request
            return False
        notes = context.__dict__
        if key not in notes:
            if context.app is not app:
                return False  # Flask-Login asks the manager of the current application
            notes[key] = manager.find_user(its_state, context.request)
        return True

    def user(_: _Shown) -> Any:
        try:
            return _CONTEXT.get().__dict__[key].user
        except LookupError:  # there is no request, or nobody looked yet
            raise AttributeError(_USER) from None

    bases = (kind,) if issubclass(kind, _Shown) else (_Shown, kind)
    members = {"tokenauth_key": key, "__contains__": contains, _USER: property(user)}
    made: Any = type(kind.__name__, bases, members)
    return made


class _Shown:
    """Mixin of `g`: the user that Flask-Login reads and writes is the request's.

    Whoever asks whether `g` has one, as Flask-Login does before it reads, has the user
    found; `_showing` adds that.
    """

    tokenauth_key: str

    def __setattr__(self, name: str, value: Any) -> None:
        if name == _USER:
            keep(Other(value))
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name == _USER and hasattr(self, name):
            del vars(_CONTEXT.get())[self.tokenauth_key]
        else:
            super().__delattr__(name)

    def get(self, name: str, default: Any = None) -> Any:
        if name == _USER:
            return getattr(self, name, default)
        return super().get(name, default)  # type: ignore[misc]

    def pop(self, name: str, *default: Any) -> Any:
        if name == _USER and hasattr(self, name):
            return vars(_CONTEXT.get()).pop(self.tokenauth_key).user
        return super().pop(name, *default)  # type: ignore[misc]
