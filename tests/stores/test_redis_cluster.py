"""Sessions on a cluster, and on a primary that Sentinels watch: nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
import redis
from redis.cluster import ClusterNode
from redis.crc import key_slot

from tests.harness.kit import assert_problem, bearer, log_in, make_app
from tests.harness.redis_servers import (
    SERVICE,
    SLOTS,
    RedisCluster,
    SentinelSet,
    client_of,
    make_replica,
    wait_until,
)
from tests.harness.servers import free_port
from tests.stores.contract import kept
from tests.stores.engines import make_session
from tokenauth import StoreUnavailableError
from tokenauth.sessions.session import Session, new_session_id, user_tag
from tokenauth.stores import open_redis, open_sessions
from tokenauth.stores.redis import RedisSessionStore
from tokenauth.stores.redis.rows import key_of


@pytest.fixture
def own_cluster() -> Iterator[RedisCluster]:
    """One whose first primary has a replica, to be broken."""
    with RedisCluster(replicas=1) as cluster:
        yield cluster


def user_at(cluster: RedisCluster, number: int) -> str:
    """Return the id of a user whose sessions are on a primary."""
    third = SLOTS // 3
    names = (f"u-{i}" for i in range(1000))
    return next(n for n in names if slot_of(n) // (third + 1) == number)


def slot_of(user_id: str) -> int:
    return key_slot(key_of(user_tag(user_id), "x").encode())


# -- how they are spread ---------------------------------------------------------------


def test_the_sessions_of_a_user_are_together(cluster_url: str) -> None:
    """The id itself says where, so that a check needs nothing else."""
    for user_id in ("u-1", "u-2", "", "é"):
        tags = {new_session_id(user_id)[0] for _ in range(20)}
        assert tags == {user_tag(user_id)}
    elsewhere = msgspec.structs.replace(make_session("u-1"), id="~" * 22)
    with pytest.raises(ValueError, match="new_session_id"):
        open_sessions(cluster_url).add(elsewhere, limit=9)


def test_users_are_spread_over_the_servers(redis_cluster: RedisCluster) -> None:
    redis_cluster.flush()
    store: Any = open_sessions(redis_cluster.url)
    for number in range(300):
        store.add(make_session(f"u-{number}"), limit=9)
    sizes = [client_of(node).dbsize() for node in redis_cluster.primaries]
    assert sum(sizes) == 600
    assert min(sizes) > 600 / 3 / 2
    assert store.end_everyone() == 300
    assert store.read_clock() == pytest.approx(time.time(), abs=5)
    assert store.read_info()["maxmemory_policy"] == "noeviction"


def test_a_client_of_the_application_is_used(redis_cluster: RedisCluster) -> None:
    """For what a URL cannot say."""
    node = ClusterNode("127.0.0.1", redis_cluster.primaries[1].port)
    store = RedisSessionStore(redis.RedisCluster(startup_nodes=[node]))
    (session,) = kept(store, 1)
    assert store.get(session.id) == session


def test_a_whole_application_works_on_it(cluster_url: str, sentinel_url: str) -> None:
    """Sessions and the counts of attempts; with a lag, too."""
    for url in (cluster_url, sentinel_url):
        for lag in (0, 1):
            app = make_app(
                config={
                    "TOKENAUTH_SESSION_URL": url,
                    "TOKENAUTH_LIMITS_URL": url,
                    "TOKENAUTH_SESSION_CHECK_LAG": lag,
                },
            )
            client = app.test_client()
            headers = bearer(log_in(client)["access_token"])
            assert client.get("/protected", headers=headers).status_code == 200
            assert client.post("/auth/logout", headers=headers).status_code == 204


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
def test_one_that_is_down_is_503_and_then_well(kind: str) -> None:
    """An application starts without it, and goes on without a restart."""
    url = f"redis+{kind}://127.0.0.1:{free_port()}/" + (
        "x" if kind == "sentinel" else ""
    )
    app = make_app(config={"TOKENAUTH_SESSION_URL": url, "TOKENAUTH_LIMITS_URL": url})
    body = {"username": "alice", "password": "alice: correct horse"}
    answer = app.test_client().post("/auth/login", json=body)
    assert_problem(answer, 503, "store_unavailable")
    with pytest.raises(StoreUnavailableError) as caught:
        open_sessions(url).get("0" * 22)
    assert caught.value.reason in {"refused", "no_primary"}


def test_several_servers_are_spoken_to_in_tls_where_that_is_asked_for(
    cluster_url: str, sentinel_url: str
) -> None:
    """These do not know it: no answer of theirs is taken."""
    for url in (cluster_url, sentinel_url):
        assert open_sessions(url).get("0" * 22) is None
        encrypted = f"{url.replace('redis+', 'rediss+')}?socket_timeout=0.3"
        with pytest.raises(StoreUnavailableError) as caught:
            open_sessions(encrypted).get("0" * 22)
        assert caught.value.reason in {"tls", "no_primary", "timeout"}


# -- servers that come and go ----------------------------------------------------------


def at_last(act: Callable[[], Any], seconds: float = 30) -> Any:
    """Do something until the store can answer; return what it says."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return act()
        except StoreUnavailableError:
            assert time.monotonic() < deadline, "it did not come back"
            time.sleep(0.05)


def test_a_replica_takes_the_place_of_a_primary(own_cluster: RedisCluster) -> None:
    """Those of its users wait for that; the others go on."""
    store = RedisSessionStore(own_cluster.url)
    dead, replica = own_cluster.primaries[0], own_cluster.replicas[0]
    (session,) = kept(store, 1, user_id=user_at(own_cluster, 0))
    (other,) = kept(store, 1, user_id=user_at(own_cluster, 2))
    wait_until(lambda: client_of(replica).dbsize() == client_of(dead).dbsize())
    dead.kill9()
    with pytest.raises(StoreUnavailableError):
        store.end(session.id)
    assert at_last(lambda: store.rotate(session.id, 0, now=1, idle_expires_at=9e9))
    assert at_last(lambda: store.get(other.id)) == other
    assert at_last(lambda: store.end(session.id)) is True
    assert store.get(session.id) is None


