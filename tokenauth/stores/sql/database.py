"""One database: how it is reached, how long is waited for it, and how it fails."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ClauseElement, Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ConfigurationError, StoreUnavailableError
from ...tokens.redact import Redacted
from .engine import open_engine

POOL: Final[Mapping[str, Any]] = {
    "pool_size": 20,
    "max_overflow": 0,
    "pool_timeout": 5,
    "pool_recycle": 1800,
}
"""Most connections of a process, seconds to wait for one, and to keep one."""


class Database(Redacted):
    """A SQLite file or a PostgreSQL database, for one store or for several.

    Args:
        url: `sqlite:///file` or `postgresql+psycopg://...`; its query overrides
            `engine.SQLITE` and `engine.POSTGRESQL`.
        pool: Overrides `POOL`; see `sqlalchemy.create_engine`.

    Raises:
        ConfigurationError: the URL names no such database.
        ImportError: its driver is missing.
        TypeError: `create_engine` has no such option, or it is `isolation_level`.
    """

    def __init__(self, url: str, **pool: Any) -> None:
        self.url = url
        self._engine, self.file = open_engine(url, **{**POOL, **pool})
        self._compiled: dict[ClauseElement, tuple[str, dict[str, Any]]] = {}
        self._failures = (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error)
        weakref.finalize(self, self._engine.dispose)

    def rows(self, statement: ClauseElement, **values: Any) -> Sequence[Any]:
        """Run a statement and return its rows: none if a value cannot be stored.

        It is a transaction of its own, compiled once and given to the driver:
        SQLAlchemy's `Connection` would double the 20 to 30 us of a keyed read on
        SQLite, and the 90 us on PostgreSQL.

        Raises:
            StoreUnavailableError: the database cannot be reached, or refused. What was
                sent was not done; if the answer was lost, it may have been done.
        """
        if not all(map(is_storable, values.values())):
            return []
        if (known := self._compiled.get(statement)) is None:
            compiled = statement.compile(self._engine, column_keys=list(values))
            known = str(compiled), dict(compiled.params or {})
            self._compiled[statement] = known
        with self._unavailable():
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(known[0], {**known[1], **values})
                # All, though it may be one: SQLite's statement ends with the last.
                return cursor.fetchall()
            except BaseException:
                connection.invalidate()
                raise
            finally:
                connection.close()

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Lend a connection for one transaction.

        Raises:
            StoreUnavailableError: as for `rows`, for all of it together.
        """
        with self._unavailable(), self._engine.connect() as connection:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE" if self.file else "BEGIN")
                yield connection
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                connection.invalidate()  # closed, so what is half done is undone
                raise

    def columns_of(self, table: str) -> set[str]:
        """Return the names of a table's columns, none if there is no such table.

        Raises:
            ConfigurationError: this process cannot use the SQLite file.
            StoreUnavailableError: the database cannot be reached.
        """
        try:
            with self._unavailable():
                inspector = inspect(self._engine)
                if not inspector.has_table(table):
                    return set()
                return {column["name"] for column in inspector.get_columns(table)}
        except StoreUnavailableError as error:
            if self.file and error.reason in ("no_database", "read_only"):
                raise _unusable(self.file, error.reason) from None
            raise

    def create_file(self) -> None:
        """Create the SQLite file, readable for its owner alone, if there is none.

        Raises:
            ConfigurationError: it cannot be created.
        """
        if self.file is None:
            return
        try:
            self.file.touch(mode=0o600)  # it will hold password hashes
        except OSError as error:
            raise _unusable(self.file, error.strerror) from None

    @contextmanager
    def _unavailable(self) -> Generator[None]:
        try:
            yield
        except self._failures as error:
            raise StoreUnavailableError(reason=error) from None


def _unusable(file: Path, why: str | None) -> ConfigurationError:
    return ConfigurationError(
        f"The SQLite file '{file}' cannot be used ({why}). Create it with 'flask "
        "tokenauth init-db'; its folder must exist, and this process must be allowed "
        "to write to both."
    )


def is_storable(value: object) -> bool:
    """Return whether a value can be sent: no text with NUL or a lone surrogate."""
    if not isinstance(value, str):
        return True
    if value.isascii():
        return "\0" not in value
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)
