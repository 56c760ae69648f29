"""What is particular to SQL: tables, versions, drivers, servers that come and go."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from tests.harness.kit import (
    PASSWORDS,
    SECRET,
    assert_problem,
    bearer,
    log_in,
    make_app,
)
from tests.harness.servers import PostgresServer
from tests.stores.engines import make_session, sessions_at
from tokenauth import SessionStore, StoreUnavailableError
from tokenauth.errors import ConfigurationError
from tokenauth.stores import open_sessions, open_users
from tokenauth.stores.sql import Database, SQLSessionStore, SQLUserStore

ABSENT = "postgresql+psycopg://u:hunter2@127.0.0.1:1/x"
UNAVAILABLE = "store_unavailable"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "t.sqlite3"


@pytest.fixture
def database(file: Path) -> Database:
    return Database(f"sqlite:///{file}")


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that may be stopped, killed, and brought up again."""
    with PostgresServer(durable=True) as server:
        yield server


def kept_at(url: str | Database) -> tuple[SQLSessionStore, str]:
    """Return the store of a database, and the id of the one session in it."""
    store = SQLSessionStore(url)
    store.create_tables()
    session = make_session()
    store.add(session, limit=9)
    return store, session.id


def value_of(database: Database, query: str) -> object:
    return database.rows(text(query))[0][0]


# -- tables ----------------------------------------------------------------------------


def test_tables_are_created_only_where_that_is_asked_for(
    database: Database, file: Path
) -> None:
    """A mistyped URL does not become a new, empty database of users."""
    for store in (SQLUserStore(database), SQLSessionStore(database)):
        with pytest.raises(ConfigurationError, match="flask tokenauth init-db"):
            store.check_tables()
    assert not file.exists()
    sqlite3.connect(file).close()  # of another program, without a table of ours
    for store in (SQLUserStore(database), SQLSessionStore(database)):
        with pytest.raises(ConfigurationError, match="flask tokenauth init-db"):
            store.check_tables()
        store.create_tables()
        store.create_tables()  # a second time changes nothing
        store.check_tables()


def test_tables_of_another_release_are_refused(database: Database, file: Path) -> None:
    """By what they lack, also when this release is asked to create them."""
    users = SQLUserStore(database)
    users.create_tables()
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("ALTER TABLE tokenauth_users DROP COLUMN scopes")
        connection.execute("ALTER TABLE tokenauth_users DROP COLUMN is_active")
    for step in (users.check_tables, users.create_tables):
        with pytest.raises(ConfigurationError, match="without 'is_active', 'scopes'"):
            step()


def test_columns_of_the_application_s_own_are_left_alone(database: Database) -> None:
    users = SQLUserStore(database)
    users.create_tables()
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE tokenauth_users ADD COLUMN own TEXT")
    users.check_tables()


def test_a_file_of_another_kind_is_a_failure_of_the_store(file: Path) -> None:
    """Not one that another setting would cure."""
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnavailableError) as caught:
        SQLUserStore(f"sqlite:///{file}").check_tables()
    assert caught.value.reason == "corrupt"


def test_an_encoding_without_all_letters_is_refused(
    postgres_server: PostgresServer,
) -> None:
    """A login with a letter that it lacks would be an error of the store."""
    made = "CREATE DATABASE {} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    postgres_server._execute(made, "latin1")
    users = SQLUserStore(postgres_server.url.removesuffix("postgres") + "latin1")
    for step in (users.create_tables, users.check_tables):
        with pytest.raises(ConfigurationError, match="UTF8"):
            step()
    users.database._engine.dispose()
    postgres_server.drop_database(users.database.url)


def test_transactions_that_nobody_commits_cannot_be_asked_for(file: Path) -> None:
    with pytest.raises(TypeError, match="isolation_level"):
        Database(f"sqlite:///{file}", isolation_level="SERIALIZABLE")


def test_the_file_without_tables_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is that of another file in another folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        SQLUserStore("sqlite:///users.sqlite3").check_tables()
    assert f"The SQLite file '{tmp_path}/users.sqlite3' cannot" in str(caught.value)


def test_a_database_file_is_the_owner_s_alone(database: Database, file: Path) -> None:
    """It holds password hashes, and so do the files beside it."""
    kept_at(database)
    modes = [each.stat().st_mode & 0o777 for each in file.parent.glob("t.sqlite3*")]
    assert len(modes) == 3
    assert set(modes) == {0o600}


def test_a_file_that_cannot_be_created_is_said(tmp_path: Path) -> None:
    """With what the operator can do."""
    users = SQLUserStore(f"sqlite:///{tmp_path}/nowhere/t.sqlite3")
    with pytest.raises(ConfigurationError, match="folder must exist"):
        users.create_tables()


@pytest.mark.parametrize("name", ["folder", "x" * 999])
def test_a_file_that_cannot_be_used_is_said(name: str, tmp_path: Path) -> None:
    """As one of another account, which root may use: `init-db` was run by root."""
    (tmp_path / "folder").mkdir()
    users = SQLUserStore(f"sqlite:///{tmp_path}/{name}")
    with pytest.raises(ConfigurationError, match="must be allowed to write"):
        users.check_tables()


