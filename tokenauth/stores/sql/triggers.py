"""Which sessions ended is written down by the database itself.

So it holds, and in the same transaction, what ends by a hand-written DELETE, too.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import DDL, ClauseElement

from .database import Database

# It is told for ten minutes: nobody asks less often. With each ending ten old ones go,
# so those of many at once are no burden of the one that ends ten minutes later.
_SQLITE_CLOCK: Final = "(julianday('now') - 2440587.5) * 86400.0"
_SQLITE_TRIGGER: Final = f"""
CREATE TRIGGER IF NOT EXISTS tokenauth_note_ending
AFTER DELETE ON tokenauth_sessions
BEGIN
  INSERT INTO tokenauth_endings (session_id, at, txid)
  VALUES (OLD.id, {_SQLITE_CLOCK}, 0);
  DELETE FROM tokenauth_endings WHERE number IN (
    SELECT number FROM tokenauth_endings WHERE at < {_SQLITE_CLOCK} - 600
    ORDER BY at LIMIT 10
  );
END
"""  # noqa: S608 # put together of constants
# The moment is a variable, and the numbers are an array, so that indexes are used: for
# a function that is called anew for each row, or a join, all that is told is read.
_POSTGRESQL_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION tokenauth_note_ending() RETURNS trigger
LANGUAGE plpgsql AS $body$
DECLARE
  this_moment double precision := extract(epoch FROM clock_timestamp());
  noted bigint;
BEGIN
  INSERT INTO tokenauth_endings (session_id, at, txid)
  SELECT id, this_moment, pg_current_xact_id()::text::bigint FROM ended;
  GET DIAGNOSTICS noted = ROW_COUNT;
  IF noted > 0 THEN
    DELETE FROM tokenauth_endings WHERE number = ANY (ARRAY(
      SELECT number FROM tokenauth_endings WHERE at < this_moment - 600
      ORDER BY at LIMIT 10 * noted FOR UPDATE SKIP LOCKED
    ));
  END IF;
  RETURN NULL;
END
$body$
"""
_POSTGRESQL_TRIGGER: Final = """
CREATE TRIGGER tokenauth_note_ending
AFTER DELETE ON tokenauth_sessions
REFERENCING OLD TABLE AS ended
FOR EACH STATEMENT
EXECUTE FUNCTION tokenauth_note_ending()
"""
_NO_TRIGGER: Final = (
    "DROP TRIGGER IF EXISTS tokenauth_note_ending ON tokenauth_sessions"
)


def on_endings(database: Database) -> list[ClauseElement]:
    """Return what creates the triggers, or replaces them."""
    texts = [_SQLITE_TRIGGER]
    if not database.is_sqlite:
        texts = [_POSTGRESQL_FUNCTION, _NO_TRIGGER, _POSTGRESQL_TRIGGER]
    ddl: Any = DDL  # SQLAlchemy gives it no types
    return [ddl(text) for text in texts]
