"""What one of each carries, for `tokenauth/docs/explanation/scaling.md`.

`python -m tests.benchmarks.scaling` prints it. Times of servers and workers are CPU
time, which other load on the machine changes little.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psutil

from tests.benchmarks.growth.filling import fill
from tests.benchmarks.lag import access_tokens, app_at, caller
from tests.harness.redis_servers import RedisCluster
from tests.harness.servers import PostgresServer, RedisServer, Server
from tests.stores.contract import kept
from tests.stores.engines import make_session, sessions_at
from tokenauth import EndingFeed, SessionStore, hash_password

SESSIONS = 20_000
CALLS = 1_000
ROUNDS = 5


def show(what: str, value: float, unit: str) -> None:
    print(f"{what:50} {value:12,.1f} {unit}", flush=True)


def cpu_of(server: Server) -> float:
    """Return the seconds of CPU that a server and its children have used."""
    process = psutil.Process(server.pid)
    used = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in used)


def measure(what: str, servers: list[Any], act: Callable[[], object]) -> None:
    """Show the least CPU time of some rounds, of this process and of the servers."""
    rounds = []
    for _ in range(ROUNDS):
        ours, theirs = time.process_time(), sum(map(cpu_of, servers))
        for _ in range(CALLS):
            act()
        ours = time.process_time() - ours
        rounds.append((ours, sum(map(cpu_of, servers)) - theirs))
    for whose, times in zip(
        ("this process", "servers"), zip(*rounds, strict=True), strict=True
    ):
        show(f"{what}: {whose}", min(times) / CALLS * 1e6, "us CPU")


def engine(name: str, store: SessionStore, servers: list[Any], size: Any) -> None:
    before = size()
    sessions = [
        make_session(
            f"user-{i}", at=time.time(), idle=3000, client="Mozilla/5.0 " + "x" * 100
        )
        for i in range(SESSIONS)
    ]
    fill(store, sessions)
    show(f"{name}: a session", (size() - before) / SESSIONS, "bytes")
    tokens: list[str] = []
    for lag in (0.0, 1.0):
        app = app_at(store, lag)
        tokens = tokens or access_tokens(app, sessions)
        call = caller(app, tokens)
        for _ in sessions if lag else range(100):
            call()
        measure(f"{name}, lag {lag:g}, a request", servers, call)
    made = (make_session(f"new-{i}", at=time.time()) for i in itertools.count())

    def log_in_and_out() -> None:
        session = next(made)
        store.add(session, limit=100)
        store.end(session.id)

    measure(f"{name}, a login and a logout", servers, log_in_and_out)
    if isinstance(store, EndingFeed):
        mark = store.ended_since(None).mark
        measure(f"{name}, what ended", servers, lambda: store.ended_since(mark))


def main() -> None:
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        redis, cluster = stack.enter_context(RedisServer()), RedisCluster()
        stack.enter_context(cluster)
        store: Any = sessions_at(postgres.url)
        relation = "SELECT pg_total_relation_size('tokenauth_sessions')"

        def pg_size() -> int:
            with store.database.transaction() as connection:
                return int(connection.exec_driver_sql(relation).scalar_one())

        engine("memory", sessions_at("memory://"), [], lambda: 0)
        engine("PostgreSQL", store, [postgres], pg_size)
        store = sessions_at(redis.url)
        engine("Redis", store, [redis], lambda: store.read_info()["used_memory"])
        (session,) = kept(store, 1)
        before = store.read_info()
        for _ in range(1000):
            store.get(session.id)
        after = store.read_info()
        for way in ("input", "output"):
            key = f"total_net_{way}_bytes"
            show(f"Redis, a check: {way}", (after[key] - before[key]) / 1e3, "bytes")
        several = sessions_at(cluster.url)
        nodes = cluster.primaries
        engine("a cluster of 3", several, nodes, lambda: sum(map(used_memory, nodes)))
    begun = time.process_time()
    for _ in range(10):
        hash_password("correct horse battery")
    show("a password", (time.process_time() - begun) / 10 * 1e6, "us CPU")


def used_memory(node: RedisServer) -> int:
    store: Any = sessions_at(node.url)
    return int(store.read_info()["used_memory"])


if __name__ == "__main__":
    main()
