"""The stores' promises kept on real engines; an engine is imported when it is used."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..errors import ConfigurationError
from ..sessions import SessionStore
from ..users import UserStore
from .memory import MemorySessionStore

_SQL = ("sqlite", "postgresql", "postgres")
_REDIS = ("redis", "rediss", "unix")
_DATABASES = "'sqlite:///file' or 'postgresql+psycopg://user:password@host/name'"


@runtime_checkable
class TableStore(Protocol):
    """A store whose tables are created before its first use."""

    def create_tables(self) -> None:
        """Create the tables that are missing.

        Raises:
            ConfigurationError: they cannot be created, or are of another version.
            StoreUnavailableError: the database cannot be reached, or refused.
        """

    def check_tables(self) -> None:
        """Return if the tables are as this release knows them.

        Raises:
            ConfigurationError: they are missing, or of another version.
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


def open_users(url: str) -> UserStore:
    """Return the user store that a URL names.

    Args:
        url: `sqlite:///...` or `postgresql+psycopg://...`.

    Raises:
        ConfigurationError: no store is known by this URL, or its driver is missing.
    """
    if _engine_of(url) in _SQL:
        return _open_sql_users(url)
    raise ConfigurationError(
        f"TOKENAUTH_USERS_URL names no known store of users: use {_DATABASES}."
    )


def open_sessions(url: str, *, beside: UserStore | None = None) -> SessionStore:
    """Return the session store that a URL names.

    Args:
        url: `memory://`, `sqlite:///...`, `postgresql+psycopg://...` or `redis://...`.
        beside: The users; where they are in the same database, its connections are
            shared.

    Raises:
        ConfigurationError: no store is known by this URL, or its driver is missing.
    """
    engine = _engine_of(url)
    if engine == "memory":
        return MemorySessionStore()
    if engine in _SQL:
        return _open_sql_sessions(url, beside)
    if engine in _REDIS:
        return _open_redis_sessions(url)
    raise ConfigurationError(
        "TOKENAUTH_SESSION_URL names no known store of sessions: use 'memory://', "
        f"'redis://:password@host/0', {_DATABASES}."
    )


def _engine_of(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


def _open_sql_users(url: str) -> UserStore:
    try:
        from .sql import SQLUserStore
    except ImportError:
        raise _missing_sql(url) from None
    return SQLUserStore(url)


def _open_sql_sessions(url: str, beside: UserStore | None) -> SessionStore:
    try:
        from .sql import SQLSessionStore, SQLUserStore
    except ImportError:
        raise _missing_sql(url) from None
    if isinstance(beside, SQLUserStore) and beside.database.url == url:
        return SQLSessionStore(beside.database)
    return SQLSessionStore(url)


def _open_redis_sessions(url: str) -> SessionStore:
    try:
        from .redis import RedisSessionStore
    except ImportError:
        raise _missing("Redis", "redis") from None
    return RedisSessionStore(url)


def _missing_sql(url: str) -> ConfigurationError:
    if _engine_of(url) == "sqlite":
        return _missing("SQLite", "sql")
    return _missing("PostgreSQL", "postgres")


def _missing(engine: str, extra: str) -> ConfigurationError:
    return ConfigurationError(
        f"{engine} needs its driver: pip install 'flask-login-tokenauth[{extra}]'."
    )
