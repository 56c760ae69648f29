"""What tokens contain: fixed, versioned MessagePack arrays."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

FORMAT_VERSION: Final = 1
"""First element of every payload; another version is refused."""

_Time = Annotated[int, Meta(ge=0)]


class Claims(
    msgspec.Struct,
    array_like=True,
    forbid_unknown_fields=True,
    frozen=True,
    gc=False,  # cannot be part of a cycle
    tag=FORMAT_VERSION,
):
    """The content of a verified token. It names no person, since clients can read it.

    Attributes:
        subject: Id of the user.
        session_id: Id of the session that the token belongs to.
        issued_at: When it was issued, in seconds since the epoch.
        expires_at: When it expires, in seconds since the epoch.
        authenticated_at: When the password was checked, in seconds since the epoch.
        scopes: What the token may be used for (RFC 6749 section 3.3).
    """

    subject: Annotated[str, Meta(min_length=1)]
    session_id: Annotated[str, Meta(min_length=22, max_length=22)]
    issued_at: _Time
    expires_at: _Time
    authenticated_at: _Time
    scopes: frozenset[str]


class RefreshClaims(Claims, frozen=True, tag=FORMAT_VERSION):
    """The content of a refresh token.

    Attributes:
        generation: Number of refreshes of the session before it was issued.
    """

    generation: _Time


class OnceClaims(Claims, frozen=True, tag=FORMAT_VERSION):
    """The content of a one-time token.

    Attributes:
        password: Keyed digest of the user's password hash at the time of issue.
    """

    password: str


ClaimsT = TypeVar("ClaimsT", bound=Claims)
