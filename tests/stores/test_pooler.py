"""PostgreSQL behind PgBouncer in transaction mode, as managed databases have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tests.harness.kit import bearer, log_in, make_app
from tests.harness.servers import PgBouncer, PostgresServer
from tests.stores.contract import in_parallel
from tests.stores.engines import NOW, make_session, sessions_at
from tokenauth import StoreUnavailableError
from tokenauth.stores.sql import Database, SQLSessionStore


@pytest.fixture
def pooled(pgbouncer: PgBouncer, postgres_url: str) -> str:
    """The URL of the pooler, before a database with the tables of sessions."""
    sessions_at(postgres_url)
    return f"{pgbouncer.url}?options="


@pytest.fixture(scope="module")
def lenient(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    with PgBouncer(database=postgres_server, allows_options=True) as server:
        yield server


def test_a_pooler_that_refuses_start_up_options_is_known(
    pgbouncer: PgBouncer,
) -> None:
    """The operator is told what to do: `?options=` in the URL."""
    with pytest.raises(StoreUnavailableError) as caught:
        SQLSessionStore(pgbouncer.url).get("x")
    assert caught.value.reason == "startup_options"


def test_a_pooler_that_allows_options_is_given_them(
    lenient: PgBouncer, postgres_url: str
) -> None:
    """It ignores them, as it was told."""
    database = Database(lenient.url)
    assert database.rows(text("SELECT 1")) == [(1,)]


def test_nothing_is_prepared_behind_a_pooler(pooled: str) -> None:
    """Two clients that share a connection of the server would share the names."""
    for query, threshold in (("", None), ("&prepare_threshold=7", 7)):
        with Database(f"{pooled}{query}").transaction() as connection:
            driver: Any = connection.connection.dbapi_connection
            assert driver.prepare_threshold == threshold


def test_two_workers_share_the_connections_of_a_pooler(pooled: str) -> None:
    """A page and a login in turn, and each of them is answered."""
    clients = [
        make_app(config={"TOKENAUTH_SESSION_URL": pooled}, clock=None).test_client()
        for _ in range(2)
    ]
    for _ in range(10):
        for client in clients:
            header = bearer(log_in(client)["access_token"])
            for other in clients:
                assert other.get("/protected", headers=header).status_code == 200


def test_a_session_is_rotated_and_ended_once_behind_a_pooler(pooled: str) -> None:
    """Whatever connection of the server a statement is given."""
    store = SQLSessionStore(pooled)
    mark = store.ended_since(None).mark
    session = make_session()
    store.add(session, limit=9)
    rotated = in_parallel(
        8, lambda _: store.rotate(session.id, 0, now=NOW, idle_expires_at=NOW + 9)
    )
    assert len([each for each in rotated if each]) == 1
    assert sum(in_parallel(8, lambda _: store.end(session.id))) == 1
    assert session.id in (store.ended_since(mark).session_ids or ())


def test_shared_statements_are_told_by_name(pooled: str) -> None:
    """To who asks for them in the URL all the same."""
    url = f"{pooled}&prepare_threshold=1"  # none of those on connecting
    stores = [SQLSessionStore(url) for _ in range(2)]
    reasons = {reason_of_read(store) for _ in range(20) for store in stores}
    assert reasons - {None} == {"prepared_statement"}


def reason_of_read(store: SQLSessionStore) -> str | None:
    try:
        store.get("x")
    except StoreUnavailableError as error:
        return error.reason
    return None
