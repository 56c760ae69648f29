"""Joins the endpoints to an application, and answers where there is none."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
)

from ...errors import (
    AuthError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    ServerError,
)
from ...settings import Settings
from .. import state
from ..refusals import announced
from ..request import is_our_endpoint
from ..responses import Problem, answer
from . import docs_page
from .endpoints import ROUTES

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
            path, view_func=announced(view), methods=[method], merge_slashes=False
        )
    blueprint.register_error_handler(InternalServerError, answer_http_error)
    app.register_blueprint(blueprint)
    _exempt_from_csrf(app, blueprint)
    app.register_error_handler(AuthError, _answer)
    # For an application that traps HTTP exceptions; Flask itself needs no help.
    app.register_error_handler(Problem, Problem.get_response)


def _answer(error: AuthError) -> Response:
    return answer(error, state.current().settings.realm)


def answer_http_error(error: HTTPException) -> Response | HTTPException:
    """Answer with a problem document what Flask would answer in HTML.

    An error of another kind is a view's own, and stays as it is.
    """
    problem = _problem_of(error)
    return error if problem is None else _answer(problem)


def refuse_unrouted() -> None:
    """Answer under our own prefix what Flask would answer in HTML.

    Raises:
        Problem: the current request is for an address of ours that there is not.
    """
    refusal = request.routing_exception
    problem = None if refusal is None else _problem_of(refusal)
    if problem is not None and is_our_endpoint():
        raise Problem(problem, state.current().settings.realm)


def _problem_of(error: HTTPException) -> AuthError | None:
    if isinstance(error, MethodNotAllowed):
        return MethodNotAllowedError(list(error.valid_methods or ()))
    if isinstance(error, NotFound):
        return NotFoundError()
    if isinstance(error, InternalServerError):
        return ServerError()
    if isinstance(error, BadRequest):
        return InvalidRequestError("This server does not answer such a request.")
    return None


def _exempt_from_csrf(app: Flask, blueprint: Blueprint) -> None:
    """Tell Flask-WTF's CSRFProtect, if it is there: our routes heed no cookie."""
    if (csrf := app.extensions.get("csrf")) is not None:
        csrf.exempt(blueprint)
