"""Stores tell what ended, and workers that trust what they saw act on it in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import redis
from sqlalchemy import delete, func, insert, literal, text

from tests.harness.kit import assert_problem, bearer, log_in, make_app
from tests.stores.contract import kept
from tests.stores.engines import (
    NOW,
    SHARED,
    make_session,
    sessions_at,
    sessions_on,
    url_of,
)
from tests.stores.proxy import proxied
from tests.stores.shared import Place, Service, place_on
from tests.stores.test_served import FIRST, ask, new_user, obtain, serving
from tokenauth import MemorySessionStore, SessionStore, StoreUnavailableError
from tokenauth.errors import ConfigurationError
from tokenauth.sessions import cache
from tokenauth.sessions.cache import SessionCache
from tokenauth.sessions.session import user_tag
from tokenauth.sessions.store import MOST_ENDINGS, EndingFeed, Endings
from tokenauth.stores.redis import scripts
from tokenauth.stores.redis.rows import key_of, session_key
from tokenauth.stores.sql import SQLSessionStore
from tokenauth.stores.sql import sessions as sql_sessions
from tokenauth.stores.sql.tables import ENDINGS, SESSIONS


def note_ends(store: Any, connection: Any, *names: str) -> None:
    """Write endings down as what ends a session does, in an open transaction."""
    txid = literal(0) if store.database.file else func.txid_current()
    rows = [{"session_id": name} for name in names]
    connection.execute(insert(ENDINGS).values(txid=txid), rows)


@pytest.fixture(params=[*SHARED, "cluster"])
def store(request: pytest.FixtureRequest) -> Any:
    """A store that tells what ended, of each engine that has one."""
    found = sessions_on(request.param, request)
    assert isinstance(found, EndingFeed)
    return found


def execute(store: Any, statement: str) -> Any:
    """Do something by hand in the database of a store."""
    with store.database.transaction() as connection:
        return connection.exec_driver_sql(statement)


def told(store: EndingFeed, mark: str | None) -> set[str]:
    return set(store.ended_since(mark).session_ids or ())


# -- what is told ----------------------------------------------------------------------


def test_what_ended_is_told_however_it_ended(store: Any) -> None:
    """One by one, with all of its user's, or by its user's limit; no other."""
    one, two, three = kept(store, 3)
    standing = kept(store, 1, user_id="u-2")
    mark = store.ended_since(None).mark
    assert told(store, mark) == set()
    assert store.end(one.id)
    assert told(store, mark) == {one.id}
    store.add(make_session(), limit=2)
    assert told(store, mark) == {one.id, two.id}
    store.end_all("u-1")
    found = store.ended_since(mark)
    assert {one.id, two.id, three.id} < set(found.session_ids)
    assert standing[0].id not in found.session_ids
    store.end(standing[0].id)
    assert standing[0].id in told(store, found.mark)


def test_the_first_answer_only_begins(store: Any) -> None:
    """Who asks first trusts nobody yet."""
    (session,) = kept(store, 1)
    store.end(session.id)
    found = store.ended_since(None)
    assert found.session_ids == []
    assert session.id not in told(store, found.mark)


def test_what_ended_twice_or_never_was_is_not_told(store: Any) -> None:
    mark = store.ended_since(None).mark
    assert not store.end("x" * 22)
    assert told(store, mark) == set()


def test_a_table_that_was_emptied_gives_no_number_twice(
    request: pytest.FixtureRequest,
) -> None:
    """SQLite would, and what ended next would be taken for known."""
    store: Any = sessions_at(url_of("sqlite", request))
    first, second = kept(store, 2)
    store.end(first.id)
    mark = store.ended_since(store.ended_since(None).mark).mark
    execute(store, "DELETE FROM tokenauth_endings")
    store.end(second.id)
    assert told(store, mark) == {second.id}


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_database_that_was_set_back_says_so(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """As after a restore: which sessions ended meanwhile, it cannot know."""
    store: Any = sessions_at(url_of(engine, request))
    ahead = str(int(store.ended_since(None).mark) + 1000)
    found = store.ended_since(ahead)
    assert found.session_ids is None
    (session,) = kept(store, 1)
    store.end(session.id)
    assert told(store, found.mark) == {session.id}


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_database_keeps_the_last_endings_and_drops_the_rest(
    engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then, and by their number: no clock is asked."""
    monkeypatch.setattr(sql_sessions, "_KEPT_ENDINGS", 150)
    store: Any = sessions_at(url_of(engine, request))
    sessions = kept(store, 100) + kept(store, 100, user_id="u-2")
    for session in sessions:
        store.end(session.id)
    query = "SELECT session_id FROM tokenauth_endings"
    left = set(store.database.rows(text(query)))
    assert left == {(session.id,) for session in sessions[-150:]}


