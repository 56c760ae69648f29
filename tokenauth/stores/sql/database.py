"""One database: how it is reached, how long is waited for it, and how it fails.

SQLAlchemy compiles each statement once and keeps the connections; the driver gets the
compiled text. So a keyed read is one round trip, and costs half to a third of what it
costs through SQLAlchemy's `Connection`.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import ClauseElement, Engine, create_engine, event, inspect
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from ...errors import ConfigurationError, StoreUnavailableError
from ...tokens.redact import Redacted
from .urls import file_of, parse

POOL: Final[Mapping[str, Any]] = {
    "pool_size": 20,
    "max_overflow": 0,
    "pool_timeout": 5,
    "pool_recycle": 1800,
}
"""Connections of a process at most, seconds to wait for one, and to keep one."""


class Database(Redacted):
    """A SQLite file or a PostgreSQL database, for one store or for several.

    Args:
        url: `sqlite:///file` or `postgresql+psycopg://...`; its query goes over
            `urls.SQLITE` and `urls.POSTGRESQL`.
        pool: Goes over `POOL`; see `sqlalchemy.create_engine`.

    Raises:
        ConfigurationError: the URL names no such database, or its driver is missing.
    """

    def __init__(self, url: str, **pool: Any) -> None:
        self.url = url
        parsed = parse(url)
        self.is_sqlite = parsed.drivername == "sqlite"
        if self.is_sqlite:
            self._file = file_of(parsed)
            parsed = parsed.set(database=f"file:{quote(str(self._file))}")
        try:
            self._engine = create_engine(
                parsed, isolation_level="AUTOCOMMIT", **{**POOL, **pool}
            )
        except ImportError:
            raise ConfigurationError(
                "PostgreSQL needs its driver: "
                "pip install 'flask-login-tokenauth[postgres]'."
            ) from None
        self.dialect = self._engine.dialect
        self._failures = (SQLAlchemyError, self.dialect.loaded_dbapi.Error)
        _look_after(self._engine, is_sqlite=self.is_sqlite)
        weakref.finalize(self, _close, self._engine, os.getpid())

    def prepare(self, clause: ClauseElement) -> Statement:
        """Return a statement compiled for this database."""
        return Statement(clause, self)

    @contextmanager
    def cursor(self) -> Generator[DBAPICursor]:
        """Lend a cursor whose statements are one transaction each.

        Raises:
            StoreUnavailableError: the database cannot be reached, or refused. What was
                sent was not done; if the answer was lost, it may have been done.
        """
        with self._unavailable():
            connection = self._engine.raw_connection()
            try:
                yield connection.cursor()
            except BaseException:
                connection.invalidate()  # closed, so what is half done is undone
                raise
            finally:
                connection.close()

    @contextmanager
    def transaction(self, lock: str) -> Generator[DBAPICursor]:
        """Lend a cursor for one transaction, the only one at a time under this lock.

        Args:
            lock: Any text.

        Raises:
            StoreUnavailableError: as for `cursor`, for all of it together.
        """
        with self.cursor() as cursor:
            if self.is_sqlite:
                cursor.execute("BEGIN IMMEDIATE")
            else:
                # Whatever the server's default is: who waited for the lock has to see
                # what was done under it.
                cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_number(lock)])
            yield cursor
            cursor.execute("COMMIT")

    def has_table(self, name: str) -> bool:
        """Whether there is a table.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        if self.is_sqlite and not self._file.exists():
            return False
        with self._unavailable():
            return inspect(self._engine).has_table(name)

    def read_clock(self) -> float | None:
        """Return PostgreSQL's time in seconds since the epoch, None for a SQLite file.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        if self.is_sqlite:
            return None
        with self.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            (seconds,) = cursor.fetchall()[0]
        return float(seconds)

    def create_file(self) -> None:
        """Create the SQLite file, readable for its owner alone, if there is none.

        Raises:
            ConfigurationError: it cannot be created.
        """
        if not self.is_sqlite:
            return
        try:
            self._file.touch(mode=0o600)  # it will hold password hashes
        except OSError as error:
            raise ConfigurationError(
                f"The SQLite file cannot be created: {error.strerror}. Its folder must "
                "exist, and this process must be allowed to write there."
            ) from None

    @contextmanager
    def _unavailable(self) -> Generator[None]:
        try:
            yield
        except self._failures as error:
            raise StoreUnavailableError(reason=_reason_of(error)) from None


class Statement:
    """A statement of SQLAlchemy Core, compiled once.

    Args:
        clause: The statement, with `bindparam`s for what changes.
        database: Where it will run.
    """

    def __init__(self, clause: ClauseElement, database: Database) -> None:
        compiled = clause.compile(dialect=database.dialect)
        self._text = str(compiled)
        self._constants = {
            name: value
            for name, value in (compiled.params or {}).items()  # None: it creates
            if value is not None
        }
        self._order: list[str] | None = getattr(compiled, "positiontup", None)

    def execute(self, cursor: DBAPICursor, **values: Any) -> None:
        """Run it with values for its parameters."""
        values |= self._constants
        cursor.execute(
            self._text,
            values if self._order is None else [values[name] for name in self._order],
        )


def is_text(value: object) -> bool:
    """Whether a value is a text that every database can hold: no NUL, no surrogate."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return value.isascii() or not any(
        "\ud800" <= character <= "\udfff" for character in value
    )


def _look_after(engine: Engine, *, is_sqlite: bool) -> None:
    """Set each new connection up, and look a kept one over before it is used again."""

    def set_up(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["pid"] = os.getpid()
        if is_sqlite:
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut
            cursor.close()

    def look_over(
        connection: DBAPIConnection,
        record: ConnectionPoolEntry,
        proxy: PoolProxiedConnection,
    ) -> None:
        # The parent process goes on using what it opened. Only a forked child comes
        # here, and coverage cannot see it: test_a_forked_process_has_... does.
        if record.info["pid"] != os.getpid():  # pragma: no cover
            record.dbapi_connection = None  # type: ignore[misc] # SQLAlchemy's recipe
            proxy.dbapi_connection = None  # type: ignore[misc]
            raise DisconnectionError  # the pool opens another
        if not is_sqlite:
            _listen(connection)

    event.listen(engine, "connect", set_up)
    event.listen(engine, "checkout", look_over)


def _listen(connection: Any) -> None:
    """Refuse a connection that the server has closed.

    Asking the server would be a round trip; asking the socket takes a microsecond.
    """
    try:
        connection.pgconn.consume_input()  # the server's farewell
        connection.pgconn.consume_input()  # and the end of the stream
    except connection.Error:
        raise DisconnectionError from None


def _close(engine: Engine, pid: int) -> None:
    """Close the connections of a database that nobody uses any more."""
    if os.getpid() == pid:  # pragma: no branch # a forked child leaves them open
        engine.dispose()


def _number(lock: str) -> int:
    """Return the key of an advisory lock: 64 bits, the same in every process."""
    digest = hashlib.sha256(f"tokenauth/{lock}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], signed=True)


def _reason_of(error: Exception) -> str:
    """Return the kind of a failure; the driver's text may hold what was in a row."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    return " ".join(filter(None, [type(cause).__name__, code]))
