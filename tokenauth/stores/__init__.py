"""Stores on real engines; the driver of an engine is imported when it is used."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from ..accounts.users import UserStore
from ..errors import ConfigurationError
from ..sessions.store import SessionStore
from .memory import MemorySessionStore

# By the beginning of a URL: the engine, and the extra that has its driver.
_SQL = {
    "sqlite": ("SQLite", "sql"),
    "postgresql": ("PostgreSQL", "postgres"),
    "postgres": ("PostgreSQL", "postgres"),
}
_REDIS = ("redis", "rediss", "unix")
_DATABASES = "'sqlite:///file' or 'postgresql+psycopg://user:password@host/name'"


@runtime_checkable
class TableStore(Protocol):
    """A store whose tables are created before its first use."""

    def create_tables(self) -> None:
        """Create the tables that are missing.

        Raises:
            ConfigurationError: they cannot be created, or are of another release.
            StoreUnavailableError: the database cannot be reached, or refused.
        """

    def check_tables(self) -> None:
        """Check that the tables are those of this release.

        Raises:
            ConfigurationError: they are missing, or of another release.
            StoreUnavailableError: the database cannot be reached.
        """


@runtime_checkable
class ClockedStore(Protocol):
    """A store that may be on a server with a clock of its own."""

    def read_clock(self) -> float | None:
        """Return the server's time in seconds since the epoch, None without a server.

        Raises:
            StoreUnavailableError: the server cannot be reached.
        """
        ...


@runtime_checkable
class BulkStore(Protocol):
    """A store of sessions that can end those of all users."""

    def end_everyone(self) -> int:
        """End every session and token of every user; return how many.

        Raises:
            StoreUnavailableError: the store cannot answer; some may have ended.
        """
        ...


@runtime_checkable
class InfoStore(Protocol):
    """A store on a Redis server, which may drop or lose what it was given."""

    def read_info(self) -> dict[str, object]:
        """Return what the server says of itself (`INFO`), empty if it may not say.

        Raises:
            StoreUnavailableError: the server cannot be reached.
        """
        ...


def open_users(url: str, setting: str = "TOKENAUTH_USERS_URL") -> UserStore:
    """Return the user store that a URL names.

    Args:
        url: `sqlite:///...` or `postgresql+psycopg://...`.
        setting: What the URL was given as, for messages.

    Raises:
        ConfigurationError: no store is known by this URL, it cannot work, or its driver
            is missing.
    """
    if (scheme := _scheme_of(url)) in _SQL:
        with _explained(setting, *_SQL[scheme]):
            from .sql import SQLUserStore

            return SQLUserStore(url)
    raise ConfigurationError(
        f"{setting} names no known store of users: use {_DATABASES}."
    )


def open_sessions(
    url: str,
    setting: str = "TOKENAUTH_SESSION_URL",
    *,
    beside: UserStore | None = None,
) -> SessionStore:
    """Return the session store that a URL names.

    Args:
        url: `memory://`, `sqlite:///...`, `postgresql+psycopg://...`, `redis://...`,
            `rediss://...`, `unix://...`, `redis+cluster://...` or
            `redis+sentinel://...`.
        setting: What the URL was given as, for messages.
        beside: The users; where they are in the same database, its connections are
            shared.

    Raises:
        ConfigurationError: no store is known by this URL, it cannot work, or its driver
            is missing.
    """
    scheme = _scheme_of(url)
    if scheme == "memory":
        return MemorySessionStore()
    if scheme in _SQL:
        with _explained(setting, *_SQL[scheme]):
            from .sql import SQLSessionStore, SQLUserStore

            if isinstance(beside, SQLUserStore) and beside.database.url == url:
                return SQLSessionStore(beside.database)
            return SQLSessionStore(url)
    if scheme in _REDIS:
        with _explained(setting, "Redis", "redis"):
            from .redis import RedisSessionStore

            return RedisSessionStore(url)
    raise ConfigurationError(
        f"{setting} names no known store of sessions: use 'memory://', "
        f"'redis://:password@host/0', {_DATABASES}."
    )


def open_redis(url: str, setting: str = "TOKENAUTH_LIMITS_URL") -> Any:
    """Return a client of the Redis that a URL names; None for `memory://`.

    Args:
        url: Where attempts are counted.
        setting: What the URL was given as, for messages.

    Raises:
        ConfigurationError: the URL is of no Redis or cannot work, or the driver is
            missing.
    """
    scheme = _scheme_of(url)
    if scheme == "memory":
        return None
    if scheme not in _REDIS:
        raise ConfigurationError(
            f"{setting} must be 'memory://', or the URL of a Redis in which attempts "
            "are counted, as in 'redis://:password@host/0'."
        )
    with _explained(setting, "Redis", "redis"):
        from .redis import open_client

        return open_client(url)


def _scheme_of(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


@contextmanager
def _explained(setting: str, engine: str, extra: str) -> Generator[None]:
    """Name the setting of what is refused, and what installs a missing driver."""
    try:
        yield
    except ImportError:
        raise ConfigurationError(
            f"{engine} needs its driver: pip install 'flask-login-tokenauth[{extra}]'."
        ) from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{setting}: {error}") from None
