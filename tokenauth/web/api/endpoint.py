"""Declares endpoints: a decorator at a function is route, decoder and encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Final, TypeVar, get_args, get_type_hints

from flask import Response
from msgspec import Struct

from ... import errors
from ...errors import AuthError
from .. import refresh_cookie
from ..request import this_request
from ..responses import empty, json_response
from .bodies import media_type, read_body

FunctionT = TypeVar("FunctionT", bound=Callable[..., Struct | None])


class Guard(Struct, frozen=True):
    """Who may call an endpoint.

    Attributes:
        check: Returns the first argument of the endpoint's function, or raises.
        errors: What it may raise.
    """

    check: Callable[[], object]
    errors: tuple[AuthError, ...]


PUBLIC = None
"""In place of a guard: no token is needed, and none is looked at."""

# RFC 6749 sections 5.2 and 4.1.2.1; a bad token of the caller's is named as in RFC 6750
# (RFC 7662 section 2.3).
_OAUTH_ERRORS = {
    "token_missing": "invalid_client",
    "invalid_grant": "invalid_grant",
    "invalid_scope": "invalid_scope",
    "too_many_attempts": "temporarily_unavailable",
    "store_unavailable": "temporarily_unavailable",
    "server_error": "server_error",
}


class Route(Struct):
    """Declares, as a decorator, the endpoint that a function answers for.

    The function's `body` is decoded as the type that it declares (a union: by media
    type). Its answer is encoded. What guard, body, path and store may raise need not
    be in `errors`.

    Attributes:
        method: HTTP method.
        path: Flask's rule under the prefix.
        guard: Who may call it.
        tag: The group that it is shown in.
        query: Parameters of the URL, with the values that each may have.
        errors: What the function may raise.
        is_oauth: Whether its errors have a member `error`.
        status: Of success; by default 200, and 204 where there is no answer.
        function: Returns the answer; its docstring's first line is the summary.
        bodies: Types of the request's body, of which each has another media type.
        answer: Type of the answer's body; None: it has none.
    """

    method: str
    path: str
    guard: Guard | None
    tag: str = "Logins"
    query: Mapping[str, Sequence[str]] = {}
    errors: Sequence[AuthError] = ()
    is_oauth: bool = False
    status: int = 0
    function: Callable[..., Struct | None] = lambda: None
    bodies: tuple[type[Struct], ...] = ()
    answer: type[Struct] | None = None

    def __call__(self, function: FunctionT) -> FunctionT:
        """Take the function, and what it declares."""
        hints = get_type_hints(function)
        body, answer = hints.get("body", ()), hints["return"]
        self.function = function
        self.bodies = body and (get_args(body) or (body,))
        self.answer = None if answer is NoneType else answer
        self.status = self.status or (204 if self.answer is None else 200)
        ROUTES.append(self)
        return function

    @property
    def name(self) -> str:
        """Name of the endpoint under that of the blueprint."""
        return self.function.__name__

    def all_errors(self) -> Iterator[AuthError]:
        """Yield what may be answered instead of success."""
        yield from () if self.guard is None else self.guard.errors
        if self.query or self.bodies:
            yield errors.InvalidRequestError()
        if self.bodies:
            yield errors.PayloadTooLargeError()
            yield errors.UnsupportedMediaTypeError(media_type(self.bodies[0]))
        if "<" in self.path:
            yield errors.NotFoundError()
        yield from self.errors
        yield errors.StoreUnavailableError()

    def view(self) -> Callable[..., Response]:
        """Return Flask's view: it checks, decodes, calls and encodes."""

        def view(**arguments: Any) -> Response:
            first = [] if self.guard is None else [self.guard.check()]
            if self.bodies:
                arguments["body"] = read_body(this_request(), *self.bodies)
            answer = self.function(*first, **arguments)
            if answer is None:  # something has ended: the cookie's session, perhaps
                refresh_cookie.clear_ended()
                return empty(self.status)
            return json_response(answer, self.status)

        return view

    def oauth_error(self, error: AuthError) -> str | None:
        """Return the member `error` that an error of this endpoint has."""
        if not self.is_oauth or error.oauth_error is not None:
            return error.oauth_error
        by_code = _OAUTH_ERRORS.get(error.error_code, "invalid_request")
        return error.challenge or by_code


ROUTES: Final[list[Route]] = []
"""The endpoints that the description lists, in the order of their declaration."""
