"""What is taken away on one worker is gone with the next request on another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.kit import PASSWORDS, SECRET, password_hash
from tests.harness.servers import serve
from tests.harness.worker import Worker
from tokenauth import User
from tokenauth.stores.sql import SQLSessionStore, SQLUserStore

ROOT = Path(__file__).parents[2]


class Cluster(NamedTuple):
    """Two workers, and the database in which they keep everything."""

    one: Worker
    two: Worker
    database: Path

    @property
    def users(self) -> SQLUserStore:
        return SQLUserStore(f"sqlite:///{self.database}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    database = tmp_path / "tokenauth.db"
    users = SQLUserStore(f"sqlite:///{database}")
    users.create_tables()
    SQLSessionStore(users.database).create_tables()
    users.add(
        User("alice", password_hash("alice"), id="u-alice", scopes=["introspect"])
    )
    env = {
        "FLASK_SECRET_KEY": SECRET,
        "FLASK_TOKENAUTH_SESSION_URL": f"sqlite:///{database}",
        "FLASK_TOKENAUTH_USERS_URL": f"sqlite:///{database}",
    }
    api = "tokenauth.app:create_app()"
    with serve(api, cwd=ROOT, env=env) as one, serve(api, cwd=ROOT, env=env) as two:
        yield Cluster(Worker(one), Worker(two), database)


def test_what_is_taken_away_is_gone_on_the_other_worker(cluster: Cluster) -> None:
    """A personal token by two routes, a scope and a user, one after another."""
    one, two, database = cluster
    body: dict[str, Any] = {"username": "alice", "password": PASSWORDS["alice"]}
    login = one.ask("POST", "/auth/login", **body).json["access_token"]
    made = [
        two.ask("POST", "/auth/tokens", login, name=name, expires_in=None).json
        for name in ("deleted", "revoked", "kept")
    ]
    deleted, revoked, kept = (each["token"] for each in made)
    for token in (login, deleted, revoked, kept):
        assert one.introspect(token, token).json["active"]
        assert two.introspect(token, token).json["active"]
    listed = one.ask("GET", "/auth/tokens", login).json["tokens"]
    assert [each["name"] for each in listed] == ["kept", "revoked", "deleted"]

    path = f"/auth/tokens/{made[0]['id']}"
    assert one.ask("DELETE", path, login).status == 204
    assert two.ask("GET", "/auth/me", deleted).json["code"] == "token_revoked"

    assert two.ask("POST", "/auth/revoke", form={"token": revoked}).status == 200
    assert one.ask("GET", "/auth/me", revoked).json["code"] == "token_revoked"
    assert one.introspect(kept, revoked).json == {"active": False}

    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE tokenauth_users SET scopes = ''")
    for worker in (two, one):
        for token in (login, kept):
            refused = worker.introspect(token, token)
            assert (refused.status, refused.json["code"]) == (403, "insufficient_scope")
            assert worker.ask("GET", "/auth/me", token).json["scope"] == ""

    assert cluster.users.remove("u-alice")
    for worker in (two, one):
        for token in (login, kept):
            assert worker.ask("GET", "/auth/me", token).json["code"] == "token_revoked"
