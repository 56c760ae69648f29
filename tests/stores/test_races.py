"""Promise 5 under attack of the clock: many uses of one refresh token at one moment.

What each of them got is written down, and a checker decides afterwards whether some
order of single steps, one after the other, would have given the same answers.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask

from tests.harness.kit import PASSWORDS, bearer, log_in, make_app
from tests.stores.contract import in_parallel
from tests.stores.shared import MEMORY_FIRST, Place, Service, place_on
from tokenauth import User, hash_password
from tokenauth.accounts.hash_schemes import Argon2Cost
from tokenauth.stores.provision import Stores
from tokenauth.testing import CHEAP_HASHING

PASSWORD, NEW = PASSWORDS["alice"], "the other secret"
CONFIG = {**CHEAP_HASHING, "TOKENAUTH_LOGIN_LIMITS": "1000000 per second"}
THREADS = 50


class Answer(NamedTuple):
    """What one request got."""

    status: int
    code: str
    access: str
    refresh: str


def app_on(stores: Stores, **config: Any) -> Flask:
    return make_app(
        users=stores.users, sessions=stores.sessions, config={**CONFIG, **config}
    )


def refresh(app: Flask, token: str) -> Answer:
    answer = app.test_client().post("/auth/refresh", json={"refresh_token": token})
    body: Any = answer.get_json()
    return Answer(
        answer.status_code,
        body.get("code", ""),
        body.get("access_token", ""),
        body.get("refresh_token", ""),
    )


def check_one_branch(answers: list[Answer], rounds: int = 1) -> None:
    """Fail unless one rotation explains all answers: one successor, the same for all.

    What was refused says so by rule; a second branch would be a second successor.
    """
    assert {answer.status for answer in answers} <= {200, 400}
    assert all(a.code == "invalid_grant" for a in answers if a.status == 400)
    successors = {answer.refresh for answer in answers if answer.status == 200}
    assert len(successors) == 1, f"{len(successors)} branches in {rounds} rounds"


def is_alive(app: Flask, access: str) -> bool:
    answer = app.test_client().get("/protected", headers=bearer(access))
    return answer.status_code == 200


def new_user(service: Service, name: str) -> User:
    user = User(name, hash_password(PASSWORD, Argon2Cost(8, 1)), id=f"u-{name}")
    assert service.users.add(user)
    return user


@pytest.fixture
def rounds(is_full: bool) -> int:
    return 200 if is_full else 3


# -- uses of one token -----------------------------------------------------------------


@pytest.mark.parametrize("service", MEMORY_FIRST, indirect=True)
def test_fifty_threads_rotate_once_a_round(service: Service, rounds: int) -> None:
    """All get the one successor, and the next round goes on from it."""
    app = app_on(service.stores)
    new_user(service, "alice")
    token = log_in(app.test_client())["refresh_token"]
    for generation in range(1, rounds + 1):
        answers = in_parallel(THREADS, lambda _: refresh(app, token))  # noqa: B023
        check_one_branch(answers)
        assert Counter(answer.status for answer in answers) == {200: THREADS}
        (session,) = service.stores.sessions.of_user("u-alice", kind="login")
        assert session.generation == generation
        token = answers[0].refresh
        assert is_alive(app, answers[-1].access)


@pytest.mark.parametrize("service", MEMORY_FIRST, indirect=True)
def test_without_a_grace_one_of_them_wins_and_the_login_ends(
    service: Service, rounds: int
) -> None:
    """Nobody can tell a second tab from a thief then: at most one gets a successor."""
    app = app_on(service.stores, TOKENAUTH_REFRESH_GRACE=0)
    new_user(service, "alice")
    for _ in range(rounds):
        token = log_in(app.test_client())["refresh_token"]
        answers = in_parallel(8, lambda _: refresh(app, token))  # noqa: B023
        assert Counter(answer.status for answer in answers) == {200: 1, 400: 7}
        assert service.stores.sessions.of_user("u-alice", kind="login") == []


@pytest.mark.parametrize(
    "engine",
    [
        *("redis", "cluster"),
        *(pytest.param(e, marks=pytest.mark.full) for e in ("postgresql", "sqlite")),
    ],
)
def test_several_processes_rotate_once_a_round(
    engine: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    rounds: int,
    is_full: bool,
) -> None:
    """Eight, each with connections of its own, as the workers of a server."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # they import this module
    count = 8 if is_full else 3
    place = place_on(engine, request)
    service = Service(place.open)
    app = app_on(service.stores)
    new_user(service, "alice")
    token = log_in(app.test_client())["refresh_token"]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # else each takes a second to import it
    barrier = context.Barrier(count)
    with crew(context, barrier, place, count) as pipes:
        for number in range(1, rounds + 1):
            for pipe in pipes:
                pipe.send(token)
            answers = [Answer(*pipe.recv()) for pipe in pipes]
            check_one_branch(answers)
            assert Counter(a.status for a in answers) == {200: count}
            (session,) = service.stores.sessions.of_user("u-alice", kind="login")
            assert session.generation == number
            token = answers[0].refresh


