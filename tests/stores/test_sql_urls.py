"""What a URL of a database may say, and what it means for the driver."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.harness.kit import make_app
from tests.stores.engines import make_session
from tokenauth.errors import ConfigurationError
from tokenauth.stores import open_sessions
from tokenauth.stores.sql import Database, SQLSessionStore

POSTGRES = "postgresql://u:hunter2@h/x"


def value_of(database: Database, query: str) -> object:
    return database.rows(text(query))[0][0]


def works(url: str) -> SQLSessionStore:
    """Return the store of a URL, after one session was kept there and ended."""
    store: Any = open_sessions(url)
    store.create_tables()
    session = make_session()
    store.add(session, limit=9)
    assert store.get(session.id) == session
    assert store.end(session.id)
    return store  # type: ignore[no-any-return]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?options=",
        "?options=-c%20statement_timeout%3D7s&application_name=shop",
        "?connect_timeout=3&keepalives_idle=9&tcp_user_timeout=5000&sslmode=prefer",
        "?prepare_threshold=0",
        "?prepare_threshold=5&target_session_attrs=read-write",
        "?connect_timeout=&keepalives_idle=&sslmode=disable",
    ],
)
def test_every_scheme_and_option_connects(
    scheme: str, query: str, postgres_url: str
) -> None:
    works(postgres_url.replace("postgresql+psycopg", scheme) + query)


@pytest.mark.parametrize("query", ["", "?timeout=0.5", "?timeout=3&psow=1"])
def test_every_option_of_a_file_is_taken(query: str, tmp_path: Path) -> None:
    works(f"sqlite:///{tmp_path}/t.sqlite3{query}")


@pytest.mark.parametrize("name", [b"a b #1", b"caf\xe9", "café".encode()], ids=ascii)
def test_a_file_may_have_any_name(name: bytes, tmp_path: Path) -> None:
    """In whatever encoding the environment has it."""
    works(f"sqlite:///{tmp_path}/{os.fsdecode(name)}")
    assert (tmp_path / os.fsdecode(name)).exists()


def test_an_option_that_is_left_empty_is_left_to_the_driver(postgres_url: str) -> None:
    """A pooler that refuses start-up options is told none."""
    assert value_of(Database(postgres_url), "SHOW statement_timeout") == "5s"
    empty = Database(f"{postgres_url}?options=&application_name=")
    assert value_of(empty, "SHOW statement_timeout") == "0"
    assert value_of(empty, "SHOW application_name") == ""


@pytest.mark.parametrize(
    ("query", "threshold"),
    [("", 5), ("prepare_threshold=", 5), ("prepare_threshold=7", 7)],
)
def test_statements_are_prepared_as_the_url_says(
    query: str, threshold: int, postgres_url: str
) -> None:
    """After five uses by default, as psycopg does: that saves half of the time."""
    database = Database(f"{postgres_url}?{query}")
    with database.transaction() as connection:
        driver: Any = connection.connection.dbapi_connection
        assert driver.prepare_threshold == threshold


def test_texts_are_utf_8_whatever_the_environment_says(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "latin1")
    assert value_of(Database(postgres_url), "SHOW client_encoding") == "UTF8"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"{POSTGRES}?ssl=true", "'ssl'"),
        (f"{POSTGRES}?pgbouncer=true", "'pgbouncer'"),
        (f"{POSTGRES}?charset=utf8", "'charset'"),
        (f"{POSTGRES}?client_encoding=latin1", "'client_encoding'"),
        (f"{POSTGRES}?plugin=hunter2", "'plugin'"),
        (f"{POSTGRES}?prepare_threshold=none", "'prepare_threshold'"),
        (f"{POSTGRES}?sslmode=hunter2", "'sslmode'"),
        (f"{POSTGRES}?connect_timeout=hunter2", "'connect_timeout'"),
        (f"{POSTGRES}?hunter2%20x=", "an option that"),
        ("sqlite:////hunter2?check_same_thread=true", "'check_same_thread'"),
        ("sqlite:////hunter2?uri=false", "'uri'"),
        ("sqlite:////hunter2?timeout=hunter2", "'timeout'"),
    ],
)
def test_an_option_that_cannot_work_stops_the_start(url: str, named: str) -> None:
    """By its name, and by that of the setting; nothing is connected, nor quoted."""
    with pytest.raises(ConfigurationError) as caught:
        make_app(config={"TOKENAUTH_SESSION_URL": url})
    said = str(caught.value)
    assert said.startswith("TOKENAUTH_SESSION_URL: The URL of the database has")
    assert named in said
    assert "hunter2" not in said


def test_several_hosts_may_be_named(postgres_url: str) -> None:
    """As libpq takes them: the first that answers."""
    host = postgres_url.partition("@")[2].partition("/")[0]
    url = f"postgresql://postgres@/postgres?host=127.0.0.1:1&host={host}"
    works(url)
