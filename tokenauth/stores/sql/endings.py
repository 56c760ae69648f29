"""Which sessions ended: written by what ends them, in the same transaction."""

from __future__ import annotations

from collections.abc import Callable
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
_INSERT: Final = insert(ENDINGS)
_FORGET: Final = delete(ENDINGS).where(bindparam("last") >= _NUMBER)


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
        statement: Any = delete(SESSIONS).where(*conditions).returning(SESSIONS.c.id)
        in_file = self._database.file is not None
        run = self._in_transaction if in_file else self._in_one_step
        statement = statement if in_file else _noted(statement)

        def end(**values: Any) -> int:
            if not all(map(is_storable, values.values())):
                return 0
            ended, last = run(statement, values)
            # Not each time: logouts at the same moment would wait for each other.
            if ended and last % _STEP < ended:
                self._database.count(_FORGET, last=last - _KEPT)
            return ended

        return end

    def _in_transaction(self, statement: Any, values: Any) -> tuple[int, int]:
        with self._database.transaction() as connection:
            ids = connection.execute(statement, values).scalars().all()
            rows = [{"session_id": session_id, "txid": 0} for session_id in ids]
            noted = (
                connection.execute(_INSERT.returning(_NUMBER), rows) if ids else None
            )
            return len(ids), max(noted.scalars()) if noted else 0

    def _in_one_step(self, statement: Any, values: Any) -> tuple[int, int]:
        row: Any = self._database.rows(statement, **values)[0]
        return row[0], row[1]

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
    gone = gone.cte()
    rows = select(gone.c.id, func.txid_current())
    noted = _INSERT.from_select(["session_id", "txid"], rows).returning(_NUMBER).cte()
    return select(func.count(), func.max(noted.c.number)).select_from(noted)
