"""What `check` finds by doing with each store what a login does, and undoing it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from ..accounts.users import UserStore
from ..errors import ConfigurationError, StoreUnavailableError, TooManyAttemptsError
from ..sessions.session import new_session
from ..sessions.store import SessionStore
from ..stores import TableStore
from ..stores.dict_users import DictUserStore
from ..stores.memory import MemorySessionStore
from ..web.state import State
from .review_settings import Finding, expect

if TYPE_CHECKING:
    from ..accounts.throttle import LoginThrottle

_SETTINGS: Final = {
    "users": "TOKENAUTH_USERS_URL",
    "sessions": "TOKENAUTH_SESSION_URL",
    "attempts": "TOKENAUTH_LIMITS_URL",
}
_FINEST_DIFFERENCE: Final = 1
"""Seconds: times in tokens are whole ones."""
_PROBE_LIFETIME: Final = 60
"""Seconds that the session of a probe lives at most, should it not be ended."""

_PRIMARY: Final = "Name the primary, which takes writes; a cluster needs all its slots."
_ADVICE: Final = {
    "authentication": "Correct the user name and the password of its URL.",
    "disk_full": "Its disk is full.",
    "no_database": "There is no such file or database: correct its URL, or create the "
    "database and run 'flask tokenauth init-db'.",
    "no_permission": "Give its account the rights to read and write all tables or keys "
    "that begin with 'tokenauth'.",
    "no_primary": _PRIMARY,
    "no_table": "Run 'flask tokenauth init-db'; create tables of your own yourself.",
    "out_of_memory": "Give it more memory.",
    "read_only": _PRIMARY,
    "refused": "Nothing listens there: start it, or correct the address in its URL.",
    "startup_options": "Write '?options=' into its URL: a connection pooler is there.",
    "tls": "Its certificate or the TLS options of its URL are wrong.",
    "too_many_connections": "Let it accept more connections, or let each process keep "
    "fewer.",
    "unknown_host": "Correct the host in its URL.",
}
"""What to do, by `StoreUnavailableError.reason`."""


def review_stores(here: State) -> Iterator[Finding]:
    """Yield what is found about an application's stores."""
    users, sessions = here.stores
    now, throttle = here.clock, here.throttle
    in_dict = isinstance(users, DictUserStore)
    in_memory = isinstance(sessions, MemorySessionStore)
    findings = [
        _store("users", in_dict, partial(_probe_users, users)),
        _store("sessions", in_memory, partial(_probe_sessions, sessions, now)),
        _store("attempts", throttle.in_memory, partial(_probe_attempts, throttle)),
    ]
    yield from findings
    if all(finding.level != "error" for finding in findings[:2]):
        if read_info := getattr(sessions, "read_info", None):
            yield from _redis(read_info())
        yield _clock((sessions, users), now, here.settings.clock_leeway)


def _store(area: str, in_memory: bool, probe: Callable[[], object]) -> Finding:  # noqa: FBT001
    setting = _SETTINGS[area]
    try:
        probe()
    except ConfigurationError as error:
        text = str(error)
    except StoreUnavailableError as error:
        reason = error.reason or "failed"
        text = f"The store of {area} ({setting}, unless it is your own) cannot do what "
        text += f"a login needs ({reason}). "
        text += _ADVICE.get(reason, "Check that it runs.")
    except Exception as error:  # noqa: BLE001 # an application's own store raises its own
        text = f"The application's store raises {type(error).__name__}: fix it."
    else:
        workers = os.environ.get("WEB_CONCURRENCY", "")  # gunicorn's own default
        return expect(
            not in_memory,
            area,
            "In the memory of one process." if in_memory else "It works.",
            "It is lost at each restart, and several workers do not share it. Set "
            f"{setting} to a shared store.",
            otherwise="warning" if workers in ("", "0", "1") else "error",
        )
    return Finding("error", area, text)


def _probe_users(users: UserStore) -> None:
    nobody = f"check-{secrets.token_hex(16)}"
    if isinstance(users, TableStore):  # an application's own may be read-only
        users.check_tables()
        users.set_password_hash(nobody, None, expected=None)
    users.find(nobody)
    users.get(nobody)


def _probe_sessions(sessions: SessionStore, now: Callable[[], float]) -> None:
    """Start, refresh and end a session of a user who does not exist."""
    if isinstance(sessions, TableStore):
        sessions.check_tables()
    nobody = f"check-{secrets.token_hex(16)}"
    session = new_session(nobody, now=now(), lifetime=_PROBE_LIFETIME)
    times = {"now": session.created_at, "idle_expires_at": session.expires_at}
    try:
        sessions.add(session, limit=1)
        sessions.rotate(session.id, 0, **times)
        found = sessions.get(session.id)
    finally:
        sessions.end(session.id)
    if found is None or found.generation != 1:
        raise ConfigurationError(
            "A session that was written could not be read again: set "
            "TOKENAUTH_SESSION_URL to one primary server, not to replicas of it."
        )


def _probe_attempts(throttle: LoginThrottle) -> None:
    """Count an attempt of a user and a network that do not exist, and uncount it."""
    name = secrets.token_hex(16)
    network = f"2001:db8:{name[:4]}:{name[4:8]}::"  # RFC 3849: for documentation
    with suppress(TooManyAttemptsError):  # somebody else's count is under this key
        throttle.cancel(throttle.reserve(f"check-{name}", network))


def _redis(info: dict[str, object]) -> Iterator[Finding]:
    policy, has_log = info.get("maxmemory_policy"), info.get("aof_enabled")
    answers: dict[object, str] = {0: "no", 1: "yes"}
    yield expect(
        policy == "noeviction",
        "eviction",
        f"Redis' maxmemory-policy is {policy or 'not known'}.",
        "When its memory is full, Redis may drop sessions and what a logout needs to "
        "find them. Set 'maxmemory-policy noeviction' on a Redis of its own.",
    )
    yield expect(
        has_log == 1,
        "persistence",
        f"Redis' appendonly is {answers.get(has_log, 'not known')}.",
        "After a crash sessions are lost, or those that were ended are active again. "
        "Set 'appendonly yes'.",
    )


def _clock(
    stores: tuple[object, ...], now: Callable[[], float], leeway: float
) -> Finding:
    for store in stores:
        if theirs := getattr(store, "read_clock", lambda: None)():
            seconds, most = abs(theirs - now()), max(leeway, _FINEST_DIFFERENCE)
            return expect(
                seconds <= most / 2,
                "clock",
                f"{seconds:.1f} s from the store's; {leeway:g} s are allowed.",
                "Hosts may refuse each other's tokens: another may be wrong in the "
                "other direction. Set the clocks by one source (NTP), or raise "
                "TOKENAUTH_CLOCK_LEEWAY.",
                otherwise="error" if seconds > most else "warning",
            )
    return Finding("ok", "clock", "No store has a clock of its own.")
