"""Promise 10: hashing is bounded in parallelism, and so is what waits for it."""

from __future__ import annotations

import os
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
from tokenauth.accounts import hashing_pool as gate
from tokenauth.accounts.hashing_pool import HashingPool
from tokenauth.accounts.passwords import hash_password
from tokenauth.web import state


class Crowd:
    """Who comes to a gate one by one and stays until the door is opened."""

    def __init__(self, pool: HashingPool) -> None:
        self.pool = pool
        self.door = threading.Event()
        self.done: list[str] = []
        self.refused: list[str] = []
        self.threads: list[threading.Thread] = []

    def come(self, *holders: str, is_known: bool = False) -> None:
        """Come for these holders, whose first one is the visitor's name."""

        def visit() -> None:
            work = partial(self._stay, holders[0])
            try:
                self.pool.run(work, holders, is_known=is_known)
            except OverloadedError:
                self.refused.append(holders[0])

        before = self._seen()
        thread = threading.Thread(target=visit)
        self.threads.append(thread)
        thread.start()
        wait_for(lambda: self._seen() > before)

    def leave(self) -> None:
        self.door.set()
        for thread in self.threads:
            thread.join()

    def _stay(self, name: str) -> None:
        assert self.door.wait(30)
        self.done.append(name)

    def _seen(self) -> int:
        in_hand = self.pool._running + len(self.pool._waiting)
        return in_hand + len(self.refused)


@contextmanager
def crowd(pool: HashingPool) -> Generator[Crowd]:
    visitors = Crowd(pool)
    try:
        yield visitors
    finally:
        visitors.leave()


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def weary_gate() -> HashingPool:
    """A gate in a flood that has been going on for a while."""
    weary = HashingPool(1)
    with crowd(weary) as visitors:
        for _ in range(1 + gate._FEW + gate._BURST):
            visitors.come("flood", "192.0.2.1")
    assert not visitors.refused
    return weary


def gate_of(app: Flask) -> HashingPool:
    with app.app_context():
        return state.current_state().checker._pool


def test_a_burst_of_one_owner_waits_its_turn() -> None:
    """Twenty parallel logins of one account all get in."""
    with crowd(HashingPool(1)) as visitors:
        for _ in range(20):
            visitors.come("alice", "192.0.2.1")
    assert visitors.done == ["alice"] * 20


def test_few_of_a_flood_wait_and_the_rest_is_refused() -> None:
    """One is computed, few wait: no more of the server's threads are taken."""
    with crowd(weary_gate()) as visitors:
        for i in range(30):
            visitors.come(f"flood-{i}", "192.0.2.1")
        assert len(visitors.refused) == 30 - 1 - gate._FEW
    assert visitors.done == ["flood-0", "flood-1", "flood-2"]


def test_who_has_none_in_hand_gets_in_during_a_flood() -> None:
    """And goes before those who have; a second one of theirs is refused."""
    with crowd(weary_gate()) as visitors:
        for i in range(30):
            visitors.come(f"flood-{i}", "192.0.2.1")
        visitors.refused.clear()
        visitors.come("alice", "203.0.113.5")
        visitors.come("alice", "203.0.113.6")
        visitors.come("carol", "203.0.113.5")
        assert visitors.refused == ["alice", "carol"]
    assert visitors.done == ["flood-0", "alice", "flood-1", "flood-2"]


def test_an_owner_s_network_goes_first() -> None:
    """Who has logged in from here before waits for the running one at most."""
    with crowd(weary_gate()) as visitors:
        for i in range(3):
            visitors.come(f"stranger-{i}", f"198.51.100.{i}")
        visitors.come("alice at home", is_known=True)
    assert visitors.done == ["stranger-0", "alice at home", "stranger-1", "stranger-2"]


def test_a_flood_from_many_networks_is_refused_too() -> None:
    """What waits is bounded whoever they are, and has room for owners."""
    with crowd(HashingPool(1)) as visitors:
        for i in range(30):
            visitors.come(f"flood-{i}", f"198.51.100.{i}")
        assert len(visitors.refused) == 30 - 1 - gate._SOME
        visitors.refused.clear()
        for i in range(9):
            visitors.come(f"owner-{i}", is_known=True)
        assert len(visitors.refused) == 9 - (gate._MOST - gate._SOME)
    assert visitors.done[:2] == ["flood-0", "owner-0"]


def test_a_burst_takes_nobody_s_room() -> None:
    """Those who wait by the gate's patience go last, and do not count for others."""
    with crowd(HashingPool(1)) as visitors:
        for _ in range(20):
            visitors.come("alice", "192.0.2.1")
        visitors.come("carol", "203.0.113.5")
        visitors.come("alice at home", is_known=True)
        assert visitors.refused == []
    assert visitors.done[:3] == ["alice", "alice at home", "carol"]


