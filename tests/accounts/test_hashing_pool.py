"""Promise 10: hashing is bounded in parallelism, and so is what waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.kit import (
    PASSWORDS,
    USUAL,
    USUAL_HASHING,
    assert_problem,
    bearer,
    log_in,
    make_app,
)
from tokenauth import DictUserStore, OverloadedError
from tokenauth.accounts import hashing_pool
from tokenauth.accounts.hashing_pool import HashingPool
from tokenauth.accounts.passwords import hash_password
from tokenauth.web import state

FEWEST = hashing_pool._FEWEST
FEW_BEFORE_KNOWN = hashing_pool._OWNERS.few
BURST = hashing_pool._BURST


class Crowd:
    """Requests that come to a pool one by one, and wait until they are let go."""

    def __init__(self, pool: HashingPool) -> None:
        self.pool = pool
        self.let_go = threading.Event()
        self.done: list[str] = []
        self.refused: list[str] = []
        self.threads: list[threading.Thread] = []

    def come(self, *keys: str, is_known: bool = False) -> None:
        """Send one request for these keys, whose first one is its name."""

        def send() -> None:
            work = partial(self._wait, keys[0])
            try:
                self.pool.run(work, keys, is_known=is_known)
            except OverloadedError:
                self.refused.append(keys[0])

        before = self._seen()
        thread = threading.Thread(target=send)
        self.threads.append(thread)
        thread.start()
        wait_for(lambda: self._seen() > before and self._is_served())

    def leave(self) -> None:
        self.let_go.set()
        for thread in self.threads:
            thread.join()

    def _wait(self, name: str) -> None:
        assert self.let_go.wait(30)
        self.done.append(name)

    def _is_served(self) -> bool:
        """Whether somebody's hash is being computed, if anybody's was accepted."""
        queue = self.pool._queues.get(os.getpid())
        if not queue or not queue._accepted:
            return True
        waiting = sum(not each.future.cancelled() for each in queue._waiting)
        return queue._accepted > waiting

    def _seen(self) -> int:
        queue = self.pool._queues.get(os.getpid())
        return (queue._accepted if queue else 0) + len(self.refused)


@contextmanager
def crowd(pool: HashingPool) -> Generator[Crowd]:
    requests = Crowd(pool)
    try:
        yield requests
    finally:
        requests.leave()


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Say how many threads the server has, beside the main one and that of the pool."""

    def have(count: int) -> None:
        monkeypatch.setattr(threading, "active_count", lambda: count + 2)

    have(4)
    return have


def change_rules(monkeypatch: pytest.MonkeyPatch, name: str, **changes: float) -> None:
    rules = getattr(hashing_pool, name)._replace(**changes)
    monkeypatch.setattr(hashing_pool, name, rules)


def pool_in_a_flood() -> HashingPool:
    """Return a pool whose burst has been used up, and is not regained in this test."""
    pool = HashingPool(1)
    pool.run(int, ("a",))
    queue = queue_of(pool)
    queue._burst, queue._burst_at = 0.0, time.monotonic() + 3600
    return pool


def queue_of(pool: HashingPool) -> hashing_pool._Queue:
    return pool._queues[os.getpid()]


def pool_of(app: Flask) -> HashingPool:
    with app.app_context():
        return state.current_state().checker.pool


def test_a_burst_of_one_account_waits_its_turn() -> None:
    """Twenty parallel logins of one account all succeed."""
    with crowd(HashingPool(1)) as requests:
        for _ in range(1 + BURST):
            requests.come("alice", "192.0.2.1", "192.0.2.0/24")
        requests.come("alice", "192.0.2.1", "192.0.2.0/24")
        assert len(requests.refused) == 1
    assert requests.done == ["alice"] * (1 + BURST)


def test_a_burst_is_regained_over_time() -> None:
    """Two a second, up to what it was."""
    pool = pool_in_a_flood()
    for seconds, gained in ((0.2, 0), (0.5, 1), (2, 4), (3600, BURST)):
        queue_of(pool)._burst = 0.0
        queue_of(pool)._burst_at = time.monotonic() - seconds
        with crowd(pool) as requests:
            for _ in range(BURST + 9):
                requests.come("alice")
        assert len(requests.done) == 1 + gained


@pytest.mark.parametrize(
    ("have", "accepted"), [(1, FEWEST), (4, 2), (8, 4), (32, 16), (33, 16)]
)
def test_at_most_half_of_the_server_s_threads_wait(
    have: int, accepted: int, threads: Callable[[int], None]
) -> None:
    """A flood from many networks leaves the other half for other requests."""
    threads(have)
    with crowd(pool_in_a_flood()) as requests:
        for i in range(40):
            requests.come(f"flood-{i}", f"198.51.100.{i}", f"net-{i}")
    assert len(requests.done) == accepted


