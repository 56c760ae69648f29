"""One service, several workers: each opens the stores anew, and all share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.stores.engines import SEVERAL, SHARED, url_of
from tokenauth import DictUserStore, MemorySessionStore, User
from tokenauth.stores import open_sessions, open_users
from tokenauth.stores.provision import Stores
from tokenauth.stores.sql import SQLUserStore

MEMORY_FIRST = (
    "memory",
    *(pytest.param(engine, marks=pytest.mark.full) for engine in SHARED),
)
"""For tests to which one engine is as good as another."""


@dataclass(frozen=True)
class Place:
    """Where a service keeps its users and its sessions."""

    users_url: str
    sessions_url: str

    def open(self) -> Stores:
        """Return the stores, as a worker opens them when it starts."""
        users = open_users(self.users_url)
        return Stores(users, open_sessions(self.sessions_url, beside=users))


class Service:
    """Some workers that share users and sessions, and an operator's own handles."""

    def __init__(self, open_stores: Callable[[], Stores]) -> None:
        self.open = open_stores
        self.stores = open_stores()
        self.users = cast(SQLUserStore, self.stores.users)
        for store in self.stores.with_tables:
            store.create_tables()


class Accounts(DictUserStore):
    """Users of one process, managed like those of a database."""

    def add(self, user: User) -> bool:
        users = cast(dict[str, User], self._users)
        users[user.username] = user
        return True

    def set_active(self, user_id: str, *, active: bool) -> bool:
        user = self.get(user_id)
        assert user is not None
        user.is_active = active
        return True


def place_on(engine: str, request: pytest.FixtureRequest) -> Place:
    """Return a place on an engine that holds nothing yet.

    Redis keeps sessions only: its users are in a SQLite file.
    """
    folder: Path = request.getfixturevalue("tmp_path")
    file = f"sqlite:///{folder}/{engine}.sqlite3"
    if engine == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return Place(url, url)
    if engine in ("redis", *SEVERAL):
        return Place(file, url_of(engine, request))
    return Place(file, file)


def memory_service() -> Service:
    stores = Stores(Accounts({}), MemorySessionStore())
    return Service(lambda: stores)


@pytest.fixture(params=["memory", *SHARED])
def service(request: pytest.FixtureRequest) -> Service:
    """A service on each engine."""
    if request.param == "memory":
        return memory_service()
    return Service(place_on(request.param, request).open)
