"""What a request presents: a token of ours, or nothing of our kind."""

from __future__ import annotations

from flask import request

from . import bearer, state
from .errors import AmbiguousTokenError, AuthError, InvalidRequestError


def presented_token() -> str | None:
    """Return the token that the current request carries; None: it carries none.

    Raises:
        AuthError: it carries something addressed to us that cannot be a token, or
            more than one.
    """
    # Read anew each time, which costs a microsecond: what is kept in the environ
    # outlives the header it came from, and is dumped where the header is masked.
    header = request.environ.get("HTTP_AUTHORIZATION")
    name = state.current().settings.query_param
    values = [] if name is None else url_parameters(name)
    if not values:
        return bearer.read_header(header)
    if len(values) > 1 or _is_ours(header):
        raise AmbiguousTokenError
    return bearer.read_token(values[0])


def url_parameters(name: str) -> list[str]:
    """Return what the current request's URL gives for a parameter.

    Raises:
        InvalidRequestError: the URL's bytes are not UTF-8, which no client should send
            and not every server refuses.
    """
    try:
        return request.args.getlist(name)
    except UnicodeDecodeError:
        pass
    raise InvalidRequestError("The parameters in the URL are not UTF-8.")


def is_token_request() -> bool:
    """Whether the current request carries a token, good or bad."""
    try:
        return presented_token() is not None
    except AuthError:
        return True


def heeds_cookies() -> bool:
    """Whether cookies may say who asks: no token does, and the address is not ours."""
    return request.blueprint != state.KEY and not is_token_request()


def _is_ours(header: str | None) -> bool:
    try:
        return bearer.read_header(header) is not None
    except AuthError:
        return True
