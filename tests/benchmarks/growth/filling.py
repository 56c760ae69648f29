"""Stores on each engine, and many rows in them in the way that is fast there."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import redis
from sqlalchemy import Insert, insert, select, text

from tests.harness.servers import PostgresServer, RedisServer
from tests.stores.engines import HASH, sessions_at, users_at
from tokenauth import DictUserStore, SessionStore, User, UserStore
from tokenauth.sessions.session import Session
from tokenauth.stores.redis import RedisSessionStore, scripts
from tokenauth.stores.sql import Database, SQLSessionStore, SQLUserStore
from tokenauth.stores.sql import sessions as sql_sessions
from tokenauth.stores.sql.tables import SESSIONS, USERS

_BATCH: Final = 10_000


@contextlib.contextmanager
def engines() -> Iterator[dict[str, Callable[[], SessionStore]]]:
    """Start the servers, and give what makes an empty store on each engine."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer() as postgres,
        RedisServer() as server,
    ):
        number = iter(range(16))
        yield {
            "memory": lambda: sessions_at("memory://"),
            "sqlite": lambda: _hurried(
                sessions_at(f"sqlite:///{folder}/{next(number)}.db")
            ),
            "postgresql": lambda: sessions_at(postgres.new_database()),
            "redis": lambda: sessions_at(f"{server.url[:-1]}{next(number)}"),
        }


@contextlib.contextmanager
def user_engines() -> Iterator[dict[str, Callable[[int], UserStore]]]:
    """Start PostgreSQL, and give what makes a store of so many users on each engine."""
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as postgres:
        yield {
            "dict": lambda size: DictUserStore(
                {user.username: user for user in make_users(size)}
            ),
            "sqlite": lambda size: sql_users(f"sqlite:///{folder}/{size}.db", size),
            "postgresql": lambda size: sql_users(postgres.new_database(), size),
        }


def _hurried(store: SessionStore) -> SessionStore:
    """Make SQLite not wait for its disk; one thread has one connection."""
    assert isinstance(store, SQLSessionStore)
    store.database.rows(text("PRAGMA synchronous = OFF"))
    return store


def make_users(size: int) -> Iterator[User]:
    """Yield so many users; no password is ever looked at, so all have the same."""
    return (User(f"user-{i}", HASH, id=f"u-{i}") for i in range(size))


def sql_users(url: str, size: int) -> SQLUserStore:
    store = users_at(url)
    assert isinstance(store, SQLUserStore)
    rows = [
        {
            "id": user.id,
            "name": user.username,
            "username": user.username,
            "password_hash": user.password_hash,
            "is_active": user.is_active,
            "scopes": "",
        }
        for user in make_users(size)
    ]
    for start in range(0, size, _BATCH):
        _insert(store.database, insert(USERS), rows[start : start + _BATCH])
    return store


def fill(store: SessionStore, sessions: Sequence[Session]) -> None:
    """Keep many sessions."""
    for start in range(0, len(sessions), _BATCH):
        batch = sessions[start : start + _BATCH]
        if isinstance(store, SQLSessionStore):
            _insert(store.database, insert(SESSIONS), [_row(each) for each in batch])
        elif isinstance(store, RedisSessionStore) and is_one_server(store):
            with _pipelined(store):
                for session in batch:
                    store.add(session, limit=100)
        elif isinstance(store, RedisSessionStore):
            for session in batch:
                store.add(session, limit=100)
        else:
            # Those whose time is over would be dropped on the way.
            for session in batch:
                with store._lock:  # type: ignore[attr-defined]
                    _fill_memory(store, session)


def end(store: SessionStore, sessions: Sequence[Session]) -> None:
    """End many sessions, so that each of them is noted as it is elsewhere."""
    if isinstance(store, SQLSessionStore):
        of_users = SESSIONS.c.user_id.like("u-%")  # as a service's are
        numbers = select(SESSIONS.c.number).where(of_users).limit(_BATCH)
        some = sql_sessions._ending(SESSIONS.c.number.in_(numbers))
        while store._end(some):
            pass
        return
    for start in range(0, len(sessions), _BATCH):
        batch = sessions[start : start + _BATCH]
        if isinstance(store, RedisSessionStore):
            for _, of_tag in groupby(sorted(each.id for each in batch), itemgetter(0)):
                store._end(list(of_tag))
        else:
            for session in batch:
                store.end(session.id)


def _fill_memory(store: Any, session: Session) -> None:
    store._sessions[session.id] = session
    store._queue.append(session.id)
    store._ids_of_user.setdefault(session.user_id, {})[session.id] = None


def _row(session: Session) -> dict[str, Any]:
    fields = {name: getattr(session, name) for name in Session.__struct_fields__}
    return fields | {"scopes": " ".join(session.scopes)}


def _insert(
    database: Database, statement: Insert, rows: Sequence[dict[str, Any]]
) -> None:
    with database.transaction() as connection:
        connection.execute(statement, rows)


def is_one_server(store: Any) -> bool:
    """Return whether it can be sent scripts by the hundred: a cluster cannot."""
    return isinstance(store._redis, redis.Redis)


@contextlib.contextmanager
def _pipelined(store: Any) -> Iterator[None]:
    """Make a store keep many sessions to a round trip."""
    client = store._redis
    client.script_load(scripts.ADD)
    store._redis = client.pipeline(transaction=False)
    try:
        yield
        store._redis.execute()
    finally:
        store._redis = client
