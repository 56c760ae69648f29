"""`flask tokenauth check` against broken deployments and good ones, on real servers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.cli.test_check import PROXY, checked, deployed
from tests.harness.redis_servers import (
    RedisCluster,
    SentinelSet,
    client_of,
    make_replica,
    wait_until,
)
from tests.harness.servers import RedisServer
from tests.stores.engines import sessions_at, users_at
from tokenauth.stores import open_sessions, open_users


@dataclass
class Servers:
    """What a deployment may be on."""

    request: pytest.FixtureRequest
    patch: pytest.MonkeyPatch
    used: list[RedisServer] = field(default_factory=list)

    def sqlite(self) -> str:
        folder: Path = self.request.getfixturevalue("tmp_path")
        return with_tables(f"sqlite:///{folder}/tokenauth.sqlite3")

    def postgresql(self) -> str:
        return with_tables(self.request.getfixturevalue("postgres_url"))

    def redis(self) -> RedisServer:
        """A server that is set up as it should be."""
        server: RedisServer = self.request.getfixturevalue("redis_server")
        self._prepare(server)
        return server

    def cluster(self) -> RedisCluster:
        servers: RedisCluster = self.request.getfixturevalue("redis_cluster")
        for node in servers.primaries:
            self._prepare(node)
        return servers

    def sentinels(self) -> SentinelSet:
        servers: SentinelSet = self.request.getfixturevalue("redis_sentinels")
        self._prepare(servers.primary)
        return servers

    def configure(self, server: RedisServer, option: str, value: str) -> None:
        """Set an option of a server until the test ends."""
        client = client_of(server)
        before = client.config_get(option)[option]
        client.config_set(option, value)
        self.request.addfinalizer(lambda: client.config_set(option, before))

    def role(self, *rights: str) -> str:
        """Return the URL of a PostgreSQL account with these rights alone."""
        url, name = self.postgresql(), f"r_{secrets.token_hex(8)}"
        sessions_at(url)
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN")
            for right in rights:
                connection.execute(f"GRANT {right} TO {name}")
        return url.replace("//postgres@", f"//{name}@")

    def account(self, *rights: str) -> str:
        """Return the URL of a Redis account with these rights alone."""
        server = self.redis()
        admin = client_of(server)
        admin.execute_command("ACL", "SETUSER", "canary", "on", ">pw", *rights)
        self.request.addfinalizer(
            lambda: admin.execute_command("ACL", "DELUSER", "canary")
        )
        return server.url.replace("//", "//canary:pw@")

    def replica(self) -> str:
        server = self.request.getfixturevalue("own_redis")
        make_replica(server, of=self.redis())
        return str(server.url)

    def _prepare(self, server: RedisServer) -> None:
        self.configure(server, "appendonly", "yes")
        self.configure(server, "maxmemory-policy", "noeviction")
        client_of(server).flushall()
        self.used.append(server)


@pytest.fixture
def servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(request, monkeypatch)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def with_tables(url: str) -> str:
    users_at(url)
    sessions_at(url)
    return url


def on(users: str, sessions: str = "", limits: str = "") -> Flask:
    """Return an application whose users, sessions and counts are there."""
    counts = {"TOKENAUTH_LIMITS_URL": limits} if limits else {}
    return deployed(
        TOKENAUTH_USERS_URL=users, TOKENAUTH_SESSION_URL=sessions or users, **counts
    )


# -- broken ----------------------------------------------------------------------------


class Broken(NamedTuple):
    """A deployment, and where and what is found."""

    make: Callable[[Servers], Flask]
    area: str
    text: str
    level: str = "error"


def in_memory_of_four(servers: Servers) -> Flask:
    servers.patch.setenv("WEB_CONCURRENCY", "4")
    return on(servers.sqlite(), "memory://")


def set_up(option: str, value: str) -> Callable[[Servers], Flask]:
    """Return an application whose Redis has another value of an option."""

    def make(servers: Servers) -> Flask:
        server = servers.redis()
        servers.configure(server, option, value)
        return on(servers.sqlite(), server.url)

    return make


def cluster_of_which_one_evicts(servers: Servers) -> Flask:
    cluster = servers.cluster()
    servers.configure(cluster.primaries[2], "maxmemory-policy", "volatile-ttl")
    return on(servers.sqlite(), cluster.url)


def cluster_with_a_gap(servers: Servers) -> Flask:
    cluster = servers.cluster()
    for node in cluster.primaries:
        client_of(node).cluster("DELSLOTS", 0)
    wait_until(lambda: not cluster.is_whole())

    def repair() -> None:
        client_of(cluster.primaries[0]).cluster("ADDSLOTS", 0)
        wait_until(cluster.is_whole)

    servers.request.addfinalizer(repair)
    return on(servers.sqlite(), cluster.url)


READ_ONLY = "?options=-c%20default_transaction_read_only%3Don"

BROKEN = {
    "nothing listens": Broken(
        lambda s: on(s.sqlite(), "redis://:canary@127.0.0.1:1/0"),
        *("sessions", "(refused). Nothing listens there: start it"),
    ),
    "no such host": Broken(
        lambda s: on(s.sqlite(), "redis://:canary@no-such-host.invalid/0"),
        *("sessions", "(unknown_host). Correct the host"),
    ),
    "wrong password": Broken(
        lambda s: on(s.sqlite(), s.redis().url.replace("//", "//x:canary@")),
        *("sessions", "(authentication). Correct the user name and the password"),
    ),
    "no such database": Broken(
        lambda s: on(s.postgresql().removesuffix("postgres") + "canary"),
        *("users", "(no_database)"),
    ),
    "a file that may only be read": Broken(
        lambda s: on(f"{s.sqlite()}?mode=ro"), "sessions", "(read_only)"
    ),
    "a replica of PostgreSQL": Broken(
        lambda s: on(s.postgresql() + READ_ONLY),
        *("sessions", "(read_only). Name the primary, which"),
    ),
    "a replica of Redis": Broken(
        lambda s: on(s.sqlite(), s.replica()),
        *("sessions", "(read_only). Name the primary, which"),
    ),
    "a PostgreSQL account that may only read": Broken(
        lambda s: on(s.role("SELECT ON ALL TABLES IN SCHEMA public")),
        *("users", "(no_permission). Give its account the rights"),
    ),
    "a Redis account for other keys": Broken(
        lambda s: on(s.sqlite(), s.account("~limits:*", "+@all")),
        *("sessions", "keys that begin with 'tokenauth'"),
    ),
    "a Redis account without scripts": Broken(
        lambda s: on(s.sqlite(), s.account("~*", "+@all", "-evalsha", "-eval")),
        *("attempts", "(no_permission)"),
    ),
    "a Redis that evicts": Broken(
        set_up("maxmemory-policy", "allkeys-lru"),
        *("eviction", "Set 'maxmemory-policy noeviction'", "warning"),
    ),
    "a Redis that forgets": Broken(
        set_up("appendonly", "no"),
        *("persistence", "Set 'appendonly yes'", "warning"),
    ),
    "a cluster of which one evicts": Broken(
        cluster_of_which_one_evicts, "eviction", "is volatile-ttl", "warning"
    ),
    "a cluster with a gap": Broken(
        cluster_with_a_gap, "sessions", "(no_primary). Name the primary, which"
    ),
    "memory of several workers": Broken(
        in_memory_of_four, "sessions", "Set TOKENAUTH_SESSION_URL to a shared store"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_deployment_is_told_what_to_do(name: str, servers: Servers) -> None:
    """An error, or a warning, which `--strict` does not let pass; no URL is quoted."""
    broken = BROKEN[name]
    found = checked(broken.make(servers), "--strict", *PROXY, exit_code=1)
    assert found[broken.area].level == broken.level
    assert broken.text in found[broken.area].text


# -- good ------------------------------------------------------------------------------

GOOD: dict[str, Callable[[Servers], Flask]] = {
    "a file, and counts on Redis": lambda s: on(s.sqlite(), limits=s.redis().url),
    "PostgreSQL and Redis": lambda s: on(s.postgresql(), s.redis().url),
    "PostgreSQL and a cluster": lambda s: on(s.postgresql(), s.cluster().url),
    "PostgreSQL and Sentinels": lambda s: on(s.postgresql(), s.sentinels().url),
    "PostgreSQL, counts on Redis": lambda s: on(s.postgresql(), limits=s.redis().url),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_deployment_has_nothing_to_fix(name: str, servers: Servers) -> None:
    """And nothing of the check is left there but that a session ended."""
    app: Any = GOOD[name](servers)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)
    found = checked(app, "--strict")
    assert {finding.level for finding in found.values()} == {"ok"}
    keys = [key for node in servers.used for key in client_of(node).scan_iter()]
    assert all(key.endswith(b":endings") for key in keys)
    url = app.extensions["tokenauth"].settings.users_url
    users: Any = open_users(url)
    sessions: Any = open_sessions(url)
    assert list(users.all()) == []
    assert sessions.end_everyone() == 0
