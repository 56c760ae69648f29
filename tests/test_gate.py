"""Promise 10: hashing is bounded in parallelism, and so is what waits for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.kit import assert_problem, log_in, make_app
from tokenauth import OverloadedError
from tokenauth.gate import Gate


class Crowd:
    """Holders that come to a gate one by one and stay until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.door = threading.Event()
        self.outcomes: list[str] = []
        self.threads: list[threading.Thread] = []

    def come(self, *holders: str) -> None:
        def visit() -> None:
            try:
                self.gate.run(holders, self.door.wait, 30)
                self.outcomes.append("done")
            except OverloadedError:
                self.outcomes.append("refused")

        before = self.gate._in_hand + len(self.outcomes)
        thread = threading.Thread(target=visit)
        self.threads.append(thread)
        thread.start()
        wait_for(lambda: self.gate._in_hand + len(self.outcomes) > before)

    def leave(self) -> list[str]:
        self.door.set()
        for thread in self.threads:
            thread.join()
        return self.outcomes


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_burst_of_one_owner_waits_its_turn() -> None:
    """Twenty parallel logins of one account all get in."""
    crowd = Crowd(Gate(1))
    for _ in range(20):
        crowd.come("alice", "192.0.2.1")
    assert crowd.leave() == ["done"] * 20


def test_a_flood_of_one_network_is_refused_and_others_get_in() -> None:
    """Once its patience is gone, one in hand; who has none in hand still waits."""
    crowd = Crowd(Gate(1))
    for i in range(60):
        crowd.come(f"name-{i}", "192.0.2.1")
    refused = crowd.outcomes.count("refused")
    assert refused == 60 - 1 - 2 - 20
    crowd.come("alice", "203.0.113.5")
    assert crowd.outcomes.count("refused") == refused + 1  # too many wait already
    assert crowd.leave().count("done") == 23


def test_who_has_none_in_hand_gets_in_while_a_flood_goes_on() -> None:
    """In a flood that goes on, an honest login finds a place."""
    gate = Gate(1)
    gate._patience = 0  # long spent
    crowd = Crowd(gate)
    for i in range(10):
        crowd.come(f"name-{i}", "192.0.2.1")
    assert crowd.outcomes == ["refused"] * 7
    crowd.come("alice", "203.0.113.5")
    crowd.come("alice", "203.0.113.6")
    assert crowd.outcomes == ["refused"] * 8
    assert crowd.leave().count("done") == 4


def test_an_idle_gate_is_patient_again() -> None:
    """The next burst finds what the first one found."""
    gate = Gate(1)
    for _ in range(2):
        crowd = Crowd(gate)
        for _ in range(20):
            crowd.come("alice")
        assert crowd.leave() == ["done"] * 20


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

    gate = Gate(2)
    threads = [
        threading.Thread(target=gate.run, args=((f"n{i}",), work)) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]


def test_what_a_computation_raises_is_raised() -> None:
    """And its place is free again."""
    gate = Gate(1)
    with pytest.raises(ZeroDivisionError):
        gate.run(("a",), lambda: 1 / 0)
    assert gate.run(("a",), lambda x: x + 1, 1) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """A server that forks its workers after the start hangs in none of them."""
    gate = Gate(1)
    gate.run(("a",), int)
    child = os.fork()
    if child == 0:  # pragma: no cover # the child leaves no coverage data
        os._exit(gate.run(("a",), lambda: 7))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_hashing_threads_run_at_low_priority() -> None:
    """Those that answer requests go first."""

    def niceness() -> Any:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert Gate(1).run(("a",), niceness) > niceness()


def test_a_busy_gate_answers_503_at_once() -> None:
    """With `Retry-After`; the attempt is not counted, and tokens go on working."""
    app = make_app(config={"TOKENAUTH_LOGIN_LIMITS": "3 per hour"})
    client = app.test_client()
    tokens = log_in(client)
    from tokenauth import state

    with app.app_context():
        gate = state.current().authority._credentials._gate
    crowd = Crowd(gate)
    for i in range(40):
        crowd.come(f"name-{i}", "127.0.0.1")
    body = {"username": "alice", "password": "a wrong guess"}
    for _ in range(5):
        answer = client.post("/auth/login", json=body)
        assert_problem(answer, 503, "overloaded")
        assert answer.headers["Retry-After"] == "1"
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.get("/protected", headers=header).status_code == 200
    crowd.leave()
    log_in(client)
