"""What is done with each new connection, each that is used again, and after a fork."""

from __future__ import annotations

import os
import weakref
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError


def watch(engine: Engine, *, prepares: bool) -> None:
    """Set up the connections of an engine.

    Args:
        engine: Of SQLite or of PostgreSQL.
        prepares: Whether its URL says when statements are prepared.
    """
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up)
    else:
        event.listen(engine, "checkout", _check_socket)
        if not prepares:
            event.listen(engine, "connect", _prepare_nothing_if_pooled)
    _forget_when_forked(engine)


def _set_up(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut
    cursor.close()


def _prepare_nothing_if_pooled(connection: Any, _: object) -> None:
    """Keep psycopg from naming statements on connections that a pooler shares.

    PgBouncer and its like tell clients a process id that is not the server's. Without
    a pooler, prepared statements save half of the time of a keyed read.
    """
    cursor = connection.execute("SELECT pg_backend_pid()")
    if cursor.fetchone()[0] != connection.info.backend_pid:
        connection.prepare_threshold = None
    connection.rollback()


def _check_socket(connection: Any, *_: object) -> None:
    """Refuse a kept connection that the server has closed.

    Asking the server would be a round trip; asking the socket takes a microsecond.
    """
    try:
        connection.pgconn.consume_input()  # the server's last message
        connection.pgconn.consume_input()  # and the end of the stream
    except connection.Error:
        raise DisconnectionError from None  # the pool opens another


def _forget_when_forked(engine: Engine) -> None:
    """Let a forked process open connections of its own: the parent uses these on."""
    known = weakref.ref(engine)

    def forget() -> None:  # pragma: no cover # coverage does not see a forked child
        if (engine := known()) is not None:
            engine.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
