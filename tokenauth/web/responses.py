"""The one exit: from an error to the answer, and what every answer of ours carries."""

from __future__ import annotations

from typing import NotRequired, TypedDict

import msgspec
from flask import Response
from werkzeug.exceptions import HTTPException

from ..errors import (
    AuthError,
    MethodNotAllowedError,
    PasswordRefusedError,
    RetryLaterError,
)
from ..tokens.header import challenge

PROBLEM = "application/problem+json"
_encode = msgspec.json.Encoder().encode


class Problem(HTTPException):
    """An error on its way out, its response already made.

    A Werkzeug exception that carries a response and has no status of its own passes
    unchanged through Flask, Flask-RESTful and Flask-RESTX; `data` is what the latter
    put into an answer that they write themselves.
    """

    def __init__(self, error: AuthError, realm: str) -> None:
        self.data = describe_error(error)
        super().__init__(error.detail, response=answer(error, realm))


class ProblemDocument(TypedDict):
    """What went wrong, for programs (`code`, `rule`) and for people (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    rule: NotRequired[str]


def describe_error(error: AuthError) -> ProblemDocument:
    """Return an error as a problem document (RFC 9457 section 3.1)."""
    document: ProblemDocument = {
        "type": f"urn:tokenauth:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    if isinstance(error, PasswordRefusedError):
        document["rule"] = error.rule
    return document


def answer(error: AuthError, realm: str) -> Response:
    """Return the response to an error, with its challenge where it has one."""
    response = json_response(describe_error(error), error.status, mimetype=PROBLEM)
    if (value := challenge(realm, error)) is not None:
        response.headers["WWW-Authenticate"] = value
    if isinstance(error, RetryLaterError):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowedError):
        response.headers["Allow"] = error.allow
    return response


def json_response(
    body: object, status: int = 200, *, mimetype: str = "application/json"
) -> Response:
    """Return an answer of ours: JSON that nobody stores or guesses the type of.

    It ends with a newline, so no shell's prompt sticks to it.
    """
    return no_store(Response(_encode(body) + b"\n", status, mimetype=mimetype))


def empty(status: int = 204) -> Response:
    """Return the answer to a request that is done and has nothing to say."""
    response = no_store(Response(status=status))
    response.headers.remove("Content-Type")
    return response


def no_store(response: Response) -> Response:
    """Forbid caches to keep an answer (RFC 6749 section 5.1, ASVS 14.3.2)."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
