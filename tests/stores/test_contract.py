"""The contract, on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.stores.contract import SessionStoreContract, UserStoreContract
from tokenauth import DictUserStore, MemorySessionStore, SessionStore, User, UserStore
from tokenauth.stores.redis import RedisSessionStore
from tokenauth.stores.sql import SQLSessionStore, SQLUserStore

S = TypeVar("S", SQLSessionStore, SQLUserStore)


def with_tables(store: S) -> S:
    store.create_tables()
    return store


class TestMemorySessions(SessionStoreContract):
    @pytest.fixture
    def store(self) -> SessionStore:
        return MemorySessionStore()


class TestSQLiteSessions(SessionStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> SessionStore:
        return with_tables(SQLSessionStore(f"sqlite:///{tmp_path}/t.db"))


class TestPostgreSQLSessions(SessionStoreContract):
    @pytest.fixture
    def store(self, postgres_url: str) -> Iterator[SessionStore]:
        store = with_tables(SQLSessionStore(postgres_url))
        yield store
        store.database._engine.dispose()


class TestRedisSessions(SessionStoreContract):
    @pytest.fixture
    def store(self, redis_url: str) -> SessionStore:
        return RedisSessionStore(redis_url)


class TestDictUsers(UserStoreContract):
    @pytest.fixture
    def alice(self) -> User:
        return User("Alice", None, id="u-alice", scopes=["read", "write"])

    @pytest.fixture
    def users(self, alice: User) -> UserStore:
        store = DictUserStore({"Alice": alice})
        alice.password_hash = "old"
        return store


class _SQLUsers(UserStoreContract):
    @pytest.fixture
    def alice(self, users: SQLUserStore) -> User:
        alice = User("Alice", "old", id="u-alice", scopes=["read", "write"])
        assert users.add(alice)
        return alice


class TestSQLiteUsers(_SQLUsers):
    @pytest.fixture
    def users(self, tmp_path: Path) -> UserStore:
        return with_tables(SQLUserStore(f"sqlite:///{tmp_path}/t.db"))


class TestPostgreSQLUsers(_SQLUsers):
    @pytest.fixture
    def users(self, postgres_url: str) -> Iterator[UserStore]:
        store = with_tables(SQLUserStore(postgres_url))
        yield store
        store.database._engine.dispose()
