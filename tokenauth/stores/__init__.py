"""Stores on real engines; the driver of an engine is imported when it is used."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from ..accounts.users import UserStore
from ..errors import ConfigurationError
from ..sessions.store import SessionStore
from .memory import MemorySessionStore

# By the beginning of a URL: what is installed for it ("[sql]").
_EXTRAS = {
    "memory": "memory",
    "sqlite": "sql",
    "postgresql": "postgres",
    "postgres": "postgres",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
}
_SQL = ("sql", "postgres")
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


def open_users(url: str) -> UserStore:
    """Return the user store that a URL names.

    Args:
        url: `sqlite:///...` or `postgresql+psycopg://...`.

    Raises:
        ConfigurationError: no store is known by this URL, it cannot work, or its driver
            is missing.
    """
    with _explained("TOKENAUTH_USERS_URL", url) as extra:
        if extra in _SQL:
            from .sql import SQLUserStore

            return SQLUserStore(url)
        raise ConfigurationError(f"no store of users is known by it: use {_DATABASES}.")


def open_sessions(url: str, *, beside: UserStore | None = None) -> SessionStore:
    """Return the session store that a URL names.

    Args:
        url: `memory://`, `sqlite:///...`, `postgresql+psycopg://...`, `redis://...`,
            `rediss://...`, `unix://...`, `redis+cluster://...` or
            `redis+sentinel://...`.
        beside: The users; where they are in the same database, its connections are
            shared.

    Raises:
        ConfigurationError: no store is known by this URL, it cannot work, or its driver
            is missing.
    """
    with _explained("TOKENAUTH_SESSION_URL", url) as extra:
        if extra == "memory":
            return MemorySessionStore()
        if extra in _SQL:
            from .sql import SQLSessionStore, SQLUserStore

            if isinstance(beside, SQLUserStore) and beside.database.url == url:
                return SQLSessionStore(beside.database)
            return SQLSessionStore(url)
        if extra == "redis":
            from .redis import RedisSessionStore

            return RedisSessionStore(url)
        raise ConfigurationError(
            "no store of sessions is known by it: use 'memory://', "
            f"'redis://:password@host/0', {_DATABASES}."
        )


def open_redis(url: str) -> Any:
    """Return a client of the Redis that a URL names; None for `memory://`.

    Args:
        url: Where attempts are counted.

    Raises:
        ConfigurationError: the URL is of no Redis or cannot work, or the driver is
            missing.
    """
    with _explained("TOKENAUTH_LIMITS_URL", url) as extra:
        if extra == "memory":
            return None
        if extra == "redis":
            from .redis import open_client

            return open_client(url)
        raise ConfigurationError(
            "attempts are counted in 'memory://' or in a Redis: use its URL, as in "
            "'redis://:password@host/0'."
        )


@contextmanager
def _explained(setting: str, url: str) -> Generator[str | None]:
    """Lend the extra of a URL; name the setting of what is refused, or missing."""
    extra = _EXTRAS.get(url.partition(":")[0].partition("+")[0])
    try:
        yield extra
    except ImportError:
        raise ConfigurationError(
            f"{setting}: its driver is not installed: "
            f"pip install 'flask-login-tokenauth[{extra}]'."
        ) from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{setting}: {error}") from None
