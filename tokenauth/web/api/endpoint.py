"""Declares endpoints: a decorator at a function is route, decoder and encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, TypedDict, TypeVar, Unpack, get_args, get_type_hints

from flask import Response
from msgspec import Struct

from ...errors import (
    AuthError,
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
    StoreUnavailableError,
    UnsupportedMediaTypeError,
)
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


# RFC 6749 sections 5.2 and 4.1.2.1; a bad token of the caller's is named as in RFC 6750
# (RFC 7662 section 2.3).
_OAUTH_ERRORS = {
    "token_missing": "invalid_client",
    "invalid_grant": "invalid_grant",
    "invalid_scope": "invalid_scope",
    "store_unavailable": "temporarily_unavailable",
    "server_error": "server_error",
}

PUBLIC = None
"""In place of a guard: no token is needed, and none is looked at."""


class Options(TypedDict, total=False):
    """What an endpoint may declare beside its address, guard and function.

    `query` has the URL's parameters with the values that each may have; `status` that
    of success; `errors` what the function raises beside what follows from the rest;
    `is_oauth` whether clients of OAuth know it, and look for their `error`.
    """

    query: Mapping[str, Sequence[str]]
    status: int
    errors: Iterable[AuthError]
    is_oauth: bool


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
        errors: What may be answered instead.
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
    query: Mapping[str, Sequence[str]] = {}
    errors: tuple[AuthError, ...]
    is_oauth: bool = False

    @property
    def name(self) -> str:
        """Name of the endpoint under that of the blueprint."""
        return self.function.__name__

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
    """The endpoints of one group, in the order in which they are declared.

    A function's `body` is decoded as the type that it declares (a union: by media
    type), and its answer is encoded: a Struct with status 200, None with 204. The
    errors of guard, body, path and store follow from the declaration.
    """

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.routes: list[Route] = []

    def get(
        self, path: str, guard: Guard | None, **options: Unpack[Options]
    ) -> Callable[[FunctionT], FunctionT]:
        """Declare an endpoint for GET."""
        return self._declare("GET", path, guard, options)

    def post(
        self, path: str, guard: Guard | None, **options: Unpack[Options]
    ) -> Callable[[FunctionT], FunctionT]:
        """Declare an endpoint for POST."""
        return self._declare("POST", path, guard, options)

    def delete(
        self, path: str, guard: Guard | None, **options: Unpack[Options]
    ) -> Callable[[FunctionT], FunctionT]:
        """Declare an endpoint for DELETE."""
        return self._declare("DELETE", path, guard, options)

    def _declare(
        self, method: str, path: str, guard: Guard | None, options: Options
    ) -> Callable[[FunctionT], FunctionT]:
        def declare(function: FunctionT) -> FunctionT:
            hints = get_type_hints(function)
            body = hints.get("body")
            answer = None if hints["return"] is NoneType else hints["return"]
            bodies = get_args(body) or (() if body is None else (body,))
            query = options.get("query", {})
            route = Route(
                method=method,
                path=path,
                tag=self.tag,
                guard=guard,
                function=function,
                bodies=bodies,
                answer=answer,
                status=options.get("status", 204 if answer is None else 200),
                query=query,
                errors=(
                    *(() if guard is None else guard.errors),
                    *_input_errors(path, query, bodies),
                    *options.get("errors", ()),
                    StoreUnavailableError(),
                ),
                is_oauth=options.get("is_oauth", False),
            )
            self.routes.append(route)
            return function

        return declare


def _input_errors(
    path: str, query: Mapping[str, object], bodies: Sequence[type[Struct]]
) -> Iterable[AuthError]:
    if query or bodies:
        yield InvalidRequestError()
    if bodies:
        yield PayloadTooLargeError()
        yield UnsupportedMediaTypeError(media_type(bodies[0]))
    if "<" in path:
        yield NotFoundError()
