"""Attempts on passwords are counted, and nobody is locked out for good."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from tests.kit import PASSWORDS, assert_problem, bearer, log_in, make_app
from tokenauth import StoreUnavailableError, TooManyAttemptsError
from tokenauth.errors import ConfigurationError
from tokenauth.throttle import Throttle, network_of


def limited(limits: str = "5 per hour", **config: Any) -> Flask:
    return make_app(config={"TOKENAUTH_LOGIN_LIMITS": limits, **config})


def guess(
    client: FlaskClient,
    username: str = "alice",
    password: str = "a wrong guess",
    address: str = "192.0.2.1",
) -> TestResponse:
    return client.post(
        "/auth/login",
        json={"username": username, "password": password},
        environ_base={"REMOTE_ADDR": address},
    )


def test_known_and_unknown_accounts_are_limited_alike() -> None:
    """The sixth guess is refused with the same bytes, and says when to come again."""
    answers = []
    for username in ("alice", "nobody"):
        client = limited().test_client()
        for _ in range(5):
            assert_problem(guess(client, username), 401, "invalid_credentials")
        answer = guess(client, username)
        assert_problem(answer, 429, "too_many_attempts")
        assert 3590 <= int(answer.headers["Retry-After"]) <= 3600
        answers.append(answer.data)
    assert answers[0] == answers[1]


def test_one_account_from_many_networks_is_stopped() -> None:
    """A spray from 200 addresses on one account."""
    client = limited().test_client()
    statuses = [
        guess(client, address=f"198.51.{i // 100}.{i % 100}").status_code
        for i in range(200)
    ]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 195


def test_many_accounts_from_one_network_are_stopped() -> None:
    """A spray from one address over 200 accounts."""
    client = limited().test_client()
    statuses = [guess(client, f"user-{i}").status_code for i in range(200)]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 195


def test_a_stranger_does_not_lock_the_owner_out() -> None:
    """A network that has logged in before has a budget of its own."""
    client = limited().test_client()
    right = PASSWORDS["alice"]
    assert guess(client, password=right, address="203.0.113.5").status_code == 200
    for i in range(50):
        guess(client, address=f"198.51.100.{i}")
    assert guess(client, password=right, address="198.51.100.77").status_code == 429
    for _ in range(20):
        answer = guess(client, password=right, address="203.0.113.5")
        assert answer.status_code == 200


def test_the_owner_s_network_is_limited_too() -> None:
    """Having logged in once is no licence to guess; logging in again forgives."""
    client = limited().test_client()
    right = PASSWORDS["alice"]
    guess(client, password=right)
    for _ in range(4):
        assert guess(client).status_code == 401
    assert guess(client, password=right).status_code == 200
    for _ in range(5):
        assert guess(client).status_code == 401
    assert guess(client, password=right).status_code == 429


def test_a_successful_login_is_no_attempt() -> None:
    """Nobody is limited for logging in."""
    client = limited("2 per hour").test_client()
    for _ in range(9):
        log_in(client)


def test_a_changed_password_is_an_attempt_like_a_login() -> None:
    """The current password can be guessed there just as well (ASVS 6.2.3)."""
    client = limited().test_client()
    token = log_in(client)["access_token"]
    body = {"current_password": "a wrong guess", "new_password": "quite another one"}
    codes = [
        client.post("/auth/password", json=body, headers=bearer(token)).status_code
        for _ in range(7)
    ]
    assert codes == [401] * 5 + [429] * 2


def test_parallel_guesses_are_all_counted_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """200 at a time at a limit of 10: at most 10 hashes (CVE-2019-5421)."""
    computed = []
    verify = PasswordHasher.verify

    def counted(self: Any, *args: Any) -> Any:
        computed.append(1)
        return verify(self, *args)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    app = limited("10 per hour")
    barrier = threading.Barrier(200)
    statuses = []

    def attempt() -> None:
        client = app.test_client()
        barrier.wait()
        statuses.append(guess(client).status_code)

    threads = [threading.Thread(target=attempt) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(computed) <= 10
    assert set(statuses) <= {401, 429, 503}
    assert len(statuses) == 200


def test_a_forwarded_address_counts_only_through_a_trusted_proxy() -> None:
    """R64: whoever may choose the address may guess for ever."""
    for trusted, stopped in ((False, 15), (True, 0)):
        app = limited("5 per hour")
        if trusted:
            app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
        client = app.test_client()
        codes = [
            client.post(
                "/auth/login",
                json={"username": f"user-{i}", "password": "a wrong guess"},
                headers={"X-Forwarded-For": f"198.51.100.{i}"},
            ).status_code
            for i in range(20)
        ]
        assert codes.count(429) == stopped


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("unix:", "unknown"),
    ],
)
def test_an_address_belongs_to_a_network(address: str | None, network: str) -> None:
    """IPv6 by /64, IPv4-mapped as IPv4."""
    assert network_of(address) == network


@pytest.mark.parametrize(
    "limits", ["", "often", "0 per minute", 5, True, [], [5], "10 per fortnight"]
)
def test_limits_that_cannot_be_read_stop_the_start(limits: Any) -> None:
    """And the message says how to write them."""
    with pytest.raises(ConfigurationError, match="TOKENAUTH_LOGIN_LIMITS"):
        limited(limits)


def test_limits_may_be_a_list() -> None:
    """Each one holds."""
    client = make_app(
        config={"TOKENAUTH_LOGIN_LIMITS": ["3 per hour", "2 per day"]}
    ).test_client()
    assert [guess(client).status_code for _ in range(3)] == [401, 401, 429]


def test_a_url_of_no_store_stops_the_start() -> None:
    """And is not quoted: it may hold a password."""
    with pytest.raises(ConfigurationError, match="TOKENAUTH_LIMITS_URL") as caught:
        limited(TOKENAUTH_LIMITS_URL="nonsense://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_a_counter_that_is_down_lets_nobody_guess() -> None:
    """Fail closed: 503, and the same for every step."""
    dead = "redis://127.0.0.1:1/0"
    answer = guess(limited(TOKENAUTH_LIMITS_URL=dead).test_client())
    assert_problem(answer, 503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    throttle = Throttle("5 per hour", dead)
    for step in (throttle.reserve, throttle.release, throttle.welcome):
        with pytest.raises(StoreUnavailableError):
            step("alice", "192.0.2.1")


def test_a_flood_of_names_fills_no_memory() -> None:
    """Budgets in memory are bounded in number, whatever names are tried."""
    throttle = Throttle("1000000 per hour", "memory://")
    for i in range(3000):
        throttle.reserve(f"name-{i}", f"net-{i}")
    storage: Any = throttle._counter.storage
    assert len(storage.storage) <= 6000
    assert all(len(key) < 80 for key in storage.storage)


def test_counts_are_shared_on_redis(redis_url: str) -> None:
    """Two processes' worth of throttles count as one, and keep no name."""
    first, second = (Throttle("5 per hour", redis_url) for _ in range(2))
    for throttle in (first, second, first, second, first):
        throttle.reserve("alice", "192.0.2.1")
    with pytest.raises(TooManyAttemptsError):
        second.reserve("alice", "192.0.2.1")
    second.release("alice", "192.0.2.1")
    first.welcome("alice", "192.0.2.2")
    storage: Any = first._counter.storage
    assert "alice" not in str(storage.get_connection().keys("*"))
