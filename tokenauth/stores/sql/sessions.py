"""Sessions in a database: one statement or one transaction for each promise."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Text, bindparam, case, delete, insert, or_, select, update

from ...sessions.session import Session
from ...sessions.store import PURGE_STEP, Endings
from ...tokens.scopes import format_scopes, parse_scopes
from . import tables
from .database import Database, Statement, is_text
from .endings import EndingReader
from .tables import ENDINGS, SESSIONS

_C: Final = SESSIONS.c
_FIELDS: Final = [_C[name] for name in Session.__struct_fields__]
_NO = ""  # no session has this id, and none is of this kind

_IS_IT: Final = _C.id == bindparam("session_id")
_IS_OF_USER: Final = _C.user_id == bindparam("owner")
_IS_OF_KIND: Final = _C.kind == bindparam("of_kind")
_IS_OVER: Final = _C.ends_at <= bindparam("now")

_INSERT: Final = insert(SESSIONS).values(
    {column.name: bindparam(column.name) for column in [*_FIELDS, _C.ends_at]}
)
_GET: Final = select(*_FIELDS).where(_IS_IT)
_ROTATE: Final = (
    update(SESSIONS)
    .where(_IS_IT, _C.generation == bindparam("expected"))
    .values(
        generation=_C.generation + 1,
        refreshed_at=bindparam("now"),
        idle_expires_at=bindparam("idle_end"),
        ends_at=case(
            (_C.expires_at < bindparam("idle_end"), _C.expires_at),
            else_=bindparam("idle_end"),
        ),
    )
    .returning(*_FIELDS)
)
_TOUCH: Final = update(SESSIONS).where(_IS_IT).values(refreshed_at=bindparam("now"))
_END: Final = delete(SESSIONS).where(_IS_IT)
_END_ALL: Final = delete(SESSIONS).where(
    _IS_OF_USER,
    or_(bindparam("of_kind", type_=Text) == _NO, _IS_OF_KIND),
    _C.id != bindparam("keep"),
)
_OF_USER: Final = (
    select(*_FIELDS).where(_IS_OF_USER, _IS_OF_KIND).order_by(_C.number.desc())
)
_FIRST_BEYOND: Final = (
    select(_C.number)
    .where(_IS_OF_USER, _IS_OF_KIND, ~_IS_OVER)
    .order_by(_C.number.desc())
    .limit(1)
    .offset(bindparam("limit"))
)
_TRIM: Final = delete(SESSIONS).where(
    _IS_OF_USER,
    _IS_OF_KIND,
    or_(_IS_OVER, _C.number <= _FIRST_BEYOND.scalar_subquery()),
)
# What another is working on is left to it: a purge never waits.
_OVER: Final = (
    select(_C.number)
    .where(_IS_OVER)
    .order_by(_C.ends_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
    .cte()
)
_PURGE: Final = (
    delete(SESSIONS)
    .where(_C.number.in_(select(_OVER.c.number)))
    .returning(_C.number)  # SQLite's driver does not count what a WITH deletes
)


class SQLSessionStore:
    """Sessions in a SQLite file or a PostgreSQL database.

    Args:
        database: Where: a URL, or what is shared with other stores.

    Raises:
        ConfigurationError: the URL names no such database, or its driver is missing.
    """

    def __init__(self, database: Database | str) -> None:
        if isinstance(database, str):
            database = Database(database)
        self.database = database
        self._insert = database.prepare(_INSERT)
        self._get = database.prepare(_GET)
        self._rotate = database.prepare(_ROTATE)
        self._touch = database.prepare(_TOUCH)
        self._end = database.prepare(_END)
        self._end_all = database.prepare(_END_ALL)
        self._of_user = database.prepare(_OF_USER)
        self._trim = database.prepare(_TRIM)
        self._purge = database.prepare(_PURGE)
        self._endings = EndingReader(database)

    def create_tables(self) -> None:
        """Create the tables that are missing; see `tables.create`."""
        for table in (SESSIONS, ENDINGS):
            tables.create(self.database, table)

    def check_tables(self) -> None:
        """Return if the tables are as this release knows them; see `tables.check`."""
        for table in (SESSIONS, ENDINGS):
            tables.check(self.database, table)

    def read_clock(self) -> float | None:
        """Return the server's time, None for a file; see `Database.read_clock`."""
        return self.database.read_clock()

    def add(self, session: Session, *, limit: int) -> None:
        """Keep a new session; end its user's oldest of that kind beyond a limit."""
        row = msgspec.structs.asdict(session)
        row |= {"scopes": format_scopes(session.scopes), "ends_at": session.ends_at}
        owned = {"owner": session.user_id, "of_kind": session.kind}
        now = session.created_at
        with self.database.transaction(session.user_id) as cursor:
            self._insert.execute(cursor, **row)
            self._trim.execute(cursor, **owned, now=now, limit=limit)
            self._purge.execute(cursor, now=now, limit=PURGE_STEP)

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when it has ended or never was."""
        return self._one(self._get, session_id)

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one."""
        return self._one(
            self._rotate,
            session_id,
            expected=generation,
            now=now,
            idle_end=idle_expires_at,
        )

    def touch(self, session_id: str, *, now: float) -> None:
        """Note that a session was used, if it still stands."""
        if is_text(session_id):
            with self.database.cursor() as cursor:
                self._touch.execute(cursor, session_id=session_id, now=now)

    def end(self, session_id: str) -> bool:
        """End a session; true for one of many callers at most."""
        if not is_text(session_id):
            return False
        with self.database.cursor() as cursor:
            self._end.execute(cursor, session_id=session_id)
            return cursor.rowcount == 1

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions, of one kind or all, but for one to keep."""
        if not is_text(user_id):
            return 0
        with self.database.transaction(user_id) as cursor:
            self._end_all.execute(
                cursor, owner=user_id, of_kind=kind or _NO, keep=keep or _NO
            )
            return cursor.rowcount

    def of_user(self, user_id: str, *, kind: str) -> list[Session]:
        """Return a user's sessions of one kind, newest first."""
        if not is_text(user_id):
            return []
        with self.database.cursor() as cursor:
            self._of_user.execute(cursor, owner=user_id, of_kind=kind)
            return [_session(row) for row in cursor.fetchall()]

    def purge(self, *, now: float, limit: int) -> int:
        """Drop at most so many rows whose time is over."""
        with self.database.cursor() as cursor:
            self._purge.execute(cursor, now=now, limit=limit)
            return len(cursor.fetchall())

    def ended_since(self, mark: str | None) -> Endings:
        """Return which sessions ended since a mark, in whatever way."""
        return self._endings.since(mark)

    def _one(
        self, statement: Statement, session_id: str, **values: Any
    ) -> Session | None:
        if not is_text(session_id):
            return None
        with self.database.cursor() as cursor:
            statement.execute(cursor, session_id=session_id, **values)
            # All, though it is one: SQLite commits what has come to its end.
            rows = cursor.fetchall()
        return _session(rows[0]) if rows else None


def _session(row: Any) -> Session:
    fields = dict(zip(Session.__struct_fields__, row, strict=True))
    fields["scopes"] = parse_scopes(fields["scopes"])
    return Session(**fields)
