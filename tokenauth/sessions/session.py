"""Sessions: what a store keeps of each login, and how a new one begins."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from typing import Any, Final

import msgspec

from ..errors import InvalidRequestError

LOGIN: Final = "login"
"""Kind of a session that began with a password or with `TokenAuth.login`."""

PERSONAL: Final = "personal"
"""Kind of a session that a personal access token belongs to."""

COOKIES_ENDED: Final = "cookies-ended"
"""Kind of the record of when a user's cookie logins were ended."""

NEVER: Final = 253_402_300_799.0
"""Expiry of a session that does not expire: the last second of the year 9999."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")


# Categories of what hides, ends a line, or turns the text around it; and the joiners
# among them, of which some scripts and emoji are made. (`str.isprintable` refuses
# emoji that are newer than Python, too.)
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS: Final = "\u200c\u200d"


# gc=False: it refers to nothing that could refer back, and there may be a million.
class Session(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One login, active until it is ended or expires.

    It holds no token and nothing that a token can be made from. Times are seconds since
    the epoch.

    Attributes:
        id: 22 characters of base64url: the `user_tag`, and 122 random bits.
        user_id: The user's id.
        kind: What the session is for: `LOGIN`, `PERSONAL`, `COOKIES_ENDED` or
            `once:<purpose>`.
        label: Name that the client gave it.
        client: The client's `User-Agent`.
        scopes: What its tokens may do.
        generation: How often it was refreshed.
        created_at: When it began.
        authenticated_at: When the password was checked.
        refreshed_at: When it was last refreshed, or its personal access token last
            used; 0 means never.
        idle_expires_at: When it expires unless it is refreshed before; never later than
            `expires_at`.
        expires_at: When it expires however often it is refreshed.
    """

    id: str
    user_id: str
    kind: str = LOGIN
    label: str | None = None
    client: str | None = None
    scopes: frozenset[str] = frozenset()
    generation: int = 0
    created_at: float
    authenticated_at: float
    refreshed_at: float
    idle_expires_at: float
    expires_at: float

    @property
    def ends_at(self) -> float:
        """When it expires if nothing more happens (`idle_expires_at`)."""
        return self.idle_expires_at

    def is_over(self, now: float) -> bool:
        """Return whether it has expired.

        Args:
            now: Seconds since the epoch.
        """
        return now >= self.idle_expires_at


def new_session(
    user_id: str,
    *,
    now: float,
    lifetime: float | None,
    idle_lifetime: float | None = None,
    **fields: Any,
) -> Session:
    """Return a session that begins now, with an id of its own.

    Args:
        user_id: The user's id.
        now: Seconds since the epoch.
        lifetime: Seconds until it expires; None means never.
        idle_lifetime: Seconds until it expires unless it is refreshed; defaults to
            `lifetime`.
        fields: Other attributes of `Session`; `authenticated_at` and `refreshed_at`
            default to now.
    """
    expires_at = NEVER if lifetime is None else now + lifetime
    idle = expires_at if idle_lifetime is None else now + idle_lifetime
    times = ("created_at", "authenticated_at", "refreshed_at")
    begun: dict[str, Any] = dict.fromkeys(times, now)
    return Session(
        id=new_session_id(user_id),
        user_id=user_id,
        idle_expires_at=min(idle, expires_at),
        expires_at=expires_at,
        **(begun | fields),
    )


def new_session_id(user_id: str) -> str:
    """Return a new id for a session of this user; see `Session.id`."""
    return user_tag(user_id) + secrets.token_urlsafe(16)[1:]


def user_tag(user_id: str) -> str:
    """Return the character that the ids of all sessions of a user begin with.

    By it a cluster keeps them together: one of 16, so that it tells little of whom.
    """
    return hashlib.sha256(user_id.encode(errors="surrogatepass")).hexdigest()[0]


def is_session_id(text: str) -> bool:
    """Return whether a text can be the id of a session: no store need be asked."""
    return _ID.fullmatch(text) is not None


def check_label(label: str | None) -> None:
    """Check that a session may have this label.

    Raises:
        InvalidRequestError: it is empty or too long, or contains what cannot be shown
            in a line.
    """
    if label is not None and not (1 <= len(label) <= 100 and _is_shown(label)):
        raise InvalidRequestError(
            "A label or name has 1 to 100 characters, none of them a control or hidden "
            "one."
        )


def _is_shown(text: str) -> bool:
    return all(c in _JOINERS or unicodedata.category(c) not in _HIDDEN for c in text)
