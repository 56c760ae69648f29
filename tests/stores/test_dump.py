"""Promise 6: a copy of a store logs nobody in, whatever part of it is presented."""

from __future__ import annotations

import contextlib
import pickle
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from flask import Flask

from tests.harness.kit import PASSWORDS, SECRET, bearer, log_in, make_app, make_users
from tests.harness.servers import RedisServer
from tests.stores.engines import sessions_at, url_of, users_at
from tokenauth import MemorySessionStore, TokenAuth, User, UserStore

GENEROUS = {"TOKENAUTH_LOGIN_LIMITS": "1000000 per minute"}
TRIED = 40  # of a dump's texts, unless all are asked for
PRINTABLE = re.compile(rb"[!-~]{4,}")


def sqlite_dump(path: Path) -> bytes:
    """Return the statements that would make the database anew, and its files."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        statements = "\n".join(connection.iterdump()).encode()
    files = sorted(path.parent.glob(f"{path.name}*"))
    return b"\n".join([statements, *(file.read_bytes() for file in files)])


def postgresql_dump(url: str) -> bytes:
    """Return all rows as `pg_dump` would copy them."""
    copied = b""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        for table in ("tokenauth_users", "tokenauth_sessions"):
            with connection.cursor().copy(f"COPY {table} TO STDOUT") as rows:
                copied += b"".join(bytes(row) for row in rows)
    return copied


def redis_dump(server: RedisServer) -> bytes:
    """Return the file that Redis saves, with its texts as they are."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("rdbcompression", "no")
        client.save()
    return (server.folder / "dump.rdb").read_bytes()


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
def kept(request: pytest.FixtureRequest) -> Iterator[tuple[Flask, Any]]:
    """An application on each engine, and what takes a copy of that engine."""
    engine: str = request.param
    users: UserStore = make_users(alice=["read"])
    if engine == "memory":
        memory = MemorySessionStore()
        app = make_app(users=users, sessions=memory, config=GENEROUS)
        yield app, lambda: pickle.dumps((memory._sessions, memory._ids_of_user))
        return
    url = url_of(engine, request)
    if engine != "redis":
        users = users_at(url, *map(as_kept, PASSWORDS))
    app = make_app(users=users, sessions=sessions_at(url), config=GENEROUS)
    if engine == "redis":
        server = request.getfixturevalue("redis_server")
        yield app, lambda: redis_dump(server)
    elif engine == "sqlite":
        yield app, lambda: sqlite_dump(Path(url.removeprefix("sqlite:///")))
    else:
        yield app, lambda: postgresql_dump(url)


def as_kept(name: str) -> User:
    user = make_users(alice=["read"]).find(name)
    assert user is not None
    return user


def test_nothing_at_rest_logs_anybody_in(
    kept: tuple[Flask, Any], is_full: bool
) -> None:
    """Each text of a dump, tried as an access token, a refresh token, a password."""
    app, dump = kept
    client = app.test_client()
    tokens = log_in(client, label="phone")
    header = bearer(tokens["access_token"])
    personal = client.post("/auth/tokens", headers=header, json={"name": "ci"})
    assert personal.status_code == 201, personal.text
    with app.app_context():
        user = app.extensions["tokenauth"].stores.users.find("alice")
        once = TokenAuth().issue_once("reset", user, 600)
    copied = dump()
    secrets = [tokens["access_token"], tokens["refresh_token"]]
    secrets += [personal.get_json()["token"], once, SECRET, *PASSWORDS.values()]
    session_id = client.get("/auth/me", headers=header).get_json()["session"]["id"]
    assert session_id.encode() in copied, "the dump holds what it shall be searched for"
    for secret in secrets:
        assert secret.encode() not in copied
        assert secret.rpartition(".")[2].encode() not in copied
    texts = {text.decode() for text in PRINTABLE.findall(copied)}
    texts |= {part for text in texts for part in re.split(r"[^\w$.=+/-]+", text)}
    tried = sorted(texts, key=len)[0 if is_full else -TRIED :]
    for text in [*tried, session_id]:
        try_as_anything(app, text)


def try_as_anything(app: Flask, text: str) -> None:
    client = app.test_client()
    answer = client.get("/protected", headers=bearer(text))
    assert answer.status_code in {400, 401}
    answer = client.post("/auth/refresh", json={"refresh_token": text})
    assert answer.status_code in {400, 422}, answer.text
    answer = client.post("/auth/login", json={"username": "alice", "password": text})
    assert answer.status_code in {400, 401}, answer.text
