"""Reads request bodies: JSON of a type, or the form that OAuth clients send."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from flask import Request
from msgspec import Struct
from werkzeug.exceptions import RequestEntityTooLarge

from ...errors import (
    AuthError,
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from ...tokens.redact import Redacted

MAX_BODY_BYTES = 16 * 1024
"""Largest body that is read."""

# Of both more would only be work: no route of ours takes half as many.
_MAX_PARAMETERS = 16
_MAX_TYPE_LENGTH = 256

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

_BROKEN = "The body is not complete, or not in the form that its headers say."

# Why a body was refused that was read before the hooks of the application.
_REFUSED = "tokenauth.body_refused"

BodyT = TypeVar("BodyT", bound=Struct)


class Form(Redacted, Struct, frozen=True):
    """Base of bodies that are sent as a form; its fields are texts.

    Parameters that it does not know, and those without a value, count as not sent (RFC
    6749 section 3.2).
    """


def media_type(body_type: type[Struct]) -> str:
    """Return the media type of a type of body."""
    return FORM if issubclass(body_type, Form) else JSON


def keep_body(request: Request) -> None:
    """Read a body before the hooks of the application, and let Werkzeug keep it.

    A hook that reads `request.form` would leave nothing to read. What is refused is
    refused when `read_body` is called: the token is checked first.
    """
    if request.method == "POST" and _media_type(request) in (JSON, FORM):
        try:
            _read(request)
        except AuthError as error:
            request.environ[_REFUSED] = error.with_traceback(None)


def read_body(request: Request, *types: type[BodyT]) -> BodyT:
    """Return the body of a request.

    Args:
        request: The request.
        types: What it must be: strict types, in JSON without unknown fields. The one
            that is sent in the request's media type is taken.

    Raises:
        UnsupportedMediaTypeError: it is of no such media type in plain UTF-8. Types
            beside JSON can be sent across sites without a preflight (ASVS 3.5.2).
        PayloadTooLargeError: it is larger than `MAX_BODY_BYTES`.
        InvalidRequestError: it is empty, malformed, not of this type, or names a field
            twice.
    """
    given = _media_type(request)
    body_type = next((each for each in types if media_type(each) == given), None)
    if body_type is None:
        raise UnsupportedMediaTypeError(media_type(types[0]))
    raw = _read(request)
    try:
        return (_from_form if given == FORM else _from_json)(raw, body_type)
    except msgspec.ValidationError as error:
        refused = _refusal(error, body_type)
    except (msgspec.DecodeError, ValueError):
        refused = InvalidRequestError(
            f"The body is not valid {given} in UTF-8, or names a field twice."
        )
    raise refused  # without what was caught: it may quote the body


def _from_json(raw: bytes, body_type: type[BodyT]) -> BodyT:
    if not raw and any(field.required for field in msgspec.structs.fields(body_type)):
        raise InvalidRequestError("The body is empty: send a JSON object.")
    raw = raw or b"{}"
    body = msgspec.json.decode(raw, type=body_type)
    # msgspec keeps the last of two equal keys. What it has accepted is flat, so the
    # second reader cannot be led into deep recursion.
    json.loads(raw, object_pairs_hook=_refuse_duplicates)
    return body


def _from_form(raw: bytes, body_type: type[BodyT]) -> BodyT:
    pairs = parse_qsl(
        raw.decode("ascii"),
        strict_parsing=True,
        errors="strict",
        max_num_fields=_MAX_PARAMETERS,
    )
    _refuse_duplicates(pairs)
    return msgspec.convert(dict(pairs), body_type)


def _media_type(request: Request) -> str:
    """Return the media type of a body; empty where it is not plain UTF-8."""
    if len(request.content_type or "") > _MAX_TYPE_LENGTH:
        return ""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    is_plain = (
        charset in ("utf-8", "utf8") and "Content-Encoding" not in request.headers
    )
    return request.mimetype if is_plain else ""


def _read(request: Request) -> bytes:
    if _REFUSED in request.environ:
        raise request.environ[_REFUSED]
    # One byte more than allowed: Werkzeug cuts a chunked body off without a word.
    request.max_content_length = MAX_BODY_BYTES + 1
    try:
        raw = request.get_data()
    except RequestEntityTooLarge:
        raise PayloadTooLargeError from None
    except Exception:  # noqa: BLE001 # for a broken chunk, each server raises its own
        raise InvalidRequestError(_BROKEN) from None
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLargeError
    if len(raw) < (request.content_length or 0):  # which gunicorn does not notice
        raise InvalidRequestError(_BROKEN)
    return raw


def _refuse_duplicates(pairs: Sequence[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError


def _refusal(
    error: msgspec.ValidationError, body_type: type[Struct]
) -> InvalidRequestError:
    """Return what msgspec found wrong, without what the client made up."""
    text = str(error)
    if "unknown field" in text:
        known = ", ".join(field.name for field in msgspec.structs.fields(body_type))
        return InvalidRequestError(
            f"The body has a field that this route does not know. It takes: {known}."
        )
    if text.endswith("`$.grant_type`"):
        refused = InvalidRequestError("The 'grant_type' must be 'refresh_token'.")
        refused.oauth_error = "unsupported_grant_type"
        return refused
    return InvalidRequestError(f"{text}.")