def test_owners_get_in_while_strangers_use_up_the_rest(
    threads: Callable[[int], None],
) -> None:
    """Places of strangers, who wait behind them, are not in their way; owners' are."""
    pool = HashingPool(1)
    with crowd(pool) as requests:
        for i in range(BURST):
            requests.come(f"stranger-{i}", f"198.51.100.{i}", f"net-{i}")
        assert not requests.refused
        queue_of(pool)._burst, queue_of(pool)._burst_at = 0.0, time.monotonic() + 3600
        requests.come("alice at home", "203.0.113.5", "home", is_known=True)
        assert not requests.refused
        for i in range(9):
            requests.come(f"owner-{i}", f"203.0.112.{i}", f"home-{i}", is_known=True)
    # One of the strangers is being computed.
    assert len(requests.done) == BURST + FEW_BEFORE_KNOWN - 1


@pytest.mark.parametrize(
    ("what", "accepted"),
    [
        (lambda i: ("one account", f"192.0.2.{i}", f"net-{i}"), 1),
        (lambda i: (f"account-{i}", "one network", "one wider network"), 2),
        (lambda i: (f"account-{i}", f"2001:db8:0:{i}::/64", "one wider network"), 3),
    ],
    ids=["account", "network", "wider network"],
)
@pytest.mark.parametrize("is_known", [False, True], ids=["strangers", "owners"])
def test_no_account_and_no_network_takes_all_places(
    what: Callable[[int], tuple[str, ...]],
    accepted: int,
    is_known: bool,
    threads: Callable[[int], None],
) -> None:
    """Neither one account from many networks nor many accounts from one network.

    Owners have twice as many places: who waits for long tries again.
    """
    threads(32)
    with crowd(pool_in_a_flood()) as requests:
        for i in range(20):
            requests.come(*what(i), is_known=is_known)
        requests.come("alice at home", "203.0.113.5", "home", is_known=True)
        assert "alice at home" not in requests.refused
    assert len(requests.done) == accepted * (1 + is_known) + 1


def test_a_question_takes_no_place_and_nothing_of_the_burst() -> None:
    """What `check` lets pass may still be refused by `run`, not the other way round."""
    pool = HashingPool(1)
    with crowd(pool) as requests:
        requests.come("alice")
        for _ in range(2 * BURST):
            pool.check(("alice",))
        for _ in range(BURST):
            requests.come("alice")
        with pytest.raises(OverloadedError):
            pool.check(("alice",))
    assert len(requests.done) == 1 + BURST
    assert not requests.refused


def test_what_would_wait_too_long_is_refused(threads: Callable[[int], None]) -> None:
    """Places are not all: a second and a half, and three seconds from a known network.

    The first is accepted however long it takes: else no login would ever succeed.
    """
    threads(100)
    pool = pool_in_a_flood()
    for seconds, strangers, owners in ((0.5, 4, 6), (2.0, 1, 1), (9.0, 1, 0)):
        queue_of(pool)._seconds = seconds
        with crowd(pool) as requests:
            for i in range(20):
                requests.come(f"stranger-{i}", f"198.51.100.{i}", f"net-{i}")
            assert len(requests.refused) == 20 - strangers
            for i in range(20):
                requests.come(f"owner-{i}", f"192.0.2.{i}", f"home-{i}", is_known=True)
        assert len(requests.done) == strangers + owners


