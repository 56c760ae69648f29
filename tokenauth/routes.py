"""The endpoints' addresses, and what is answered where there is none."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from . import api, state, token_api
from .errors import AuthError, MethodNotAllowedError, NotFoundError
from .responses import Problem, answer

ROUTES: tuple[tuple[str, str, Callable[..., Response]], ...] = (
    ("POST", "/login", api.log_in),
    ("POST", "/refresh", api.refresh),
    ("POST", "/logout", api.log_out),
    ("GET", "/me", api.me),
    ("GET", "/sessions", api.list_sessions),
    ("DELETE", "/sessions", api.end_sessions),
    ("DELETE", "/sessions/<session_id>", api.end_session),
    ("POST", "/password", api.change_password),
    ("GET", "/tokens", token_api.list_tokens),
    ("POST", "/tokens", token_api.create_token),
    ("DELETE", "/tokens/<session_id>", token_api.end_token),
    ("POST", "/revoke", token_api.revoke),
    ("POST", "/introspect", token_api.introspect),
)


def register(app: Flask, url_prefix: str) -> None:
    """Add the endpoints to an application.

    Args:
        app: The application.
        url_prefix: Where they are.
    """
    blueprint = Blueprint(state.KEY, __name__, url_prefix=url_prefix)
    for method, path, view in ROUTES:
        # Neither merged nor trailing slashes: no address of ours answers 3xx.
        blueprint.add_url_rule(
            path, view_func=view, methods=[method], merge_slashes=False
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
