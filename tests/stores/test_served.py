"""Promises 4 and 9 on real servers: two that share a store, and any of them killed."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest

from tests.harness.kit import SECRET, bearer
from tests.harness.servers import AppServer, PostgresServer, RedisServer, serve
from tests.stores.engines import SHARED
from tests.stores.shared import Place, Service, place_on
from tokenauth import User, hash_password

FIRST = "the first secret"
_numbers = itertools.count()


class LostError(Exception):
    """No answer, or 503: what was asked for may have been done or not."""


def ask(
    server: AppServer, method: str, path: str, token: str = "", **body: str
) -> tuple[int, Any]:
    """Send one request; give its status and what it says."""
    where = urlsplit(server.url)
    headers = {"Content-Type": "application/json", **(bearer(token) if token else {})}
    connection = http.client.HTTPConnection(f"{where.netloc}", timeout=20)
    with closing(connection) as client:
        try:
            client.request(method, f"/auth{path}", json.dumps(body), headers)
            answer = client.getresponse()
            status, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            raise LostError from None
    if status == 503:
        raise LostError
    return status, json.loads(text) if text else None


def obtain(server: AppServer, path: str, token: str = "", **body: str) -> Any:
    """Send a request that succeeds; give its tokens."""
    status, pair = ask(server, "POST", path, token, **body)
    assert status == 200, pair
    return pair


@contextmanager
def serving(
    place: Place,
    count: int = 1,
    workers: int = 1,
    env: Mapping[str, str] | None = None,
) -> Iterator[list[AppServer]]:
    """Start servers of the stand-alone API, each on a port of its own."""
    env = {
        **(env or {}),
        "FLASK_SECRET_KEY": SECRET,
        "FLASK_TOKENAUTH_USERS_URL": place.users_url,
        "FLASK_TOKENAUTH_SESSION_URL": place.sessions_url,
        "FLASK_TOKENAUTH_LOGIN_LIMITS": "1000000 per second",
        "FLASK_TOKENAUTH_PASSWORD_CONCURRENCY": "4",
        "FLASK_TOKENAUTH_REFRESH_GRACE": "300",  # a restart may take its time
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                serve("tokenauth.app:create_app()", env=env, workers=workers)
            )
            for _ in range(count)
        ]


def new_user(service: Service) -> str:
    name = f"user-{next(_numbers)}"
    assert service.users.add(User(name, hash_password(FIRST), id=name))
    return name


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """A place on the engine that a test names."""
    return place_on(request.param, request)


@pytest.fixture
def service(place: Place) -> Service:
    """The service that the servers of that place are."""
    return Service(place.open)


# -- two servers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        "redis",
        *(pytest.param(e, marks=pytest.mark.full) for e in SHARED if e != "redis"),
    ],
    indirect=True,
)
def test_two_servers_behave_as_one(place: Place, service: Service) -> None:
    """What one of them ends is over on the other with the very next request."""
    name = new_user(service)
    with serving(place, count=2) as (one, other):
        pair = obtain(one, "/login", username=name, password=FIRST)
        assert ask(other, "GET", "/me", pair["access_token"])[0] == 200
        assert ask(one, "POST", "/logout", pair["access_token"])[0] == 204
        status, problem = ask(other, "GET", "/me", pair["access_token"])
        assert (status, problem["code"]) == (401, "token_revoked")
        refused = ask(other, "POST", "/refresh", refresh_token=pair["refresh_token"])
        assert refused[0] == 400

        first = obtain(one, "/login", username=name, password=FIRST)
        second = obtain(other, "/refresh", refresh_token=first["refresh_token"])
        again = obtain(one, "/refresh", refresh_token=first["refresh_token"])
        assert again["refresh_token"] == second["refresh_token"]

        changed = obtain(
            other,
            "/password",
            second["access_token"],
            current_password=FIRST,
            new_password="the second secret",
        )
        assert ask(one, "GET", "/me", again["access_token"])[0] == 401
        assert ask(one, "POST", "/login", username=name, password=FIRST)[0] == 401
        assert ask(one, "GET", "/me", changed["access_token"])[0] == 200
        service.users.set_active(name, active=False)
        assert ask(one, "GET", "/me", changed["access_token"])[0] == 401
        assert ask(other, "GET", "/me", changed["access_token"])[0] == 401


# -- kill -9 ---------------------------------------------------------------------------


class Mortal(Protocol):
    """What is killed and comes back."""

    def kill9(self) -> None: ...

    def restart(self) -> None: ...


class Workers:
    """The workers of a server, which starts others in their place."""

    def __init__(self, server: AppServer) -> None:
        self._server = server

    def kill9(self) -> None:
        for pid in self._server.worker_pids():
            os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        """Nothing to do: the server sees to it."""


class Customer(threading.Thread):
    """Logs in, refreshes, changes the password, logs out; notes what is acknowledged.

    What is asked for and not answered is noted nowhere: it may have been done or not.
    """

    def __init__(self, server: AppServer, name: str) -> None:
        super().__init__()
        self.server, self.username = server, name
        self.password: str | None = FIRST
        self.in_hand: str | None = None  # a refresh token that is being traded
        self.standing: list[Any] = []
        self.ended: list[Any] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        with suppress(LostError):
            for end in itertools.cycle([None, self._log_out, self._change_password]):
                if self.is_over.is_set():
                    return
                self._log_in_and_refresh()
                if end is not None:
                    end()

    def _log_in_and_refresh(self) -> None:
        assert self.password
        body = {"username": self.username, "password": self.password}
        pair = obtain(self.server, "/login", **body)
        for _ in range(3):
            self.in_hand = pair["refresh_token"]
            pair = obtain(self.server, "/refresh", refresh_token=self.in_hand)
        self.in_hand = None
        self.standing.append(pair)

    def _log_out(self) -> None:
        pair = self.standing.pop()
        assert ask(self.server, "POST", "/logout", pair["access_token"])[0] == 204
        self.ended.append(pair)

    def _change_password(self) -> None:
        logins, self.standing = self.standing, []
        current, self.password = self.password, None
        assert current
        new = f"secret number {next(_numbers)}"
        body = {"current_password": current, "new_password": new}
        token = logins[-1]["access_token"]
        renewed = obtain(self.server, "/password", token, **body)
        self.ended += logins
        self.standing, self.password = [renewed], new

    def check(self) -> None:
        """All that was acknowledged is so now."""
        if self.in_hand is not None:
            assert self._status("POST", "/refresh", refresh_token=self.in_hand) == 200
        for pair in self.standing:
            assert self._statuses(pair) == (200, 200)
        for pair in self.ended:
            assert self._statuses(pair) == (401, 400)
        if self.password is not None:
            body = {"username": self.username, "password": self.password}
            assert self._status("POST", "/login", **body) == 200

    def _statuses(self, pair: Any) -> tuple[int, int]:
        return (
            self._status("GET", "/me", pair["access_token"]),
            self._status("POST", "/refresh", refresh_token=pair["refresh_token"]),
        )

    def _status(self, *request: str, **body: str) -> int:
        """Ask until there is an answer, as 503 with Retry-After says."""
        statuses: list[int] = []

        def has_answer() -> bool:
            with suppress(LostError):
                statuses.append(ask(self.server, *request, **body)[0])
            return bool(statuses)

        wait_until(has_answer)
        return statuses[0]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_under_load(server: AppServer, mortal: Mortal, service: Service) -> None:
    """Kill something while customers are served; all that was acknowledged is kept."""
    customers = [Customer(server, new_user(service)) for _ in range(4)]
    for customer in customers:
        customer.start()
    wait_until(lambda: all(customer.ended for customer in customers))
    mortal.kill9()
    for customer in customers:
        customer.is_over.set()
        customer.join()
    mortal.restart()
    for customer in customers:
        customer.check()


ENGINES: dict[str, type[RedisServer | PostgresServer]] = {
    "redis": RedisServer,
    "postgresql": PostgresServer,
}


@pytest.mark.parametrize(
    "victim",
    [
        "redis",
        "workers",
        pytest.param("server", marks=pytest.mark.full),
        pytest.param("postgresql", marks=pytest.mark.full),
    ],
)
def test_what_was_acknowledged_outlives_a_kill(
    victim: str, tmp_path: Path, is_full: bool
) -> None:
    """Engines set to write before they answer; see the guide for their settings."""
    file = f"sqlite:///{tmp_path}/tokenauth.sqlite3"
    with ExitStack() as stack:
        engines = [
            stack.enter_context(engine(durable=True))
            for name, engine in ENGINES.items()
            if name == victim
        ]
        sessions_url = engines[0].url if engines else file
        place = Place(file if victim == "redis" else sessions_url, sessions_url)
        service = Service(place.open)
        [server] = stack.enter_context(serving(place, workers=2))
        without: Mortal = Workers(server) if victim == "workers" else server
        mortal = engines[0] if engines else without
        for _ in range(5 if is_full else 1):
            kill_under_load(server, mortal, service)
