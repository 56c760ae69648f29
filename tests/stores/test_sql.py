"""What is particular to SQL: tables, versions, drivers, servers that come and go."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from tests.kit import PASSWORDS, SECRET, assert_problem, bearer, log_in, make_app
from tests.servers import PostgresServer
from tests.stores.contract import BEGUN, make_session
from tokenauth import StoreUnavailableError, User, hash_password
from tokenauth.errors import ConfigurationError, InvalidRequestError
from tokenauth.stores import open_sessions, open_users
from tokenauth.stores.sql import Database, SQLSessionStore, SQLUserStore


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "t.sqlite3"


@pytest.fixture
def database(file: Path) -> Database:
    return Database(f"sqlite:///{file}")


def test_tables_are_created_only_where_that_is_asked_for(database: Database) -> None:
    """A mistyped URL does not become a new, empty database of users."""
    for store in (SQLUserStore(database), SQLSessionStore(database)):
        with pytest.raises(ConfigurationError, match="init-db"):
            store.check_tables()
        store.create_tables()
        store.create_tables()  # a second time changes nothing
        store.check_tables()


def test_tables_of_another_version_are_refused(database: Database, file: Path) -> None:
    """By a release that does not know them."""
    users = SQLUserStore(database)
    users.create_tables()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE tokenauth_versions SET version = 7")
    connection.close()
    with pytest.raises(ConfigurationError, match="version 7"):
        users.check_tables()


def test_a_database_file_is_the_owner_s_alone(database: Database, file: Path) -> None:
    """It holds password hashes."""
    SQLUserStore(database).create_tables()
    assert file.stat().st_mode & 0o077 == 0


def test_a_file_that_cannot_be_created_is_said(tmp_path: Path) -> None:
    """With what the operator can do."""
    users = SQLUserStore(f"sqlite:///{tmp_path}/nowhere/t.sqlite3")
    with pytest.raises(ConfigurationError, match="folder must exist"):
        users.create_tables()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql+psycopg://u:hunter2@host:port/x",
        "postgresql+asyncpg://u:hunter2@host/x",
        "mysql://u:hunter2@host/x",
        "hunter2",
    ],
)
def test_a_url_of_no_store_is_refused_and_not_quoted(url: str) -> None:
    """It may hold a password."""
    for open_store in (open_users, open_sessions):
        with pytest.raises(ConfigurationError) as caught:
            open_store(url)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "url"),
    [("sqlalchemy", "sqlite:///x"), ("psycopg", "postgresql+psycopg://h/x")],
)
def test_a_missing_driver_is_named(
    missing: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "sqlalchemy":
        for name in [name for name in sys.modules if ".stores.sql" in name]:
            monkeypatch.delitem(sys.modules, name)
    for open_store in (open_users, open_sessions):
        with pytest.raises(ConfigurationError, match=r"pip install 'flask-login-token"):
            open_store(url)


def test_rows_whose_time_is_over_go_in_steps(database: Database) -> None:
    """With each new session two, or so many as are asked for; never one that stands."""
    store = SQLSessionStore(database)
    store.create_tables()
    for i in range(6):
        store.add(make_session(user_id=f"u-{i}"), limit=9)
    later = make_session(user_id="u-later", begun=BEGUN + 5000)
    store.add(later, limit=9)
    assert store.purge(now=BEGUN + 5000, limit=3) == 3
    assert store.purge(now=BEGUN + 5000, limit=3) == 1
    assert store.purge(now=BEGUN + 5000, limit=3) == 0
    assert store.get(later.id) == later


def test_users_are_managed(database: Database) -> None:
    """Added, listed, closed, opened, removed."""
    users = SQLUserStore(database)
    users.create_tables()
    alice = User("Alice", "hash", id="u-1", scopes=["b", "a"])
    assert users.add(alice)
    assert not users.add(User("ALICE", "hash", id="u-2"))
    assert not users.add(User("Bob", "hash", id="u-1"))
    with pytest.raises(InvalidRequestError):
        users.add(User("a\x00b", "hash"))
    assert [user.username for user in users.all()] == ["Alice"]
    assert users.set_active("u-1", active=False)
    found = users.get("u-1")
    assert found is not None
    assert not found.is_active
    assert users.set_active("u-1", active=True)
    assert users.remove("u-1")
    assert not users.remove("u-1")
    assert not users.set_active("u-1", active=True)
    for odd in ("\x00", "\ud800"):
        assert users.get(odd) is None
        assert not users.remove(odd)


def test_many_users_are_listed_in_pages(database: Database) -> None:
    """Each once, in order."""
    users = SQLUserStore(database)
    users.create_tables()
    for i in range(501):
        users.add(User(f"user-{i:04}", "hash"))
    names = [user.username for user in users.all()]
    assert names == sorted(names)
    assert len(names) == 501


def test_a_connection_that_went_stale_is_replaced() -> None:
    """A database server was restarted between two requests: nobody notices."""
    with PostgresServer(durable=True) as server:
        store = SQLSessionStore(server.new_database())
        store.create_tables()
        kept = make_session()
        store.add(kept, limit=9)
        server.kill9()
        with pytest.raises(StoreUnavailableError) as caught:
            store.get(kept.id)
        assert kept.id not in str(caught.value)
        server.restart()
        assert store.get(kept.id) == kept
        store.database._engine.dispose()


def test_nothing_at_rest_logs_anybody_in(database: Database, file: Path) -> None:
    """Each string of a dump, tried as either token."""
    users, sessions = SQLUserStore(database), SQLSessionStore(database)
    users.create_tables()
    sessions.create_tables()
    users.add(User("alice", hash_password(PASSWORDS["alice"])))
    client = make_app(users=users, sessions=sessions).test_client()
    tokens = log_in(client, label="phone")
    connection = sqlite3.connect(file)
    dump = "\n".join(connection.iterdump())
    connection.close()
    for secret in (tokens["access_token"], tokens["refresh_token"], SECRET):
        assert secret not in dump
    for part in {part for part in dump.replace("'", " ").split() if part.isascii()}:
        answer = client.get("/protected", headers=bearer(part))
        assert answer.status_code in {400, 401}
        answer = client.post("/auth/refresh", json={"refresh_token": part})
        assert_problem(answer, 400, "invalid_grant")
