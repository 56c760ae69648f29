"""What `check` finds in the settings alone, without asking a store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from ..accounts.hash_schemes import Argon2Cost
from ..accounts.policy import is_guessable_key
from ..settings import Settings

Level: TypeAlias = Literal["ok", "warning", "error"]

_HOUR: Final = 3600

# Durations in seconds: how long each may be, and what is wrong with a longer one.
_DURATIONS: Final = {
    "access lifetime": (_HOUR, "A stolen token works for that long; clients refresh."),
    # NIST SP 800-63B section 4.1.3
    "session lifetime": (30 * 86400, "For that long nobody is asked for the password."),
    "refresh grace": (60, "A stolen refresh token is not noticed for that long."),
    "clock leeway": (300, "Tokens from the future are accepted: set clocks by NTP."),
}
# NIST SP 800-63B: section 3.2.2, attempts that may fail; 3.1.1.2, lengths to allow.
_MOST_ATTEMPTS: Final = 100
_MIN_LENGTH: Final = 8
_MAX_LENGTH: Final = 64


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


def review_settings(s: Settings) -> Iterator[Finding]:
    """Yield what is found in an application's settings."""
    yield from _keys(s.secret_keys)
    for area, (most, why) in _DURATIONS.items():
        name = area.replace(" ", "_")
        seconds = getattr(s, name)
        cure = f"{why} Set TOKENAUTH_{name.upper()} to {most} at most."
        yield expect(seconds <= most, area, _seconds(seconds), cure)
    yield expect(
        s.access_lifetime < s.session_idle_lifetime < s.session_lifetime,
        "idle lifetime",
        _seconds(s.session_idle_lifetime),
        "Set TOKENAUTH_SESSION_IDLE_LIFETIME above TOKENAUTH_ACCESS_LIFETIME, so that "
        "a session lives until its token is refreshed, and below "
        "TOKENAUTH_SESSION_LIFETIME, which else is reached first.",
    )
    yield expect(
        s.query_param is None,
        "tokens in URLs",
        "Not accepted." if s.query_param is None else "Accepted.",
        "They end up in logs, histories and Referer headers. Remove "
        "TOKENAUTH_QUERY_PARAM.",
    )
    yield from _passwords(s)
    yield _hashes(s.argon2)


def _keys(keys: tuple[bytes, ...]) -> Iterator[Finding]:
    *older, newest = keys
    named = {"the secret key": newest}
    named |= {f"fallback key {i}": key for i, key in enumerate(older)}
    regular = [name for name, key in named.items() if is_guessable_key(key)]
    yield expect(
        not regular,
        "secret keys",
        f"{len(newest)} bytes.",
        f"So regular that it can be guessed: {', '.join(regular)}. Make another with "
        "'flask tokenauth new-secret', and do not keep this one as a fallback.",
        otherwise="error",
    )
    yield expect(
        not older,
        "fallback keys",
        f"{len(older)}.",
        "Tokens that are signed with a fallback key are accepted. Remove each key when "
        "TOKENAUTH_SESSION_IDLE_LIFETIME has passed since it was replaced; personal "
        "access tokens and one-time tokens that it signed end then.",
    )


def _passwords(s: Settings) -> Iterator[Finding]:
    attempts = _attempts_an_hour(s.login_limits)
    yield expect(
        attempts <= _MOST_ATTEMPTS,
        "attempts on a password",
        f"At most {attempts} an hour.",
        "Set TOKENAUTH_LOGIN_LIMITS so that guesses stay rare, for example "
        f"'30 per minute; {_MOST_ATTEMPTS} per day'.",
    )
    yield expect(
        s.password_min_length >= _MIN_LENGTH and s.password_max_length >= _MAX_LENGTH,
        "new passwords",
        f"{s.password_min_length} characters to {s.password_max_length} bytes.",
        f"Set TOKENAUTH_PASSWORD_MIN_LENGTH to {_MIN_LENGTH} at least, and "
        f"TOKENAUTH_PASSWORD_MAX_LENGTH to {_MAX_LENGTH} at least.",
    )


def _hashes(cost: Argon2Cost) -> Finding:
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
