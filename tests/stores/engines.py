"""The engines that users and sessions can be kept on, each ready for one test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness.servers import PostgresServer
from tokenauth import DictUserStore, MemorySessionStore, SessionStore, User, UserStore
from tokenauth.sessions.session import Session, new_session_id
from tokenauth.stores import TableStore, open_sessions, open_users
from tokenauth.stores.sql import Database, SQLSessionStore, SQLUserStore, metadata

SHARED = ("sqlite", "postgresql", "redis")
SEVERAL = ("cluster", "sentinel")  # Redis servers that work together
NOW = 1_790_000_000.25


def url_of(engine: str, request: pytest.FixtureRequest) -> str:
    """Return the URL of an engine that holds nothing yet."""
    if engine == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return f"sqlite:///{folder}/tokenauth.sqlite3"
    name = "postgres" if engine == "postgresql" else engine
    url: str = request.getfixturevalue(f"{name}_url")
    return url


def sessions_at(url: str) -> SessionStore:
    """Return the store of a URL, with its tables."""
    store = open_sessions(url)
    if isinstance(store, TableStore):
        store.create_tables()
    return store


def users_at(url: str, *users: User) -> SQLUserStore:
    """Return the user store of a URL, with its tables and these users."""
    store = open_users(url)
    assert isinstance(store, SQLUserStore)
    assert isinstance(store, TableStore)
    store.create_tables()
    for user in users:
        assert store.add(user)
    return store


@pytest.fixture(scope="session")
def postgres_tables(postgres_server: PostgresServer) -> Database:
    """One with our tables, which take a tenth of a second to create."""
    database = Database(postgres_server.new_database())
    for store in (SQLUserStore(database), SQLSessionStore(database)):
        store.create_tables()
    return database


def emptied(request: pytest.FixtureRequest) -> Database:
    """Return the database of this worker with empty tables."""
    database: Database = request.getfixturevalue("postgres_tables")
    names = ", ".join(metadata.tables)
    with database.transaction() as connection:
        connection.exec_driver_sql(f"TRUNCATE {names}")
    return database


def sessions_on(engine: str, request: pytest.FixtureRequest) -> SessionStore:
    """Return an empty store of sessions."""
    if engine == "memory":
        return MemorySessionStore()
    if engine == "postgresql":
        return SQLSessionStore(emptied(request))
    return sessions_at(url_of(engine, request))


def users_on(engine: str, request: pytest.FixtureRequest) -> SQLUserStore:
    """Return a store with the users of `make_kept_users`."""
    if engine == "sqlite":
        return users_at(url_of(engine, request), *make_kept_users())
    store = SQLUserStore(emptied(request))
    assert all(map(store.add, make_kept_users()))
    return store


@pytest.fixture(params=["memory", *SHARED, *SEVERAL])
def sessions(request: pytest.FixtureRequest) -> SessionStore:
    """An empty store of sessions, on each engine."""
    return sessions_on(request.param, request)


@pytest.fixture(params=["dict", "sqlite", "postgresql"])
def users(request: pytest.FixtureRequest) -> UserStore:
    """A store with the users of `make_kept_users`, on each engine."""
    if request.param == "dict":
        return DictUserStore({user.username: user for user in make_kept_users()})
    return users_on(request.param, request)


@pytest.fixture(params=["sqlite", "postgresql"])
def managed(request: pytest.FixtureRequest) -> SQLUserStore:
    """The same, where the store can be changed from here."""
    return users_on(request.param, request)


def make_kept_users() -> list[User]:
    """Return an active user, a disabled one, and one without a password."""
    return [
        User("Ålice", HASH, id="u-1", scopes=["read", "write"]),
        User("bob", HASH, id="u-2", is_active=False),
        User("carol", None, id="u-3"),
    ]


HASH = "scrypt:32768:8:1$salt$" + "0" * 128


def make_session(
    user_id: str = "u-1", *, at: float = NOW, idle: float = 700, **fields: Any
) -> Session:
    """Return a new session that begins at a time and ends `idle` seconds later."""
    times = {"created_at": at, "authenticated_at": at, "refreshed_at": at}
    ends = {"idle_expires_at": at + idle, "expires_at": at + 3000}
    return Session(
        id=new_session_id(user_id), user_id=user_id, **{**times, **ends, **fields}
    )
