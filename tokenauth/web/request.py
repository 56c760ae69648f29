"""What a request presents: a token of ours or none, and what kind of client asks."""

from __future__ import annotations

from flask import Request, request

from ..errors import AmbiguousTokenError, AuthError, InvalidRequestError
from ..tokens import header as bearer
from . import state

# In a URL that may hold a token: to read more takes longer than to answer.
_MAX_PARAMETERS = 256

# Browsers send 200 characters; to read 8,000 takes as long as a hundred requests.
_MAX_ACCEPT = 1024


def request_token() -> str | None:
    """Return the token that the current request carries; None: it carries none.

    Raises:
        AuthError: it carries something addressed to us that cannot be a token, or
            more than one.
    """
    return token_in(
        request._get_current_object(),  # type: ignore[attr-defined]
        state.current().settings.query_param,
    )


def token_in(request: Request, query_param: str | None) -> str | None:
    """Return the token that a request carries, as `request_token` does.

    Args:
        request: The request itself: each attribute of Flask's proxy of it costs half
            as much as all of this.
        query_param: The URL parameter that may carry it; None: none may.
    """
    # Read anew each time, which costs a microsecond: what is kept in the environ
    # outlives the header it came from, and is dumped where the header is masked.
    header = request.environ.get("HTTP_AUTHORIZATION")
    values = [] if query_param is None else url_parameters(request, query_param)
    if not values:
        return bearer.read_header(header)
    if len(values) > 1 or _is_ours(header):
        raise AmbiguousTokenError
    return bearer.read_token(values[0])


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


def is_token_request() -> bool:
    """Whether the current request carries a token, good or bad."""
    return carries_token(
        request._get_current_object(),  # type: ignore[attr-defined]
        state.current().settings.query_param,
    )


def carries_token(request: Request, query_param: str | None) -> bool:
    """Whether a request carries a token, good or bad; see `token_in`."""
    try:
        return token_in(request, query_param) is not None
    except AuthError:
        return True


def uses_cookies() -> bool:
    """Whether cookies may say who asks: no token does, and the address is not ours."""
    return not is_our_endpoint() and not is_token_request()


def is_our_endpoint() -> bool:
    """Whether the current request is for an address of ours, one that is not there too.

    An application's own pages may be under our prefix.
    """
    current: Request = request._get_current_object()  # type: ignore[attr-defined]
    if current.routing_exception is None:
        return current.blueprint == state.KEY
    prefix = state.current().settings.url_prefix
    return f"{current.path}/".startswith(f"{prefix}/")


def is_for_a_page() -> bool:
    """Whether a person's browser asks: no token, and HTML rather than JSON."""
    if not uses_cookies() or len(request.headers.get("Accept", "")) > _MAX_ACCEPT:
        return False
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def client_name() -> str | None:
    """Return the client's `User-Agent`: printable, and cut to 200 characters."""
    agent = request.headers.get("User-Agent", "")[:200]
    return "".join(c for c in agent if c.isprintable()) or None


def _is_ours(header: str | None) -> bool:
    try:
        return bearer.read_header(header) is not None
    except AuthError:
        return True
