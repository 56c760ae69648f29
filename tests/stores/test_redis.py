"""What is particular to sessions on Redis."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from tests.harness.front import Front, tls_context
from tests.harness.kit import SECRET, assert_problem, bearer, log_in, make_app
from tests.harness.redis_servers import make_replica
from tests.harness.servers import RedisServer
from tests.stores.engines import NOW, make_session
from tests.stores.test_served import wait_until
from tokenauth import StoreUnavailableError
from tokenauth.errors import ConfigurationError
from tokenauth.sessions.session import Session, new_session_id
from tokenauth.stores import open_sessions
from tokenauth.stores.redis import RedisSessionStore
from tokenauth.stores.redis.rows import session_key, user_key

DEAD = "redis://127.0.0.1:1/0"


def session(*, kind: str = "login", begun: float = 1000.5) -> Session:
    return Session(
        id=new_session_id("u-1"),
        user_id="u-1",
        kind=kind,
        scopes=frozenset({"read"}),
        created_at=begun,
        authenticated_at=begun,
        refreshed_at=begun,
        idle_expires_at=begun + 700,
        expires_at=begun + 3000,
    )


def test_a_row_comes_back_as_it_went(redis_url: str) -> None:
    """Every field, to the fraction of a second, also after a rotation."""
    store = RedisSessionStore(redis_url)
    kept = session()
    store.add(kept, limit=9)
    assert store.get(kept.id) == kept
    rotated = store.rotate(kept.id, 0, now=1100.25, idle_expires_at=1800.75)
    assert rotated is not None
    assert (rotated.generation, rotated.refreshed_at) == (1, 1100.25)
    assert rotated.idle_expires_at == 1800.75
    assert store.get(kept.id) == rotated
    assert store.rotate(kept.id, 0, now=1100.25, idle_expires_at=1800.75) is None


def test_the_oldest_of_a_kind_end_beyond_the_limit(redis_url: str) -> None:
    """Each kind for itself, newest first in the list."""
    store = RedisSessionStore(redis_url)
    kept = [session(begun=1000 + i) for i in range(5)]
    other = session(kind="personal")
    for each in (other, *kept):
        store.add(each, limit=3)
    assert store.of_user("u-1", kind="login") == kept[:1:-1]
    assert store.of_user("u-1", kind="personal") == [other]


def test_a_user_s_sessions_end_together(redis_url: str) -> None:
    """Of one kind or all, but for the one that is to be left alone."""
    store = RedisSessionStore(redis_url)
    logins = [session(begun=1000 + i) for i in range(3)]
    personal, once = session(kind="personal"), session(kind="once:reset")
    for each in (*logins, personal, once):
        store.add(each, limit=9)
    assert store.end_all("u-1", kind="login", keep=logins[0].id) == 2
    assert store.end_all("u-1", keep=logins[0].id) == 2
    assert store.get(personal.id) is None
    assert store.end(logins[0].id)
    assert not store.end(logins[0].id)


def test_one_server_takes_ids_of_an_application_s_own_making(redis_url: str) -> None:
    """Limit, end and the list of endings are the same for them."""
    store = RedisSessionStore(redis_url)
    mark = store.ended_since(None).mark
    made = [make_session(at=NOW + i) for i in range(4)]
    ids = [f"{first}{'x' * 21}" for first in "Zf_-"]
    for session, its_id in zip(made, ids, strict=True):
        store.add(msgspec.structs.replace(session, id=its_id), limit=3)
    assert [each.id for each in store.of_user("u-1", kind="login")] == ids[:0:-1]
    assert store.rotate(ids[1], 0, now=NOW + 5, idle_expires_at=NOW + 600)
    assert store.end(ids[2])
    assert store.end_all("u-1") == 2
    assert sorted(store.ended_since(mark).session_ids or []) == sorted(ids)


def test_everybody_s_sessions_end_in_steps(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one tag, as many at a time as a script may take."""
    monkeypatch.setattr("tokenauth.stores.redis.sessions._STEP", 2)
    store = RedisSessionStore(redis_url)
    for i in range(5):
        store.add(make_session(at=NOW + i), limit=9)
    assert store.end_everyone() == 5
    assert store.end_everyone() == 0


def test_no_key_outlives_its_sessions(redis_url: str) -> None:
    """Each key expires by itself, so nothing has to be purged."""
    store = RedisSessionStore(redis_url)
    kept = session()
    store.add(kept, limit=9)
    store.touch(kept.id, now=1001)
    store.touch("x" * 22, now=1001)
    assert store.purge(now=9e9, limit=100) == 0
    plain = redis.Redis.from_url(redis_url)
    keys = plain.keys("*")
    assert len(keys) == 2
    assert 690_000 < plain.pttl(session_key(kept.id)) <= 700_000
    assert all(0 < plain.pttl(key) <= 3_000_000 for key in keys)
    store.rotate(kept.id, 0, now=1600, idle_expires_at=9000)
    assert plain.pttl(session_key(kept.id)) > 2_300_000


