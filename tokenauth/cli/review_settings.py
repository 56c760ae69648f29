"""The settings that an application started with, reviewed: nothing is asked for."""

from __future__ import annotations

import os
from typing import Final

from ..accounts.passwords import Argon2Cost
from ..accounts.policy import is_guessable_key
from ..settings import Settings
from .findings import Finding

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_LONGEST_SESSION: Final = 30 * _DAY
"""NIST SP 800-63B section 4.1.3: at least once in 30 days the password is asked for."""
_LONGEST_GRACE: Final = 60
_LONGEST_LEEWAY: Final = 5 * 60
_MOST_GUESSES: Final = 100
"""NIST SP 800-63B section 3.2.2: consecutive failures on one account."""
_SHORTEST: Final = 8
_LONGEST: Final = 64
"""NIST SP 800-63B section 3.1.1.2: lengths that a password may have at least."""


def review_settings(settings: Settings) -> list[Finding]:
    """Return what can be said of an application's settings alone."""
    return [
        _keys(settings.secret_keys),
        _fallbacks(len(settings.secret_keys) - 1),
        _access_lifetime(settings.access_lifetime),
        _session_lifetime(settings.session_lifetime),
        _idle_lifetime(settings),
        *_leniencies(settings),
        _query_param(settings.query_param),
        _attempts(settings.login_limits),
        _password_lengths(settings),
        _concurrency(settings.password_concurrency),
        _argon2(settings.argon2),
    ]


def _keys(keys: tuple[bytes, ...]) -> Finding:
    *older, newest = keys
    named = {"the secret key": newest}
    named |= {f"fallback key {i}": key for i, key in enumerate(older)}
    regular = [name for name, key in named.items() if is_guessable_key(key)]
    if regular:
        return Finding(
            "error",
            "secret keys",
            f"So regular that it can be guessed: {', '.join(regular)}. Make another "
            "with 'flask tokenauth new-secret', and do not keep it as a fallback.",
        )
    return Finding("ok", "secret keys", f"{len(newest)} bytes, and no pattern shows.")


def _fallbacks(count: int) -> Finding:
    if count:
        return Finding(
            "warning",
            "fallback keys",
            f"{count} that tokens may be signed with: take each out when its logins "
            "are over, TOKENAUTH_SESSION_IDLE_LIFETIME after it was replaced. Personal "
            "access tokens and one-time tokens signed with it end then.",
        )
    return Finding("ok", "fallback keys", "None.")


def _access_lifetime(seconds: float) -> Finding:
    if seconds > _HOUR:
        return Finding(
            "warning",
            "access lifetime",
            f"{seconds:.0f} s: a stolen token works that long. Set "
            "TOKENAUTH_ACCESS_LIFETIME to an hour at most; clients refresh.",
        )
    return Finding("ok", "access lifetime", f"{seconds:.0f} s.")


def _session_lifetime(seconds: float) -> Finding:
    if seconds > _LONGEST_SESSION:
        return Finding(
            "warning",
            "session lifetime",
            f"{seconds / _DAY:g} days without a password: set "
            "TOKENAUTH_SESSION_LIFETIME to 30 days at most.",
        )
    return Finding("ok", "session lifetime", f"{seconds:.0f} s.")


def _idle_lifetime(settings: Settings) -> Finding:
    seconds = settings.session_idle_lifetime
    if seconds >= settings.session_lifetime:
        return Finding(
            "warning",
            "idle lifetime",
            "Without effect, since every login is over before: set "
            "TOKENAUTH_SESSION_IDLE_LIFETIME below TOKENAUTH_SESSION_LIFETIME.",
        )
    if seconds <= settings.access_lifetime:
        return Finding(
            "warning",
            "idle lifetime",
            "A login is over when its access token is, and cannot be refreshed then: "
            "set TOKENAUTH_SESSION_IDLE_LIFETIME above TOKENAUTH_ACCESS_LIFETIME.",
        )
    return Finding("ok", "idle lifetime", f"{seconds:.0f} s.")


def _leniencies(settings: Settings) -> list[Finding]:
    return [
        _at_most(
            _LONGEST_GRACE,
            settings.refresh_grace,
            "refresh grace",
            "TOKENAUTH_REFRESH_GRACE",
            "a stolen refresh token is not noticed for so long after its use",
        ),
        _at_most(
            _LONGEST_LEEWAY,
            settings.clock_leeway,
            "clock leeway",
            "TOKENAUTH_CLOCK_LEEWAY",
            "tokens of the future are accepted; set the hosts' clocks",
        ),
    ]


def _at_most(most: int, seconds: float, what: str, key: str, why: str) -> Finding:
    if seconds > most:
        text = f"{seconds:.0f} s: {why}. Set {key} to {most} s at most."
        return Finding("warning", what, text)
    return Finding("ok", what, f"{seconds:.0f} s.")


def _query_param(name: str | None) -> Finding:
    if name is not None:
        return Finding(
            "warning",
            "tokens in URLs",
            "Accepted, so they end up in logs, histories and Referer headers: remove "
            "TOKENAUTH_QUERY_PARAM.",
        )
    return Finding("ok", "tokens in URLs", "Not accepted.")


def _attempts(notation: str) -> Finding:
    # Imported when used: the limits library takes longer to import than all the rest.
    from ..accounts.counters import parse_limits

    limits = parse_limits(notation)
    # Rounded up: a window that begins in the hour may be used up in it.
    count = min(item.amount * -(-_HOUR // item.get_expiry()) for item in limits)
    if count > _MOST_GUESSES:
        return Finding(
            "warning",
            "attempts on a password",
            f"{count} an hour: set TOKENAUTH_LOGIN_LIMITS so that guesses stay rare, "
            f"for example '30 per minute; {_MOST_GUESSES} per day'.",
        )
    return Finding("ok", "attempts on a password", f"{count} an hour at most.")


def _password_lengths(settings: Settings) -> Finding:
    shortest, longest = settings.password_min_length, settings.password_max_length
    if shortest < _SHORTEST or longest < _LONGEST:
        return Finding(
            "warning",
            "new passwords",
            f"{shortest} characters to {longest} bytes: set "
            f"TOKENAUTH_PASSWORD_MIN_LENGTH to {_SHORTEST} and "
            f"TOKENAUTH_PASSWORD_MAX_LENGTH to {_LONGEST} at least.",
        )
    return Finding("ok", "new passwords", f"{shortest} characters to {longest} bytes.")


def _concurrency(count: int) -> Finding:
    if count > (processors := os.cpu_count() or 1):
        return Finding(
            "warning",
            "password hashing",
            f"{count} at a time on {processors} processors: logins can starve other "
            f"requests. Set TOKENAUTH_PASSWORD_CONCURRENCY to {processors} at most.",
        )
    return Finding("ok", "password hashing", f"{count} at a time in each process.")


def _argon2(cost: Argon2Cost) -> Finding:
    default = Argon2Cost()
    if cost.work < default.work:
        return Finding(
            "warning",
            "password hashes",
            f"Cheaper to guess than by default: set TOKENAUTH_ARGON2_MEMORY_COST to "
            f"{default.memory} and TOKENAUTH_ARGON2_TIME_COST to {default.time} at "
            "least.",
        )
    text = f"{cost.memory} KiB, {cost.time} passes."
    return Finding("ok", "password hashes", text)
