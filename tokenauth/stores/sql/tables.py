"""The tables: their columns, how they are created, and how they are checked."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    inspect,
    text,
)
from sqlalchemy.schema import CreateColumn

from ...errors import ConfigurationError
from .database import Database

metadata: Final = MetaData()
"""The tables of this package, for tools that manage schemas.

To let Flask-Migrate create and change them with the application's own tables:

    for table in tokenauth.stores.sql.metadata.tables.values():
        table.to_metadata(db.metadata)

To let it leave them alone (`flask tokenauth init-db` creates them then), see
`include_object`.
"""

_ENCODING: Final = text("SELECT current_setting('server_encoding')")
_ENCODINGS: Final = ("UTF8", "SQL_ASCII")  # what any client may send fits into these

_CLOCK: Final = text("SELECT extract(epoch FROM clock_timestamp())")
_CREATING: Final = 0x746F6B656E  # any number, the same for all processes


def include_object(
    _object: object, name: str | None, type_: str, *_: Any, **__: Any
) -> bool:
    """Return whether Alembic should look at an object: not at our tables.

    Without it, `flask db migrate` writes a migration that drops them, as they are not
    in the application's metadata:

        Migrate(app, db, include_object=tokenauth.stores.sql.include_object)

    Args:
        name: The object's name; this and all else is as in Alembic's
            `EnvironmentContext.configure`.
        type_: Its kind, for example `table`.
    """
    return not (type_ == "table" and name in metadata.tables)


def _number() -> Column[int]:
    """Return a key that says in which order rows were made, whatever the clocks say."""
    big = BigInteger().with_variant(Integer, "sqlite")  # only so a name of its row id
    return Column("number", big, primary_key=True)


def _text(name: str, *, unique: bool = False) -> Column[str]:
    return Column(name, Text, nullable=False, unique=unique)


def _time(name: str) -> Column[float]:
    return Column(name, Double, nullable=False)


USERS: Final = Table(
    "tokenauth_users",
    metadata,
    _number(),
    _text("id", unique=True),
    _text("name", unique=True),  # folded: one account for all its spellings
    _text("username"),
    Column("password_hash", Text),
    Column("is_active", Boolean, nullable=False),
    _text("scopes"),
)

SESSIONS: Final = Table(
    "tokenauth_sessions",
    metadata,
    _number(),
    _text("id", unique=True),
    _text("user_id"),
    _text("kind"),
    Column("label", Text),
    Column("client", Text),
    _text("scopes"),
    Column("generation", BigInteger, nullable=False),
    _time("created_at"),
    _time("authenticated_at"),
    _time("refreshed_at"),
    _time("idle_expires_at"),
    _time("expires_at"),
)
Index(
    "tokenauth_sessions_of_user",
    *(SESSIONS.c[n] for n in ("user_id", "kind", "number")),
)
Index("tokenauth_sessions_expiry", SESSIONS.c.idle_expires_at)

# Which sessions ended, for workers that keep active ones (see `EndingFeed`).
ENDINGS: Final = Table(
    "tokenauth_endings",
    metadata,
    _number(),
    _text("session_id"),
    Column("txid", BigInteger, nullable=False),  # PostgreSQL's transaction, else 0
    sqlite_autoincrement=True,  # no number is given twice
)
Index("tokenauth_endings_txid", ENDINGS.c.txid)


class SQLStore:
    """A store that has tables in a database.

    Args:
        database: A URL, or what is shared with other stores.

    Attributes:
        tables: Which tables it has.
    """

    tables: tuple[Table, ...]

    def __init__(self, database: Database | str) -> None:
        self.database = Database(database) if isinstance(database, str) else database

    def create_tables(self) -> None:
        """Create tables that are missing, in one transaction, and extend older ones.

        A column that a release adds may be null or has a server default, so a process
        of the release before goes on meanwhile and afterwards.

        Raises:
            ConfigurationError: one is of another release, or the SQLite file cannot be
                created.
            StoreUnavailableError: the database cannot be reached, or refused.
        """
        self.database.create_file()
        with self.database.transaction() as connection:
            if not self.database.file:  # two that create a table at once would fail
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATING})")
            for table in self.tables:
                table.create(connection, checkfirst=True)
                _extend(connection, table)
        self.check_tables()

    def check_tables(self) -> None:
        """Check that its tables have the columns that this release needs.

        Raises:
            ConfigurationError: a table or column is missing, or the encoding wrong.
            StoreUnavailableError: the database cannot be reached.
        """
        file = self.database.file
        if not file and self.database.rows(_ENCODING)[0][0] not in _ENCODINGS:
            raise ConfigurationError(
                "The database's encoding does not have the letters of every name: use "
                "a database that is created with ENCODING 'UTF8'."
            )
        place = f"The SQLite file '{file}'" if file else "The database"
        for table in self.tables:
            found = self.database.columns_of(table.name)
            if not found:
                raise ConfigurationError(
                    f"{place} has no table '{table.name}': create it with 'flask "
                    "tokenauth init-db'."
                )
            missing = ", ".join(repr(c.name) for c in table.c if c.name not in found)
            if missing:
                raise ConfigurationError(
                    f"{place} has a table '{table.name}' of another release, without "
                    f"{missing}: run 'flask tokenauth upgrade-db'."
                )

    def read_clock(self) -> float | None:
        """Return PostgreSQL's time in seconds since the epoch, None for a SQLite file.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        return None if self.database.file else float(self.database.rows(_CLOCK)[0][0])


def _extend(connection: Connection, table: Table) -> None:
    """Add the columns and indexes that a table of an older release lacks."""
    found = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for column in table.c:
        if column.name not in found and (column.nullable or column.server_default):
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD {definition}")
    for index in table.indexes:
        index.create(connection, checkfirst=True)
