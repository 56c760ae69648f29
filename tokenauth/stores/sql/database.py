"""One database: how it is reached, how long is waited for it, and how it fails."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Row, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.base import Executable

from ...errors import ConfigurationError, StoreUnavailableError
from ...tokens.redact import Redacted
from . import connections
from .urls import file_of, for_postgresql, for_sqlite, parse

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
            `urls.SQLITE` and `urls.POSTGRESQL`.
        pool: Overrides `POOL`; see `sqlalchemy.create_engine`.

    Raises:
        ConfigurationError: the URL names no such database, or its driver is missing.
    """

    def __init__(self, url: str, **pool: Any) -> None:
        self.url = url
        parsed = parse(url)
        is_sqlite = parsed.drivername == "sqlite"
        self.file = file_of(parsed) if is_sqlite else None
        try:
            driver = parsed.get_dialect().import_dbapi()
        except ImportError:
            raise ConfigurationError(
                "PostgreSQL needs its driver: "
                "pip install 'flask-login-tokenauth[postgres]'."
            ) from None
        parsed, options = (
            for_sqlite(parsed, self.file)
            if self.file
            else for_postgresql(parsed, driver)
        )
        connect_args = options.get("connect_args", {})
        options |= {"isolation_level": "AUTOCOMMIT", **POOL, **pool}
        options["execution_options"] = {"preserve_rowcount": True}  # of an INSERT, too
        self._engine = create_engine(parsed, **options)
        self._failures = (SQLAlchemyError, driver.Error)
        connections.watch(self._engine, prepares="prepare_threshold" in connect_args)
        weakref.finalize(self, self._engine.dispose)

    def rows(self, statement: Executable, **values: Any) -> Sequence[Row[Any]]:
        """Run a statement and return its rows: none if a value cannot be stored.

        Raises:
            StoreUnavailableError: the database cannot be reached, or refused. What was
                sent was not done; if the answer was lost, it may have been done.
        """
        if not all(map(is_storable, values.values())):
            return []
        with self._connection() as connection:
            return connection.execute(statement, values).all()

    def count(self, statement: Executable, **values: Any) -> int:
        """Run a statement and return how many rows it changed; see `rows`."""
        if not all(map(is_storable, values.values())):
            return 0
        with self._connection() as connection:
            return connection.execute(statement, values).rowcount

    def keyed_read(self, statement: Any) -> Callable[[str], Any | None]:
        """Return what reads the row with a key; the statement has one `bindparam`.

        It is compiled once and given to the driver: it is on the way of each request,
        and SQLAlchemy's `Connection` would double the 20 to 30 us that it takes on
        SQLite, and the 90 us on PostgreSQL.
        """
        compiled = statement.compile(dialect=self._engine.dialect)
        text, (name,) = str(compiled), compiled.params

        def read(key: str) -> Any | None:
            if not is_storable(key):
                return None
            with self._unavailable():
                connection = self._engine.raw_connection()
                try:
                    cursor = connection.cursor()
                    cursor.execute(text, {name: key})
                    # All, though it is one: SQLite's read ends with the last.
                    rows = cursor.fetchall()
                except BaseException:
                    connection.invalidate()
                    raise
                finally:
                    connection.close()
            return rows[0] if rows else None

        return read

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Lend a connection for one transaction.

        Raises:
            StoreUnavailableError: as for `rows`, for all of it together.
        """
        with self._connection() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if self.file else "BEGIN")
            yield connection
            connection.exec_driver_sql("COMMIT")

    def columns_of(self, table: str) -> set[str]:
        """Return the names of a table's columns, none if there is no such table.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        if self.file and not self.file.exists():
            return set()
        with self._unavailable():
            inspector = inspect(self._engine)
            if not inspector.has_table(table):
                return set()
            return {column["name"] for column in inspector.get_columns(table)}

    def read_clock(self) -> float | None:
        """Return PostgreSQL's time in seconds since the epoch, None for a SQLite file.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        if self.file:
            return None
        with self._connection() as connection:
            query = "SELECT extract(epoch FROM clock_timestamp())"
            return float(connection.exec_driver_sql(query).scalar_one())

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
            raise ConfigurationError(
                f"The SQLite file '{self.file}' cannot be created: {error.strerror}. "
                "Its folder must exist, and this process must be allowed to write "
                "there."
            ) from None

    @contextmanager
    def _connection(self) -> Generator[Connection]:
        with self._unavailable(), self._engine.connect() as connection:
            try:
                yield connection
            except BaseException:
                connection.invalidate()  # closed, so what is half done is undone
                raise

    @contextmanager
    def _unavailable(self) -> Generator[None]:
        try:
            yield
        except self._failures as error:
            raise StoreUnavailableError(reason=error) from None


def is_storable(value: object) -> bool:
    """Return whether a value can be sent: no text with NUL or a lone surrogate."""
    if not isinstance(value, str):
        return True
    if value.isascii():
        return "\0" not in value
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)
