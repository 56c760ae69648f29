"""The bodies of requests and answers, and what the API's description says of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, NotRequired, TypedDict

from msgspec import Meta, Struct

from ...sessions.session import NEVER, Session, check_label
from ...tokens.redact import Redacted
from ...tokens.scopes import format_scopes
from .bodies import Form

DEFAULT_EXPIRES_IN: Final = 30 * 86400
"""Seconds that a personal access token lives when its maker says nothing."""

_MAX_EXPIRES_IN: Final = 100 * 365 * 86400

Name = Annotated[str, Meta(examples=["Jo's laptop"])]
NewName = Annotated[
    Name,
    Meta(
        min_length=1,
        max_length=100,
        description="A name for lists, without control and hidden characters.",
    ),
]
Scope = Annotated[
    str,
    Meta(
        description="Names of scopes, separated by a space (RFC 6749 section 3.3).",
        examples=["reports:read reports:write"],
    ),
]
WantedScope = Annotated[
    Scope, Meta(description="What the tokens may do. Defaults to all that is allowed.")
]
NarrowScope = Annotated[
    Scope, Meta(description="Narrows the access token, not the refresh token.")
]
Username = Annotated[str, Meta(examples=["JohnDoe"])]
Password = Annotated[str, Meta(examples=["correct horse battery"])]
NewPassword = Annotated[str, Meta(examples=["staple tidy lantern"])]
Token = Annotated[str, Meta(examples=["lwGmSm9obkRvZbZ..."])]
Id = Annotated[str, Meta(examples=["r2u5WnCkEYhjLq0gT8xP3A"])]
Time = Annotated[
    datetime, Meta(tz=True, description="UTC.", examples=["2026-11-02T09:30:15Z"])
]
EndTime = Annotated[Time, Meta(description="UTC; null: it does not expire.")]
RefreshTime = Annotated[
    Time, Meta(description="UTC, rounded down to the minute, not below `created_at`.")
]
UseTime = Annotated[
    Time, Meta(description="UTC, up to five minutes late; null: it was never used.")
]
ExpiresIn = Annotated[
    int,
    Meta(
        ge=1,
        le=_MAX_EXPIRES_IN,
        description="Seconds; null: it does not expire.",
        examples=[2592000],
    ),
]
Seconds = Annotated[int, Meta(description="Seconds since the epoch.")]


class ProblemDocument(TypedDict):
    """What went wrong, in RFC 9457's form; `error` is that of RFC 6749 section 5.2."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    error: NotRequired[str]
    rule: NotRequired[str]


class LoginRequest(Redacted, Struct, forbid_unknown_fields=True, frozen=True):
    """Username and password, and what the tokens are for."""

    username: Username
    password: Password
    label: NewName | None = None
    scope: WantedScope | None = None
    cookie: Annotated[
        bool, Meta(description="Whether the refresh token is set as a cookie instead.")
    ] = False

    def __post_init__(self) -> None:
        """Check what no JSON schema can."""
        check_label(self.label)


class RefreshRequest(Redacted, Struct, forbid_unknown_fields=True, frozen=True):
    """The refresh token of the last answer, unless it is in the cookie."""

    refresh_token: Token | None = None


class RefreshForm(Form, frozen=True):
    """The refresh token, as RFC 6749 section 6 has it."""

    grant_type: Annotated[Literal["refresh_token"], Meta(examples=["refresh_token"])]
    refresh_token: Token
    scope: NarrowScope | None = None


class PasswordRequest(Redacted, Struct, forbid_unknown_fields=True, frozen=True):
    """The current password and the new one."""

    current_password: Password
    new_password: NewPassword
    end_tokens: Annotated[
        bool, Meta(description="Whether personal access tokens end, too.")
    ] = False


class TokenRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """The personal access token to make."""

    name: NewName
    scope: WantedScope | None = None
    expires_in: ExpiresIn | None = DEFAULT_EXPIRES_IN

    def __post_init__(self) -> None:
        """Check what no JSON schema can."""
        check_label(self.name)


class TokenForm(Form, frozen=True):
    """The token in question; the hint is not needed (RFC 7009 section 2.1)."""

    token: Annotated[Token, Meta(min_length=1)]
    token_type_hint: str = ""


class SessionView(Struct, frozen=True):
    """A session as its user sees it."""

    id: Id
    label: Name | None
    client: Annotated[str, Meta(examples=["curl/8.9.1"])] | None
    created_at: Time
    refreshed_at: RefreshTime
    expires_at: EndTime | None
    current: bool


class SessionList(Struct, frozen=True):
    """The user's own sessions, newest first."""

    sessions: list[SessionView]


class Me(Struct, frozen=True):
    """The user of the token, what the token may do, and its session."""

    id: Annotated[str, Meta(examples=["JohnDoe"])]
    username: Username | None
    scope: Scope
    session: SessionView


class TokenView(Struct, frozen=True):
    """A personal access token as its user sees it."""

    id: Id
    name: Name
    scope: Scope
    created_at: Time
    last_used_at: UseTime | None
    expires_at: EndTime | None


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
    """Return a session as its user sees it."""
    # To the minute: a thief of the tokens would see when to refresh beside the owner.
    refreshed_at = session.refreshed_at // 60 * 60
    return SessionView(
        id=session.id,
        label=session.label,
        client=session.client,
        created_at=_utc(session.created_at),
        refreshed_at=_utc(max(refreshed_at, session.created_at)),
        expires_at=_end(session),
        current=session.id == current_id,
    )


def token_view(session: Session, allowed: frozenset[str]) -> TokenView:
    """Return a personal access token as its user, who may do `allowed`, sees it."""
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
