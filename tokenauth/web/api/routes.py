"""Joins the endpoints to an application, and answers where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ... import errors
from ...errors import AuthError
from ...errors.base import Answer
from ...events import LOGGER
from ...settings import Settings
from ...stores.provision import if_many_processes
from ..login import manager_of
from ..request import is_our_endpoint, this_request
from ..session_interface import TokenSessionInterface, settle, wrap
from ..state import KEY, state_of
from . import ROUTES, docs_page
from .bodies import keep_body

_DOCS: Final = (
    ("/openapi.json", docs_page.openapi),
    ("/docs", docs_page.page),
    ("/docs/<name>", docs_page.asset),
)

_BY_ENDPOINT: Final = {f"{KEY}.{route.name}": route for route in ROUTES}

_PROBLEMS: Final[dict[int | None, type[AuthError]]] = {
    404: errors.NotFoundError,
    413: errors.PayloadTooLargeError,  # met by a hook that reads the body
    500: errors.ServerError,
}
_STATUSES: Final = (400, 401, 403, 404, 405, 413, 415, 422, 429, 500, 503)


def register(app: Flask, settings: Settings) -> None:
    """Add the endpoints to an application.

    Raises:
        ConfigurationError: the application routes by host, and no host is set, or the
            other way round.
    """
    blueprint = Blueprint(KEY, __name__, url_prefix=settings.url_prefix)
    _check_host(app, settings.host)
    rules = [(route.method, route.path, route.name, route.view()) for route in ROUTES]
    rules.append(("GET", "/client.js", "client", docs_page.client))
    if settings.docs:
        rules += [("GET", path, view.__name__, view) for path, view in _DOCS]
    for method, path, name, view in rules:
        # Neither merged nor trailing slashes: no address of ours answers 3xx.
        blueprint.add_url_rule(
            path, name, view, methods=[method], merge_slashes=False, host=settings.host
        )
    # The earliest that Flask calls: before each `before_request`.
    blueprint.url_value_preprocessor(_keep_body)
    for status in _STATUSES:
        blueprint.register_error_handler(status, as_problem)
    app.register_blueprint(blueprint)
    _exempt_from_csrf(app)
    warning = if_many_processes(state_of(app).stores)
    guard(app, _warn_of_conflicts, _exempt_from_csrf, warning=warning)


def guard(
    app: Flask, *first: Callable[[Flask], None], warning: str | None = None
) -> None:
    """Check the set-up at each request, and let errors answer.

    Args:
        app: The application.
        first: What is done once, at the first request.
        warning: Of an application that several processes serve.
    """
    app.before_request(_before_request(app, [settle, *first], warning))
    # An error is its own response, under `TRAP_HTTP_EXCEPTIONS` and beside a handler
    # for all of them, too; a handler for its status or its class comes first.
    app.register_error_handler(Answer, lambda error: error)


def as_problem(error: HTTPException) -> HTTPException:
    """Return the problem document for what Flask would answer in HTML.

    An error of another kind is a view's own, and stays as it is.
    """
    problem = error if isinstance(error, AuthError) else _problem_of(error)
    if problem is None:
        return error
    route = _BY_ENDPOINT.get(request.endpoint or "")
    if route is not None:
        problem.oauth_error = route.oauth_error(problem)
    return problem


def conflicts(app: Flask) -> list[str]:
    """Return the addresses of ours that a rule of the application's claims, too."""
    ours: set[tuple[str, str]] = set()
    theirs: set[tuple[str, str]] = set()
    for rule in app.url_map.iter_rules():
        rules = ours if rule.endpoint.startswith(f"{KEY}.") else theirs
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        rules.update((method, rule.rule) for method in methods)
    return sorted(f"{method} {path}" for method, path in ours & theirs)


def _before_request(
    app: Flask, pending: list[Callable[..., None]], warning: str | None
) -> Callable[[], Response | None]:
    """Return what runs before each request; the first one checks the whole set-up."""

    def before_request() -> Response | None:
        nonlocal warning
        if pending:
            for step in tuple(pending):  # of parallel first requests each does it all
                step(app)
            pending.clear()
        if not isinstance(app.session_interface, TokenSessionInterface):
            wrap(app)  # by hand, after the first request
        manager_of(app)
        current = this_request()
        if warning and current.environ.get("wsgi.multiprocess"):
            LOGGER.warning("%s", warning)
            warning = None
        if current.routing_exception is None or not is_our_endpoint(current):
            return None
        problem = _problem_of(current.routing_exception)
        return None if problem is None else app.make_response(problem)

    return before_request


def _keep_body(*_: object) -> None:
    keep_body(this_request())


def _warn_of_conflicts(app: Flask) -> None:
    for address in conflicts(app):
        LOGGER.warning(
            "%s is claimed by TokenAuth and by a rule of the application's, and only "
            "the one that was added first answers: set TOKENAUTH_URL_PREFIX",
            address,
        )


def _check_host(app: Flask, host: str | None) -> None:
    if app.url_map.host_matching is (host is None):
        raise errors.ConfigurationError(
            "TOKENAUTH_HOST has no effect unless the application routes by host, and "
            "is needed where it does. Remove it, or make the application with "
            "Flask(..., host_matching=True, static_host=...) and set TOKENAUTH_HOST, "
            "for example to 'api.example.com', or to '<host>' for any."
        )


def _problem_of(error: HTTPException) -> AuthError | None:
    if isinstance(error, MethodNotAllowed):
        return errors.MethodNotAllowedError(list(error.valid_methods or ()))
    if error.code == 400:
        return errors.InvalidRequestError("This server does not answer such a request.")
    problem = _PROBLEMS.get(error.code)
    return None if problem is None else problem()


def _exempt_from_csrf(app: Flask) -> None:
    """Tell Flask-WTF's CSRFProtect, if it is there: our routes need no token of its."""
    if (csrf := app.extensions.get("csrf")) is not None:
        csrf.exempt(app.blueprints[KEY])
