"""The engine that a database's URL means: its options, and its connections."""

from __future__ import annotations

import os
import re
import sqlite3
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DisconnectionError

from ...errors import ConfigurationError

SQLITE: Final[Mapping[str, str]] = {
    "timeout": "5",  # seconds to wait for another writer
    "mode": "rw",  # a missing file is an error, not a new and empty database
    "uri": "true",
}
"""What goes into the URL of a SQLite file unless it is there."""

POSTGRESQL: Final[Mapping[str, str]] = {
    "application_name": "tokenauth",
    "connect_timeout": "5",
    "options": "-c statement_timeout=5s -c idle_in_transaction_session_timeout=5s",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What goes into the URL of a PostgreSQL database unless it is there.

An option that is left empty in the URL, as in `?options=`, is left to the driver.
"""

_MALFORMED: Final = (
    "The URL of the database is malformed, or of no database that is known: use "
    "'sqlite:///file' or 'postgresql+psycopg://user:password@host/name', with the "
    "password percent-encoded."
)
_SQLITE_OPTIONS: Final = {"timeout", "mode", "vfs", "nolock", "psow", "immutable"}
_WHOLE_NUMBERS: Final = re.compile(
    "connect_timeout|keepalives.*|prepare_threshold|tcp_user_timeout"
)
_NAME: Final = re.compile(r"[a-z_]{1,40}")


def open_engine(url: str, **pool: Any) -> tuple[Engine, Path | None]:
    """Return the engine of a database, and the file of a SQLite database.

    Raises:
        ConfigurationError: the URL is malformed, of a database that no store knows, or
            has an option or a value that its driver does not take.
        ImportError: the driver is missing.
    """
    parsed = _parse(url)
    is_file = parsed.drivername == "sqlite"
    file, parsed, options = (_for_sqlite if is_file else _for_postgresql)(parsed)
    try:
        engine = create_engine(parsed, isolation_level="AUTOCOMMIT", **options, **pool)
    except ArgumentError:  # 'sqlite://file' has a host, for example
        raise ConfigurationError(_MALFORMED) from None
    if is_file:
        event.listen(engine, "connect", _set_up)
    else:
        event.listen(engine, "checkout", _check_socket)
        if "prepare_threshold" not in options["connect_args"]:
            event.listen(engine, "connect", _prepare_nothing_if_pooled)
    _forget_when_forked(engine)
    return engine, file


def _parse(url: str) -> URL:
    """Return a URL with its driver named, and empty options as empty text."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the port is no number
        raise ConfigurationError(_MALFORMED) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ConfigurationError(_MALFORMED)
    query = url.rpartition("?")[2] if "?" in url else ""
    given = dict(parse_qsl(query, keep_blank_values=True))
    empty = {name: "" for name, value in given.items() if not value}
    return parsed.update_query_dict(empty)


def _for_sqlite(url: URL) -> tuple[Path, URL, dict[str, Any]]:
    """Return a SQLite file, and what to give `create_engine` for it."""
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "A SQLite store needs a file, as in 'sqlite:///tokenauth.sqlite3'; "
            "'memory://' keeps sessions in memory."
        )
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError("SQLite must be 3.35 or newer: it lacks RETURNING.")
    for name, value in url.query.items():
        if name not in _SQLITE_OPTIONS:
            raise _unknown(name)
        if name == "timeout" and not re.fullmatch(r"\d+(\.\d+)?", str(value)):
            raise _wrong(name)
    file = Path(url.database).absolute()
    query = {**SQLITE, **_given(url.query)}
    url = url.set(database=f"file:{quote(bytes(file))}", query=query)
    # As psycopg's style, so that statements take a mapping on both.
    return file, url, {"paramstyle": "named"}


def _for_postgresql(url: URL) -> tuple[None, URL, dict[str, Any]]:
    """Return what to give `create_engine` for PostgreSQL."""
    driver: Any = url.get_dialect().import_dbapi()
    known = {each.keyword.decode() for each in driver.pq.Conninfo.get_defaults()}
    known = (known | {"prepare_threshold"}) - {"client_encoding", "replication"}
    for name, value in url.query.items():
        if name not in known:
            raise _unknown(name)
        if value and not _is_value(name, value, driver):
            raise _wrong(name)
    query = _given({**POSTGRESQL, **url.query})
    # Whatever the default of the server and the environment is.
    connect_args: dict[str, Any] = {"client_encoding": "utf8"}
    if threshold := query.pop("prepare_threshold", None):
        connect_args["prepare_threshold"] = int(threshold)
    return None, url.set(query=query), {"connect_args": connect_args}


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value}


def _is_value(name: str, value: object, driver: Any) -> bool:
    """Return whether libpq takes a value, which it says before it looks for a host."""
    if _WHOLE_NUMBERS.fullmatch(name):
        return str(value).isdecimal()
    if not isinstance(value, str) or name in ("host", "hostaddr", "port", "service"):
        return True  # several hosts, or what leads to one
    options = driver.conninfo.make_conninfo(host="/nowhere", **{name: value})
    connection = driver.pq.PGconn.connect_start(options.encode())
    message: bytes = connection.error_message
    connection.finish()
    return not message.startswith(b"invalid ")


def _unknown(name: str) -> ConfigurationError:
    shown = f"'{name}', which" if _NAME.fullmatch(name) else "an option that"
    return ConfigurationError(
        f"The URL of the database has {shown} its driver does not know: take it out."
    )


def _wrong(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The URL of the database has a value of '{name}' that its driver does not "
        "take."
    )


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