class crew:  # noqa: N801 # a context manager
    """Processes that refresh a token at the same moment whenever they are sent one."""

    def __init__(self, context: Any, barrier: Any, place: Place, count: int) -> None:
        ends = [context.Pipe() for _ in range(count)]
        self.pipes = [ours for ours, _ in ends]
        self.processes = [
            context.Process(target=work, args=[theirs, barrier, place])
            for _, theirs in ends
        ]

    def __enter__(self) -> list[Any]:
        for process in self.processes:
            process.start()
        return self.pipes

    def __exit__(self, *_: object) -> None:
        for pipe in self.pipes:
            pipe.send(None)
        for process in self.processes:
            process.join(30)


def work(pipe: Any, barrier: Any, place: Place) -> None:
    app = app_on(place.open())
    while (token := pipe.recv()) is not None:
        barrier.wait(30)
        pipe.send(tuple(refresh(app, token)))


# -- against what ends a login ---------------------------------------------------------


def endings(app: Flask, pair: Any) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield each request that ends a login, and its status when it is done."""
    client, headers = app.test_client(), bearer(pair["access_token"])
    change = {"current_password": PASSWORD, "new_password": NEW}
    yield "logout", lambda: client.post("/auth/logout", headers=headers).status_code
    yield (
        "all",
        lambda: client.delete("/auth/sessions", headers=headers).status_code,
    )
    yield (
        "revoke",
        lambda: (
            client.post(
                "/auth/revoke", data={"token": pair["refresh_token"]}
            ).status_code
        ),
    )
    yield (
        "password",
        lambda: client.post("/auth/password", json=change, headers=headers).status_code,
    )


@pytest.mark.parametrize("service", MEMORY_FIRST, indirect=True)
@pytest.mark.parametrize("name", ["logout", "all", "revoke", "password"])
def test_nothing_survives_an_acknowledged_end(
    name: str, service: Service, rounds: int
) -> None:
    """Refreshes at the same moment: whatever they were given is dead afterwards."""
    app = app_on(service.stores)
    for number in range(rounds):
        user = new_user(service, f"user-{number}")
        pair: Any = (
            app.test_client()
            .post("/auth/login", json={"username": user.username, "password": PASSWORD})
            .get_json()
        )
        end = dict(endings(app, pair))[name]
        statuses: list[int] = []
        given: list[Answer] = []
        lock = threading.Lock()

        def act(i: int) -> None:
            if i == 0:
                statuses.append(end())  # noqa: B023
                return
            answer = refresh(app, pair["refresh_token"])  # noqa: B023
            with lock:  # noqa: B023
                given.append(answer)  # noqa: B023

        in_parallel(8, act)
        assert statuses[0] in {200, 204}
        for answer in given:
            assert answer.status in {200, 400}
            if answer.status == 200:
                assert not is_alive(app, answer.access)
                assert refresh(app, answer.refresh).status == 400
        assert not is_alive(app, pair["access_token"])


@pytest.mark.parametrize("service", MEMORY_FIRST, indirect=True)
def test_logins_at_a_limit_leave_as_many_as_it_allows(
    service: Service, rounds: int
) -> None:
    """Each was acknowledged; the oldest have ended, and the others are whole."""
    config = {"TOKENAUTH_SESSION_LIMIT": 3, "TOKENAUTH_PASSWORD_CONCURRENCY": 8}
    app = app_on(service.stores, **config)
    new_user(service, "alice")
    for _ in range(rounds):
        pairs = in_parallel(8, lambda _: log_in_at_last(app))
        alive = [pair for pair in pairs if is_alive(app, pair["access_token"])]
        standing = service.stores.sessions.of_user("u-alice", kind="login")
        assert len(alive) == len(standing) == 3
        dead = [pair for pair in pairs if pair not in alive]
        for pair in dead:
            assert refresh(app, pair["refresh_token"]).status == 400


def log_in_at_last(app: Flask) -> Any:
    """Log in; on a busy machine eight of one account at once are told to come again."""
    body = {"username": "alice", "password": PASSWORD}
    while True:
        answer = app.test_client().post("/auth/login", json=body)
        if answer.status_code != 503:
            assert answer.status_code == 200, answer.text
            return answer.get_json()