def test_owners_are_served_before_strangers_who_came_just_before(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before those who came long before: nobody waits for ever."""
    threads(100)
    with crowd(pool_in_a_flood()) as requests:
        for name in ("being hashed", "stranger", "later stranger"):
            requests.come(name, f"{name}'s", f"net of {name}")
        requests.come("owner", "203.0.113.5", "home", is_known=True)
        change_rules(monkeypatch, "_OWNERS", earlier=-1)
        requests.come("much later owner", "203.0.113.6", "home", is_known=True)
    first, *others = requests.done
    assert first == "being hashed"
    assert others == ["owner", "stranger", "later stranger", "much later owner"]


def test_a_burst_leaves_time_for_owners(threads: Callable[[int], None]) -> None:
    """However slow the machine is: one account's burst ends before theirs begins."""
    threads(100)
    pool = HashingPool(1)
    pool.run(int, ("a",))
    queue_of(pool)._seconds = 0.5
    with crowd(pool) as requests:
        for _ in range(20):
            requests.come("one account", "192.0.2.1", "net", is_known=True)
        requests.come("alice at home", "203.0.113.5", "home", is_known=True)
        assert "alice at home" not in requests.refused
    assert len(requests.done) == 5


def test_the_time_of_a_computation_is_learned() -> None:
    """From the first one, and from each later one a little."""
    pool = HashingPool(1)
    pool.run(partial(time.sleep, 0.08), ("a",))
    first = queue_of(pool)._seconds
    assert first >= 0.08
    pool.run(int, ("a",))
    assert 0.8 * first < queue_of(pool)._seconds < first


@pytest.mark.parametrize("is_known", [False, True])
def test_whoever_waits_longer_than_expected_is_refused(
    is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when hashing becomes slower; what has begun is waited for."""
    name = "_OWNERS" if is_known else "_STRANGERS"
    change_rules(monkeypatch, name, longest_wait=0.02)
    monkeypatch.setattr(hashing_pool, "_LATER", 0.02)
    pool = HashingPool(1)
    with crowd(pool) as requests:
        requests.come("alice", is_known=is_known)
        requests.come("bob", is_known=is_known)
        wait_for(lambda: requests.refused == ["bob"])
        assert queue_of(pool)._accepted == 1
        assert queue_of(pool)._of_key == {"alice": 1}
    assert requests.done == ["alice"]
    assert pool.run(int, ("bob",)) == 0


def test_who_has_given_up_makes_no_place(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those who still wait are overtaken."""
    threads(100)
    change_rules(monkeypatch, "_STRANGERS", longest_wait=0.01)
    monkeypatch.setattr(hashing_pool, "_LATER", 0.01)
    with crowd(pool_in_a_flood()) as requests:
        for i in range(4):
            requests.come(f"stranger-{i}", f"198.51.100.{i}", f"net-{i}")
        wait_for(lambda: len(requests.refused) == 3)
        threads(4)
        for i in range(9):
            requests.come(f"owner-{i}", f"203.0.112.{i}", f"home-{i}", is_known=True)
    assert len(requests.done) == FEW_BEFORE_KNOWN


def test_a_request_is_answered_even_if_a_computation_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an application's own verifier may; what waits behind it is taken off."""
    change_rules(monkeypatch, "_STRANGERS", longest_wait=0.0)
    monkeypatch.setattr(hashing_pool, "_LATER", 0.02)
    monkeypatch.setattr(hashing_pool, "_LAST_RESORT", 0.05)
    pool = HashingPool(1)
    with crowd(pool) as requests:
        requests.come("alice")
        requests.come("bob")
        wait_for(lambda: sorted(requests.refused) == ["alice", "bob"])
    wait_for(lambda: queue_of(pool)._accepted == 0)
    assert requests.done == ["alice"]
    assert not queue_of(pool)._of_key
    assert pool.run(int, ("bob",)) == 0


def test_no_more_run_at_a_time_than_allowed() -> None:
    """The others wait."""
    running, most = [0], [0]
    lock = threading.Lock()

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1

    double = HashingPool(2)
    started = [
        threading.Thread(target=double.run, args=(work, (f"n{i}",))) for i in range(8)
    ]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert most == [2]


def test_what_a_computation_raises_is_raised() -> None:
    """And its place is free again."""
    pool = HashingPool(1)
    with pytest.raises(ZeroDivisionError):
        pool.run(lambda: 1 / 0, ("a",))
    assert pool.run(lambda: 7, ("a",)) == 7
    assert not queue_of(pool)._of_key


def test_a_system_without_threads_to_give_answers_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the next request tries again."""
    pool = HashingPool(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(OverloadedError):
            pool.run(int, ("a",))
    assert pool.run(lambda: 7, ("a",)) == 7


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_first_uses_at_one_moment_share_one_queue() -> None:
    """Else two of them would compute at a time."""
    for _ in range(20):
        pool = HashingPool(1)
        barrier = threading.Barrier(8)
        seen: set[int] = set()

        def first_use(
            pool: HashingPool = pool,
            barrier: threading.Barrier = barrier,
            seen: set[int] = seen,
        ) -> None:
            barrier.wait()
            seen.add(pool.run(threading.get_ident, (threading.current_thread().name,)))

        started = [threading.Thread(target=first_use) for _ in range(8)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        assert len(seen) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """A server that forks its workers after the start hangs in none of them."""
    parent = HashingPool(1)
    with crowd(parent) as requests:
        requests.come("a")  # holds the only thread, and perhaps the lock
        child = os.fork()
        if child == 0:  # pragma: no cover # the child leaves no coverage data
            os._exit(parent.run(lambda: 7, ("a",)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


GEVENT = """
import sys
from tests.harness.kit import PASSWORDS, make_app
app = make_app()
from gevent import monkey, joinall, spawn, with_timeout
monkey.patch_all()
body = {"username": "alice", "password": PASSWORDS["alice"]}
def log_in():
    return app.test_client().post("/auth/login", json=body).status_code
jobs = [spawn(log_in) for _ in range(9)]
joinall(jobs, timeout=20)
assert [job.value for job in jobs] == [200] * 9, [job.value for job in jobs]
"""


def test_gevent_may_replace_threads_after_the_set_up() -> None:
    """Also when the first logins come at one moment: none stops the process."""
    pytest.importorskip("gevent")
    subprocess.run([sys.executable, "-c", GEVENT], check=True, timeout=60)


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="a thread's on Linux only")
def test_hashing_threads_run_at_low_priority() -> None:
    """Those that answer requests go first; the process's own priority stays."""
    before = niceness()
    assert HashingPool(1).run(niceness, ("a",)) > before
    assert niceness() == before
    hashing_pool._lower_priority()  # called in the main thread, as under gevent
    assert niceness() == before


def test_no_thread_is_started_before_the_first_hash() -> None:
    """An application that only verifies tokens has none."""
    before = set(threading.enumerate())  # some of an earlier test may end meanwhile
    make_app()
    assert set(threading.enumerate()) <= before


@pytest.fixture
def busy() -> Generator[tuple[FlaskClient, dict[str, Any], Crowd]]:
    """An application in a flood; alice has logged in before."""
    app = make_app(config={"TOKENAUTH_LOGIN_LIMITS": "3 per hour"})
    client = app.test_client()
    tokens = log_in(client)
    with crowd(pool_of(app)) as requests:
        for i in range(60):
            requests.come(f"flood-{i}", f"198.51.100.{i}", f"net-{i}")
        assert requests.refused
        queue_of(pool_of(app))._burst_at += 3600
        yield client, tokens, requests


def test_a_busy_pool_answers_503_at_once(
    busy: tuple[FlaskClient, dict[str, Any], Crowd],
) -> None:
    """With `Retry-After`; no guess was made, so none is counted."""
    client, _, requests = busy
    body = {"username": "bob", "password": "a wrong guess"}
    for _ in range(5):
        answer = client.post("/auth/login", json=body)
        assert_problem(answer, 503, "overloaded")
        assert answer.headers["Retry-After"] == "1"
    requests.leave()
    codes = [client.post("/auth/login", json=body).status_code for _ in range(4)]
    assert codes == [401, 401, 401, 429]


def test_a_busy_pool_leaves_tokens_alone(
    busy: tuple[FlaskClient, dict[str, Any], Crowd],
) -> None:
    """Requests with a token hash nothing."""
    client, tokens, _ = busy
    header = bearer(tokens["access_token"])
    assert client.get("/protected", headers=header).status_code == 200
    body = {"refresh_token": tokens["refresh_token"]}
    assert client.post("/auth/refresh", json=body).status_code == 200


def test_a_changed_password_is_hashed_in_the_pool() -> None:
    """Both of its hashes: the old one's check and the new one, as of an owner."""
    app = make_app()
    client = app.test_client()
    header = bearer(log_in(client)["access_token"])
    pool = pool_of(app)
    seen: list[tuple[int, bool]] = []
    run = pool.run

    def watched(work: Callable[[], Any], keys: tuple[str, ...], **rest: Any) -> Any:
        seen.append((len(keys), rest["is_known"]))
        return run(work, keys, **rest)

    pool.run = watched  # type: ignore[method-assign]
    body = {"current_password": PASSWORDS["alice"], "new_password": "quite another one"}
    assert client.post("/auth/password", json=body, headers=header).status_code == 200
    assert seen == [(3, True), (1, True)]


@pytest.mark.parametrize("names", [1, 10], ids=["one account", "one office"])
def test_ten_parallel_logins_all_succeed(names: int) -> None:
    """Jobs of one account, or colleagues behind one address, for the first time."""
    stored = hash_password(PASSWORDS["alice"], USUAL)
    users = DictUserStore({f"user-{i}": stored for i in range(names)})
    app = make_app(users=users, config=USUAL_HASHING)
    barrier = threading.Barrier(10)
    statuses: list[int] = []

    def send(number: int) -> None:
        client = app.test_client()
        body = {"username": f"user-{number % names}", "password": PASSWORDS["alice"]}
        barrier.wait()
        statuses.append(client.post("/auth/login", json=body).status_code)

    started = [threading.Thread(target=send, args=(i,)) for i in range(10)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert Counter(statuses) == {200: 10}