def test_what_commits_late_is_told_all_the_same(postgres_url: str) -> None:
    """An older transaction may become visible after a younger one."""
    store: Any = sessions_at(postgres_url)
    early, late, last = kept(store, 3)
    mark = store.ended_since(None).mark
    with store.database.transaction() as slow:
        note_ends(store, slow, late.id)
        store.end(early.id)
        found = store.ended_since(mark)
        assert set(found.session_ids) == {early.id}
    found = store.ended_since(found.mark)
    assert late.id in found.session_ids
    store.end(last.id)
    assert last.id in told(store, found.mark)


def test_too_many_are_not_told_one_by_one(store: Any) -> None:
    """Whoever trusted what they saw looks at everything anew; then it goes on."""
    mark = store.ended_since(None).mark
    fill(store)
    found: Endings = store.ended_since(mark)
    assert found.session_ids is None
    found = store.ended_since(found.mark)
    assert found.session_ids == []
    (session,) = kept(store, 1)
    store.end(session.id)
    assert session.id in told(store, found.mark)


def fill(store: Any) -> None:
    """Let more end than are told at once."""
    if not isinstance(store, SQLSessionStore):
        with store._redis.pipeline(transaction=False) as pipeline:
            for number in range(scripts.MOST_ENDINGS + 200):
                pipeline.xadd(stream_of("u-1"), {"id": f"{number:022}"})
            pipeline.execute()
        return
    names = [f"{i:022}" for i in range(MOST_ENDINGS + 200)]
    with store.database.transaction() as connection:
        note_ends(store, connection, *names)


def stream_of(user_id: str) -> str:
    return key_of(user_tag(user_id), "endings")


def test_redis_keeps_the_last_endings_and_drops_the_rest(redis_url: str) -> None:
    """No key grows without bound."""
    store: Any = sessions_at(redis_url)
    fill(store)
    (session,) = kept(store, 1)
    store.end(session.id)
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen(stream_of("u-1")) < scripts.MOST_ENDINGS + 200


@pytest.mark.parametrize("has_gone_on", [False, True])
def test_a_redis_that_was_emptied_says_so(redis_url: str, has_gone_on: bool) -> None:
    """Or whose place a replica took that is behind; also if nothing ever ended."""
    store: Any = sessions_at(redis_url)
    mark = store.ended_since(None).mark
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    one, two = kept(store, 2)
    if has_gone_on:
        store.end(one.id)
    lost = store.ended_since(mark)
    assert lost.session_ids is None
    store.end(two.id)
    assert told(store, lost.mark) == {two.id}


def test_a_store_that_is_down_tells_nothing(request: pytest.FixtureRequest) -> None:
    store: Any = sessions_at(url_of("sqlite", request))
    execute(store, "DROP TABLE tokenauth_endings")
    for mark in (None, "0"):
        with pytest.raises(StoreUnavailableError):
            store.ended_since(mark)


# -- who trusts what it saw ------------------------------------------------------------


