"""URLs of databases, and what they mean for the driver."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

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

MALFORMED: Final = (
    "The URL of the database is malformed: a password in it must be percent-encoded. "
    "Use 'sqlite:///file' or 'postgresql+psycopg://user:password@host/name'."
)
_SQLITE_OPTIONS: Final = {"timeout", "mode", "vfs", "nolock", "psow", "immutable"}
_WHOLE_NUMBERS: Final = re.compile(r"connect_timeout|keepalives.*|tcp_user_timeout")
_NAME: Final = re.compile(r"[a-z_]{1,40}")


def parse(url: str) -> URL:
    """Return a database's URL with its driver named, and empty options as empty text.

    Raises:
        ConfigurationError: it is malformed, or of a database that no store knows.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the port is no number
        raise ConfigurationError(MALFORMED) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ConfigurationError(
            f"No store is known for '{parsed.drivername}' databases: use 'sqlite' or "
            "'postgresql+psycopg'."
        )
    query = url.rpartition("?")[2] if "?" in url else ""
    given = dict(parse_qsl(query, keep_blank_values=True))
    empty = {name: "" for name, value in given.items() if not value}
    return parsed.update_query_dict(empty)


def file_of(url: URL) -> Path:
    """Return the file that a SQLite URL names.

    Raises:
        ConfigurationError: it names none, or this SQLite is too old.
    """
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "A SQLite store needs a file, as in 'sqlite:///tokenauth.sqlite3'; "
            "'memory://' keeps sessions in memory."
        )
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError("SQLite must be 3.35 or newer: it lacks RETURNING.")
    return Path(url.database).absolute()


def for_sqlite(url: URL, file: Path) -> tuple[URL, dict[str, Any]]:
    """Return what to give `create_engine` for a SQLite file: its URL, and options.

    Raises:
        ConfigurationError: it has an option that SQLite does not know.
    """
    for name, value in url.query.items():
        if name not in _SQLITE_OPTIONS:
            raise _unknown(name)
        if name == "timeout" and not re.fullmatch(r"\d+(\.\d+)?", str(value)):
            raise _wrong(name)
    url = url.set(
        database=f"file:{quote(bytes(file))}", query={**SQLITE, **_given(url.query)}
    )
    # As psycopg's style, so that statements take a mapping on both.
    return url, {"paramstyle": "named"}


def for_postgresql(url: URL, driver: Any) -> tuple[URL, dict[str, Any]]:
    """Return what to give `create_engine` for PostgreSQL: its URL, and options.

    Args:
        url: As `parse` returns it.
        driver: The module `psycopg`.

    Raises:
        ConfigurationError: it has an option that psycopg does not know, or with a value
            that cannot be.
    """
    query = dict(url.query)
    # Whatever the default of the server and the environment is.
    connect_args: dict[str, Any] = {"client_encoding": "utf8"}
    if threshold := query.pop("prepare_threshold", ""):
        if not re.fullmatch(r"\d{1,9}", str(threshold)):
            raise _wrong("prepare_threshold")
        connect_args["prepare_threshold"] = int(str(threshold))
    known = {each.keyword.decode() for each in driver.pq.Conninfo.get_defaults()}
    for name, value in query.items():
        if name not in known - {"client_encoding", "replication"}:
            raise _unknown(name)
        if value and not _is_value(name, value, driver):
            raise _wrong(name)
    url = url.set(query={**POSTGRESQL, **query})
    return url.set(query=_given(url.query)), {"connect_args": connect_args}


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
