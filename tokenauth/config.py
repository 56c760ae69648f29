"""Settings: `SECRET_KEY` and `TOKENAUTH_*`, checked once at start and frozen.

What would not be safe is refused by name, with the cure; no message quotes a value
that could be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, cast

import msgspec

from .bearer import QUOTABLE
from .errors import ConfigurationError
from .passwords import MAX_COST, MAX_WORK, Argon2Cost, is_bearable, is_strong_enough
from .secrecy import Secretive

MIN_KEY_BYTES: Final = 32
"""Shortest secret key: as long as the hash's output (RFC 7518 section 3.2)."""

# Keys printed in documentation or shipped as defaults: public, so no secret.
_EXAMPLE_KEYS: Final = frozenset(
    {
        b"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        b"pf9Wkove4IKEAXvy-cQkeDPhv9Cb3Ag-wyJILbq_dFw",
        b"CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",
        b"YOUR_OWN_RANDOM_GENERATED_SECRET_KEY",
        b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        b"your-256-bit-secret-your-256-bit-secret",
        b"a-string-secret-at-least-256-bits-long",
    }
)
_NEW_KEY: Final = "Make one with 'flask auth new-secret'."


class Settings(Secretive, msgspec.Struct, frozen=True, kw_only=True):
    """All that one application decides, read once.

    Attributes:
        secret_keys: Secrets, oldest first; the last one signs.
        url_prefix: Where the endpoints are.
        realm: Part of every key derivation and of the challenge.
        access_lifetime: Seconds that an access token lives.
        session_lifetime: Seconds after which a login ends whatever happens.
        session_idle_lifetime: Seconds after which a login ends unless refreshed.
        session_limit: Logins that one user may have at a time.
        refresh_grace: Seconds in which the previous refresh token is still answered.
        clock_leeway: Seconds that hosts' clocks may differ.
        users_url: Where users are kept; None: the application brings them.
        session_url: Where sessions are kept.
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
    access_lifetime: float
    session_lifetime: float
    session_idle_lifetime: float
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
    read = _Reader(config)
    return Settings(
        secret_keys=_secret_keys(config),
        url_prefix=read.path("URL_PREFIX", "/auth"),
        realm=read.realm("REALM", app_name),
        access_lifetime=read.lifetime("ACCESS_LIFETIME", 15 * 60),
        session_lifetime=read.lifetime("SESSION_LIFETIME", 30 * 86400),
        session_idle_lifetime=read.lifetime("SESSION_IDLE_LIFETIME", 7 * 86400),
        session_limit=read.count("SESSION_LIMIT", 100),
        refresh_grace=read.duration("REFRESH_GRACE", 10),
        clock_leeway=read.duration("CLOCK_LEEWAY", 30),
        users_url=read.optional_text("USERS_URL"),
        session_url=read.text("SESSION_URL", "memory://"),
        query_param=read.optional_text("QUERY_PARAM"),
        password_min_length=read.count("PASSWORD_MIN_LENGTH", 8),
        password_max_length=read.count("PASSWORD_MAX_LENGTH", 1024),
        password_breach_check=read.function("PASSWORD_BREACH_CHECK"),
        password_concurrency=read.count("PASSWORD_CONCURRENCY", 1),
        argon2=_argon2_cost(read, testing=bool(config.get("TESTING"))),
        login_limits=read.texts("LOGIN_LIMITS", "30 per minute; 100 per day"),
        limits_url=read.text("LIMITS_URL", _limits_url(read)),
    )


KNOWN: Final = frozenset(
    f"TOKENAUTH_{name}"
    for name in (
        "SECRET_KEY",
        "SECRET_KEY_FALLBACKS",
        "URL_PREFIX",
        "REALM",
        "ACCESS_LIFETIME",
        "SESSION_LIFETIME",
        "SESSION_IDLE_LIFETIME",
        "SESSION_LIMIT",
        "REFRESH_GRACE",
        "CLOCK_LEEWAY",
        "USERS_URL",
        "SESSION_URL",
        "QUERY_PARAM",
        "PASSWORD_MIN_LENGTH",
        "PASSWORD_MAX_LENGTH",
        "PASSWORD_BREACH_CHECK",
        "PASSWORD_CONCURRENCY",
        "LOGIN_LIMITS",
        "LIMITS_URL",
        "ARGON2_MEMORY_COST",
        "ARGON2_TIME_COST",
        "ARGON2_PARALLELISM",
    )
)


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    for key in config:
        if key.startswith("TOKENAUTH_") and key not in KNOWN:
            near = difflib.get_close_matches(key, KNOWN, n=1, cutoff=0)[0]
            raise ConfigurationError(f"{key} is unknown. Did you mean {near}?")


def _secret_keys(config: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the secrets, oldest first, as itsdangerous wants them."""
    prefix = "TOKENAUTH_" if config.get("TOKENAUTH_SECRET_KEY") is not None else ""
    newest = _secret_key(f"{prefix}SECRET_KEY", config.get(f"{prefix}SECRET_KEY"))
    name = "TOKENAUTH_SECRET_KEY_FALLBACKS"
    if config.get(name) is None:
        name = f"{prefix}SECRET_KEY_FALLBACKS"
    fallbacks = config.get(name)
    if fallbacks is None:
        fallbacks = []
    if not isinstance(fallbacks, list | tuple):
        raise ConfigurationError(
            f"{name} must be a list of keys, oldest first, not "
            f"{type(fallbacks).__name__}."
        )
    older = (_secret_key(f"{name}[{i}]", key) for i, key in enumerate(fallbacks))
    return (*older, newest)