def test_only_one_owner_s_burst_has_the_gate_s_patience() -> None:
    """Many names from one network are a flood from the first moment."""
    with crowd(HashingPool(1)) as visitors:
        for i in range(30):
            visitors.come(f"flood-{i}", "192.0.2.1")
        assert len(visitors.refused) == 30 - 1 - gate._FEW


def test_a_gate_that_was_idle_is_patient_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next burst finds what the first one found; a flood never rests so long."""
    tired = weary_gate()
    for is_rested in (False, True):
        if is_rested:
            tired._idle_since -= gate._QUIET_SECONDS
        with crowd(tired) as visitors:
            for _ in range(20):
                visitors.come("alice")
        assert bool(visitors.refused) is not is_rested


def test_who_waited_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And holds no place in the queue any more."""
    monkeypatch.setattr(gate, "_LONGEST_WAIT", 0.05)
    crowded = HashingPool(1)
    with crowd(crowded) as visitors:
        visitors.come("alice")
        visitors.come("bob")
        wait_for(lambda: visitors.refused == ["bob"])
        visitors.threads[1].join()
        assert not crowded._waiting
    assert visitors.done == ["alice"]
    assert crowded.run(int, ("bob",)) == 0


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
    threads = [
        threading.Thread(target=double.run, args=(work, (f"n{i}",))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]


def test_what_a_computation_raises_is_raised() -> None:
    """And its place is free again."""
    sound = HashingPool(1)
    with pytest.raises(ZeroDivisionError):
        sound.run(lambda: 1 / 0, ("a",))
    assert sound.run(lambda: 7, ("a",)) == 7
    assert not sound._held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """A server that forks its workers after the start hangs in none of them."""
    parent = HashingPool(1)
    parent.run(int, ("a",))
    parent._pid = 0  # as in a child, whose coverage nobody reads
    assert parent.run(lambda: 7, ("a",)) == 7
    child = os.fork()
    if child == 0:  # pragma: no cover # the child leaves no coverage data
        os._exit(parent.run(lambda: 7, ("a",)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="a thread's on Linux only")
def test_hashing_threads_run_at_low_priority() -> None:
    """Those that answer requests go first; the process's own priority stays."""
    before = niceness()
    assert HashingPool(1).run(niceness, ("a",)) > before
    assert niceness() == before
    gate._lower_priority()  # called in the main thread, as under gevent
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
    with crowd(gate_of(app)) as visitors:
        for i in range(40):
            visitors.come(f"flood-{i}", "192.0.2.1")
        yield client, tokens, visitors


def test_a_busy_gate_answers_503_at_once(
    busy: tuple[FlaskClient, dict[str, Any], Crowd],
) -> None:
    """With `Retry-After`; no guess was made, so none is counted."""
    client, _, visitors = busy
    for i in range(gate._SOME):
        visitors.come(f"stranger-{i}", f"198.51.100.{i}")
    body = {"username": "bob", "password": "a wrong guess"}
    for _ in range(5):
        answer = client.post("/auth/login", json=body)
        assert_problem(answer, 503, "overloaded")
        assert answer.headers["Retry-After"] == "1"
    visitors.leave()
    codes = [client.post("/auth/login", json=body).status_code for _ in range(4)]
    assert codes == [401, 401, 401, 429]


def test_a_busy_gate_leaves_tokens_alone(
    busy: tuple[FlaskClient, dict[str, Any], Crowd],
) -> None:
    """Requests with a token never come to the gate."""
    client, tokens, _ = busy
    header = bearer(tokens["access_token"])
    assert client.get("/protected", headers=header).status_code == 200
    body = {"refresh_token": tokens["refresh_token"]}
    assert client.post("/auth/refresh", json=body).status_code == 200


def test_a_changed_password_comes_through_the_gate() -> None:
    """Both of its hashes: the old one's check and the new one."""
    app = make_app()
    client = app.test_client()
    header = bearer(log_in(client)["access_token"])
    lanes = gate_of(app)
    seen: list[tuple[str, ...]] = []
    run = lanes.run

    def watched(work: Callable[[], Any], holders: tuple[str, ...], **rest: Any) -> Any:
        seen.append(holders)
        return run(work, holders, **rest)

    lanes.run = watched  # type: ignore[method-assign]
    body = {"current_password": PASSWORDS["alice"], "new_password": "quite another one"}
    assert client.post("/auth/password", json=body, headers=header).status_code == 200
    assert len(seen) == 2
    assert len(set(seen)) == 1


def test_twenty_parallel_logins_of_one_owner_all_succeed() -> None:
    """Over the real door; in real life they are tabs, or jobs of one account."""
    users = DictUserStore({"alice": hash_password(PASSWORDS["alice"], USUAL)})
    app = make_app(users=users, config=USUAL_HASHING)
    barrier = threading.Barrier(20)
    statuses: list[int] = []
    body = {"username": "alice", "password": PASSWORDS["alice"]}

    def visit() -> None:
        client = app.test_client()
        barrier.wait()
        statuses.append(client.post("/auth/login", json=body).status_code)

    threads = [threading.Thread(target=visit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(statuses) == {200: 20}