def test_many_processes_may_start_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each creates the tables of the stand-alone API, and one of them does it."""
    monkeypatch.chdir(tmp_path)
    start = f"import tokenauth; tokenauth.create_app({{'SECRET_KEY': {SECRET!r}}})"
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        pool.map(exec, [start] * 8, chunksize=1)  # a function would import this module
        pool.close()  # else they are killed while they note what was covered
        pool.join()


# -- URLs and drivers ------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://hunter2/file",
        "postgresql+psycopg://u:hunter2@host:port/x",
        "postgresql+psycopg:///x?port=hunter2",
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


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_driver_need_not_be_named(scheme: str) -> None:
    """And nothing that is printed shows the password."""
    store = SQLUserStore(ABSENT.replace("postgresql+psycopg", scheme))
    assert store.database._engine.dialect.driver == "psycopg"
    assert "hunter2" not in f"{store!r} {store.database!r} {store.__dict__!r}"


@pytest.mark.parametrize(
    ("missing", "url", "extra"),
    [
        ("sqlalchemy", "sqlite:///x", "sql"),
        ("sqlalchemy", "postgresql+psycopg://h/x", "postgres"),
        ("psycopg", "postgresql+psycopg://h/x", "postgres"),
    ],
)
def test_a_missing_driver_is_named(
    missing: str, url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "sqlalchemy":
        for name in [name for name in sys.modules if ".stores.sql" in name]:
            monkeypatch.delitem(sys.modules, name)
    for open_store in (open_users, open_sessions):
        with pytest.raises(ConfigurationError, match=rf"tokenauth\[{extra}\]'\."):
            open_store(url)


def test_an_old_sqlite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than failing at the first refresh."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ConfigurationError, match=r"3\.35"):
        Database("sqlite:///x")


def test_stores_of_one_url_share_its_connections(file: Path) -> None:
    """And stores of different ones do not."""
    users = open_users(f"sqlite:///{file}")
    assert isinstance(users, SQLUserStore)
    for url, is_shared in ((f"sqlite:///{file}", True), ("sqlite:///other", False)):
        sessions = open_sessions(url, beside=users)
        assert isinstance(sessions, SQLSessionStore)
        assert (sessions.database is users.database) is is_shared
    assert isinstance(open_sessions(f"sqlite:///{file}"), SQLSessionStore)


# -- settings --------------------------------------------------------------------------


def test_a_sqlite_commit_outlives_a_power_cut(database: Database) -> None:
    """And readers do not wait for the writer."""
    kept_at(database)
    assert value_of(database, "PRAGMA journal_mode") == "wal"
    assert value_of(database, "PRAGMA synchronous") == 2
    assert value_of(database, "PRAGMA busy_timeout") == 5000


def test_postgresql_is_not_waited_for_without_end(postgres_url: str) -> None:
    """By default; what the URL says goes over it."""
    expected = {
        "statement_timeout": "5s",
        "idle_in_transaction_session_timeout": "5s",
        "application_name": "tokenauth",
    }
    database = Database(postgres_url)
    assert {name: value_of(database, f"SHOW {name}") for name in expected} == expected
    own = Database(f"{postgres_url}?options=-c%20statement_timeout%3D7s")
    assert value_of(own, "SHOW statement_timeout") == "7s"
    assert value_of(own, "SHOW application_name") == "tokenauth"


def test_a_keyed_read_is_one_round_trip(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Nothing begins, ends, pings or resets around it."""
    store, session_id = kept_at(f"{postgres_url}?options=-c%20log_statement%3Dall")
    before = len(postgres_server.log)
    for _ in range(3):
        assert store.get(session_id)
    assert count_statements(postgres_server, before) == 3
    assert store.rotate(session_id, 0, now=1, idle_expires_at=2)
    assert count_statements(postgres_server, before) == 4


