"""Settings: `SECRET_KEY` and `TOKENAUTH_*`, read once at start, checked and frozen.

What is not safe, or cannot work, is refused by name with the cure. No message quotes a
value: it could be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from .accounts.hash_schemes import (
    MAX_COST,
    MAX_WORK,
    Argon2Cost,
    is_bearable,
    is_strong_enough,
)
from .accounts.passwords import Verifier
from .errors import ConfigurationError
from .tokens.keys import secret_keys
from .tokens.redact import Redacted

_DAY: Final = 86400
_CENTURY: Final = 36500 * _DAY

# A message is "<key> must be <description>.". Patterns are searched for, so they are
# anchored at both ends.
_SECONDS: Final = "a number of seconds or a timedelta"
_Duration = Annotated[
    float, Meta(ge=0, le=_CENTURY, description=f"{_SECONDS}, from 0 to 100 years")
]
_Lifetime = Annotated[
    float, Meta(ge=1, le=_CENTURY, description=f"{_SECONDS}, 1 second to 100 years")
]
_Lag = Annotated[
    float,
    Meta(
        ge=0,
        le=10,
        description=f"{_SECONDS}, at most 10: an ended session may be served that long",
    ),
]
_Count = Annotated[int, Meta(ge=1, description="a whole number, at least 1")]
_OptionalCount = Annotated[
    _Count | None, Meta(description="a whole number, at least 1")
]
_Flag = Annotated[
    bool, Meta(description="True or False (in the environment: true or false)")
]
_NOT_EMPTY: Final = "a text that is not empty"
_Text = Annotated[str, Meta(pattern=r"\S", description=_NOT_EMPTY)]
_OptionalText = Annotated[_Text | None, Meta(description=_NOT_EMPTY)]
_PATH: Final = r"^(?:/[A-Za-z0-9._~-]+)+\Z"  # RFC 3986 section 2.3
_Path = Annotated[
    str,
    Meta(
        pattern=_PATH,
        description="a path of letters, digits and '-._~' that begins with '/' and "
        "does not end with '/', for example '/auth'",
    ),
]
_REALM: Final = r"^(?! *\Z)[ !#-\[\]-~]+\Z"  # RFC 6750 section 3
_Realm = Annotated[
    str,
    Meta(
        pattern=_REALM,
        description="printable ASCII without quotes and backslashes (it is sent in the "
        "WWW-Authenticate header; the default is the application's name)",
    ),
]
_HOST: Final = r"^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d+)?\Z"
_Host = Annotated[
    Annotated[str, Meta(pattern=_HOST)] | None,
    Meta(
        description="a host name in lower case, with its port unless that is the usual "
        "one of HTTP or HTTPS, for example 'api.example.com'"
    ),
]
_HEADER: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z"  # RFC 9110 section 5.6.2
_Header = Annotated[
    str,
    Meta(pattern=_HEADER, description="a header's name, for example 'X-Api-Token'"),
]
_SameSite = Annotated[
    Literal["Strict", "Lax", "None"], Meta(description="'Strict', 'Lax' or 'None'")
]
_DOMAIN: Final = r"^(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*\Z"  # no IP address, no port
_Domain = Annotated[
    Annotated[str, Meta(pattern=_DOMAIN)] | None,
    Meta(description="a domain in lower case, for example 'example.com'"),
]
# As browsers send them (RFC 6454 section 6.2): without the scheme's own port.
_ORIGIN: Final = (
    r"^(?!https://.*:443\Z|http://.*:80\Z)[a-z][a-z0-9+.-]*://"
    r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d+)?\Z"
)
_Origins = Annotated[
    tuple[Annotated[str, Meta(pattern=_ORIGIN)], ...],
    Meta(description="a list of origins, for example ['https://app.example.com']"),
]
_Limits = Annotated[
    str,
    Meta(pattern=r"\S", description="a text, for example '9 per day', or a list"),
]
_Function = Annotated[
    Callable[[str], bool] | None,
    Meta(description="a function from a password to whether a breach made it known"),
]
_Verifier = Annotated[
    Verifier | None,
    Meta(
        description="a function of a stored hash and a password, which returns True, "
        "False, or None where it does not know the hash"
    ),
]


class Settings(
    Redacted,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename=lambda name: f"TOKENAUTH_{name.upper()}",
):
    """What one application is configured with; the README says what each setting does.

    Each field is read from the key of its name; durations are in seconds.
    """

    secret_key: bytes = b""  # empty where tokens are only verified
    secret_key_fallbacks: tuple[bytes, ...] = ()  # oldest first
    signing_key: bytes | None = None
    signing_key_fallbacks: tuple[bytes, ...] = ()  # public keys, oldest first
    verify_keys: tuple[bytes, ...] | str = ()  # or the address of them
    url_prefix: _Path = "/auth"
    host: _Host = None
    header: _Header = "Authorization"
    realm: _Realm
    docs: _Flag = True
    access_lifetime: _Lifetime = 15 * 60
    session_lifetime: _Lifetime = 30 * _DAY
    session_idle_lifetime: _Lifetime = 7 * _DAY
    session_check_lag: _Lag = 0
    session_limit: _Count = 100
    refresh_grace: _Duration = 10
    refresh_other_networks: _OptionalCount = None
    refresh_cookie: _Flag = False
    refresh_cookie_samesite: _SameSite = "Strict"
    refresh_cookie_domain: _Domain = None
    origins: _Origins = ()
    clock_leeway: _Duration = 30
    users_url: _OptionalText = None
    session_url: _Text = "memory://"
    query_param: _OptionalText = None
    password_min_length: _Count = 8  # characters
    password_max_length: _Count = 1024  # bytes
    password_breach_check: _Function = None
    password_concurrency: _Count = 1
    password_upgrade: _Flag = True
    password_verifier: _Verifier = None
    argon2_memory_cost: _Count = Argon2Cost().memory
    argon2_time_cost: _Count = Argon2Cost().time
    argon2_parallelism: _Count = Argon2Cost().parallelism
    login_limits: _Limits = "30 per minute; 100 per day"
    limits_url: _Text = "memory://"

    @property
    def header_key(self) -> str:
        """The WSGI name of the header that carries the token."""
        return f"HTTP_{self.header.upper().replace('-', '_')}"

    @property
    def secret_keys(self) -> tuple[bytes, ...]:
        """All secrets, oldest first; the last one signs."""
        return (*self.secret_key_fallbacks, self.secret_key)

    @property
    def argon2(self) -> Argon2Cost:
        """The cost of hashing a password."""
        return Argon2Cost(
            self.argon2_memory_cost, self.argon2_time_cost, self.argon2_parallelism
        )


_FIELDS: Final = {f.encode_name: f for f in msgspec.structs.fields(Settings)}
KNOWN: Final = frozenset(_FIELDS)

_OWN_KEYS: Final = (
    "TOKENAUTH_SECRET_KEY",
    "TOKENAUTH_SECRET_KEY_FALLBACKS",
    "TOKENAUTH_SIGNING_KEY",
    "TOKENAUTH_SIGNING_KEY_FALLBACKS",
)

# What Kubernetes adds to the environment of a pod for a Service whose name begins with
# "flask-tokenauth" is read by `Flask.config.from_prefixed_env`, too.
_KUBERNETES: Final = re.compile(
    r"TOKENAUTH_(?:\w+_)?(?:SERVICE_HOST=|SERVICE_PORT(?:_\w+)?=|PORT=(?:tcp|udp|sctp):"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?=)"
)


def load(
    config: Mapping[str, Any], app_name: str, *, verify_only: bool = False
) -> Settings:
    """Read the settings of an application. A value of None is the default.

    Args:
        config: Flask's configuration.
        app_name: The application's name; its last part is the default realm, so that
            `python -m shop.main` and `flask --app shop.main` have the same.
        verify_only: Whether tokens of another application are verified, by its public
            keys.

    Raises:
        ConfigurationError: a key is unknown, or its value is missing, of the wrong type
            or not safe. The message names the key and the cure.
    """
    given = {key: config[key] for key in config if key.startswith("TOKENAUTH_")}
    _refuse_unknown(given)
    if config.get("LOGIN_DISABLED") and not config.get("TESTING"):
        raise ConfigurationError(
            "LOGIN_DISABLED opens every protected view: remove it. It is accepted only "
            "where TESTING is set."
        )
    given |= _verify_keys(config) if verify_only else _own_keys(config)
    values = _with_defaults(given, app_name)
    fields = (field for key, field in _FIELDS.items() if key in values)
    settings = Settings(**{f.name: _read(f, values[f.encode_name]) for f in fields})
    _check_lengths(settings)
    if settings.refresh_cookie_samesite == "None" and not settings.origins:
        raise ConfigurationError(
            "TOKENAUTH_REFRESH_COOKIE_SAMESITE = 'None' is for pages of other sites: "
            "name their origins in TOKENAUTH_ORIGINS."
        )
    _check_cost(settings.argon2, testing=bool(config.get("TESTING")))
    return settings


def _own_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of an application that issues tokens."""
    if config.get("TOKENAUTH_VERIFY_KEYS") is not None:
        raise ConfigurationError(
            "TOKENAUTH_VERIFY_KEYS is for services that only verify tokens: use "
            "TokenVerifier(app) there, or remove it."
        )
    *older, newest = secrets = secret_keys(config)
    return {
        "TOKENAUTH_SECRET_KEY": newest,
        "TOKENAUTH_SECRET_KEY_FALLBACKS": tuple(older),
    } | _key_pairs(config, secrets)


