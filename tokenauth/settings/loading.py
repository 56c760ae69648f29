"""Reads the settings of an application, and refuses what is not safe or cannot work.

What is refused is named with the cure. No message quotes a value: it could be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from ..accounts.hash_schemes import MAX_COST, MAX_WORK, is_bearable, is_strong_enough
from ..errors import ConfigurationError
from ..tokens.keys import secret_keys
from .fields import FIELDS, Settings

KNOWN: Final = frozenset(FIELDS)

# Beginnings of the names of what only the issuer of tokens may have.
_OWN: Final = ("TOKENAUTH_SECRET_KEY", "TOKENAUTH_SIGNING_KEY")

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
    fields = (field for key, field in FIELDS.items() if key in values)
    settings = Settings(**{f.name: _read(f, values[f.encode_name]) for f in fields})
    _check(settings, testing=bool(config.get("TESTING")))
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
    from ..tokens import ed25519, key_set

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
    for key, value in config.items():
        if key.startswith(_OWN) and value is not None:
            raise ConfigurationError(
                f"{key} is the issuer's alone: remove it from a service that only "
                "verifies tokens."
            )
    from ..tokens.key_set import read_verify_keys

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


def _check(settings: Settings, *, testing: bool) -> None:
    """Refuse values that are right each by itself, but not together or not safe."""
    cost = settings.argon2
    if settings.password_max_length < settings.password_min_length:
        raise ConfigurationError(
            "TOKENAUTH_PASSWORD_MAX_LENGTH must be at least "
            f"TOKENAUTH_PASSWORD_MIN_LENGTH, which is {settings.password_min_length}."
        )
    if settings.refresh_cookie_samesite == "None" and not settings.origins:
        raise ConfigurationError(
            "TOKENAUTH_REFRESH_COOKIE_SAMESITE = 'None' is for pages of other sites: "
            "name their origins in TOKENAUTH_ORIGINS."
        )
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
