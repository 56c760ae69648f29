"""Joins the endpoints to an application, and answers where there is none."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from . import docs_page, login, state
from .config import Settings
from .endpoints import ROUTES
from .errors import AuthError, MethodNotAllowedError, NotFoundError
from .responses import Problem, answer

_DOCS: Final = (
    ("/openapi.json", docs_page.openapi),
    ("/docs", docs_page.page),
    ("/docs/<name>", docs_page.asset),
)


def register(app: Flask, settings: Settings) -> None:
    """Add the endpoints to an application.

    Args:
        app: The application.
        settings: What it decided.
    """
    blueprint = Blueprint(state.KEY, __name__, url_prefix=settings.url_prefix)
    rules = [(route.method, route.path, route.view) for route in ROUTES]
    if settings.docs:
        rules += [("GET", path, view) for path, view in _DOCS]
    for method, path, view in rules:
        # Neither merged nor trailing slashes: no address of ours answers 3xx.
        blueprint.add_url_rule(
            path, view_func=login.announced(view), methods=[method], merge_slashes=False
        )
    app.register_blueprint(blueprint)
    _exempt_from_csrf(app, blueprint)
    app.register_error_handler(AuthError, _answer)


def _answer(error: AuthError) -> Response:
    return answer(error, state.current().settings.realm)


def refuse_unrouted() -> None:
    """Answer under our own prefix what Flask would answer in HTML.

    Raises:
        Problem: the current request is for an address of ours that there is not.
    """
    settings = state.current().settings
    if not f"{request.path}/".startswith(f"{settings.url_prefix}/"):
        return
    routing = request.routing_exception
    if isinstance(routing, MethodNotAllowed):
        allowed = list(routing.valid_methods or ())
        raise Problem(MethodNotAllowedError(allowed), settings.realm)
    if isinstance(routing, NotFound):
        raise Problem(NotFoundError(), settings.realm)


def _exempt_from_csrf(app: Flask, blueprint: Blueprint) -> None:
    """Tell Flask-WTF's CSRFProtect, if it is there: our routes heed no cookie."""
    if (csrf := app.extensions.get("csrf")) is not None:
        csrf.exempt(blueprint)