class Watch:
    """A worker's trust, a clock to turn, and the calls that reach the store."""

    def __init__(self, store: Any, lag: float = 1.0) -> None:
        self.calls: list[str] = []
        self.at = 0.0
        watched = proxied(store, self._around)
        self.sessions = SessionCache(
            watched, lag, now=lambda: NOW + self.at, monotonic=lambda: self.at
        )
        self.meanwhile: Any = None

    def _around(self, name: str, call: Any) -> Any:
        self.calls.append(name)
        answer = call()
        if name == "get" and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return answer

    def asked(self, *session_ids: str) -> list[str]:
        """Read sessions; return what the store was asked for it."""
        self.calls.clear()
        for session_id in session_ids:
            self.sessions.get(session_id)
        return list(self.calls)


@pytest.fixture
def watch(store: Any) -> Watch:
    return Watch(store)


def test_what_was_seen_is_not_read_again(store: Any, watch: Watch) -> None:
    """The store is asked what ended, once in half a lag; that is all."""
    one, two = kept(store, 2)
    assert watch.asked(one.id, two.id) == ["ended_since", "get", "get"]
    assert watch.sessions.get(one.id) == one
    assert watch.asked(*[one.id, two.id] * 50) == []
    watch.at = 0.49
    assert watch.asked(one.id) == []
    watch.at = 0.5
    assert watch.asked(*[one.id, two.id] * 50) == ["ended_since", "get"]


def test_what_ended_is_served_for_a_lag_at_most(store: Any, watch: Watch) -> None:
    one, two = kept(store, 2)
    watch.asked(one.id, two.id)
    store.end(one.id)
    watch.at = 0.5
    assert watch.sessions.get(one.id) is None
    assert watch.asked(two.id) == []


def test_an_emptied_store_is_noticed_within_the_lag(store: Any, watch: Watch) -> None:
    """TRUNCATE, FLUSHDB, a restore: no ending is told, but the next session is gone."""
    one, two = kept(store, 2)
    watch.asked(one.id, two.id)
    empty(store)
    watch.at = 0.5
    assert watch.sessions.get(one.id) is None
    assert watch.sessions.get(two.id) is None


def test_a_row_deleted_by_hand_is_noticed_within_a_minute(
    store: Any, watch: Watch
) -> None:
    """Also if no request with its token is the one that asks what ended."""
    one, two = kept(store, 2)
    watch.asked(one.id)
    delete_by_hand(store, one.id)
    for _ in range(3):
        watch.at += 19.9
        assert watch.asked(two.id)[0] == "ended_since"
        assert watch.sessions.get(one.id) == one
    watch.at += 0.4
    assert watch.sessions.get(one.id) is None


def empty(store: Any) -> None:
    if isinstance(store, SQLSessionStore):
        execute(store, "DELETE FROM tokenauth_sessions")
    else:
        store._redis.flushdb()


def delete_by_hand(store: Any, session_id: str) -> None:
    if isinstance(store, SQLSessionStore):
        gone = delete(SESSIONS).where(SESSIONS.c.id == session_id)
        assert store.database.rows(gone.returning(SESSIONS.c.id))
    else:
        store._redis.delete(session_key(session_id))


def test_what_ends_while_it_is_read_is_not_trusted(store: Any, watch: Watch) -> None:
    """It was told before it was kept: nobody would drop it."""
    one, two = kept(store, 2)
    watch.asked(two.id)

    def end_and_be_told() -> None:
        store.end(one.id)
        watch.at = 0.5
        watch.sessions.get(two.id)

    watch.meanwhile = end_and_be_told
    assert watch.sessions.get(one.id) == one  # it stood when it was read
    assert watch.sessions.get(one.id) is None


def test_after_too_many_endings_everything_is_read_anew(
    store: Any, watch: Watch
) -> None:
    (session,) = kept(store, 1)
    watch.asked(session.id)
    fill(store)
    watch.at = 0.5
    assert watch.asked(session.id) == ["ended_since", "get"]


