"""Which sessions ended: written by what ends them, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select

from ...sessions.store import MOST_ENDINGS, Endings
from .database import Database
from .tables import ENDINGS

_KEPT: Final = 2 * MOST_ENDINGS
_STEP: Final = 100

_NUMBER: Final = ENDINGS.c.number
_NEXT: Final = select(func.coalesce(func.max(_NUMBER), 0) + 1)
_OLDEST_OPEN: Final = select(func.txid_snapshot_xmin(func.txid_current_snapshot()))
_FORGET: Final = delete(ENDINGS).where(bindparam("last") >= _NUMBER)


class EndingLog:
    """Writes and reads the table of endings.

    SQLite has one writer at a time, so its numbers become visible in their order. On
    PostgreSQL, what came first may commit last: each answer repeats all that was not
    committed when the last one was given, and all that came after. (These functions
    are older than `pg_current_xact_id` and the like, and not of PostgreSQL 13 only.)
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        column = _NUMBER if database.file else ENDINGS.c.txid
        txid = literal(0) if database.file else func.txid_current()
        self._begin = _NEXT if database.file else _OLDEST_OPEN
        self._insert = insert(ENDINGS).values(txid=txid).returning(_NUMBER)
        self._since = (
            select(ENDINGS.c.session_id)
            .where(column >= bindparam("mark"))
            .order_by(column)
            .limit(MOST_ENDINGS)
        )

    def write(self, connection: Connection, session_ids: Sequence[str]) -> None:
        """Write down which sessions the transaction of a connection ends."""
        rows = [{"session_id": session_id} for session_id in session_ids]
        last = max(connection.execute(self._insert, rows).scalars())
        # Not each time: logouts at the same moment would wait for each other.
        if last % _STEP < len(rows):
            connection.execute(_FORGET, {"last": last - _KEPT})

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
