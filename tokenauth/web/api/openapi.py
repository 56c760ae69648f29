"""The API's description (OpenAPI 3.1), made from the declarations of the endpoints."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any, Final

import msgspec
from msgspec import Struct

from ...errors import AuthError, ConfigurationError
from ...errors.base import PROBLEM
from ...sessions.issuer import TokenPair
from ..refresh_cookie import NAME
from .bodies import JSON, Form, media_type
from .endpoint import Route
from .schemas import Id, ProblemDocument, RefreshRequest

Document = dict[str, Any]

SCHEME: Final = "tokenauth"
"""Name of the security scheme; an application's own operations may refer to it."""

_BEARER: Final = {"type": "http", "scheme": "bearer"}
_TOKEN: Final = "An access token from a login, or a personal access token."

_COOKIE: Final = {
    "name": NAME,
    "in": "cookie",
    "description": "The refresh token, where the body has none.",
    "schema": {"type": "string"},
}

_HEADERS: Final[Document] = {
    "WWW-Authenticate": {"schema": {"type": "string"}},
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}},
}

# Without dots, which some code generators take for packages.
_NAME: Final = "Tokenauth{name}"
_REF: Final = f"#/components/schemas/{_NAME}"


def describe(
    routes: Sequence[Route], url_prefix: str, title: str, header: str
) -> Document:
    """Return the description of endpoints.

    Args:
        routes: The endpoints.
        url_prefix: The path under which they are.
        title: Name of the API.
        header: The request header that carries the token.
    """
    other = {"type": "apiKey", "in": "header", "name": header}
    place = _BEARER if header == "Authorization" else other
    security = {SCHEME: place | {"description": _TOKEN}}
    schemas = _schemas(routes)
    paths: Document = {}
    for route in routes:
        path = url_prefix + re.sub(r"<(\w+)>", r"{\1}", route.path)
        operation = _operation(route, schemas)
        paths.setdefault(path, {})[route.method.lower()] = operation
    named = {_NAME.format(name=name): schema for name, schema in schemas.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("flask-login-tokenauth")},
        "paths": paths,
        "components": {"schemas": named, "securitySchemes": security},
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
    given = document.get("swagger") or document.get("openapi", "3.1")
    if not str(given).startswith("3.1"):
        raise ConfigurationError(
            "The document is not OpenAPI 3.1, whose schemas differ from older ones: "
            "set OPENAPI_VERSION = '3.1.0' (APIFlask, flask-smorest). Documents of "
            "Swagger 2.0 (Flask-RESTX) cannot be extended."
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


def _schemas(routes: Iterable[Route]) -> Document:
    """Return the schemas of all bodies, by the names of their types."""
    types: list[Any] = [ProblemDocument]
    for route in routes:
        types += [*route.bodies, *([] if route.answer is None else [route.answer])]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    for schema in schemas.values():
        # The other paragraphs are for readers of the code.
        text = inspect.cleandoc(schema.get("description", ""))
        schema["description"] = text.partition("\n\n")[0]
    for each in types:
        if issubclass(each, Form):  # other parameters are ignored, but come once
            schemas[each.__name__]["additionalProperties"] = {"type": "string"}
    schemas["TokenPair"]["required"].remove("refresh_token")  # it may be in the cookie
    codes = {error.error_code for route in routes for error in route.all_errors()}
    schemas["ProblemDocument"]["properties"]["code"]["enum"] = sorted(codes)
    return schemas


def _ref(kind: type) -> Document:
    return {"$ref": _REF.format(name=kind.__name__)}


def _operation(route: Route, schemas: Document) -> Document:
    content = {
        media_type(each): {"schema": _ref(each), "example": _example(each, schemas)}
        for each in route.bodies
    }
    return {
        "operationId": f"tokenauth_{route.name}",
        "summary": (route.function.__doc__ or "").partition("\n")[0],
        "tags": [route.tag],
        "parameters": [*_parameters(route)],
        "security": [] if route.guard is None else [{SCHEME: []}],
        "responses": {str(route.status): _success(route)} | _failures(route),
    } | ({"requestBody": {"required": True, "content": content}} if content else {})


def _example(body: type[Struct], schemas: Document) -> Document:
    """Return a body with the fields that it must have."""
    schema = schemas[body.__name__]
    return {
        name: schema["properties"][name]["examples"][0]
        for name in schema.get("required", ())
    }


def _parameters(route: Route) -> Iterable[Document]:
    for name in re.findall(r"<(\w+)>", route.path):
        schema = msgspec.json.schema(Id)
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, values in route.query.items():
        schema = {"type": "string", "enum": [*values]}
        yield {"name": name, "in": "query", "required": False, "schema": schema}
    if RefreshRequest in route.bodies:
        yield _COOKIE


def _success(route: Route) -> Document:
    if route.answer is None:
        return {"description": "Done."}
    headers: Document = {"Cache-Control": {"schema": {"const": "no-store"}}}
    if route.answer is TokenPair:
        headers["Set-Cookie"] = {"schema": {"type": "string"}}
    return {
        "description": "Done.",
        "headers": headers,
        "content": {JSON: {"schema": _ref(route.answer)}},
    }


def _failures(route: Route) -> Document:
    """Return the answers to the errors of a route, those of one status together."""
    errors = sorted(route.all_errors(), key=_status)
    return {
        str(status): _failure(route, [*of_status])
        for status, of_status in groupby(errors, _status)
    }


def _failure(route: Route, errors: Sequence[AuthError]) -> Document:
    examples = {}
    for error in errors:
        name = route.oauth_error(error)
        value = error.data | ({"error": name} if name else {})
        examples[error.error_code] = {"summary": error.title, "value": value}
    sent = {name for error in errors for name, _ in error.get_headers()}
    return {
        "description": ", ".join(examples),
        "headers": {name: _HEADERS[name] for name in _HEADERS if name in sent},
        "content": {PROBLEM: {"schema": _ref(ProblemDocument), "examples": examples}},
    }


def _status(error: AuthError) -> int:
    return error.code or 0
