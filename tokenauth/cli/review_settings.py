"""What `check` finds in the settings alone, without asking a store."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from ..accounts.hash_schemes import Argon2Cost
from ..accounts.policy import is_guessable_key
from ..settings import Settings

Level: TypeAlias = Literal["ok", "warning", "error"]

_HOUR: Final = 3600
_MONTH: Final = 30 * 86400
"""NIST SP 800-63B section 4.1.3: a password is asked for once in 30 days at least."""
_MOST_GUESSES: Final = 100
"""NIST SP 800-63B section 3.2.2: consecutive failed attempts on one account."""
_SHORTEST: Final = 8
_LONGEST: Final = 64
"""NIST SP 800-63B section 3.1.1.2: lengths that must be possible for a password."""


class Finding(NamedTuple):
    """What was found about one area.

    Attributes:
        level: `error`: it has to be fixed; `warning`: it should be, unless there is a
            reason; `ok`.
        area: What was looked at.
        text: What was found, and what to do, in one line.
    """

    level: Level
    area: str
    text: str


def expect(
    is_good: bool,  # noqa: FBT001 # the condition, read first
    area: str,
    fact: str,
    advice: str,
    *,
    otherwise: Level = "warning",
) -> Finding:
    """Return a finding: the fact if it is good, and otherwise the advice as well."""
    if is_good:
        return Finding("ok", area, fact)
    return Finding(otherwise, area, f"{fact} {advice}")


def review_settings(settings: Settings) -> Iterator[Finding]:
    """Yield what is found in an application's settings."""
    yield _keys(settings.secret_keys)
    yield from _lifetimes(settings)
    yield _fallbacks(len(settings.secret_keys) - 1)
    yield from _leniencies(settings)
    yield from _passwords(settings)
    yield _argon2(settings.argon2)


def _keys(keys: tuple[bytes, ...]) -> Finding:
    *older, newest = keys
    named = {"the secret key": newest}
    named |= {f"fallback key {i}": key for i, key in enumerate(older)}
    regular = [name for name, key in named.items() if is_guessable_key(key)]
    return expect(
        not regular,
        "secret keys",
        f"{len(newest)} bytes.",
        f"So regular that it can be guessed: {', '.join(regular)}. Make another with "
        "'flask tokenauth new-secret', and do not keep this one as a fallback.",
        otherwise="error",
    )


def _lifetimes(s: Settings) -> Iterator[Finding]:
    idle = s.session_idle_lifetime
    yield expect(
        s.access_lifetime <= _HOUR,
        "access lifetime",
        _seconds(s.access_lifetime),
        f"A stolen token works for that long. Set TOKENAUTH_ACCESS_LIFETIME to {_HOUR} "
        "at most: clients refresh.",
    )
    yield expect(
        s.session_lifetime <= _MONTH,
        "session lifetime",
        _seconds(s.session_lifetime),
        "For that long nobody is asked for the password. Set "
        f"TOKENAUTH_SESSION_LIFETIME to {_MONTH} at most.",
    )
    yield expect(
        s.access_lifetime < idle < s.session_lifetime,
        "idle lifetime",
        _seconds(idle),
        "TOKENAUTH_SESSION_IDLE_LIFETIME has no effect: TOKENAUTH_SESSION_LIFETIME is "
        "reached first. Set it lower."
        if idle >= s.session_lifetime
        else "A session ends before its access token has to be refreshed. Set "
        "TOKENAUTH_SESSION_IDLE_LIFETIME above TOKENAUTH_ACCESS_LIFETIME.",
    )


def _fallbacks(count: int) -> Finding:
    return expect(
        not count,
        "fallback keys",
        f"{count}.",
        "Tokens that are signed with a fallback key are accepted. Remove each key when "
        "TOKENAUTH_SESSION_IDLE_LIFETIME has passed since it was replaced; personal "
        "access tokens and one-time tokens that it signed end then.",
    )


def _leniencies(s: Settings) -> Iterator[Finding]:
    yield expect(
        s.refresh_grace <= 60,
        "refresh grace",
        _seconds(s.refresh_grace),
        "For that long after its use a stolen refresh token is not noticed. Set "
        "TOKENAUTH_REFRESH_GRACE to 60 at most.",
    )
    yield expect(
        s.clock_leeway <= 300,
        "clock leeway",
        _seconds(s.clock_leeway),
        "Tokens from the future are accepted. Set the hosts' clocks by one source "
        "(NTP), and TOKENAUTH_CLOCK_LEEWAY to 300 at most.",
    )
    yield expect(
        s.query_param is None,
        "tokens in URLs",
        "Not accepted." if s.query_param is None else "Accepted.",
        "They end up in logs, histories and Referer headers. Remove "
        "TOKENAUTH_QUERY_PARAM.",
    )


def _passwords(s: Settings) -> Iterator[Finding]:
    attempts, processors = _attempts_an_hour(s.login_limits), os.cpu_count() or 1
    yield expect(
        attempts <= _MOST_GUESSES,
        "attempts on a password",
        f"At most {attempts} an hour.",
        "Set TOKENAUTH_LOGIN_LIMITS so that guesses stay rare, for example "
        f"'30 per minute; {_MOST_GUESSES} per day'.",
    )
    yield expect(
        s.password_min_length >= _SHORTEST and s.password_max_length >= _LONGEST,
        "new passwords",
        f"{s.password_min_length} characters to {s.password_max_length} bytes.",
        f"Set TOKENAUTH_PASSWORD_MIN_LENGTH to {_SHORTEST} at least, and "
        f"TOKENAUTH_PASSWORD_MAX_LENGTH to {_LONGEST} at least.",
    )
    yield expect(
        s.password_concurrency <= processors,
        "password hashing",
        f"{s.password_concurrency} at a time in each process, on {processors} "
        "processors.",
        "Logins can slow other requests down. Set TOKENAUTH_PASSWORD_CONCURRENCY to "
        f"{processors} at most.",
    )


def _argon2(cost: Argon2Cost) -> Finding:
    default = Argon2Cost()
    return expect(
        cost.work >= default.work,
        "password hashes",
        f"{cost.memory} KiB, {cost.time} passes.",
        "They are cheaper to guess than by default. Set TOKENAUTH_ARGON2_MEMORY_COST "
        f"to {default.memory} and TOKENAUTH_ARGON2_TIME_COST to {default.time} at "
        "least.",
    )


def _attempts_an_hour(notation: str) -> int:
    # Imported when used: the limits library takes longer to import than all the rest.
    from ..accounts.counters import parse_limits

    limits = parse_limits(notation)
    # Rounded up: a window that begins in the hour may be used up in it.
    return min(item.amount * math.ceil(_HOUR / item.get_expiry()) for item in limits)


def _seconds(seconds: float) -> str:
    return f"{seconds:.15g} s."