def test_an_index_forgets_what_has_expired(redis_url: str) -> None:
    """A session that timed out leaves its user's set with the next login."""
    store = RedisSessionStore(redis_url)
    old, new = session(), session(begun=2000)
    store.add(old, limit=9)
    plain = redis.Redis.from_url(redis_url)
    plain.delete(session_key(old.id))
    assert store.of_user("u-1", kind="login") == []
    store.add(new, limit=9)
    assert plain.zcard(user_key("u-1")) == 1


def test_nothing_at_rest_logs_anybody_in(redis_url: str) -> None:
    """Each string of a dump, tried as either token."""
    app = make_app(sessions=RedisSessionStore(redis_url))
    client = app.test_client()
    tokens = log_in(client, label="phone")
    plain: Any = redis.Redis.from_url(redis_url)
    dump: list[bytes] = list(plain.keys("*"))
    for key in plain.keys("*session*"):
        dump += [text for pair in plain.hgetall(key).items() for text in pair]
    joined = b"\n".join(dump)
    for secret in (tokens["access_token"], tokens["refresh_token"], SECRET):
        assert secret.encode() not in joined
    for text in dump:
        shown = text.decode("latin-1")
        if shown.isprintable() and shown.isascii():
            answer = client.get("/protected", headers=bearer(shown))
            assert answer.status_code in {400, 401}


def test_a_dead_server_is_answered_with_503() -> None:
    """Nobody is let in, and nothing is acknowledged."""
    app = make_app(
        config={"TOKENAUTH_SESSION_URL": DEAD, "TOKENAUTH_LIMITS_URL": "memory://"}
    )
    body = {"username": "alice", "password": "alice: correct horse"}
    answer = app.test_client().post("/auth/login", json=body)
    assert_problem(answer, 503, "store_unavailable")
    with pytest.raises(StoreUnavailableError):
        RedisSessionStore(DEAD).get("x" * 22)


def test_a_url_names_the_store(redis_url: str) -> None:
    """And one that names none is refused, without being quoted."""
    assert isinstance(open_sessions(redis_url), RedisSessionStore)
    assert repr(open_sessions(redis_url)) == "<RedisSessionStore>"
    for url in (
        "nonsense://u:hunter2@h",
        "redis://u:hunter2@host:port/0",
        "redis+sentinel://u:hunter2@host",
        "redis+cluster://u:hunter2@host/1",
        "unix+cluster://u:hunter2@host",
        "redis+cluster://u:hunter2@host:port",
        "redis+cluster://:12/hunter2@host",
    ):
        with pytest.raises(ConfigurationError) as caught:
            open_sessions(url)
        assert str(caught.value).startswith("TOKENAUTH_SESSION_URL")
        assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    for name in [name for name in sys.modules if ".stores.redis" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"flask-login-tokenauth\[redis\]"):
        open_sessions(DEAD)


# -- URLs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?db=2",
        "?socket_timeout=1.5&socket_connect_timeout=1.5&max_connections=3",
        "?health_check_interval=20&client_name=shop&protocol=3",
        "?socket_timeout=&max_connections=&db=",
    ],
)
@pytest.mark.parametrize("scheme", ["redis", "unix", "redis+unix"])
def test_every_scheme_connects(
    scheme: str, query: str, redis_server: RedisServer, redis_url: str
) -> None:
    """With every option that a URL may have."""
    place = "localhost" if scheme == "redis" else f"{redis_server.folder}/socket"
    port = f":{redis_server.port}/0" if scheme == "redis" else ""
    store: Any = open_sessions(f"{scheme}://{place}{port}{query}")
    mark = store.ended_since(None).mark
    kept = session()
    store.add(kept, limit=9)
    assert store.get(kept.id) == kept
    assert store.end(kept.id)
    assert store.ended_since(mark).session_ids == [kept.id]


def test_tls_is_used_where_it_is_asked_for(tmp_path: Path) -> None:
    """With options of its own; a certificate that nobody trusts is told apart."""
    tls, certificate = tls_context(tmp_path)
    with RedisServer() as server, Front(server.port, tls) as front:
        url = f"rediss://127.0.0.1:{front.port}/0"
        trusting = open_sessions(f"{url}?ssl_ca_certs={certificate}")
        kept = session()
        trusting.add(kept, limit=9)
        assert trusting.get(kept.id) == kept
        with pytest.raises(StoreUnavailableError) as caught:
            open_sessions(url).get(kept.id)
        assert caught.value.reason == "tls"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://:hunter2@h/0?ssl=true", "'ssl'"),
        ("redis://:hunter2@h/0?ssl_cert_reqs=none", "'ssl_cert_reqs'"),
        ("redis://:hunter2@h/0?decode_responses=true", "'decode_responses'"),
        ("rediss://:hunter2@h/0?encoding=latin-1", "'encoding'"),
        ("unix:///hunter2?socket_keepalive=1", "'socket_keepalive'"),
        ("redis://:hunter2@h/0?hunter2%20=1", "an option"),
        ("redis://:hunter2@h/0?socket_timeout=hunter2", "'socket_timeout'"),
    ],
)
def test_an_option_that_cannot_work_stops_the_start(url: str, named: str) -> None:
    """By its name, and by that of the setting; nothing is connected, nor quoted."""
    with pytest.raises(ConfigurationError) as caught:
        make_app(config={"TOKENAUTH_SESSION_URL": url})
    said = str(caught.value)
    assert said.startswith("TOKENAUTH_SESSION_URL: The URL of Redis has")
    assert named in said
    assert "hunter2" not in said


