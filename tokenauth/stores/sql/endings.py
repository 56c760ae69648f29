"""Which sessions ended, read from what the triggers wrote down; see `tables`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Text, bindparam, cast, func, select

from ...sessions.store import MOST_ENDINGS, Endings
from .database import Database
from .tables import ENDINGS

_C: Final = ENDINGS.c

# SQLite has one writer at a time: numbers become visible in their order.
_LAST: Final = select(func.coalesce(func.max(_C.number), 0))
_BY_NUMBER: Final = (
    select(_C.number, _C.session_id)
    .where(_C.number > bindparam("mark"))
    .order_by(_C.number)
    .limit(MOST_ENDINGS)
)

# PostgreSQL has many, and the one that came first may commit last. All that was under
# way when it was last asked, and all that came after, is told: also what was told then.
_OLDEST_OPEN: Final = cast(
    cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger
)
_BY_TRANSACTION: Final = select(
    _OLDEST_OPEN,
    func.array(
        select(_C.session_id)
        .where(_C.txid >= bindparam("mark", type_=BigInteger))
        .order_by(_C.txid)  # by the index, whatever the database guesses of the rest
        .limit(MOST_ENDINGS)
        .scalar_subquery()
    ),
)


class EndingReader:
    """Reads what ended, so that nothing is missed whatever commits when.

    Args:
        database: Where sessions are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        begin = _LAST if database.is_sqlite else select(_OLDEST_OPEN)
        since = _BY_NUMBER if database.is_sqlite else _BY_TRANSACTION
        self._begin = database.prepare(begin)
        self._since = database.prepare(since)

    def since(self, mark: str | None) -> Endings:
        """Return which sessions ended since a mark; None: since now."""
        if mark is None:
            return Endings([], self._newest())
        with self._database.cursor() as cursor:
            self._since.execute(cursor, mark=int(mark))
            rows = cursor.fetchall()
        if self._database.is_sqlite:
            last = rows[-1][0] if rows else mark
            session_ids = [session_id for _, session_id in rows]
        else:
            ((last, session_ids),) = rows
        if len(session_ids) >= MOST_ENDINGS:
            # Those beyond are not told either: they need not be read next time.
            return Endings(None, self._newest())
        return Endings(session_ids, str(last))

    def _newest(self) -> str:
        with self._database.cursor() as cursor:
            self._begin.execute(cursor)
            ((number,),) = cursor.fetchall()
        return str(number)
