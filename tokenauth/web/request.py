"""What a request presents: a token of ours or none, and what kind of client asks."""

from __future__ import annotations

from flask import Flask, Request, current_app, request

from ..errors import AmbiguousTokenError, AuthError, InvalidRequestError
from ..tokens import header
from .state import KEY, current_state

# A longer list of URL parameters takes longer to read than a request takes to answer.
_MAX_PARAMETERS = 256

# Browsers send 200 characters; reading 8,000 takes as long as a hundred requests.
_MAX_ACCEPT = 1024


def this_app() -> Flask:
    """Return the current application itself, as the sender of a signal."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app


def this_request() -> Request:
    """Return the current request itself: each look through Flask's proxy costs time."""
    current: Request = request._get_current_object()  # type: ignore[attr-defined]
    return current


def request_token(request: Request) -> str | None:
    """Return the token that a request carries; None: it carries none.

    Raises:
        AuthError: it carries something addressed to us that cannot be a token, or
            more than one.
    """
    state = current_state()
    # Read anew each time: what is kept in the environ outlives the header that it came
    # from, and is dumped where the header is masked.
    text = request.environ.get(state.header_key)
    parameter = state.settings.query_param
    values = [] if parameter is None else url_parameters(request, parameter)
    if not values:
        return header.read_header(text)
    if len(values) > 1 or _is_ours(text):
        raise AmbiguousTokenError
    return header.read_token(values[0])


def url_parameters(request: Request, name: str) -> list[str]:
    """Return what the URL of a request gives for a parameter.

    Raises:
        InvalidRequestError: there are too many parameters; or the URL's bytes are not
            UTF-8, which no client should send and not every server refuses.
    """
    query = request.query_string
    if not any(sign in query for sign in (name.encode(), b"%", b"+")):
        return []  # however it is spelled
    if query.count(b"&") >= _MAX_PARAMETERS:
        raise InvalidRequestError("The URL has too many parameters.")
    try:
        return request.args.getlist(name)
    except UnicodeDecodeError:
        pass
    raise InvalidRequestError("The parameters in the URL are not UTF-8.")


def is_token_request(request: Request) -> bool:
    """Return whether a request carries a token, good or bad."""
    try:
        return request_token(request) is not None
    except AuthError:
        return True


def uses_cookies(request: Request) -> bool:
    """Return whether cookies may say who asks: no token, and not our endpoint."""
    return not is_our_endpoint(request) and not is_token_request(request)


def is_our_endpoint(request: Request) -> bool:
    """Return whether a request is for our endpoint, or for none under our prefix.

    An application's own pages may be under our prefix.
    """
    if request.routing_exception is None:
        return request.blueprint == KEY
    settings = current_state().settings
    is_below = f"{request.path}/".startswith(f"{settings.url_prefix}/")
    # As it was sent: Werkzeug's `host` raises where it is not trusted.
    is_here = is_below and settings.host in (None, request.environ.get("HTTP_HOST"))
    return is_here and KEY in current_app.blueprints


def wants_page(request: Request, page: object) -> bool:
    """Return whether a request is answered by a page, if the application has one."""
    return bool(page) and uses_cookies(request) and not prefers_json(request)


def prefers_json(request: Request) -> bool:
    """Return whether the client's `Accept` header prefers JSON to a page."""
    if len(request.headers.get("Accept", "")) > _MAX_ACCEPT:
        return True
    kinds = ["text/html", "application/json"]
    return request.accept_mimetypes.best_match(kinds) == "application/json"


def client_name(request: Request) -> str | None:
    """Return the client's `User-Agent`: printable, and cut to 200 characters."""
    agent = request.headers.get("User-Agent", "")[:200]
    return "".join(c for c in agent if c.isprintable()) or None


def _is_ours(text: str | None) -> bool:
    try:
        return header.read_header(text) is not None
    except AuthError:
        return True
