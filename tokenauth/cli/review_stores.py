"""The stores of an application, reviewed by asking each of them, and their clock."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..accounts.users import UserStore
from ..errors import ConfigurationError, StoreUnavailableError
from ..sessions.session import new_session_id
from ..sessions.store import SessionStore
from ..stores import ClockedStore, TableStore
from ..stores.dict_users import DictUserStore
from ..stores.memory import MemorySessionStore
from .findings import Finding

if TYPE_CHECKING:
    from ..accounts.throttle import LoginThrottle

_FINEST_DIFFERENCE: Final = 1
"""Seconds: tokens hold whole ones."""


def review_stores(
    users: UserStore,
    sessions: SessionStore,
    throttle: LoginThrottle,
    *,
    now: Callable[[], float],
    leeway: float,
) -> list[Finding]:
    """Return what can be said of an application's stores, after asking each of them.

    Args:
        users: Where users are kept.
        sessions: Where sessions are kept.
        throttle: Where attempts are counted.
        now: The application's clock, in seconds since the epoch.
        leeway: Seconds that hosts' clocks may differ.
    """
    findings = [_users(users), _sessions(sessions), _attempts(throttle)]
    if all(finding.level != "error" for finding in findings[:2]):
        findings.append(_clock((sessions, users), now, leeway))
    return findings


def _users(users: UserStore) -> Finding:
    return _store(
        "users",
        "TOKENAUTH_USERS_URL",
        users,
        lambda: users.find(secrets.token_hex(16)),
        in_memory=isinstance(users, DictUserStore),
    )


def _sessions(sessions: SessionStore) -> Finding:
    return _store(
        "sessions",
        "TOKENAUTH_SESSION_URL",
        sessions,
        lambda: sessions.get(new_session_id()),
        in_memory=isinstance(sessions, MemorySessionStore),
    )


def _attempts(throttle: LoginThrottle) -> Finding:
    return _store(
        "attempts",
        "TOKENAUTH_LIMITS_URL",
        throttle,
        throttle.check,
        in_memory=throttle.in_memory,
    )


def _store(
    area: str,
    setting: str,
    store: object,
    ask: Callable[[], object],
    *,
    in_memory: bool,
) -> Finding:
    try:
        if isinstance(store, TableStore):
            store.check_tables()
        ask()
    except ConfigurationError as error:
        return Finding("error", area, str(error))
    except StoreUnavailableError as error:
        reason = f" ({error.reason})" if error.reason else ""
        return Finding(
            "error",
            area,
            f"The store does not answer{reason}: see that it runs, and that {setting} "
            "is right.",
        )
    except Exception as error:  # noqa: BLE001 # an application's own store raises its own
        text = f"The application's store raises {type(error).__name__}: mend it."
        return Finding("error", area, text)
    if in_memory:
        return Finding(
            "warning",
            area,
            "Known to one process, and forgotten when it ends: unless one process "
            f"serves, set {setting} to a shared store.",
        )
    return Finding("ok", area, "The store answers.")


def _clock(
    stores: tuple[object, ...], now: Callable[[], float], leeway: float
) -> Finding:
    for store in stores:
        if isinstance(store, ClockedStore):
            before = now()
            theirs = store.read_clock()
            if theirs is not None:
                return _difference(abs(theirs - (before + now()) / 2), leeway)
    return Finding("ok", "clock", "No store has another than this host's.")


def _difference(seconds: float, leeway: float) -> Finding:
    most = max(leeway, _FINEST_DIFFERENCE)
    found = f"{seconds:.1f} s from the store's; "
    if seconds > most:
        return Finding(
            "error",
            "clock",
            f"{found}TOKENAUTH_CLOCK_LEEWAY is {leeway:g} s, so hosts may refuse each "
            "other's tokens: set the clocks by one source (NTP).",
        )
    if seconds > most / 2:
        return Finding(
            "warning",
            "clock",
            f"{found}another host as far off to the other side would be too far for "
            f"TOKENAUTH_CLOCK_LEEWAY ({leeway:g} s): set the clocks by one source "
            "(NTP).",
        )
    return Finding("ok", "clock", f"{found}{leeway:g} s are allowed.")
