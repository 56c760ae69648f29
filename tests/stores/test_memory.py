"""What the sessions in memory keep, and for how long."""

from __future__ import annotations

from tests.stores.engines import make_session
from tokenauth import MemorySessionStore


def test_what_has_ended_takes_no_memory() -> None:
    """Somebody who logs in and out all day fills nothing, and the rest still ends."""
    store = MemorySessionStore()
    standing = make_session("u-1", at=0)
    store.add(standing, limit=9)
    for number in range(5000):
        session = make_session(f"u-{number % 7}", at=0)
        store.add(session, limit=9)
        store.end(session.id)
    assert len(store._queue) < 2000
    assert store.get(standing.id) == standing
    assert store.purge(now=standing.ends_at, limit=9999) == 1
    assert store.get(standing.id) is None
