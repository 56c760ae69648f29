"""Settings: `SECRET_KEY` and `TOKENAUTH_*`, checked once at start and frozen.

What would not be safe is refused by name, with the cure; no message quotes a value
that could be a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from .accounts.passwords import (
    MAX_COST,
    MAX_WORK,
    Argon2Cost,
    is_bearable,
    is_strong_enough,
)
from .errors import ConfigurationError
from .tokens.keys import secret_keys
from .tokens.redact import Redacted
from .values import Reader

MAX_LAG: Final = 10
"""Seconds; stores tell for far longer what has ended."""


class Settings(Redacted, msgspec.Struct, frozen=True, kw_only=True):
    """All that one application decides, read once.

    Attributes:
        secret_keys: Secrets, oldest first; the last one signs.
        url_prefix: Where the endpoints are.
        realm: Part of every key derivation and of the challenge.
        docs: Whether the API's description and its page are served.
        access_lifetime: Seconds that an access token lives.
        session_lifetime: Seconds after which a login ends whatever happens.
        session_idle_lifetime: Seconds after which a login ends unless refreshed.
        session_check_lag: Seconds that an ended session may still be served; 0: none.
        session_limit: Logins that one user may have at a time.
        refresh_grace: Seconds in which the previous refresh token is still answered.
        clock_leeway: Seconds that hosts' clocks may differ.
        users_url: Where users are kept; None: the application brings them.
        session_url: Where sessions are kept; by default where users are.
        query_param: URL parameter that may carry the token; None: none may.
        password_min_length: Fewest characters of a new password.
        password_max_length: Most bytes of a new password.
        password_breach_check: Says whether a password is known from a breach.
        password_concurrency: Passwords that are hashed at a time in a process.
        argon2: What hashing a password costs.
        login_limits: Attempts on a password, in the notation of the limits library.
        limits_url: Where attempts are counted.
    """

    secret_keys: tuple[bytes, ...]
    url_prefix: str
    realm: str
    docs: bool
    access_lifetime: float
    session_lifetime: float
    session_idle_lifetime: float
    session_check_lag: float
    session_limit: int
    refresh_grace: float
    clock_leeway: float
    users_url: str | None
    session_url: str
    query_param: str | None
    password_min_length: int
    password_max_length: int
    password_breach_check: Callable[[str], bool] | None
    password_concurrency: int
    argon2: Argon2Cost
    login_limits: str
    limits_url: str


# Each setting has the name of its key, but for those that are read from several.
_NAMES: Final = {*Settings.__struct_fields__} - {"secret_keys", "argon2"} | {
    "secret_key",
    "secret_key_fallbacks",
    "argon2_memory_cost",
    "argon2_time_cost",
    "argon2_parallelism",
}
KNOWN: Final = frozenset(f"TOKENAUTH_{name.upper()}" for name in _NAMES)


def load(config: Mapping[str, Any], app_name: str) -> Settings:
    """Read the settings of an application.

    Args:
        config: Flask's configuration.
        app_name: The application's name, its realm by default.

    Raises:
        ConfigurationError: a key is unknown, or its value missing, of the wrong type
            or not safe. The message names the key and the cure.
    """
    _refuse_unknown(config)
    if config.get("LOGIN_DISABLED") and not config.get("TESTING"):
        raise ConfigurationError(
            "LOGIN_DISABLED opens every protected view: remove it. It is accepted in "
            "tests only, where TESTING is set."
        )
    read = Reader(config)
    shortest = read.count("PASSWORD_MIN_LENGTH", 8)
    users_url = read.optional_text("USERS_URL")
    session_url = read.text("SESSION_URL", users_url or "memory://")
    return Settings(
        secret_keys=secret_keys(config),
        url_prefix=read.path("URL_PREFIX", "/auth"),
        realm=read.realm("REALM", app_name),
        docs=read.flag("DOCS", default=True),
        access_lifetime=read.lifetime("ACCESS_LIFETIME", 15 * 60),
        session_lifetime=read.lifetime("SESSION_LIFETIME", 30 * 86400),
        session_idle_lifetime=read.lifetime("SESSION_IDLE_LIFETIME", 7 * 86400),
        session_check_lag=_session_check_lag(read),
        session_limit=read.count("SESSION_LIMIT", 100),
        refresh_grace=read.duration("REFRESH_GRACE", 10),
        clock_leeway=read.duration("CLOCK_LEEWAY", 30),
        users_url=users_url,
        session_url=session_url,
        query_param=read.optional_text("QUERY_PARAM"),
        password_min_length=shortest,
        password_max_length=read.count("PASSWORD_MAX_LENGTH", 1024, at_least=shortest),
        password_breach_check=read.function("PASSWORD_BREACH_CHECK"),
        password_concurrency=read.count("PASSWORD_CONCURRENCY", 1),
        argon2=_argon2_cost(read, testing=bool(config.get("TESTING"))),
        login_limits=read.texts("LOGIN_LIMITS", "30 per minute; 100 per day"),
        limits_url=read.text("LIMITS_URL", _limits_url(session_url)),
    )


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    for key in config:
        if key.startswith("TOKENAUTH_") and key not in KNOWN:
            near = difflib.get_close_matches(key.upper(), KNOWN, n=1, cutoff=0)[0]
            raise ConfigurationError(f"{key} is unknown. Did you mean {near}?")


def _limits_url(session_url: str) -> str:
    """Return where attempts are counted by default: with the sessions, if on Redis."""
    if session_url.startswith("unix://"):  # the limits library has its own name for it
        return f"redis+{session_url}"
    is_redis = session_url.startswith(("redis://", "rediss://"))
    return session_url if is_redis else "memory://"


def _session_check_lag(read: Reader) -> float:
    lag = read.duration("SESSION_CHECK_LAG", 0)
    if lag > MAX_LAG:
        raise ConfigurationError(
            f"TOKENAUTH_SESSION_CHECK_LAG may be at most {MAX_LAG} seconds: for so "
            "long a session that was ended is still served."
        )
    return lag


def _argon2_cost(read: Reader, *, testing: bool) -> Argon2Cost:
    default = Argon2Cost()
    cost = Argon2Cost(
        memory=read.count("ARGON2_MEMORY_COST", default.memory),
        time=read.count("ARGON2_TIME_COST", default.time),
        parallelism=read.count("ARGON2_PARALLELISM", default.parallelism),
    )
    if not is_strong_enough(cost) and not testing:
        raise ConfigurationError(
            "TOKENAUTH_ARGON2_MEMORY_COST (KiB) and TOKENAUTH_ARGON2_TIME_COST are "
            "under OWASP's floor: use at least 19456 and 2, or 47104 and 1."
        )
    if not is_bearable(cost):
        raise ConfigurationError(
            f"TOKENAUTH_ARGON2_MEMORY_COST may be at most {MAX_COST.memory} KiB, "
            f"TOKENAUTH_ARGON2_TIME_COST at most {MAX_COST.time}, the product of both "
            f"at most {MAX_WORK}, and TOKENAUTH_ARGON2_PARALLELISM at most "
            f"{MAX_COST.parallelism} and an eighth of the memory cost."
        )
    return cost
