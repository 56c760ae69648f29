"""Sessions in a database."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Table, bindparam, delete, func, insert, or_, select, update

from ...accounts.users import check_id
from ...sessions.session import Session
from ...sessions.store import PURGE_STEP, Endings
from ...tokens.scopes import format_scopes, parse_scopes
from .database import Database
from .endings import EndingLog
from .tables import ENDINGS, SESSIONS, SQLStore

_C: Final = SESSIONS.c
_FIELDS: Final = [_C[name] for name in Session.__struct_fields__]
_STEP: Final = 1000

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


class SQLSessionStore(SQLStore):
    """Sessions in a SQLite file or a PostgreSQL database.

    Args:
        database: A URL, or what is shared with other stores.

    Raises:
        ConfigurationError: the URL names no such database.
        ImportError: its driver is missing.
    """

    tables: tuple[Table, ...] = (SESSIONS, ENDINGS)

    def __init__(self, database: Database | str) -> None:
        super().__init__(database)
        self._endings = EndingLog(self.database)
        self._end_one = self._endings.ending(_HAS_ID)
        self._end_beyond = self._endings.ending(
            _OF_USER,
            _OF_KIND,
            or_(_EXPIRED, _C.number <= _FIRST_BEYOND.scalar_subquery()),
        )
        self._end_all = self._endings.ending(
            _OF_USER, _OF_SOME_KIND, _C.id != bindparam("keep")
        )
        self._end_some = self._endings.ending(
            _C.number.in_(select(_C.number).limit(_STEP))
        )

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
        self._end_beyond(
            owner=session.user_id, of_kind=session.kind, now=now, limit=limit
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
        return self._end_one(session_id=session_id) == 1

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions, of one kind or all, but for one to keep."""
        check_id(user_id)
        return self._end_all(owner=user_id, of_kind=kind or "", keep=keep or "")

    def end_everyone(self) -> int:
        """End every session of every user; return how many."""
        ended = 0
        while step := self._end_some():
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
        return self._endings.since(mark)


def _session(row: Any) -> Session:
    fields = dict(zip(Session.__struct_fields__, row, strict=True))
    fields["scopes"] = parse_scopes(fields["scopes"])
    return Session(**fields)
