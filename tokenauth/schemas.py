"""The bodies of requests and answers, and the door that request bodies come through."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from flask import Request
from msgspec import Meta, Struct
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from .errors import (
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from .secrecy import Secretive
from .sessions import Session

MAX_BODY_BYTES = 16 * 1024
"""Largest body that is read."""

# Printable text; labels are shown in lists of sessions, and logged.
Label = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]


class LoginRequest(Secretive, Struct, forbid_unknown_fields=True, frozen=True):
    """Body of `POST /auth/login`."""

    username: str
    password: str
    label: Label | None = None
    scope: str | None = None


class RefreshRequest(Secretive, Struct, forbid_unknown_fields=True, frozen=True):
    """Body of `POST /auth/refresh`."""

    refresh_token: str


class PasswordRequest(Secretive, Struct, forbid_unknown_fields=True, frozen=True):
    """Body of `POST /auth/password`."""

    current_password: str
    new_password: str


class SessionView(Struct, frozen=True):
    """A session as its owner sees it; times in RFC 3339, UTC."""

    id: str
    label: str | None
    client: str | None
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    current: bool


class SessionList(Struct, frozen=True):
    """Answer of `GET /auth/sessions`."""

    sessions: list[SessionView]


class Me(Struct, frozen=True):
    """Answer of `GET /auth/me`."""

    id: str
    username: str | None
    scope: str
    session: SessionView


def view_of(session: Session, *, current_id: str) -> SessionView:
    """Return a session as its owner sees it."""
    return SessionView(
        id=session.id,
        label=session.label,
        client=session.client,
        created_at=_utc(session.created_at),
        refreshed_at=_utc(session.refreshed_at),
        expires_at=_utc(session.ends_at),
        current=session.id == current_id,
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


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
        InvalidRequestError: it is not JSON, not of this type, or names a field twice.
    """
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if (
        request.mimetype != "application/json"
        or charset != "utf-8"
        or "Content-Encoding" in request.headers
    ):
        raise UnsupportedMediaTypeError
    raw = _read(request)
    try:
        body = msgspec.json.decode(raw, type=body_type)
        # msgspec keeps the last of two equal keys. What it has accepted is flat, so
        # the second reader cannot be led into deep recursion.
        json.loads(raw, object_pairs_hook=_refuse_duplicates)
    except msgspec.ValidationError as error:
        detail = _without_values(str(error))
    except (msgspec.DecodeError, ValueError):
        detail = "The body is not valid JSON in UTF-8, or names a field twice."
    else:
        return body
    raise InvalidRequestError(detail)


def _read(request: Request) -> bytes:
    request.max_content_length = MAX_BODY_BYTES
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise PayloadTooLargeError from None
    except (ClientDisconnected, OSError):  # lying length, broken chunk
        raise InvalidRequestError("The body is incomplete.") from None


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError


def _without_values(message: str) -> str:
    """Return what msgspec found wrong, without the names a client made up."""
    if "unknown field" in message:
        return "The body has a field that this route does not know."
    return f"{message}."
