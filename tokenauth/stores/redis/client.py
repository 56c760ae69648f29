"""URLs of Redis, and the client that they mean."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from ...errors import ConfigurationError

_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

DEFAULTS: Final[Mapping[str, Any]] = {
    "socket_connect_timeout": 2,
    "socket_timeout": 2,
    "max_connections": 50,
    "socket_keepalive": True,
}
"""Seconds to wait, and most connections of a process, unless the URL says otherwise.

An option that is left empty in the URL, as in `?socket_timeout=`, is left to the
driver.
"""

_OPTIONS: Final = frozenset(
    [
        "client_name",
        "db",
        "health_check_interval",
        "max_connections",
        "password",
        "protocol",
        "socket_connect_timeout",
        "socket_timeout",
        "username",
    ]
)
_TCP: Final = frozenset({"socket_keepalive"})
_TLS: Final = frozenset(
    [
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_password",
    ]
)
_KNOWN: Final = {
    "redis": _OPTIONS | _TCP,
    "rediss": _OPTIONS | _TCP | _TLS,
    "unix": _OPTIONS,
}
_NAME: Final = re.compile(r"[a-z_]{1,40}")


def open_client(url: str) -> redis.Redis:
    """Return the client that a URL names; it connects when it is used.

    Raises:
        ConfigurationError: the URL is malformed, or has an option that the driver does
            not know, or that would turn off what sessions need.
    """
    scheme, separator, rest = url.partition("://")
    scheme = "unix" if scheme == "redis+unix" else scheme  # as limits calls it
    if scheme not in _KNOWN:
        raise ConfigurationError(
            f"No store is known for '{scheme[:40]}': use 'redis', 'rediss' or 'unix'. "
            "For Sentinel, pass RedisSessionStore(client) with a client of redis-py."
        )
    head, question, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    _check(options, _KNOWN[scheme])
    defaults = {name: v for name, v in DEFAULTS.items() if options.get(name) != ""}
    if scheme == "unix":
        del defaults["socket_keepalive"]
    elif "socket_keepalive" in defaults:
        defaults["socket_keepalive_options"] = {
            getattr(socket, name): seconds
            for name, seconds in _KEEPALIVE.items()
            if hasattr(socket, name)
        }
    try:
        return redis.Redis.from_url(
            f"{scheme}{separator}{head}{question}{urlencode(options)}",
            # What is sent is sent once: whether a lost command was done, nobody
            # knows. A kept connection is looked at before it is used again.
            retry=Retry(NoBackoff(), 0),
            **defaults,
        )
    except ValueError:
        raise ConfigurationError(
            "The URL of Redis is malformed: a password in it must be "
            "percent-encoded. Use 'redis://:password@host:6379/0'."
        ) from None


def _check(options: Mapping[str, str], known: frozenset[str]) -> None:
    for name, value in options.items():
        if name not in known:
            shown = f"'{name}'" if _NAME.fullmatch(name) else "an option"
            raise ConfigurationError(
                f"The URL of Redis has {shown}, which cannot be set there: take it "
                "out. TLS is 'rediss://'."
            )
        try:
            parse_url(f"redis://host?{urlencode({name: value})}")  # type: ignore[no-untyped-call]
        except ValueError:
            raise ConfigurationError(
                f"The URL of Redis has a value of '{name}' that the driver does not "
                "take."
            ) from None
