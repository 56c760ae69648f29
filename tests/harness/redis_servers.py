"""Several Redis servers that work together: a cluster, and a primary with Sentinels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import pytest
import redis

from tests.harness.servers import HOST, RedisServer, ServerError, free_port

SLOTS = 16384
SERVICE = "tokens"
# Milliseconds between what Sentinels ask and tell each other: by default up to 10 s.
PERIODS = ("INFO-PERIOD", 200, "PUBLISH-PERIOD", 200, "ASK-PERIOD", 200)


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def client_of(server: RedisServer) -> Any:
    return redis.Redis(port=server.port)


def make_replica(server: RedisServer, *, of: RedisServer) -> None:
    client_of(server).replicaof(HOST, str(of.port))
    wait_until(partial(has_link, server))


class RedisCluster:
    """Three primaries with a third of the slots each, and as many replicas as asked."""

    def __init__(self, replicas: int = 0) -> None:
        self._stack = ExitStack()
        self.replica_count = replicas

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{node.port}" for node in self.primaries)
        return f"redis+cluster://{hosts}"

    def flush(self) -> None:
        for node in self.primaries:
            client_of(node).flushall()

    def id_of(self, node: RedisServer) -> str:
        return str(client_of(node).execute_command("CLUSTER", "MYID").decode())

    def move_slot(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Give a slot to another primary as `valkey-cli --cluster reshard` does it."""
        old, new = client_of(source), client_of(target)
        set_slot = ("CLUSTER", "SETSLOT", slot)
        new.execute_command(*set_slot, "IMPORTING", self.id_of(source))
        old.execute_command(*set_slot, "MIGRATING", self.id_of(target))
        while keys := old.cluster("GETKEYSINSLOT", slot, 1):
            old.migrate(HOST, target.port, keys, 0, 5000)
        for client in (new, old):
            client.execute_command(*set_slot, "NODE", self.id_of(target))

    def is_whole(self) -> bool:
        """Return whether every server says that all slots are served."""
        nodes = [*self.primaries, *self.replicas]
        return all(self._knows(node, len(nodes)) for node in nodes)

    def _node(self) -> RedisServer:
        options = {
            "cluster-enabled": "yes",
            "cluster-port": str(free_port()),
            "cluster-node-timeout": "2000",
        }
        return self._stack.enter_context(RedisServer(options=options))

    def _start(self) -> None:
        self.primaries = [self._node() for _ in range(3)]
        self.replicas = [self._node() for _ in range(self.replica_count)]
        nodes = [*self.primaries, *self.replicas]
        first = self.primaries[0]
        for node in nodes[1:]:
            bus = node.options["cluster-port"]
            client_of(first).execute_command("CLUSTER", "MEET", HOST, node.port, bus)
        for number, node in enumerate(self.primaries):
            ends = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            client_of(node).execute_command("CLUSTER", "ADDSLOTSRANGE", *ends)
        wait_until(self.is_whole)
        for node, primary in zip(self.replicas, self.primaries, strict=False):
            client_of(node).cluster("REPLICATE", self.id_of(primary))
        for node in self.replicas:
            wait_until(partial(has_link, node))

    def _knows(self, node: RedisServer, count: int) -> bool:
        info = client_of(node).cluster("info")
        known = (info["cluster_state"], info["cluster_known_nodes"])
        return known == ("ok", str(count))


def has_link(node: RedisServer) -> bool:
    info: dict[str, Any] = client_of(node).info("replication")
    return info.get("master_link_status") == "up"


class Sentinel(RedisServer):
    """One that watches a primary, and makes its replica the primary when it is gone."""

    def watch(self, primary: RedisServer) -> Self:
        self.primary = primary
        self.start()
        client_of(self).execute_command("SENTINEL", "DEBUG", *PERIODS)
        return self

    def _command(self) -> list[Any]:
        settings = [
            f"monitor {SERVICE} {HOST} {self.primary.port} 2",
            f"down-after-milliseconds {SERVICE} 500",
            f"failover-timeout {SERVICE} 2000",
        ]
        config = self.folder / "sentinel.conf"
        if not config.exists():
            lines = "".join(f"sentinel {line}\n" for line in settings)
            config.write_text(f"bind {HOST}\ndir {self.folder}\n{lines}")
        return [self.binary, config, "--sentinel", "--port", str(self.port)]


class SentinelSet:
    """A primary, its replica, and three Sentinels."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.primary = self._stack.enter_context(RedisServer())
            self.replica = self._stack.enter_context(RedisServer())
            make_replica(self.replica, of=self.primary)
            self.sentinels = [
                self._stack.enter_context(Sentinel().watch(self.primary))
                for _ in range(3)
            ]
            wait_until(self._is_ready)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    def flush(self) -> None:
        client_of(self.primary).flushall()

    def _is_ready(self) -> bool:
        for each in self.sentinels:
            state = client_of(each).sentinel_master(SERVICE)
            if (state["num-slaves"], state["num-other-sentinels"]) != (1, 2):
                return False
        return True


def _shared(made: Any) -> Iterator[Any]:
    try:
        with made:
            yield made
    except ServerError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """One cluster for all tests of a worker: do not kill it."""
    yield from _shared(RedisCluster())


@pytest.fixture(scope="session")
def redis_sentinels() -> Iterator[SentinelSet]:
    """One primary with Sentinels for all tests of a worker: do not kill it."""
    yield from _shared(SentinelSet())


@pytest.fixture
def cluster_url(redis_cluster: RedisCluster) -> str:
    """The worker's cluster, emptied for one test."""
    redis_cluster.flush()
    return redis_cluster.url


@pytest.fixture
def sentinel_url(redis_sentinels: SentinelSet) -> str:
    """The worker's primary with Sentinels, emptied for one test."""
    redis_sentinels.flush()
    return redis_sentinels.url
