"""Which sessions ended: written by what ends them, in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select

from ...sessions.store import MOST_ENDINGS, Endings
from .database import Database, is_storable
from .tables import ENDINGS, SESSIONS

_KEPT: Final = 2 * MOST_ENDINGS
_STEP: Final = 100

_NUMBER: Final = ENDINGS.c.number
_NEXT: Final = select(func.coalesce(func.max(_NUMBER), 0) + 1)
_OLDEST_OPEN: Final = select(func.txid_snapshot_xmin(func.txid_current_snapshot()))
_INSERT: Final = insert(ENDINGS).returning(_NUMBER)
_FORGET: Final = delete(ENDINGS).where(bindparam("last") >= _NUMBER).returning(_NUMBER)


class EndingLog:
    """Ends sessions, and writes and reads the table of endings.

    SQLite has one writer at a time, so its numbers become visible in their order. On
    PostgreSQL, what came first may commit last: each answer repeats all that was not
    committed when the last one was given, and all that came after. (These functions
    are older than `pg_current_xact_id` and the like, and not of PostgreSQL 13 only.)
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        column = _NUMBER if database.file else ENDINGS.c.txid
        self._begin = _NEXT if database.file else _OLDEST_OPEN
        self._since = (
            select(ENDINGS.c.session_id)
            .where(column >= bindparam("mark"))
            .order_by(column)
            .limit(MOST_ENDINGS)
        )

    def ending(self, *conditions: ColumnElement[bool]) -> Callable[..., int]:
        """Return what ends the sessions that fulfil conditions with these values.

        It is built once: building it takes longer than PostgreSQL's answer.
        """
        gone = delete(SESSIONS).where(*conditions).returning(SESSIONS.c.id)
        noted = _noted(gone)

        def end(**values: Any) -> int:
            if self._database.file:
                numbers = self._end_in_file(gone, values)
            else:
                numbers = self._database.rows(noted, **values)
            # Not each time: logouts at the same moment would wait for each other.
            if numbers and (last := max(numbers)[0]) % _STEP < len(numbers):
                self._database.rows(_FORGET, last=last - _KEPT)
            return len(numbers)

        return end

    def _end_in_file(self, gone: Any, values: dict[str, Any]) -> Sequence[Any]:
        if not all(map(is_storable, values.values())):
            return []
        with self._database.transaction() as connection:
            ids = connection.execute(gone, values).scalars()
            rows = [{"session_id": session_id, "txid": 0} for session_id in ids]
            return connection.execute(_INSERT, rows).all() if rows else []

    def since(self, mark: str | None) -> Endings:
        """Return which sessions ended since a mark; see `EndingFeed`."""
        begin: Any = self._database.rows(self._begin)[0][0]  # before they are read
        if mark is None:
            return Endings([], str(begin))
        rows = self._database.rows(self._since, mark=int(mark))
        # Where marks go back, the database was restored from a backup.
        if len(rows) >= MOST_ENDINGS or begin < int(mark):
            return Endings(None, str(begin))
        return Endings([session_id for (session_id,) in rows], str(begin))


def _noted(gone: Any) -> Any:
    """Return PostgreSQL's statement that deletes and writes down, in one round trip."""
    rows = select(gone.cte().c.id, func.txid_current())
    return _INSERT.from_select(["session_id", "txid"], rows)
