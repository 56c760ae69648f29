"""The keys of Redis, and how a session is kept under one of them."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from ...accounts.names import check_id
from ...sessions.session import Session, is_session_id, user_tag

encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(Session).decode


def key_of(tag: str, name: str) -> str:
    """Return the name of a key that a cluster keeps with all others of a tag."""
    # With the letter, 3 primaries have 5 or 6 of the 16 tags each, and 8 have 1 to 3.
    return f"tokenauth:{{{tag}l}}:{name}"


TAGS: Final = "0123456789abcdef"
ENDINGS: Final = [key_of(tag, "endings") for tag in TAGS]


def session_key(session_id: str) -> str:
    """Return where a session is."""
    return key_of(session_id[0], f"session:{session_id}")


def endings_key(session_id: str) -> str:
    """Return where it is written down that a session ended."""
    # One server takes ids of an application's own making, too.
    return key_of(session_id[0] if session_id[0] in TAGS else TAGS[0], "endings")


def user_key(user_id: str) -> bytes:
    """Return where the ids of a user's sessions are."""
    check_id(user_id)
    # Any text may be asked for, and hiredis takes no lone surrogate.
    key = key_of(user_tag(user_id), f"user:{user_id}")
    return key.encode(errors="surrogatepass")


def is_id(session_id: str) -> bool:
    """Return whether a session may be under this id, which must be text."""
    check_id(session_id)
    return is_session_id(session_id)


def milliseconds(seconds: float) -> int:
    """Return a time to live as Redis takes it."""
    return max(1, math.ceil(seconds * 1000))


def session_of(row: list[Any]) -> Session | None:
    """Return the session that a row of `scripts.FIELDS` holds, if there is one."""
    began, generation, refreshed_at, idle_expires_at = row
    if began is None:
        return None
    return msgspec.structs.replace(
        _decode(began),
        generation=int(generation),
        refreshed_at=float(refreshed_at),
        idle_expires_at=float(idle_expires_at),
    )
