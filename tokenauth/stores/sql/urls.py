"""URLs of databases, and what goes into them unless it is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

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
"""What goes into the URL of a PostgreSQL database unless it is there."""


def parse(url: str) -> URL:
    """Return a database's URL with the driver and the time-outs that it leaves out.

    Raises:
        ConfigurationError: it is malformed, or of a database that no store knows.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the port is no number
        raise ConfigurationError(
            "The URL of the database is malformed: a password in it must be "
            "percent-encoded. Use 'sqlite:///file' or "
            "'postgresql+psycopg://user:password@host/name'."
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    defaults = {"sqlite": SQLITE, "postgresql+psycopg": POSTGRESQL}
    if parsed.drivername not in defaults:
        raise ConfigurationError(
            f"No store is known for '{parsed.drivername}' databases: use 'sqlite' or "
            "'postgresql+psycopg'."
        )
    return parsed.set(query={**defaults[parsed.drivername], **parsed.query})


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