def _secret_key(name: str, key: object) -> bytes:
    if key is None:
        raise ConfigurationError(f"{name} is not set. {_NEW_KEY}")
    if not isinstance(key, str | bytes):
        raise ConfigurationError(
            f"{name} must be text or bytes, not {type(key).__name__}. {_NEW_KEY}"
        )
    raw = key.encode(errors="surrogatepass") if isinstance(key, str) else key
    if not raw.strip():
        raise ConfigurationError(f"{name} is empty. {_NEW_KEY}")
    if len(raw) < MIN_KEY_BYTES:
        raise ConfigurationError(
            f"{name} has {len(raw)} bytes; at least {MIN_KEY_BYTES} are needed. "
            f"{_NEW_KEY}"
        )
    if len(set(raw)) == 1:
        raise ConfigurationError(f"{name} is one character repeated. {_NEW_KEY}")
    if raw.strip() in _EXAMPLE_KEYS or raw.startswith(b"django-insecure-"):
        raise ConfigurationError(f"{name} is a published example key. {_NEW_KEY}")
    return raw


def _limits_url(read: _Reader) -> str:
    """Return where attempts are counted by default: with the sessions, if on Redis."""
    url = read.text("SESSION_URL", "memory://")
    if url.startswith("unix://"):  # the limits library has its own name for it
        return f"redis+{url}"
    return url if url.startswith(("redis://", "rediss://")) else "memory://"


def _argon2_cost(read: _Reader, *, testing: bool) -> Argon2Cost:
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


class _Reader:
    """Reads one `TOKENAUTH_*` value at a time, or refuses it by name."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def _get(self, name: str, default: Any) -> tuple[str, Any]:
        key = f"TOKENAUTH_{name}"
        value = self._config.get(key)
        return key, default if value is None else value

    def duration(self, name: str, default: float) -> float:
        """Seconds, zero allowed."""
        key, value = self._get(name, default)
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigurationError(
                f"{key} must be a number of seconds or a timedelta, not "
                f"{type(value).__name__}."
            )
        if not 0 <= value <= _MAX_DURATION:  # nor is NaN
            raise ConfigurationError(
                f"{key} must be a finite number of seconds, not negative and at most "
                f"{_MAX_DURATION} (100 years)."
            )
        return value

    def lifetime(self, name: str, default: float) -> float:
        """Seconds, at least one."""
        value = self.duration(name, default)
        if value < 1:
            raise ConfigurationError(f"TOKENAUTH_{name} must be at least one second.")
        return value

    def count(self, name: str, default: int) -> int:
        """A whole number, at least one."""
        key, value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"{key} must be a whole number, at least 1.")
        return value

    def text(self, name: str, default: str) -> str:
        """A text that is not empty."""
        key, value = self._get(name, default)
        if not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{key} must be a text that is not empty.")
        return value

    def texts(self, name: str, default: str) -> str:
        """A text that is not empty, or a list of them, joined by semicolons."""
        key, value = self._get(name, default)
        parts = value if isinstance(value, list | tuple) else [value]
        if not parts or not all(isinstance(p, str) and p.strip() for p in parts):
            raise ConfigurationError(f"{key} must be a text, or a list of texts.")
        return ";".join(parts)

    def function(self, name: str) -> Callable[[str], bool] | None:
        """A function of one text that says yes or no, or None."""
        key, value = self._get(name, None)
        if value is not None and not callable(value):
            raise ConfigurationError(
                f"{key} must be a function that takes a password and returns whether "
                f"it is known from a breach, not {type(value).__name__}."
            )
        return cast("Callable[[str], bool] | None", value)

    def path(self, name: str, default: str) -> str:
        """A URL prefix: one leading slash, none at the end."""
        value = self.text(name, default)
        if not _PATH.fullmatch(value):
            raise ConfigurationError(
                f"TOKENAUTH_{name} must be a path of letters, digits and '-._~' that "
                "begins with one '/' and does not end with one, for example '/auth'."
            )
        return value

    def realm(self, name: str, default: str) -> str:
        """A text that can be quoted in a challenge (RFC 6750 section 3)."""
        value = self.text(name, default)
        if not QUOTABLE.fullmatch(value):
            raise ConfigurationError(
                f"TOKENAUTH_{name} must be printable ASCII without quotes and "
                "backslashes: it is sent in the WWW-Authenticate header."
            )
        return value

    def optional_text(self, name: str) -> str | None:
        """A text that is not empty, or None."""
        _, value = self._get(name, None)
        return None if value is None else self.text(name, "")


_MAX_DURATION: Final = 100 * 365 * 86400

# RFC 3986 section 2.3; "<" would begin a variable of Werkzeug's.
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+", re.ASCII)