def test_sentinels_lead_to_the_new_primary() -> None:
    """Sessions and counts, after some answers of 503."""
    with SentinelSet() as servers:
        store, counts = RedisSessionStore(servers.url), open_redis(servers.url)
        (session,) = kept(store, 1)
        counts.set("tokenauth:count", 1)
        wait_until(lambda: client_of(servers.replica).dbsize() == 3)
        servers.primary.kill9()
        with pytest.raises(StoreUnavailableError):
            store.end(session.id)
        assert at_last(lambda: store.get(session.id)) == session
        assert at_last(lambda: store.end(session.id)) is True
        assert client_of(servers.replica).get("tokenauth:count") == b"1"


def test_sentinels_swap_two_living_servers() -> None:
    """Kept connections lead to a replica then: one answer is 503 at most."""
    with SentinelSet() as servers:
        store = RedisSessionStore(servers.url)
        first, second = kept(store, 2)
        asked = client_of(servers.sentinels[0])
        asked.sentinel_failover(SERVICE)
        wait_until(
            lambda: asked.sentinel_master(SERVICE)["port"] == servers.replica.port
        )
        make_replica(servers.primary, of=servers.replica)  # they would, 8 s later
        assert at_last(lambda: store.end(first.id)) is True
        assert store.get(second.id) == second


# -- a slot that moves -----------------------------------------------------------------


class Logins:
    """Users who log in, refresh and log out all the time, and what was acknowledged."""

    def __init__(self, store: RedisSessionStore, user_id: str) -> None:
        self.store, self.user_id = store, user_id
        self.alive: dict[str, Session] = {}
        self.ended: set[str] = set()
        self.wrong: list[str] = []
        self.refused = self.done = 0

    def go_on(self) -> None:
        new = make_session(self.user_id)
        try:
            self.store.add(new, limit=1000)
        except StoreUnavailableError:
            self.refused += 1
        else:
            self.alive[new.id] = new
        for session_id, session in list(self.alive.items())[:2]:
            self._use(session_id, session)
        self.done += 1

    def _use(self, session_id: str, session: Session) -> None:
        try:
            found = self.store.get(session_id)
            if found is None or found.generation < session.generation:
                self.wrong.append(session_id)
                return
            generation = found.generation
            rotated = self.store.rotate(
                session_id, generation, now=9e9, idle_expires_at=9.1e9
            )
            if rotated:
                self.alive[session_id] = rotated
            if generation >= 2:
                self.store.end(session_id)
                del self.alive[session_id]
                self.ended.add(session_id)
        except StoreUnavailableError:
            self.refused += 1


@contextmanager
def going_on(logins: Logins) -> Iterator[None]:
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            logins.go_on()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_until(lambda: logins.done > 10)
        yield
        done = logins.done
        wait_until(lambda: logins.done > done + 10)
    finally:
        is_over.set()
        thread.join()


def test_moving_a_slot_while_logins_run_loses_nothing(
    redis_cluster: RedisCluster,
) -> None:
    """What was acknowledged is there afterwards, and what was ended is not.

    Keys are moved one by one, so that each is found now here and now there.
    """
    redis_cluster.flush()
    store = RedisSessionStore(redis_cluster.url)
    user_id = user_at(redis_cluster, 0)
    logins = Logins(store, user_id)
    bystanders = kept(store, 50, user_id=user_id, idle=1e9)
    slot, (one, two, _) = slot_of(user_id), redis_cluster.primaries
    with going_on(logins):
        redis_cluster.move_slot(slot, one, two)
        redis_cluster.move_slot(slot, two, one)
    assert logins.wrong == []
    assert len(logins.ended) > 0
    for session in (*bystanders, *logins.alive.values()):
        assert store.get(session.id) is not None
    assert not any(map(store.get, logins.ended))
    listed = {each.id for each in store.of_user(user_id, kind="login")}
    assert listed >= {each.id for each in bystanders} | set(logins.alive)
    assert store.end_all(user_id) >= len(listed)


def test_all_of_a_user_end_while_their_slot_moves(redis_cluster: RedisCluster) -> None:
    """Or the caller is told that they may not have: none is left out unnoticed."""
    redis_cluster.flush()
    store = RedisSessionStore(redis_cluster.url)
    user_id = user_at(redis_cluster, 1)
    sessions = kept(store, 9, user_id=user_id)
    slot, (_, source, target) = slot_of(user_id), redis_cluster.primaries
    old, new = client_of(source), client_of(target)
    set_slot = ("CLUSTER", "SETSLOT", slot)
    new.execute_command(*set_slot, "IMPORTING", redis_cluster.id_of(source))
    old.execute_command(*set_slot, "MIGRATING", redis_cluster.id_of(target))
    try:
        while keys := old.cluster("GETKEYSINSLOT", slot, 1):
            old.migrate("127.0.0.1", target.port, keys, 0, 5000)
            if old.cluster("COUNTKEYSINSLOT", slot):
                try:
                    store.end_all(user_id)
                except StoreUnavailableError:
                    continue
                assert not any(map(store.get, (each.id for each in sessions)))
    finally:
        for client in (new, old):
            client.execute_command(*set_slot, "NODE", redis_cluster.id_of(target))
        redis_cluster.move_slot(slot, target, source)
    store.end_all(user_id)
    assert not any(map(store.get, (each.id for each in sessions)))