def test_a_client_of_the_application_is_used(redis_url: str) -> None:
    """For what a URL cannot say; one that decodes is refused."""
    store = RedisSessionStore(redis.Redis.from_url(redis_url))
    kept = session()
    store.add(kept, limit=9)
    assert store.get(kept.id) == kept
    with pytest.raises(ConfigurationError, match="decode_responses"):
        RedisSessionStore(redis.Redis.from_url(redis_url, decode_responses=True))


# -- servers that come and go ----------------------------------------------------------


def test_a_server_that_became_a_replica_is_left() -> None:
    """Its kept connections stay open: the next request is led to the new primary."""
    with RedisServer() as old, RedisServer() as new, Front() as front:
        make_replica(new, of=old)
        front.target = old.port
        store = RedisSessionStore(f"redis://127.0.0.1:{front.port}/0")
        kept = session()
        store.add(kept, limit=9)
        wait_until(lambda: redis.Redis(port=new.port).dbsize() == 2)
        redis.Redis(port=new.port).replicaof("NO", "ONE")
        make_replica(old, of=new)
        front.target = new.port
        with pytest.raises(StoreUnavailableError, check=is_read_only):
            store.end(kept.id)
        assert store.end(kept.id)


def is_read_only(error: StoreUnavailableError) -> bool:
    # Kept by no test, whose connections it would keep from being closed in order.
    return error.reason == "read_only"


def test_a_changed_password_is_told_and_then_well_again() -> None:
    with RedisServer() as server:
        kept = session()
        RedisSessionStore(server.url).add(kept, limit=9)
        admin = redis.Redis(port=server.port)
        admin.config_set("requirepass", "second")
        fresh = RedisSessionStore(server.url.replace("//", "//:first@"))
        with pytest.raises(StoreUnavailableError) as caught:
            fresh.get(kept.id)
        assert caught.value.reason == "authentication"
        admin.config_set("requirepass", "first")
        assert fresh.get(kept.id) == kept
        with pytest.raises(StoreUnavailableError) as caught:
            RedisSessionStore(server.url).get(kept.id)
        assert caught.value.reason == "authentication"


def test_a_dead_network_is_found_by_the_kernel(redis_url: str) -> None:
    """As on PostgreSQL: keepalives are on unless the URL turns them off."""
    RedisSessionStore(f"{redis_url}?socket_keepalive=").get(
        "0" * 22
    )  # as redis-py does
    for query, is_on in (("", True), ("?socket_keepalive=no", False)):
        store = RedisSessionStore(f"{redis_url}{query}")
        store.get("0" * 22)
        connection: Any = store._redis.client().connection
        get = connection._sock.getsockopt
        assert bool(get(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is is_on
        assert (get(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30) is is_on


@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_a_server_that_was_restarted_is_used_as_before(how: str) -> None:
    """The connections that were kept are stale, and nobody notices.

    Nothing acknowledged is lost: the server writes before it answers.
    """
    with RedisServer(durable=True) as server:
        store = RedisSessionStore(server.url)
        kept, ended = session(), session()
        for each in (kept, ended):
            store.add(each, limit=9)
        assert store.end(ended.id)
        getattr(server, how)()
        with pytest.raises(StoreUnavailableError) as caught:
            store.get(kept.id)
        assert caught.value.reason in {"refused", "connection_lost"}
        server.restart()
        assert store.get(kept.id) == kept
        assert store.get(ended.id) is None
        getattr(server, how)()
        server.restart()
        assert store.rotate(kept.id, 0, now=1001, idle_expires_at=1800)


def test_a_server_that_hangs_is_not_waited_for_without_end() -> None:
    """What is sent is sent once: nobody knows whether it will be done."""
    with RedisServer() as server:
        store = RedisSessionStore(f"{server.url}?socket_timeout=0.2")
        kept, other = session(), session()
        for each in (kept, other):
            store.add(each, limit=9)
        assert store.end(other.id)  # the server knows the script from now on
        os.kill(server.pid, signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(StoreUnavailableError) as caught:
            store.end(kept.id)
        assert time.monotonic() - begun < 1
        assert caught.value.reason == "timeout"
        os.kill(server.pid, signal.SIGCONT)
        assert store.of_user("u-1", kind="login") == []  # it was done after all


def test_rotating_a_session_extends_its_user_s_set(redis_url: str) -> None:
    """A clock that was put back cannot leave a session that `end_all` misses."""
    store = RedisSessionStore(redis_url)
    kept = session(begun=10_000)
    store.add(kept, limit=9)
    assert store.rotate(kept.id, 0, now=1000, idle_expires_at=12_000)
    plain = redis.Redis.from_url(redis_url)
    ids = plain.pttl(user_key("u-1"))
    assert ids >= plain.pttl(session_key(kept.id)) > 10_000_000
