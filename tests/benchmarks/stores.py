"""The same request with its session on each engine, in wall time: a server is asked."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import apps
from tests.benchmarks.measure import Bar, Group, take_turns
from tests.benchmarks.request import BARE, OURS, caller
from tests.harness.redis_servers import RedisCluster
from tests.harness.servers import PgBouncer, PostgresServer, RedisServer

SQLITE, POSTGRESQL, POOLED, REDIS, CLUSTER = (
    f"tokenauth, sessions on {engine}"
    for engine in (
        *("SQLite", "PostgreSQL", "PostgreSQL, PgBouncer"),
        *("Redis", "a Redis cluster"),
    )
)
SECURITY = "Flask-Security on SQLite"


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return the group of all engines, and the bars of what each adds."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tokenauth-"))
        postgres = stack.enter_context(PostgresServer())
        pooler = stack.enter_context(PgBouncer(database=postgres))
        redis = stack.enter_context(RedisServer())
        cluster = stack.enter_context(RedisCluster())
        urls = {
            SQLITE: f"sqlite:///{Path(folder, 'sessions.db')}",
            POSTGRESQL: postgres.url,
            POOLED: f"{pooler.url}?options=",
            REDIS: redis.url,
            CLUSTER: cluster.url,
        }
        calls: dict[str, Callable[[], object]] = {
            BARE: caller(apps.bare()),
            OURS: caller(apps.ours()),
            **{name: caller(apps.ours_at(url)) for name, url in urls.items()},
            SECURITY: caller(apps.flask_security()),
        }
        samples = take_turns(
            "stores", calls, rounds=rounds, number=20, clock=time.perf_counter
        )
    group = Group(
        title="a request with its session on each engine",
        unit="us",
        base=BARE,
        samples=samples,
        is_overhead=True,
    )
    bars = [
        Bar(what=f"us added, {name}", value=added(group, name), at_most=at_most)
        for name, at_most in ((SQLITE, 100), (REDIS, 130))
    ]
    ratio = added(group, CLUSTER) / added(group, REDIS)
    bars.append(Bar(what="what a cluster adds: one Redis", value=ratio, at_most=1.2))
    return [group], bars


def added(group: Group, name: str) -> float:
    """Return the microseconds that one adds to the base."""
    pairs = zip(group.samples[name], group.samples[group.base], strict=True)
    return sorted(one - other for one, other in pairs)[len(group.samples[name]) // 2]