def test_to_add_a_session_takes_two_round_trips_at_the_limit_too(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    store, _ = kept_at(f"{postgres_url}?options=-c%20log_statement%3Dall")
    kept, newer = make_session(), make_session()
    before = len(postgres_server.log)
    for session in (kept, newer):
        store.add(session, limit=1)
    assert count_statements(postgres_server, before) == 4
    assert store.get(kept.id) is None


def count_statements(server: PostgresServer, since: int) -> int:
    time.sleep(0.2)  # the log is written by another process
    lines = server.log[since:].splitlines()
    return sum("execute" in line or "statement:" in line for line in lines)


def test_a_session_whose_texts_cannot_be_stored_is_not_acknowledged(
    database: Database,
) -> None:
    """Its tokens would be dead before they are given away."""
    store, _ = kept_at(database)
    for strange in ("a\0b", "\ud800"):
        with pytest.raises(ValueError, match="NUL or lone surrogates"):
            store.add(make_session(label=strange), limit=9)


# -- failures --------------------------------------------------------------------------


def refused(step: Callable[[], object]) -> StoreUnavailableError:
    """Return the one error that a store fails with; it tells nothing of its rows."""
    with pytest.raises(StoreUnavailableError) as caught:
        step()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return caught.value


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold a lock on all rows, as a transaction that does not end would."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("SELECT 1 FROM tokenauth_sessions FOR UPDATE")
        yield


def test_a_lock_is_waited_for_as_long_as_is_allowed(postgres_url: str) -> None:
    """Then the answer is that nobody can tell, and the store works on after it."""
    url = f"{postgres_url}?options=-c%20statement_timeout%3D200ms"
    store, session_id = kept_at(url)
    with locked(postgres_url):
        assert refused(lambda: store.end(session_id)).reason == "timeout"
        assert refused(lambda: store.end_all("u-1")).reason == "timeout"
        assert store.get(session_id)
        assert store.purge(now=1e12, limit=9) == 0  # a purge never waits
    assert store.end_all("u-1") == 1


def test_another_writer_is_waited_for_as_long_as_is_allowed(file: Path) -> None:
    """The same in SQLite, where all rows have one lock."""
    store, session_id = kept_at(Database(f"sqlite:///{file}?timeout=0.1"))
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        for step in (
            lambda: store.end(session_id),
            lambda: store.add(make_session(), limit=9),
            lambda: store.rotate(session_id, 0, now=1, idle_expires_at=2),
        ):
            assert refused(step).reason == "timeout"
        assert store.get(session_id)
    assert store.end(session_id)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_connection_is_waited_for_as_long_as_is_allowed(
    engine: str, file: Path, request: pytest.FixtureRequest
) -> None:
    """When all that a process may have are in use."""
    is_file = engine == "sqlite"
    url = f"sqlite:///{file}" if is_file else request.getfixturevalue("postgres_url")
    database = Database(url, pool_size=1, pool_timeout=0.1)
    store, session_id = kept_at(database)
    with database.transaction():
        for step in (lambda: store.get(session_id), lambda: store.end_all("u-2")):
            assert refused(step).reason == "too_many_connections"
    assert store.get(session_id)


def test_a_file_that_is_gone_is_not_replaced(file: Path) -> None:
    """An empty database would let nobody in, and keep logins that nobody finds."""
    store, session_id = kept_at(f"sqlite:///{file}")
    fresh = SQLSessionStore(f"sqlite:///{file}")
    file.unlink()
    assert refused(lambda: fresh.get(session_id)).reason == "no_database"
    assert not file.exists()
    del store


def test_half_a_transaction_is_none(database: Database) -> None:
    """What fails on the way is undone, and the connection is not used again."""
    store, session_id = kept_at(database)
    with pytest.raises(ZeroDivisionError):
        delete_all_and_fail(database)
    assert store.get(session_id)


def delete_all_and_fail(database: Database) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM tokenauth_sessions")
        raise ZeroDivisionError


@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_a_server_that_was_restarted_is_used_as_before(
    own_server: PostgresServer, how: str
) -> None:
    """The connections that were kept are stale, and nobody notices."""
    store, session_id = kept_at(own_server.new_database())
    with store.database.transaction(), store.database.transaction():
        pass  # two connections are kept now
    getattr(own_server, how)()
    own_server.restart()
    assert store.get(session_id)
    assert store.end(session_id)


def test_a_server_that_is_down_lets_nobody_in(own_server: PostgresServer) -> None:
    """Neither is anything acknowledged; when it is back, all is as it was."""
    url = own_server.new_database()
    sessions_at(url)
    client = make_app(config={"TOKENAUTH_SESSION_URL": url}).test_client()
    header = bearer(log_in(client)["access_token"])
    own_server.stop()
    assert_problem(client.get("/protected", headers=header), 503, UNAVAILABLE)
    logout = client.post("/auth/logout", headers=header)
    assert_problem(logout, 503, UNAVAILABLE)
    assert logout.headers["Retry-After"] == "1"
    own_server.restart()
    assert client.get("/protected", headers=header).status_code == 200
    assert client.post("/auth/logout", headers=header).status_code == 204


def test_an_application_may_start_before_its_database(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The operator is told, and no password of the URL is."""
    app = make_app(config={"TOKENAUTH_SESSION_URL": ABSENT})
    said = "tables of TOKENAUTH_SESSION_URL could not be checked: refused"
    assert said in caplog.text
    assert "hunter2" not in caplog.text
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    answer = app.test_client().post("/auth/login", json=body)
    assert_problem(answer, 503, UNAVAILABLE)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_forked_process_has_connections_of_its_own(
    engine: str, file: Path, request: pytest.FixtureRequest
) -> None:
    """So an application may be loaded before the workers are forked from it."""
    is_file = engine == "sqlite"
    url = f"sqlite:///{file}" if is_file else request.getfixturevalue("postgres_url")
    store, session_id = kept_at(url)
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=use_and_exit, args=[store, session_id]) for _ in range(4)
    ]
    for child in children:
        child.start()
    for _ in range(50):
        assert store.get(session_id)
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0] * 4
    assert store.get(session_id)


def use_and_exit(store: SessionStore, session_id: str) -> None:
    for _ in range(50):
        if store.get(session_id) is None:
            os._exit(1)
    os._exit(0)
