"""Users in a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Table, bindparam, delete, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ...accounts.names import check_id, fold_username, folded_name
from ...accounts.users import User
from ...tokens.scopes import check_names, format_scopes, parse_scopes
from .database import Database
from .tables import USERS, SQLStore

_PAGE_SIZE: Final = 500

_C: Final = USERS.c
_FIELDS: Final = (_C.username, _C.password_hash, _C.id, _C.is_active, _C.scopes)
_HAS_ID: Final = _C.id == bindparam("user_id")

_GET: Final = select(*_FIELDS).where(_HAS_ID)
_FIND: Final = select(*_FIELDS).where(_C.name == bindparam("folded"))
_PAGE: Final = (
    select(*_FIELDS, _C.name)
    .where(_C.name > bindparam("after"))
    .order_by(_C.name)
    .limit(_PAGE_SIZE)
)
_UPDATE: Final = update(USERS).where(_HAS_ID).returning(_C.id)
_SET_PASSWORD: Final = _UPDATE.where(
    _C.password_hash.is_not_distinct_from(bindparam("expected"))
).values(password_hash=bindparam("new"))
_OTHER: Final = USERS.alias()
_RENAME: Final = _UPDATE.where(
    ~exists().where(_OTHER.c.name == bindparam("folded"), _OTHER.c.id != _C.id)
).values(username=bindparam("new_username"), name=bindparam("folded"))
_SET_ACTIVE: Final = _UPDATE.values(is_active=bindparam("active"))
_SET_SCOPES: Final = _UPDATE.values(scopes=bindparam("names"))
_REMOVE: Final = delete(USERS).where(_HAS_ID).returning(_C.id)


class SQLUserStore(SQLStore):
    """Users in a SQLite file or a PostgreSQL database.

    Args:
        database: A URL, or what is shared with other stores.

    Raises:
        ConfigurationError: the URL names no such database.
        ImportError: its driver is missing.
    """

    tables: tuple[Table, ...] = (USERS,)

    def __init__(self, database: Database | str) -> None:
        super().__init__(database)
        insert = sqlite.insert if self.database.file else postgresql.insert
        self._insert = insert(USERS).on_conflict_do_nothing().returning(_C.id)

    def get(self, user_id: str) -> User | None:
        """Return the user with this id, or None."""
        check_id(user_id)
        rows = self.database.rows(_GET, user_id=user_id)
        return _user(rows[0]) if rows else None

    def find(self, username: str) -> User | None:
        """Return the user with this name in any spelling, or None."""
        folded = fold_username(username)
        rows = self.database.rows(_FIND, folded=folded) if folded else ()
        return _user(rows[0]) if rows else None

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        """Replace a hash if it still is the expected one, atomically."""
        return self._change(_SET_PASSWORD, user_id, new=new, expected=expected)

    def add(self, user: User) -> bool:
        """Keep a new user.

        Args:
            user: The user; its id is new.

        Returns:
            False when the name, or another spelling of it, or the id is taken.

        Raises:
            InvalidRequestError: the username cannot be used.
        """
        check_id(user.id)
        added = self.database.rows(
            self._insert,
            id=user.id,
            name=folded_name(user.username),
            username=user.username,
            password_hash=user.password_hash,
            is_active=user.is_active,
            scopes=format_scopes(user.scopes),
        )
        return bool(added)

    def all(self) -> Iterator[User]:
        """Yield every user, ordered by folded name."""
        after = ""
        while rows := self.database.rows(_PAGE, after=after):
            for row in rows:
                after = row[-1]
                yield _user(row[:-1])

    def rename(self, user_id: str, username: str) -> bool:
        """Give a user another name; the id stays.

        Args:
            user_id: The user's id.
            username: The new name.

        Returns:
            False when another user has the name, or another spelling of it, or when
            there is no user with this id.

        Raises:
            InvalidRequestError: the username cannot be used.
        """
        return self._change(
            _RENAME, user_id, new_username=username, folded=folded_name(username)
        )

    def set_active(self, user_id: str, *, active: bool) -> bool:
        """Enable or disable a user.

        Args:
            user_id: The user's id.
            active: Whether the user may log in, and tokens work.

        Returns:
            False when there is no user with this id.
        """
        return self._change(_SET_ACTIVE, user_id, active=active)

    def set_scopes(self, user_id: str, scopes: str | Iterable[str]) -> bool:
        """Give a user these scopes and no others.

        Args:
            user_id: The user's id.
            scopes: Their names, or one text with spaces.

        Returns:
            False when there is no user with this id.

        Raises:
            ValueError: one of these cannot be the name of a scope.
        """
        names = parse_scopes(scopes)
        check_names(names)
        return self._change(_SET_SCOPES, user_id, names=format_scopes(names))

    def remove(self, user_id: str) -> bool:
        """Remove a user.

        Args:
            user_id: The user's id.

        Returns:
            False when there is none with this id.
        """
        return self._change(_REMOVE, user_id)

    def _change(self, statement: Any, user_id: str, **values: Any) -> bool:
        check_id(user_id)
        return bool(self.database.rows(statement, user_id=user_id, **values))


def _user(row: Any) -> User:
    username, password_hash, user_id, is_active, scopes = row
    return User(
        username, password_hash, id=user_id, is_active=bool(is_active), scopes=scopes
    )