def test_after_a_long_silence_everything_is_read_anew(store: Any, watch: Watch) -> None:
    """The store may not know any more what ended in it."""
    (session,) = kept(store, 1)
    watch.asked(session.id)
    watch.at = 60.1
    assert watch.asked(session.id) == ["ended_since", "get"]


def test_the_end_of_its_time_is_not_trusted_away(store: Any, watch: Watch) -> None:
    """A refresh elsewhere may have moved it: the store knows."""
    (session,) = kept(store, 1, idle=5)
    watch.asked(session.id)
    watch.at = 4.6
    assert watch.asked(session.id) == ["ended_since", "get"]
    watch.at = 4.9
    assert watch.asked(session.id) == []
    watch.at = 5.001
    assert watch.asked(session.id) == ["get"]


def test_a_personal_token_is_read_each_time(store: Any, watch: Watch) -> None:
    """Its last use is noted by what the store says of it."""
    (session,) = kept(store, 1, kind="personal")
    assert watch.asked(session.id, session.id) == ["ended_since", "get", "get"]


def test_trust_is_bounded(
    store: Any, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest gives way; that costs a read, and nothing else."""
    monkeypatch.setattr(cache, "_MOST", 2)
    one, two, three = kept(store, 3)
    watch.asked(one.id, two.id, three.id)
    assert watch.asked(two.id, three.id) == []
    assert watch.asked(one.id) == ["get"]
    assert len(watch.sessions._kept) == 2


def test_while_one_asks_the_others_go_on_until_it_is_late() -> None:
    """Nobody waits for a slow answer that is not needed yet."""
    asked, door = threading.Event(), threading.Event()
    slow = SlowFeed(asked, door)
    sessions = SessionCache(slow, 1.0, now=lambda: NOW, monotonic=lambda: at)
    at = 0.0
    (session,) = kept(slow, 1)
    door.set()
    assert sessions.get(session.id)
    door.clear()
    asked.clear()
    at = 0.5
    asker = threading.Thread(target=sessions.get, args=[session.id])
    asker.start()
    assert asked.wait(10)
    assert sessions.get(session.id) == session
    at = 1.0
    late = threading.Thread(target=sessions.get, args=[session.id])
    late.start()
    late.join(0.05)
    assert late.is_alive()
    door.set()
    for thread in (asker, late):
        thread.join(10)
        assert not thread.is_alive()
    assert slow.count == 3  # the late one asked for itself: the answer was old


class SlowFeed(MemorySessionStore):
    """Tells nothing, when it is let."""

    def __init__(self, asked: threading.Event, door: threading.Event) -> None:
        super().__init__()
        self.asked, self.door, self.count = asked, door, 0

    def ended_since(self, mark: str | None) -> Endings:
        self.count += 1
        self.asked.set()
        assert self.door.wait(10)
        return Endings([], "0")


def test_who_waited_for_an_answer_does_not_ask_again() -> None:
    asked, door = threading.Event(), threading.Event()
    slow = SlowFeed(asked, door)
    sessions = SessionCache(slow, 1.0, now=lambda: NOW)
    (session,) = kept(slow, 1)
    threads = [
        threading.Thread(target=sessions.get, args=[session.id]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert asked.wait(10)
    door.set()
    for thread in threads:
        thread.join(10)
    assert slow.count == 1


# -- in an application -----------------------------------------------------------------


def test_an_application_may_lag(store: Any) -> None:
    """Only the check of access tokens: a refresh looks at the session itself."""
    at = time.monotonic()
    app = make_app(
        sessions=store, clock=None, config={"TOKENAUTH_SESSION_CHECK_LAG": 10}
    )
    client = app.test_client()
    pair = log_in(client)
    headers = bearer(pair["access_token"])
    assert client.get("/protected", headers=headers).status_code == 200
    store.end_all("u-alice")
    again = client.get("/protected", headers=headers)
    if time.monotonic() < at + 5:
        assert again.status_code == 200
    body = {"refresh_token": pair["refresh_token"]}
    refused = client.post("/auth/refresh", json=body)
    assert_problem(refused, 400, "invalid_grant")


OF_AN_ACCOUNT = (
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions"),
    ("DELETE", "/auth/sessions/0123456789abcdefghijkl"),
    ("POST", "/auth/password"),
    ("GET", "/auth/tokens"),
    ("POST", "/auth/tokens"),
    ("DELETE", "/auth/tokens/0123456789abcdefghijkl"),
)


def test_what_manages_an_account_never_lags(store: Any) -> None:
    """A thief whom the owner has just logged out ends none of the owner's logins."""
    app = make_app(
        sessions=store, clock=None, config={"TOKENAUTH_SESSION_CHECK_LAG": 10}
    )
    client = app.test_client()
    for method, path in OF_AN_ACCOUNT:
        stolen, own = (log_in(client)["access_token"] for _ in range(2))
        me: Any = client.get("/auth/me", headers=bearer(stolen)).json
        store.end(me["session"]["id"])
        body: dict[str, str] | None = {} if method == "POST" else None
        refused = client.open(path, method=method, headers=bearer(stolen), json=body)
        assert_problem(refused, 401, "token_revoked")
        assert client.get("/auth/sessions", headers=bearer(own)).status_code == 200


def test_without_a_lag_nothing_lags(store: Any) -> None:
    """The default."""
    app = make_app(sessions=store, clock=None)
    client = app.test_client()
    headers = bearer(log_in(client)["access_token"])
    store.end_all("u-alice")
    assert client.get("/protected", headers=headers).status_code == 401


def test_in_memory_nothing_lags() -> None:
    """There is nothing to be won."""
    sessions = MemorySessionStore()
    app = make_app(sessions=sessions, config={"TOKENAUTH_SESSION_CHECK_LAG": 10})
    client = app.test_client()
    headers = bearer(log_in(client)["access_token"])
    sessions.end_all("u-alice")
    assert client.get("/protected", headers=headers).status_code == 401


def test_a_store_that_cannot_tell_is_refused() -> None:
    """By the name of the setting, and of what is missing."""
    silent: SessionStore = proxied(MemorySessionStore(), lambda _, call: call())
    with pytest.raises(ConfigurationError, match="ended_since"):
        make_app(sessions=silent, config={"TOKENAUTH_SESSION_CHECK_LAG": 1})


# -- on two servers --------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    ["redis", *(pytest.param(e, marks=pytest.mark.full) for e in SHARED[:2])],
    indirect=True,
)
def test_no_server_serves_what_ended_a_lag_ago(
    place: Place, service: Service, is_full: bool
) -> None:
    """Each session that one server ends is asked for on the other all the time."""
    lag, rounds = 0.5, 40 if is_full else 2
    name = new_user(service)
    env = {"FLASK_TOKENAUTH_SESSION_CHECK_LAG": str(lag)}
    with serving(place, count=2, env=env) as (one, other):
        for number in range(rounds):
            pair = obtain(one, "/login", username=name, password=FIRST)
            token = pair["access_token"]
            with watching(partial(ask, other, "GET", "/me", token)) as seen:
                time.sleep(0.1 + number % 10 / 20)
                assert ask(one, "POST", "/logout", token)[0] == 204
                acknowledged = time.monotonic()
                time.sleep(lag + 0.3)
            assert [s for at, s in seen if at < acknowledged - 0.05] != []
            last = max((at for at, s in seen if s == 200), default=0.0)
            assert last - acknowledged < lag + 0.1
            assert seen[-1][1] == 401


@contextmanager
def watching(request: Any) -> Iterator[list[tuple[float, int]]]:
    """Ask all the time; yield when each was asked, and its status."""
    seen: list[tuple[float, int]] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            at = time.monotonic()
            seen.append((at, request()[0]))
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        is_over.set()
        watcher.join()


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    return place_on(request.param, request)


@pytest.fixture
def service(place: Place) -> Service:
    return Service(place.open)
