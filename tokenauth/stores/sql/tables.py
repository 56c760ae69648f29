"""The tables: their columns, and the version of them that this release knows."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from ...errors import ConfigurationError
from . import triggers
from .database import Database

VERSION: Final = 1

_METADATA: Final = MetaData()


def _number() -> Column[int]:
    """Return a key that says in which order rows were made, whatever the clocks say."""
    big = BigInteger().with_variant(Integer, "sqlite")  # only so a name of its row id
    return Column("number", big, primary_key=True)


def _text(name: str, *, unique: bool = False) -> Column[str]:
    return Column(name, Text, nullable=False, unique=unique)


def _time(name: str) -> Column[float]:
    return Column(name, Double, nullable=False)


VERSIONS: Final = Table(
    "tokenauth_versions",
    _METADATA,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)

USERS: Final = Table(
    "tokenauth_users",
    _METADATA,
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
    _METADATA,
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
    _time("ends_at"),  # the nearer of the two: what a purge goes by
)
Index(
    "tokenauth_sessions_of_user",
    *(SESSIONS.c[n] for n in ("user_id", "kind", "number")),
)
Index("tokenauth_sessions_ends_at", SESSIONS.c.ends_at)

# What has ended, for workers that trust what they saw alive (see `lagging`).
ENDINGS: Final = Table(
    "tokenauth_endings",
    _METADATA,
    _number(),
    _text("session_id"),
    _time("at"),  # by the clock of the database
    Column("txid", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # no number is given twice
)
Index("tokenauth_endings_at", ENDINGS.c.at)
Index("tokenauth_endings_txid", ENDINGS.c.txid)


def create(database: Database, table: Table) -> None:
    """Create a table if there is none.

    Raises:
        ConfigurationError: there is one of another version, or the SQLite file cannot
            be created.
        StoreUnavailableError: the database cannot be reached, or refused.
    """
    database.create_file()
    clauses = [
        CreateTable(VERSIONS, if_not_exists=True),
        CreateTable(table, if_not_exists=True),
        *(CreateIndex(index, if_not_exists=True) for index in table.indexes),
        *(triggers.on_endings(database) if table is ENDINGS else ()),
        insert_new(database, VERSIONS).values(name=table.name, version=VERSION),
    ]
    with database.transaction("tables") as cursor:
        for clause in clauses:
            database.prepare(clause).execute(cursor)
    check(database, table)


def check(database: Database, table: Table) -> None:
    """Return if a table is as this release knows it.

    Raises:
        ConfigurationError: it is missing, or of another version.
        StoreUnavailableError: the database cannot be reached.
    """
    found = None
    if database.has_table(VERSIONS.name):
        query = select(VERSIONS.c.version).where(VERSIONS.c.name == table.name)
        with database.cursor() as cursor:
            database.prepare(query).execute(cursor)
            found = cursor.fetchone()
    if found is None:
        raise ConfigurationError(
            f"The database has no table '{table.name}': create it with 'flask "
            "tokenauth init-db'."
        )
    if found[0] != VERSION:
        raise ConfigurationError(
            f"The table '{table.name}' is of version {found[0]}, and this release of "
            f"flask-login-tokenauth knows version {VERSION}: the changelog says how to "
            "move it."
        )


def insert_new(database: Database, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that leaves alone what has one of its unique values already."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    return insert(table).on_conflict_do_nothing()
