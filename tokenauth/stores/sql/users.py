"""Users in a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update

from ...accounts.users import User, folded_name
from ...tokens.scopes import check_names, format_scopes, parse_scopes
from . import tables
from .database import Database, Statement, is_text
from .tables import USERS

_PAGE_SIZE: Final = 500

_C: Final = USERS.c
_FIELDS: Final = (_C.username, _C.password_hash, _C.id, _C.is_active, _C.scopes)
_IS_IT: Final = _C.id == bindparam("user_id")

_GET: Final = select(*_FIELDS).where(_IS_IT)
_FIND: Final = select(*_FIELDS).where(_C.name == bindparam("folded"))
_PAGE: Final = (
    select(*_FIELDS, _C.name)
    .where(_C.name > bindparam("after"))
    .order_by(_C.name)
    .limit(_PAGE_SIZE)
)
_SET_PASSWORD: Final = (
    update(USERS)
    .where(_IS_IT, _C.password_hash.is_not_distinct_from(bindparam("expected")))
    .values(password_hash=bindparam("new"))
)
_SET_ACTIVE: Final = update(USERS).where(_IS_IT).values(is_active=bindparam("active"))
_SET_SCOPES: Final = update(USERS).where(_IS_IT).values(scopes=bindparam("scopes"))
_REMOVE: Final = delete(USERS).where(_IS_IT)


class SQLUserStore:
    """Users in a SQLite file or a PostgreSQL database.

    Args:
        database: Where: a URL, or what is shared with other stores.

    Raises:
        ConfigurationError: the URL names no such database, or its driver is missing.
    """

    def __init__(self, database: Database | str) -> None:
        if isinstance(database, str):
            database = Database(database)
        self.database = database
        self._insert = database.prepare(
            tables.insert_new(database, USERS).values(
                {c.name: bindparam(c.name) for c in (*_FIELDS, _C.name)}
            )
        )
        self._get = database.prepare(_GET)
        self._find = database.prepare(_FIND)
        self._page = database.prepare(_PAGE)
        self._set_password = database.prepare(_SET_PASSWORD)
        self._set_active = database.prepare(_SET_ACTIVE)
        self._set_scopes = database.prepare(_SET_SCOPES)
        self._remove = database.prepare(_REMOVE)

    def create_tables(self) -> None:
        """Create the table if there is none; see `tables.create`."""
        tables.create(self.database, USERS)

    def check_tables(self) -> None:
        """Return if the table is as this release knows it; see `tables.check`."""
        tables.check(self.database, USERS)

    def read_clock(self) -> float | None:
        """Return the server's time, None for a file; see `Database.read_clock`."""
        return self.database.read_clock()

    def get(self, user_id: str) -> User | None:
        """Return the user with this id, or None."""
        return self._one(self._get, user_id=user_id)

    def find(self, username: str) -> User | None:
        """Return the user with this folded name, or None."""
        return self._one(self._find, folded=username)

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        """Replace a hash if it still is the expected one, atomically."""
        return self._change(
            self._set_password, user_id=user_id, new=new, expected=expected
        )

    def add(self, user: User) -> bool:
        """Keep a new user.

        Returns:
            False when the name, or another spelling of it, or the id is taken.

        Raises:
            InvalidRequestError: the username cannot be used.
        """
        return self._change(
            self._insert,
            id=user.id,
            name=folded_name(user.username),
            username=user.username,
            password_hash=user.password_hash,
            is_active=user.is_active,
            scopes=format_scopes(user.scopes),
        )

    def all(self) -> Iterator[User]:
        """Yield every user, ordered by folded name."""
        after = ""
        while True:
            with self.database.cursor() as cursor:
                self._page.execute(cursor, after=after)
                rows = cursor.fetchall()
            for *fields, name in rows:
                after = name
                yield _user(fields)
            if len(rows) < _PAGE_SIZE:
                return

    def set_active(self, user_id: str, *, active: bool) -> bool:
        """Enable or disable a user; false when there is none with this id."""
        return self._change(self._set_active, user_id=user_id, active=active)

    def set_scopes(self, user_id: str, scopes: str | Iterable[str]) -> bool:
        """Give a user these scopes and no others; false when there is no such user.

        Raises:
            ValueError: one of these cannot be the name of a scope.
        """
        names = parse_scopes(scopes)
        check_names(names)
        return self._change(
            self._set_scopes, user_id=user_id, scopes=format_scopes(names)
        )

    def remove(self, user_id: str) -> bool:
        """Forget a user; false when there is none with this id."""
        return self._change(self._remove, user_id=user_id)

    def _one(self, statement: Statement, **value: str) -> User | None:
        if not all(map(is_text, value.values())):
            return None
        with self.database.cursor() as cursor:
            statement.execute(cursor, **value)
            rows = cursor.fetchall()
        return _user(rows[0]) if rows else None

    def _change(self, statement: Statement, **values: Any) -> bool:
        if not all(is_text(v) for v in values.values() if isinstance(v, str)):
            return False
        with self.database.cursor() as cursor:
            statement.execute(cursor, **values)
            return cursor.rowcount == 1


def _user(row: Any) -> User:
    username, password_hash, user_id, is_active, scopes = row
    return User(
        username, password_hash, id=user_id, is_active=bool(is_active), scopes=scopes
    )
