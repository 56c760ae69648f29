"""Sessions in a database, and which of them ended.

What ends sessions writes their endings in the same transaction. SQLite has one writer
at a time, so the endings' numbers become visible in their order. On PostgreSQL, what
came first may commit last: each answer repeats all that was not committed when the last
one was given, and all that came after. (The functions for that are older than
`pg_current_xact_id` and the like, and not of PostgreSQL 13 only.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Table,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from ...accounts.names import check_id
from ...sessions.session import Session
from ...sessions.store import MOST_ENDINGS, PURGE_STEP, Endings
from ...tokens.scopes import format_scopes, parse_scopes
from .database import is_storable
from .tables import ENDINGS, SESSIONS, SQLStore

_C: Final = SESSIONS.c
_FIELDS: Final = [_C[name] for name in Session.__struct_fields__]
_STEP: Final = 1000
_KEPT_ENDINGS: Final = 2 * MOST_ENDINGS
_FORGOTTEN_ENDINGS: Final = 100  # at a time

_HAS_ID: Final = _C.id == bindparam("session_id")
_OF_USER: Final = _C.user_id == bindparam("owner")
_OF_KIND: Final = _C.kind == bindparam("of_kind")
_OF_SOME_KIND: Final = or_(_OF_KIND, bindparam("of_kind") == "")
_EXPIRED: Final = _C.idle_expires_at <= bindparam("now")

# Says whether a purge is due, in the same round trip: the earliest is in the index.
_EARLIEST: Final = select(func.min(_C.idle_expires_at)).scalar_subquery()
_INSERT: Final = insert(SESSIONS).returning(_EARLIEST)
_GET: Final = select(*_FIELDS).where(_HAS_ID)
_TOUCH: Final = (
    update(SESSIONS)
    .where(_HAS_ID)
    .values(refreshed_at=bindparam("now"))
    .returning(*_FIELDS)
)
_ROTATE: Final = _TOUCH.where(_C.generation == bindparam("expected")).values(
    generation=_C.generation + 1, idle_expires_at=bindparam("idle_end")
)
_LIST: Final = (
    select(*_FIELDS).where(_OF_USER, _OF_SOME_KIND).order_by(_C.number.desc())
)
_FIRST_BEYOND: Final = (
    select(_C.number)
    .where(_OF_USER, _OF_KIND, ~_EXPIRED)
    .order_by(_C.number.desc())
    .limit(1)
    .offset(bindparam("limit"))
)
# A row that another transaction has locked is left to it: a purge never waits.
_TO_PURGE: Final = (
    select(_C.number)
    .where(_EXPIRED)
    .order_by(_C.idle_expires_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
    .cte()
)
_PURGE: Final = (
    delete(SESSIONS)
    .where(_C.number.in_(select(_TO_PURGE.c.number)))
    .returning(_C.number)  # SQLite's driver does not count what a WITH deletes
)

_NUMBER: Final = ENDINGS.c.number
_NOTE: Final = insert(ENDINGS).returning(_NUMBER)
_FORGET: Final = delete(ENDINGS).where(bindparam("last") >= _NUMBER).returning(_NUMBER)


def _ending(*conditions: ColumnElement[bool]) -> tuple[Any, Any]:
    """Return what ends sessions on SQLite, and what also notes it, on PostgreSQL."""
    gone = delete(SESSIONS).where(*conditions).returning(_C.id)
    rows = select(gone.cte().c.id, func.txid_current())
    return gone, _NOTE.from_select(["session_id", "txid"], rows)


_END_ONE: Final = _ending(_HAS_ID)
_END_BEYOND: Final = _ending(
    _OF_USER, _OF_KIND, or_(_EXPIRED, _C.number <= _FIRST_BEYOND.scalar_subquery())
)
_END_ALL: Final = _ending(_OF_USER, _OF_SOME_KIND, _C.id != bindparam("keep"))
_END_SOME: Final = _ending(_C.number.in_(select(_C.number).limit(_STEP)))


def _ended(column: ColumnElement[int], begin: Any) -> tuple[Any, Any]:
    """Return what reads the next mark, and what reads the endings since a mark."""
    since = select(ENDINGS.c.session_id).where(column >= bindparam("mark"))
    return select(begin), since.order_by(column).limit(MOST_ENDINGS)


_ENDED_IN_FILE: Final = _ended(_NUMBER, func.coalesce(func.max(_NUMBER), 0) + 1)
_ENDED: Final = _ended(
    ENDINGS.c.txid, func.txid_snapshot_xmin(func.txid_current_snapshot())
)


class SQLSessionStore(SQLStore):
    """Sessions in a SQLite file or a PostgreSQL database.

    Args:
        database: A URL, or what is shared with other stores.

    Raises:
        ConfigurationError: the URL names no such database.
        ImportError: its driver is missing.
    """

    tables: tuple[Table, ...] = (SESSIONS, ENDINGS)

    def add(self, session: Session, *, limit: int) -> None:
        """Keep a new session; end its user's oldest of that kind beyond a limit.

        Raises:
            ValueError: a text of the session cannot be stored.
        """
        row = msgspec.structs.asdict(session)
        row["scopes"] = format_scopes(session.scopes)
        if not (rows := self.database.rows(_INSERT, **row)):
            raise ValueError("A session's texts must not have NUL or lone surrogates.")
        # After the insert is committed: of many at once, the last one sees all others.
        now = session.created_at
        self._end(
            _END_BEYOND,
            owner=session.user_id,
            of_kind=session.kind,
            now=now,
            limit=limit,
        )
        if (earliest := rows[0][0]) is not None and earliest <= now:
            self.purge(now=now, limit=PURGE_STEP)

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when there is none with this id."""
        check_id(session_id)
        rows = self.database.rows(_GET, session_id=session_id)
        return _session(rows[0]) if rows else None

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one."""
        check_id(session_id)
        rows = self.database.rows(
            _ROTATE,
            session_id=session_id,
            expected=generation,
            now=now,
            idle_end=idle_expires_at,
        )
        return _session(rows[0]) if rows else None

    def touch(self, session_id: str, *, now: float) -> None:
        """Set when a session was last used, if there is one with this id."""
        check_id(session_id)
        self.database.rows(_TOUCH, session_id=session_id, now=now)

    def end(self, session_id: str) -> bool:
        """End a session; True for at most one of many callers."""
        check_id(session_id)
        return self._end(_END_ONE, session_id=session_id) == 1

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions, of one kind or all, but for one to keep."""
        check_id(user_id)
        values = {"owner": user_id, "of_kind": kind or "", "keep": keep or ""}
        return self._end(_END_ALL, **values)

    def end_everyone(self) -> int:
        """End every session of every user; return how many."""
        ended = 0
        while step := self._end(_END_SOME):
            ended += step
        return ended

    def of_user(self, user_id: str, *, kind: str | None = None) -> list[Session]:
        """Return a user's sessions, of one kind or all, newest first."""
        check_id(user_id)
        rows = self.database.rows(_LIST, owner=user_id, of_kind=kind or "")
        return [_session(row) for row in rows]

    def purge(self, *, now: float, limit: int) -> int:
        """Drop at most this many expired sessions."""
        return len(self.database.rows(_PURGE, now=now, limit=limit))

    def ended_since(self, mark: str | None) -> Endings:
        """Return which sessions were ended through a store since a mark."""
        begins, since = _ENDED_IN_FILE if self.database.file else _ENDED
        begin: Any = self.database.rows(begins)[0][0]  # before they are read
        if mark is None:
            return Endings([], str(begin))
        rows = self.database.rows(since, mark=int(mark))
        # Where marks go back, the database was restored from a backup.
        if len(rows) >= MOST_ENDINGS or begin < int(mark):
            return Endings(None, str(begin))
        return Endings([session_id for (session_id,) in rows], str(begin))

    def _end(self, ending: tuple[Any, Any], **values: Any) -> int:
        gone, noted = ending
        if self.database.file:
            numbers = self._end_in_file(gone, values)
        else:
            numbers = self.database.rows(noted, **values)
        # Not each time: logouts at the same moment would wait for each other.
        if numbers and (last := max(numbers)[0]) % _FORGOTTEN_ENDINGS < len(numbers):
            self.database.rows(_FORGET, last=last - _KEPT_ENDINGS)
        return len(numbers)

    def _end_in_file(self, gone: Any, values: dict[str, Any]) -> Sequence[Any]:
        if not all(map(is_storable, values.values())):
            return []
        with self.database.transaction() as connection:
            ids = connection.execute(gone, values).scalars()
            rows = [{"session_id": session_id, "txid": 0} for session_id in ids]
            return connection.execute(_NOTE, rows).all() if rows else []


def _session(row: Any) -> Session:
    fields = dict(zip(Session.__struct_fields__, row, strict=True))
    fields["scopes"] = parse_scopes(fields["scopes"])
    return Session(**fields)
