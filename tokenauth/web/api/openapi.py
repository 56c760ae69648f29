"""The API's description (OpenAPI 3.1), made from the types that decode bodies."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec
from flask import Response

from ...errors import PROBLEM, AuthError, ConfigurationError, RetryLaterError
from .bodies import FORM, JSON
from .schemas import ProblemDocument

Document = dict[str, Any]

SCHEME: Final = "tokenauth"
"""Name of the security scheme; an application's own operations may refer to it."""

_SECURITY: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token from a login, or a personal access token.",
}
_REF: Final = "#/components/schemas/tokenauth.{name}"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint: where it is, what serves it, and what the description says of it.

    Attributes:
        method: HTTP method.
        path: Flask's rule under the prefix.
        view: What serves it; its docstring begins with the summary.
        tag: The group that it is shown in.
        needs_token: Whether a token must be sent.
        body: Type of the request's body; None: it has none.
        media_type: Of the request's body.
        example: Of the request's body.
        query: Parameters of the URL, with the values that each may have.
        status: Of success.
        answer: Type of the body of success; None: it has none.
        links: Which operation goes on with which part of the answer.
        errors: What may be answered instead.
    """

    method: str
    path: str
    view: Callable[..., Response]
    tag: str
    needs_token: bool = True
    body: type | None = None
    media_type: str = JSON
    example: object = None
    query: Mapping[str, Sequence[str]] = {}
    status: int = 200
    answer: type | None = None
    links: Mapping[str, Document] = {}
    errors: tuple[AuthError, ...]


def describe(routes: Sequence[Route], *, url_prefix: str, title: str) -> Document:
    """Return the description of the endpoints.

    Args:
        routes: The endpoints.
        url_prefix: Where they are.
        title: What the API is called.
    """
    refs, schemas = _schemas(routes)
    paths: Document = {}
    for route in routes:
        path = url_prefix + re.sub(r"<(\w+)>", r"{\1}", route.path)
        operation = _operation(route, refs)
        paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("flask-login-tokenauth")},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {SCHEME: _SECURITY}},
    }


def merge(document: Document, addition: Document) -> Document:
    """Add a description's paths and components to another document, in place.

    Args:
        document: The application's own description, or the beginnings of one.
        addition: What is added; it stays as it is.

    Returns:
        The document.

    Raises:
        ConfigurationError: the document is of another version of OpenAPI, or has
            something else under one of the names.
    """
    if not str(document.get("openapi", "3.1")).startswith("3.1"):
        raise ConfigurationError(
            "The document is not OpenAPI 3.1, whose schemas differ from older ones: "
            "set OPENAPI_VERSION = '3.1.0' (APIFlask, flask-smorest)."
        )
    components = document.setdefault("components", {})
    _add(document.setdefault("paths", {}), addition["paths"])
    for name in ("schemas", "securitySchemes"):
        _add(components.setdefault(name, {}), addition["components"][name])
    return document


def _add(target: Document, addition: Document) -> None:
    for name, value in addition.items():
        if target.setdefault(name, copy.deepcopy(value)) != value:
            raise ConfigurationError(f"The document has another {name!r} already.")


def _schemas(routes: Iterable[Route]) -> tuple[dict[type, Document], Document]:
    """Return a reference for each type, and the schemas that they refer to."""
    types: dict[Any, None] = dict.fromkeys(
        each for route in routes for each in (route.body, route.answer) if each
    )
    types[ProblemDocument] = None
    refs, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    for schema in schemas.values():
        # Google's sections are for readers of the code.
        text = schema.get("description", "").partition("\n\n    Attributes:")[0]
        schema["description"] = text.strip()
    for route in routes:
        if route.body is not None and route.media_type == FORM:
            form = schemas[route.body.__name__]
            form["additionalProperties"] = {"type": "string"}  # once, and ignored
    codes = {error.error_code for route in routes for error in route.errors}
    schemas["ProblemDocument"]["properties"]["code"]["enum"] = sorted(codes)
    named = {f"tokenauth.{name}": schema for name, schema in schemas.items()}
    return dict(zip(types, refs, strict=True)), named


def _operation(route: Route, refs: Mapping[type, Document]) -> Document:
    operation: Document = {
        "operationId": f"tokenauth_{route.view.__name__}",
        "summary": (route.view.__doc__ or "").partition("\n")[0],
        "tags": [route.tag],
        "parameters": [*_parameters(route)],
        "security": [{SCHEME: []}] if route.needs_token else [],
        "responses": {str(route.status): _success(route, refs)}
        | _failures(route, refs),
    }
    if route.body is not None:
        body = {"schema": refs[route.body], "example": route.example}
        content = {route.media_type: body}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route) -> Iterable[Document]:
    for name in re.findall(r"<(\w+)>", route.path):
        schema: Document = {"type": "string", "examples": ["r2u5WnCkEYhjLq0gT8xP3A"]}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, values in route.query.items():
        schema = {"type": "string", "enum": [*values]}
        yield {"name": name, "in": "query", "required": False, "schema": schema}


def _success(route: Route, refs: Mapping[type, Document]) -> Document:
    if route.answer is None:
        return {"description": "Done."}
    answer = {
        "description": "Done.",
        "headers": {"Cache-Control": {"schema": {"const": "no-store"}}},
        "content": {JSON: {"schema": refs[route.answer]}},
    }
    return answer | ({"links": dict(route.links)} if route.links else {})


def _failures(route: Route, refs: Mapping[type, Document]) -> Document:
    """Return the answers to the errors of a route, those of one status together."""
    by_status: dict[int, list[AuthError]] = {}
    for error in sorted(route.errors, key=lambda error: error.code or 0):
        by_status.setdefault(error.code or 0, []).append(error)
    schema = refs[ProblemDocument]
    return {
        str(status): {
            "description": ", ".join(
                dict.fromkeys(error.error_code for error in errors)
            ),
            "headers": _headers(errors),
            "content": {PROBLEM: {"schema": schema, "examples": _examples(errors)}},
        }
        for status, errors in by_status.items()
    }


def _headers(errors: Iterable[AuthError]) -> Document:
    headers: Document = {}
    if any(error.challenge is not None for error in errors):
        headers["WWW-Authenticate"] = {
            "description": "The challenge (RFC 6750 section 3, RFC 9470 section 3).",
            "schema": {"type": "string"},
        }
    if any(isinstance(error, RetryLaterError) for error in errors):
        headers["Retry-After"] = {
            "description": "Seconds to wait.",
            "schema": {"type": "integer", "minimum": 1},
        }
    return headers


def _examples(errors: Iterable[AuthError]) -> Document:
    return {
        error.error_code: {"summary": error.title, "value": error.data}
        for error in errors
    }
