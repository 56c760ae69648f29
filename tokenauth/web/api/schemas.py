"""The bodies of requests and answers, and what the API's description says of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, NotRequired, TypedDict

import msgspec
from msgspec import Meta, Struct

from ...errors import InvalidRequestError
from ...sessions.session import NEVER, Session
from ...tokens.redact import Redacted
from ...tokens.scopes import format_scopes

DEFAULT_EXPIRES_IN: Final = 30 * 86400
"""Seconds that a personal access token lives when its maker says nothing."""

_MAX_EXPIRES_IN: Final = 100 * 365 * 86400

# Labels and names are shown in lists: no controls, line ends, or format characters that
# hide or turn what follows around; but the joiners, of which some scripts and emoji
# are made. (A mere `$` lets a line feed follow.)
_LABEL: Final = (
    r"^[^\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]*$(?!\n)"
)

Name = Annotated[str, Meta(examples=["Jo's laptop"])]
NewName = Annotated[Name, Meta(min_length=1, max_length=100, pattern=_LABEL)]
Scope = Annotated[
    str,
    Meta(
        description="Names of scopes, separated by one space each (RFC 6749 section "
        "3.3).",
        examples=["reports:read reports:write"],
    ),
]
Username = Annotated[str, Meta(examples=["JohnDoe"])]
Password = Annotated[str, Meta(examples=["correct horse battery"])]
Token = Annotated[str, Meta(examples=["lwGmSm9obkRvZbZ..."])]
Id = Annotated[str, Meta(examples=["r2u5WnCkEYhjLq0gT8xP3A"])]
Time = Annotated[
    datetime, Meta(tz=True, description="UTC.", examples=["2026-11-02T09:30:00Z"])
]
ExpiresIn = Annotated[int, Meta(ge=1, le=_MAX_EXPIRES_IN, examples=[2592000])]
Seconds = Annotated[int, Meta(description="Seconds since the epoch.")]


def check_label(label: str | None) -> None:
    """Return if a session may have this label.

    Raises:
        InvalidRequestError: it is empty or too long, or holds what cannot be shown in
            a line.
    """
    try:
        msgspec.convert(label, NewName | None)
    except msgspec.ValidationError:
        raise InvalidRequestError(
            "A label has 1 to 100 characters, none of them a control or hidden one."
        ) from None


class ProblemDocument(TypedDict):
    """What went wrong, for programs (`code`, `rule`) and for people (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    rule: NotRequired[str]


class LoginRequest(Redacted, Struct, forbid_unknown_fields=True, frozen=True):
    """Who logs in, and for what.

    Without `scope`, the tokens can do all that the user may.
    """

    username: Username
    password: Password
    label: NewName | None = None
    scope: Scope | None = None


class RefreshRequest(Redacted, Struct, forbid_unknown_fields=True, frozen=True):
    """The refresh token of the last answer; it is traded once."""

    refresh_token: Token


class PasswordRequest(Redacted, Struct, forbid_unknown_fields=True, frozen=True):
    """The password that is, and the one that shall be.

    Personal access tokens go on unless `end_tokens` is true.
    """

    current_password: Password
    new_password: Annotated[str, Meta(examples=["staple tidy lantern"])]
    end_tokens: bool = False


class TokenRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """The personal access token to make.

    Without `scope` it can do all that the token can with which it is made. It lives
    30 days unless `expires_in` says otherwise; with null, until it is ended.
    """

    name: NewName
    scope: Scope | None = None
    expires_in: ExpiresIn | None = DEFAULT_EXPIRES_IN


class TokenForm(Redacted, Struct, frozen=True):
    """The token that it is about; the hint is not needed (RFC 7009 section 2.1)."""

    token: Annotated[Token, Meta(min_length=1)]
    token_type_hint: str = ""


class SessionView(Struct, frozen=True):
    """A login as its owner sees it. `expires_at` is null when it has no end."""

    id: Id
    label: Name | None
    client: Annotated[str, Meta(examples=["curl/8.9.1"])] | None
    created_at: Time
    refreshed_at: Time
    expires_at: Time | None
    current: bool


class SessionList(Struct, frozen=True):
    """The user's own logins, newest first."""

    sessions: list[SessionView]


class Me(Struct, frozen=True):
    """Who the token stands for, what it may do, and the login that it belongs to."""

    id: Annotated[str, Meta(examples=["JohnDoe"])]
    username: Username | None
    scope: Scope
    session: SessionView


class TokenView(Struct, frozen=True):
    """A personal access token as its owner sees it.

    `last_used_at` is null before the first use and up to five minutes behind after it;
    `expires_at` is null when it has no end.
    """

    id: Id
    name: Name
    scope: Scope
    created_at: Time
    last_used_at: Time | None
    expires_at: Time | None


class TokenList(Struct, frozen=True):
    """The user's own personal access tokens, newest first."""

    tokens: list[TokenView]


class NewToken(Redacted, TokenView, frozen=True, kw_only=True):
    """A personal access token that was just made; `token` is never shown again."""

    token: Annotated[str, Meta(examples=["tka_lwGmSm9obkRvZbZ..."])]


class Introspection(Struct, frozen=True, omit_defaults=True):
    """What a token says (RFC 7662 section 2.2); of a bad one, only `active`: false."""

    active: bool
    sub: Annotated[str, Meta(examples=["JohnDoe"])] | None = None
    username: Username | None = None
    scope: Scope | None = None
    token_type: Annotated[str, Meta(examples=["Bearer"])] | None = None
    iat: Seconds | None = None
    exp: Seconds | None = None
    auth_time: Seconds | None = None


def session_view(session: Session, *, current_id: str) -> SessionView:
    """Return a session as its owner sees it."""
    return SessionView(
        id=session.id,
        label=session.label,
        client=session.client,
        created_at=_utc(session.created_at),
        refreshed_at=_utc(session.refreshed_at or session.created_at),
        expires_at=_end(session),
        current=session.id == current_id,
    )


def token_view(session: Session, allowed: frozenset[str]) -> TokenView:
    """Return a personal access token as its owner sees it.

    Args:
        session: The session that keeps it alive.
        allowed: What the owner may do now.
    """
    return TokenView(
        id=session.id,
        name=session.label or "",
        scope=format_scopes(session.scopes & allowed),
        created_at=_utc(session.created_at),
        last_used_at=_utc(session.refreshed_at) if session.refreshed_at else None,
        expires_at=_end(session),
    )


def _end(session: Session) -> datetime | None:
    return None if session.ends_at == NEVER else _utc(session.ends_at)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
