"""Declares endpoints: a decorator at a function is route, decoder and encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType, NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from flask import Response
from msgspec import Struct

from ... import errors
from ...errors import AuthError
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


class Route(Struct, frozen=True, kw_only=True):
    """One endpoint, as it was declared.

    Attributes:
        method: HTTP method.
        path: Flask's rule under the prefix.
        tag: The group that it is shown in.
        guard: Who may call it.
        function: Returns the answer; its docstring's first line is the summary.
        bodies: Types of the request's body, of which each has another media type.
        answer: Type of the answer's body; None: it has none.
        status: Of success.
        query: Parameters of the URL, with the values that each may have.
        errors: What the function may raise.
        is_oauth: Whether its errors have a member `error`.
    """

    method: str
    path: str
    tag: str
    guard: Guard | None
    function: Callable[..., Struct | None]
    bodies: tuple[type[Struct], ...]
    answer: type[Struct] | None
    status: int
    query: Mapping[str, Sequence[str]]
    errors: tuple[AuthError, ...]
    is_oauth: bool

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
            if answer is None:
                return empty(self.status)
            return json_response(answer, self.status)

        return view

    def oauth_error(self, error: AuthError) -> str | None:
        """Return the member `error` that an error of this endpoint has."""
        if not self.is_oauth or error.oauth_error is not None:
            return error.oauth_error
        by_code = _OAUTH_ERRORS.get(error.error_code, "invalid_request")
        return error.challenge or by_code


class Endpoints:
    """The endpoints of one group, in the order in which they are declared."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.routes: list[Route] = []

    def route(
        self,
        method: str,
        path: str,
        guard: Guard | None,
        *,
        query: Mapping[str, Sequence[str]] = MappingProxyType({}),
        status: int | None = None,
        errors: Iterable[AuthError] = (),
        is_oauth: bool = False,
    ) -> Callable[[FunctionT], FunctionT]:
        """Declare the endpoint that a function answers for.

        Its `body` is decoded as the type that it declares (a union: by media type). Its
        answer is encoded: a Struct with status 200, None with 204, unless `status` says
        otherwise. What guard, body, path and store may raise need not be in `errors`.
        """

        def declare(function: FunctionT) -> FunctionT:
            hints = get_type_hints(function)
            body, answer = hints.get("body", NoneType), hints["return"]
            answer = None if answer is NoneType else answer
            bodies = get_args(body) or (body,)
            route = Route(
                method=method,
                path=path,
                tag=self.tag,
                guard=guard,
                function=function,
                bodies=() if body is NoneType else bodies,
                answer=answer,
                status=status or (204 if answer is None else 200),
                query=query,
                errors=tuple(errors),
                is_oauth=is_oauth,
            )
            self.routes.append(route)
            return function

        return declare
