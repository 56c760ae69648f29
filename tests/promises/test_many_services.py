"""One issuer and two services as real servers: keys rotate, the issuer goes down."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.key_pairs import NEW, OLD, private_line, public_line
from tests.harness.key_pairs_served import REFRESH
from tests.harness.kit import PASSWORDS, SECRET, password_hash
from tests.harness.redis_servers import wait_until
from tests.harness.servers import AppServer, serve
from tests.harness.worker import Worker
from tokenauth import User
from tokenauth.stores.sql import SQLSessionStore, SQLUserStore
from tokenauth.tokens import ed25519

ROOT = Path(__file__).parents[2]
LOGIN: dict[str, Any] = {"username": "alice", "password": PASSWORDS["alice"]}
THIRD = ed25519.new_private()


class Host:
    """A server, and the file with its settings."""

    def __init__(self, folder: Path, kind: str, name: str, **settings: Any) -> None:
        self.file = folder / f"{name}.json"
        self.settings: dict[str, Any] = {}
        self.write(**settings)
        self.server: AppServer = serve(
            f"tests.harness.key_pairs_served:create_{kind}()",
            workers=2,
            cwd=ROOT,
            env={"SETTINGS": str(self.file)},
        )
        self.ask = Worker(self.server).ask

    def write(self, **settings: Any) -> None:
        self.settings |= {f"TOKENAUTH_{name}": v for name, v in settings.items()}
        self.file.write_text(json.dumps(self.settings))

    def deploy(self, **settings: Any) -> None:
        """Change settings without a pause: new workers start, the old ones finish."""
        self.write(**settings)
        before = set(self.server.worker_pids())
        os.kill(self.server.pid, signal.SIGHUP)

        def is_new() -> bool:
            now = set(self.server.worker_pids())
            return len(now) == 2 and not now & before and all(map(self._has_read, now))

        wait_until(is_new)

    def _has_read(self, pid: int) -> bool:
        return self.file.with_suffix(f".{pid}").exists()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host, Host]]:
    database = f"sqlite:///{tmp_path / 'tokenauth.db'}"
    users = SQLUserStore(database)
    users.create_tables()
    SQLSessionStore(users.database).create_tables()
    users.add(
        User("alice", password_hash("alice"), id="u-alice", scopes=["reports:read"])
    )
    issuer = Host(
        tmp_path,
        "issuer",
        "issuer",
        SECRET_KEY=SECRET,
        USERS_URL=database,
        SIGNING_KEY=private_line(OLD),
    )
    with issuer.server as server:
        keys = Host(
            tmp_path, "service", "keys", REALM="app", VERIFY_KEYS=[public_line(OLD)]
        )
        address = f"{server.url}/auth/keys"
        fetched = Host(tmp_path, "service", "fetched", REALM="app", VERIFY_KEYS=address)
        with keys.server, fetched.server:
            yield issuer, keys, fetched


def log_in(issuer: Host) -> Any:
    answer = issuer.ask("POST", "/auth/login", "", **LOGIN)
    assert answer.status == 200
    return answer.json


class Load(threading.Thread):
    """Refreshes, and asks both services with the new token and the one before."""

    def __init__(self, issuer: Host, *services: Host) -> None:
        super().__init__()
        self.pair, self.issuer, self.services = log_in(issuer), issuer, services
        self.answers: list[int] = []
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            before, body = self.pair, {"refresh_token": self.pair["refresh_token"]}
            answer = self.issuer.ask("POST", "/auth/refresh", "", **body)
            self.answers.append(answer.status)
            self.pair = answer.json
            for service in self.services:
                for pair in (before, self.pair):
                    got = service.ask("GET", "/login", pair["access_token"])
                    self.answers.append(got.status)
            time.sleep(0.1)  # the workers that start need the processor, too


def assert_all(services: list[Host], path: str, token: str, status: int) -> None:
    """Fail unless either worker of each service gives this answer."""
    for service in 4 * services:
        assert service.ask("GET", path, token).status == status


def test_the_story_of_a_key_pair(hosts: tuple[Host, Host, Host]) -> None:
    """Login, calls, scopes, step-up; rotation under load; issuer down; key replaced."""
    issuer, keys, fetched = hosts
    services = [keys, fetched]
    first = log_in(issuer)["access_token"]
    for path in ("/login", "/token", "/scope", "/recent"):
        assert_all(services, path, first, 200)
    assert_all(services, "/login", "", 401)
    assert_all(services, "/login", first[:-1], 401)

    answers = rotate_under_load(issuer, keys, fetched)
    assert set(answers) == {200}
    # The lifetime of access tokens has passed; the old key goes.
    keys.deploy(VERIFY_KEYS=[public_line(NEW)])
    issuer.deploy(SIGNING_KEY_FALLBACKS=[])
    second = log_in(issuer)["access_token"]
    time.sleep(2 * REFRESH)
    assert_all(services, "/login", second, 200)
    assert_all(services, "/login", first, 401)

    issuer.server.stop()
    end = time.monotonic() + 3 * REFRESH
    while time.monotonic() < end:
        assert_all(services, "/login", second, 200)

    # The private key has leaked: replaced at once, on the issuer and the services.
    issuer.write(SIGNING_KEY=private_line(THIRD))
    issuer.server.restart()
    keys.deploy(VERIFY_KEYS=[public_line(THIRD)])
    third = log_in(issuer)["access_token"]
    time.sleep(2 * REFRESH)
    assert_all(services, "/login", third, 200)
    assert_all(services, "/login", second, 401)


def await_rounds(load: list[Load]) -> None:
    """Return when each has asked everything three times more."""
    wanted = [len(thread.answers) + 15 for thread in load]
    for thread, number in zip(load, wanted, strict=True):
        while thread.is_alive() and len(thread.answers) < number:
            time.sleep(0.02)


def rotate_under_load(issuer: Host, keys: Host, fetched: Host) -> list[int]:
    """Take the first two steps of a rotation; return the status of each answer."""
    load = [Load(issuer, keys, fetched) for _ in range(2)]
    for thread in load:
        thread.start()
    await_rounds(load)
    keys.deploy(VERIFY_KEYS=[public_line(OLD), public_line(NEW)])
    issuer.deploy(SIGNING_KEY_FALLBACKS=[public_line(NEW)])
    time.sleep(REFRESH)
    await_rounds(load)
    issuer.deploy(
        SIGNING_KEY=private_line(NEW), SIGNING_KEY_FALLBACKS=[public_line(OLD)]
    )
    await_rounds(load)
    for thread in load:
        thread.is_over = True
        thread.join()
    return [status for thread in load for status in thread.answers]
