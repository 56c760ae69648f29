"""OPTIONS, which Flask-Login's decorators let through: which views it must not open.

The exemption is meant for the answer that Flask makes itself, to a preflight for
example. A view that answers OPTIONS with code of its own is protected like any method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import current_app, request
from flask_login import fresh_login_required, login_required

_GUARDS = (login_required, fresh_login_required)

# All that a decorator of Flask-Login protects shares that decorator's code.
_GUARDED = frozenset(
    getattr(guard(lambda: None), "__code__", None) for guard in _GUARDS
)


def opens_a_guarded_view() -> bool:
    """Whether the current request, an OPTIONS, reaches a protected view's code.

    Decorators between Flask and Flask-Login must follow `functools.wraps`, as those of
    Flask, Flask-RESTful, Flask-RESTX and flask-smorest do.
    """
    rule = request.url_rule
    if rule is None or getattr(rule, "provide_automatic_options", False):
        return False
    view = current_app.view_functions[rule.endpoint]
    return any(_is_guarded(function) for function in _on_the_way_to(view))


def _on_the_way_to(view: Callable[..., Any]) -> Iterator[Any]:
    """Yield what may be decorated: the view, its class's method, what runs before."""
    yield view
    view_class = getattr(view, "view_class", None)
    yield getattr(view_class, "options", None)
    decorators = getattr(view_class, "method_decorators", ())
    if isinstance(decorators, Mapping):  # Flask-RESTful: by method
        decorators = decorators.get("options", ())
    yield from decorators
    for name in (None, *request.blueprints):
        yield from current_app.before_request_funcs.get(name, ())


def _is_guarded(function: Any) -> bool:
    while function is not None:
        if function in _GUARDS or getattr(function, "__code__", None) in _GUARDED:
            return True
        function = getattr(function, "__wrapped__", None)
    return False