def _key_pairs(config: Mapping[str, Any], secrets: tuple[bytes, ...]) -> dict[str, Any]:
    name, older = "TOKENAUTH_SIGNING_KEY", "TOKENAUTH_SIGNING_KEY_FALLBACKS"
    if config.get(name) is None and not config.get(older):
        return {name: None, older: None}
    from .tokens import ed25519, key_set

    testing = bool(config.get("TESTING"))
    private = ed25519.read_key(name, config.get(name), ed25519.PRIVATE, testing=testing)
    given = config.get(older) or ()
    publics = key_set.read_public_keys(older, given, testing=testing)
    for public in (ed25519.public_of(private), *publics):
        if any(ed25519.contains(secret, public) for secret in secrets):
            raise ConfigurationError(
                "A SECRET_KEY is a public key, which everybody may know. "
                "Make one with 'flask tokenauth new-secret'."
            )
    return {name: private, older: publics}


def _verify_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of an application that only verifies tokens."""
    if config.get("TOKENAUTH_REALM") is None:
        raise ConfigurationError(
            "TOKENAUTH_REALM is not set: set it to the realm of the application that "
            "issues the tokens."
        )
    for key in _OWN_KEYS:
        if config.get(key) is not None:
            raise ConfigurationError(
                f"{key} is the issuer's alone: remove it from a service that only "
                "verifies tokens."
            )
    from .tokens.key_set import read_verify_keys

    name, testing = "TOKENAUTH_VERIFY_KEYS", bool(config.get("TESTING"))
    return {name: read_verify_keys(name, config.get(name), testing=testing)}


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if key in KNOWN or _KUBERNETES.match(f"{key}={value}"):
            continue
        name = key.removeprefix("TOKENAUTH_").upper()
        names = [known.removeprefix("TOKENAUTH_") for known in sorted(KNOWN)]
        near = difflib.get_close_matches(name, names, n=1)
        cure = f"Did you mean TOKENAUTH_{near[0]}?" if near else "Remove it."
        raise ConfigurationError(f"{key} is unknown. {cure}")


def _with_defaults(given: Mapping[str, Any], app_name: str) -> dict[str, Any]:
    """Return the values that are set, and the defaults that follow from others."""
    values = {key: value for key, value in given.items() if value is not None}
    values.setdefault("TOKENAUTH_REALM", app_name.rpartition(".")[2])
    users_url = values.get("TOKENAUTH_USERS_URL", "memory://")
    session_url = values.setdefault("TOKENAUTH_SESSION_URL", users_url)
    if str(session_url).startswith(("redis", "unix:")):
        values.setdefault("TOKENAUTH_LIMITS_URL", session_url)
    limits = values.get("TOKENAUTH_LOGIN_LIMITS")
    if isinstance(limits, list | tuple) and all(isinstance(x, str) for x in limits):
        values["TOKENAUTH_LOGIN_LIMITS"] = ";".join(limits)
    return values


def _read(field: msgspec.structs.FieldInfo, value: Any) -> Any:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    try:
        return msgspec.convert(value, field.type)
    except (msgspec.ValidationError, UnicodeEncodeError):  # a lone surrogate
        description = field.type.__metadata__[-1].description
        message = f"{field.encode_name} must be {description}."
        raise ConfigurationError(message) from None


def _check_lengths(settings: Settings) -> None:
    if settings.password_max_length < settings.password_min_length:
        raise ConfigurationError(
            "TOKENAUTH_PASSWORD_MAX_LENGTH must be at least "
            f"TOKENAUTH_PASSWORD_MIN_LENGTH, which is {settings.password_min_length}."
        )


def _check_cost(cost: Argon2Cost, *, testing: bool) -> None:
    if not is_strong_enough(cost) and not testing:
        raise ConfigurationError(
            "TOKENAUTH_ARGON2_MEMORY_COST (KiB) and TOKENAUTH_ARGON2_TIME_COST are "
            "below OWASP's minimum: use at least 19456 and 2, or 47104 and 1."
        )
    if not is_bearable(cost):
        raise ConfigurationError(
            f"TOKENAUTH_ARGON2_MEMORY_COST may be at most {MAX_COST.memory} KiB, "
            f"TOKENAUTH_ARGON2_TIME_COST at most {MAX_COST.time}, the product of both "
            f"at most {MAX_WORK}, and TOKENAUTH_ARGON2_PARALLELISM at most "
            f"{MAX_COST.parallelism} and an eighth of the memory cost."
        )
