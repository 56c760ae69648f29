"""Why a store cannot answer: one word of a closed set, and no text of a driver."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy.exc import OperationalError

from tests.harness.front import Front, tls_context
from tests.harness.servers import PostgresServer, RedisServer, free_port
from tests.stores.engines import make_session
from tokenauth import StoreUnavailableError
from tokenauth.errors.unavailable import REASONS, reason_of
from tokenauth.stores import open_sessions
from tokenauth.stores.redis import RedisSessionStore
from tokenauth.stores.sql import SQLSessionStore


class ForeignError(Exception):
    """Of a driver that gives names known here another meaning."""

    orig = "in the words of the server"
    sqlstate = 0o3000

    def __init__(self) -> None:
        self.__cause__ = ConnectionRefusedError()


def reason(url: str) -> str | None:
    with pytest.raises(StoreUnavailableError) as caught:
        open_sessions(url).get("0" * 22)
    assert caught.value.reason in REASONS
    return caught.value.reason


@pytest.mark.parametrize("scheme", ["redis://", "postgresql://u:p@"])
def test_what_is_not_there_is_told_apart(scheme: str, tmp_path: Path) -> None:
    assert reason(f"{scheme}127.0.0.1:{free_port()}/0") == "refused"
    assert reason(f"{scheme}no-such-host.invalid/0") == "unknown_host"


def test_a_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert reason(f"unix://{tmp_path}/nowhere") == "refused"


def test_a_server_that_says_nothing_is_a_timeout() -> None:
    with Front() as front:
        front._accept = lambda: None  # type: ignore[method-assign]
        url = f"redis://127.0.0.1:{front.port}/0?socket_timeout=0.1"
        assert reason(url) in {"timeout", "connection_lost", "refused"}


def test_a_certificate_that_nobody_trusts_is_told(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    tls, _ = tls_context(tmp_path)
    with Front(0, tls) as front:
        assert reason(f"rediss://127.0.0.1:{front.port}/0") == "tls"
    url = postgres_server.url.replace("//postgres@", "//u@") + "?sslmode=require"
    assert reason(url) == "tls"


def test_what_postgresql_refuses_is_told_apart(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with psycopg.connect(
        postgres_url.replace("+psycopg", ""), autocommit=True
    ) as admin:
        admin.execute("CREATE ROLE poor LOGIN")
        admin.execute("CREATE ROLE single LOGIN CONNECTION LIMIT 0")
        try:
            assert reason(f"{postgres_url}_not") == "no_database"
            assert reason(postgres_url) == "no_table"
            assert reason(postgres_url.replace("//postgres", "//nobody_")) == (
                "authentication"
            )
            assert reason(postgres_url.replace("//postgres", "//single")) == (
                "too_many_connections"
            )
            store = SQLSessionStore(postgres_url)
            store.create_tables()
            assert reason(postgres_url.replace("//postgres", "//poor")) == (
                "no_permission"
            )
            read_only = (
                f"{postgres_url}?options=-c%20default_transaction_read_only%3Don"
            )
            with pytest.raises(StoreUnavailableError) as caught:
                SQLSessionStore(read_only).purge(now=0, limit=1)
            assert caught.value.reason == "read_only"
        finally:
            admin.execute("DROP TABLE IF EXISTS tokenauth_sessions CASCADE")
            admin.execute("DROP ROLE poor")
            admin.execute("DROP ROLE single")


def test_what_redis_refuses_is_told_apart() -> None:
    options = {"maxmemory": "1mb", "maxmemory-policy": "noeviction"}
    with RedisServer(options=options) as server, redis.Redis(port=server.port) as admin:
        store = open_sessions(server.url)

        def refused(step: Callable[[], object]) -> str | None:
            with pytest.raises(StoreUnavailableError) as caught:
                step()
            return caught.value.reason

        assert reason(server.url[:-1] + "99") == "no_database"
        assert refused(lambda: store.add(make_session(), limit=9)) == "out_of_memory"
        admin.acl_setuser("shop", enabled=True, passwords=["+p"], keys=["other:*"])
        url = server.url.replace("//", "//shop:p@")
        assert reason(url) == "no_permission"
        assert reason(server.url.replace("//", "//shop:q@")) == "authentication"
        full = RedisSessionStore(f"{server.url}?max_connections=1")
        holder = full._redis.client()  # takes the one connection
        assert refused(lambda: full.get("0" * 22)) == "too_many_connections"
        holder.close()
        admin.config_set("maxclients", "1")
        assert reason(server.url) == "too_many_connections"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (redis.ConnectionError("Connection closed by server."), "connection_lost"),
        (redis.exceptions.BusyLoadingError("Redis is loading"), "loading"),
        (redis.exceptions.MasterDownError("Link with MASTER is down"), "no_primary"),
        (redis.ResponseError("MISCONF Redis is configured to save"), "disk"),
        (redis.ResponseError("NOREPLICAS Not enough good replicas"), "no_primary"),
        (redis.exceptions.MaxConnectionsError("x"), "too_many_connections"),
        (psycopg.errors.CannotConnectNow(), "loading"),
        (psycopg.errors.DiskFull(), "disk_full"),
        (psycopg.errors.SerializationFailure("(name)=(too many)"), "conflict"),
        (psycopg.OperationalError("the database system is starting up"), "loading"),
        (OSError(113, "No route to host"), "unreachable"),
        (PermissionError(13, "Permission denied"), "no_permission"),
        (sqlite3.DatabaseError("hunter2"), "failed"),
        (ValueError(), "failed"),
        (ForeignError(), "refused"),
    ],
    ids=ascii,
)
def test_what_is_hard_to_bring_about_is_told_too(
    error: Exception, expected: str
) -> None:
    assert reason_of(error) == expected
    assert expected in REASONS


def test_no_client_can_choose_the_reason() -> None:
    """SQLAlchemy's text has the statement and its values."""
    cause = sqlite3.OperationalError("no such table: users")
    error = OperationalError("SELECT", {"name": "permission denied"}, cause)
    assert "permission denied" in str(error)
    assert reason_of(error) == "no_table"


def test_an_error_that_leads_to_itself_is_looked_at_once() -> None:
    error = ValueError()
    error.__context__ = other = TypeError()
    other.__context__ = error
    assert reason_of(error) == "failed"


@pytest.mark.parametrize("given", ["no_table", None])
def test_a_traceback_tells_the_reason_and_no_client_does(given: str | None) -> None:
    error = StoreUnavailableError(reason=given)
    reason = given or "unknown"
    assert f"Reason: {reason}." in "".join(traceback.format_exception(error))
    assert reason not in error.get_body()
