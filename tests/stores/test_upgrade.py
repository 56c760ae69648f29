"""Tables of an older release are extended, with rows in place, under an old process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Column, Index, MetaData, Table, Text, select

from tests.stores.engines import make_session, url_of
from tokenauth.errors import ConfigurationError
from tokenauth.stores.sql import Database, SQLSessionStore
from tokenauth.stores.sql.tables import SESSIONS


def create(database: Database, table: Table) -> None:
    store = SQLSessionStore(database)
    store.tables = (table,)
    store.create_tables()


def later(*added: Column[str]) -> Table:
    """Return the table of sessions as a later release may have it."""
    table = SESSIONS.to_metadata(MetaData())
    for column in added:
        table.append_column(column)
        if column.nullable:
            Index(f"tokenauth_sessions_{column.name}", column)
    return table


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    return Database(url_of(request.param, request))


def test_an_old_process_goes_on_while_columns_are_added(database: Database) -> None:
    """Its sessions, of before and after, are there for both."""
    old = SQLSessionStore(database.url)
    old.create_tables()
    kept = make_session()
    old.add(kept, limit=1_000_000)
    table = later(
        Column("device", Text), Column("method", Text, server_default="password")
    )
    is_done = threading.Event()
    added = []

    def go_on() -> None:
        while not is_done.is_set():
            added.append(make_session(user_id=kept.user_id))
            old.add(added[-1], limit=1_000_000)
            assert old.rotate(added[-1].id, 0, now=1.0, idle_expires_at=9e9)

    serving = threading.Thread(target=go_on)
    serving.start()
    try:
        with ThreadPoolExecutor(2) as hosts:  # at once, and a second time
            list(hosts.map(lambda _: create(database, table), range(4)))
    finally:
        is_done.set()
        serving.join()
    old.add(make_session(), limit=1_000_000)
    rows = database.rows(select(table.c.id, table.c.device, table.c.method))
    assert {row[0] for row in rows} >= {kept.id, *(each.id for each in added)}
    assert {row[1:] for row in rows} == {(None, "password")}
    old.check_tables()  # it starts again, as after a rollback
    assert old.get(kept.id) == kept
    assert SQLSessionStore(database).get(kept.id) == kept


def test_what_cannot_be_added_is_named(database: Database) -> None:
    """A column that each row must have, and no row of the older release has."""
    store = SQLSessionStore(database)
    store.create_tables()
    store.add(make_session(), limit=9)
    with pytest.raises(ConfigurationError, match="of another release, without 'must'"):
        create(database, later(Column("must", Text, nullable=False)))
    store.check_tables()
