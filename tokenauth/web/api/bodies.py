"""The door that request bodies come through: JSON of a type, or one form parameter."""

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
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

MAX_BODY_BYTES = 16 * 1024
"""Largest body that is read."""

# Of both more would only be work: no route of ours takes half as many.
_MAX_PARAMETERS = 16
_MAX_TYPE_LENGTH = 256

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

_BROKEN = "The body is not complete, or not in the form that its headers say."

BodyT = TypeVar("BodyT", bound=Struct)


def read_body(request: Request, body_type: type[BodyT]) -> BodyT:
    """Return the JSON body of a request.

    Args:
        request: The request; its body has not been read yet.
        body_type: What it must be: strict types, unknown fields refused.

    Raises:
        UnsupportedMediaTypeError: it is not `application/json` in plain UTF-8. Other
            types could be sent across sites without a preflight (ASVS 3.5.2).
        PayloadTooLargeError: it is larger than `MAX_BODY_BYTES`.
        InvalidRequestError: it is empty, not JSON, not of this type, or names a field
            twice.
    """
    raw = _read(request, JSON)
    if not raw:
        raise InvalidRequestError("The body is empty: send a JSON object.")
    try:
        body = msgspec.json.decode(raw, type=body_type)
        # msgspec keeps the last of two equal keys. What it has accepted is flat, so
        # the second reader cannot be led into deep recursion.
        json.loads(raw, object_pairs_hook=_refuse_duplicates)
    except msgspec.ValidationError as error:
        detail = _without_values(error, body_type)
    except (msgspec.DecodeError, ValueError):
        detail = "The body is not valid JSON in UTF-8, or names a field twice."
    else:
        return body
    raise InvalidRequestError(detail)


def read_form(request: Request, body_type: type[BodyT]) -> BodyT:
    """Return the form that a request sends, in the way of RFC 6749 section 3.2.

    Parameters that `body_type` does not know, and those without a value, count as not
    sent.

    Args:
        request: The request; its body has not been read yet.
        body_type: What it must be; its fields are texts.

    Raises:
        UnsupportedMediaTypeError: it is not `application/x-www-form-urlencoded`.
        PayloadTooLargeError: it is larger than `MAX_BODY_BYTES`.
        InvalidRequestError: it is no form, names a parameter twice, has very many, or
            lacks one.
    """
    raw = _read(request, FORM)
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
        _refuse_duplicates(pairs)
    except ValueError:
        detail = "The body is not a valid form, or names a parameter twice."
        raise InvalidRequestError(detail) from None
    try:
        return msgspec.convert(dict(pairs), body_type)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(_without_values(error, body_type)) from None


def _read(request: Request, media_type: str) -> bytes:
    if len(request.content_type or "") > _MAX_TYPE_LENGTH:
        raise UnsupportedMediaTypeError(media_type)
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if (
        request.mimetype != media_type
        or charset != "utf-8"
        or "Content-Encoding" in request.headers
    ):
        raise UnsupportedMediaTypeError(media_type)
    # One byte more than allowed: Werkzeug cuts a chunked body off without a word.
    request.max_content_length = MAX_BODY_BYTES + 1
    try:
        raw = request.get_data(cache=False)
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


def _without_values(error: msgspec.ValidationError, body_type: type[Struct]) -> str:
    """Return what msgspec found wrong, without the names a client made up."""
    if "unknown field" in str(error):
        known = ", ".join(field.name for field in msgspec.structs.fields(body_type))
        return f"The body has a field that this route does not know. It takes: {known}."
    return f"{error}."
