"""URLs of Redis, and the client that they mean."""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

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

_OPTIONS: Final = (
    "client_name db health_check_interval max_connections password protocol "
    "socket_connect_timeout socket_timeout username"
)
_TLS: Final = (
    "ssl_ca_certs ssl_ca_path ssl_cert_reqs ssl_certfile ssl_check_hostname "
    "ssl_ciphers ssl_keyfile ssl_password"
)
_KNOWN: Final = {
    "redis": f"{_OPTIONS} socket_keepalive",
    "rediss": f"{_OPTIONS} socket_keepalive {_TLS}",
    "unix": _OPTIONS,
}
_SCHEMES: Final = (
    *_KNOWN,
    *("redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"),
)
_NAME: Final = re.compile(r"[a-z_]{1,40}")


def open_client(url: str) -> Any:
    """Return the client that a URL names; it connects when it is used.

    Args:
        url: `redis://host:6379/0`, `rediss://...` with TLS, or `unix:///path`; options
            of its query go over `DEFAULTS`.

    Raises:
        ConfigurationError: the URL is malformed, or has an option that the driver does
            not know, or that would turn off what sessions need.
    """
    scheme, _, rest = url.partition("://")
    scheme = "unix" if scheme == "redis+unix" else scheme  # as limits calls it
    if scheme not in _SCHEMES:
        raise ConfigurationError(
            f"No store is known for '{scheme[:40]}': use one of {', '.join(_SCHEMES)}."
        )
    transport, _, kind = scheme.partition("+")
    options = dict(parse_qsl(rest.partition("?")[2], keep_blank_values=True))
    _check(options, _KNOWN[transport].split())
    defaults = _defaults(transport, options)
    try:
        if kind:
            return _several(transport, rest, kind, defaults)
        return redis.Redis.from_url(f"{transport}://{rest}", **defaults)
    except (ValueError, KeyError):  # a password with '/' leaves no host
        raise ConfigurationError(
            "The URL of Redis is malformed: a password in it must be percent-encoded. "
            "Use 'redis://:password@host:6379/0', 'redis+cluster://:password@host1,"
            "host2' or 'redis+sentinel://:password@host1,host2/service'."
        ) from None


class _LateClient:
    """A client that is made when it is first used: that of a cluster connects then."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @functools.cached_property
    def _client(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def _several(transport: str, rest: str, kind: str, defaults: dict[str, Any]) -> Any:
    """Return the client of a cluster, or of the primary that Sentinel leads to."""
    is_cluster = kind == "cluster"
    head, _, query = rest.partition("?")
    login, at, place = head.rpartition("@")
    names, _, path = place.partition("/")
    url = f"{transport}://{login}{at}host?{query}"
    settings: dict[str, Any] = defaults | parse_url(url)  # type: ignore[no-untyped-call]
    del settings["host"]
    if settings.pop("connection_class", None):
        settings["ssl"] = True
    port = 6379 if is_cluster else 26379
    parsed = [urlsplit(f"//{name}") for name in names.split(",")]
    hosts = [(each.hostname or "localhost", each.port or port) for each in parsed]
    # A cluster has one database; Sentinel is asked for a primary by name.
    if bool(path) is is_cluster or (is_cluster and settings.pop("db", 0)):
        raise ValueError
    if not is_cluster:
        common = ("retry", "socket_", "ssl")
        theirs = {k: v for k, v in settings.items() if k.startswith(common)}
        found: Any = Sentinel(hosts, sentinel_kwargs=theirs, **settings)  # type: ignore[no-untyped-call]
        return found.master_for(path)
    nodes = [ClusterNode(*host) for host in hosts]  # type: ignore[no-untyped-call]
    return _LateClient(lambda: redis.RedisCluster(startup_nodes=nodes, **settings))


def _defaults(transport: str, options: Mapping[str, str]) -> dict[str, Any]:
    # What is sent is sent once: whether a lost command was done, nobody knows. A kept
    # connection is looked at before it is used again.
    defaults: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
    defaults |= {name: v for name, v in DEFAULTS.items() if options.get(name) != ""}
    if transport == "unix":
        del defaults["socket_keepalive"]
    elif "socket_keepalive" in defaults:
        defaults["socket_keepalive_options"] = {
            getattr(socket, name): seconds
            for name, seconds in _KEEPALIVE.items()
            if hasattr(socket, name)
        }
    return defaults


def _check(options: Mapping[str, str], known: list[str]) -> None:
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
