"""Attempts on passwords are counted, and nobody is locked out for good."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
import redis
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from tests.harness.kit import (
    PASSWORDS,
    Clock,
    assert_problem,
    bearer,
    in_parallel,
    log_in,
    make_app,
    make_users,
    password_hash,
    token_of,
)
from tests.harness.servers import RedisServer
from tokenauth import (
    DictUserStore,
    InvalidCredentialsError,
    StoreUnavailableError,
    TooManyAttemptsError,
    User,
)
from tokenauth.accounts import throttle as throttle_module
from tokenauth.accounts.counters import CAPACITY, Counters, MemoryCounters
from tokenauth.accounts.hashing_pool import HashingPool
from tokenauth.accounts.throttle import MAX_KNOWN_NETWORKS, Attempt, LoginThrottle
from tokenauth.errors import ConfigurationError, OverloadedError
from tokenauth.stores import open_redis
from tokenauth.testing import frozen_clock


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
        assert answer.headers["Retry-After"] == "3600"
        answers.append((answer.data, answer.headers.to_wsgi_list()))
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


def test_a_successful_login_is_no_failure() -> None:
    """Nobody is limited for logging in as often as a person does."""
    client = limited("2 per hour").test_client()
    for _ in range(9):
        log_in(client)


def test_successes_of_one_account_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten times the limit; then no hash is computed for the right password either."""
    app = limited("2 per hour; 100 per day")
    client = app.test_client()
    right = PASSWORDS["alice"]
    for i in range(20):
        assert guess(client, password=right, address=f"10.0.0.{i}").status_code == 200
    with monkeypatch.context() as patch:
        patch.delattr(PasswordHasher, "verify")
        answer = guess(client, password=right, address="10.0.0.1")
    assert_problem(answer, 429, "too_many_attempts")
    assert answer.headers["Retry-After"] == "3600"
    log_in(client, "bob")


def test_successes_of_one_network_are_limited() -> None:
    """Forty times the limit: a network may be that of a whole university."""
    throttle = counting("1 per hour")
    for i in range(40):
        attempt = throttle.reserve(f"user-{i}", "192.0.2.1", user_id=f"u-{i}")
        throttle.record_success(attempt)
    assert refused(throttle, "another", "192.0.2.1")
    assert not refused(throttle, "another", "192.0.2.2")


@pytest.mark.advisory("Keycloak CVE-2026-9798", "Django CVE-2025-13473")
def test_a_changed_password_is_an_attempt_like_a_login() -> None:
    """The current password can be guessed there just as well (ASVS 6.2.3)."""
    client = limited().test_client()
    token = log_in(client)["access_token"]
    assert guess_at_change(client, token, 7) == [401] * 5 + [429] * 2


@pytest.mark.parametrize("is_known", [True, False])
def test_failures_at_login_and_at_a_change_are_counted_apart(is_known: bool) -> None:
    """What somebody does at one of them resets and uses up nothing at the other."""
    client = limited().test_client()
    if is_known:
        log_in(client)
    token = token_of(client.application)
    assert guess_at_change(client, token, 6)[-1] == 429
    same = "127.0.0.1"
    codes = [guess(client, address=same).status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    token = token_of(client.application)
    assert guess_at_change(client, token, 1) == [429]


def test_uses_of_endpoints_are_counted_apart() -> None:
    """Who made all the tokens of an hour still gets a login renewed."""
    throttle = counting("1 per hour")
    for _ in range(10):
        throttle.count_use("tokens", "u-alice")
    with pytest.raises(TooManyAttemptsError):
        throttle.count_use("tokens", "u-alice")
    throttle.count_use("refresh", "u-alice")


def guess_at_change(client: FlaskClient, token: str, times: int) -> list[int]:
    body = {"current_password": "a wrong guess", "new_password": "quite another one"}
    return [
        client.post("/auth/password", json=body, headers=bearer(token)).status_code
        for _ in range(times)
    ]


class Renamed(DictUserStore):
    """A store that takes several names for one user, as one that ignores accents."""

    def find(self, username: str) -> User | None:
        return super().find("alice" if username.startswith("al") else username)


def test_all_spellings_that_a_store_takes_for_one_name_share_the_limit() -> None:
    """Counted is the user who was found, else each spelling would have a limit."""
    users = Renamed({"alice": User("alice", password_hash("alice"), id="u-alice")})
    app = make_app(users=users, config={"TOKENAUTH_LOGIN_LIMITS": "5 per hour"})
    client = app.test_client()
    statuses = [
        guess(client, f"al{i}", address=f"10.0.0.{i}").status_code for i in range(9)
    ]
    assert statuses == [401] * 5 + [429] * 4


def test_a_display_name_resets_nobody_s_count() -> None:
    """Users may choose what `username` says; what counts is the id."""
    users = make_users()
    client = make_app(
        users=users, config={"TOKENAUTH_LOGIN_LIMITS": "5 per hour"}
    ).test_client()
    mallory = users.get("u-bob")
    assert mallory is not None
    mallory.username = "alice"
    headers = bearer(token_of(client.application, "bob"))
    for _ in range(4):
        assert guess(client).status_code == 401
    body = {"current_password": PASSWORDS["bob"], "new_password": "quite another one"}
    changed = client.post("/auth/password", json=body, headers=headers)
    assert changed.status_code == 200
    assert [guess(client).status_code for _ in range(2)] == [401, 429]


def test_a_display_name_uses_up_nobody_s_changes() -> None:
    """Guessed in one's own account, under the name of another."""
    app = limited()
    current = app.extensions["tokenauth"]
    alice, mallory = map(current.stores.users.get, ("u-alice", "u-bob"))
    mallory.username = "alice"
    for user, address, guesses in (
        (mallory, "192.0.2.1", 5),
        (alice, "192.0.2.2", 1),
    ):
        for _ in range(guesses):
            with app.app_context(), pytest.raises(InvalidCredentialsError):
                current.checker.check_user(user, "a guess", address)


@pytest.mark.advisory(
    "Devise CVE-2019-5421", "Samba CVE-2021-20251", "Wazuh CVE-2026-93346"
)
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
    statuses = in_parallel(200, lambda: guess(app.test_client()).status_code)
    assert len(computed) <= 10
    assert statuses.count(401) == len(computed)
    assert set(statuses) <= {401, 429, 503}


def test_a_forwarded_address_counts_only_through_a_trusted_proxy() -> None:
    """Whoever may choose the address may guess for ever."""
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
    with pytest.raises(ConfigurationError, match="TOKENAUTH_LIMITS_URL"):
        limited(TOKENAUTH_LIMITS_URL="async+memory://")


def test_an_option_that_cannot_work_stops_the_start() -> None:
    """By its name and that of the setting, without the URL."""
    with pytest.raises(ConfigurationError) as caught:
        limited(TOKENAUTH_LIMITS_URL="redis://:hunter2@host/0?ssl=true")
    assert str(caught.value).startswith("TOKENAUTH_LIMITS_URL: ")
    assert "'ssl'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+unix"])
def test_a_missing_driver_is_named(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it, and without the URL."""
    for name in [name for name in sys.modules if name.startswith("tokenauth.stores.r")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError) as caught:
        limited(TOKENAUTH_LIMITS_URL=f"{scheme}://user:hunter2@host")
    assert str(caught.value) == (
        "TOKENAUTH_LIMITS_URL: its driver is not installed: "
        "pip install 'flask-login-tokenauth[redis]'."
    )


def test_a_counter_that_is_down_lets_nobody_guess() -> None:
    """Fail closed: 503, and the same for every step."""
    dead = "redis://127.0.0.1:1/0"
    answer = guess(limited(TOKENAUTH_LIMITS_URL=dead).test_client())
    assert_problem(answer, 503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def counting(
    limits: str = "5 per hour", url: str = "memory://", clock: Clock | None = None
) -> LoginThrottle:
    client = open_redis(url)
    return LoginThrottle(
        limits, client, secret=b"k" * 32, realm="app", now=clock or Clock()
    )


def test_every_step_fails_closed(redis_server_of_its_own: RedisServer) -> None:
    """Counting, taking back and remembering: what cannot be stored is not done."""
    throttle = counting(url=redis_server_of_its_own.url)
    attempt = throttle.reserve("alice", "192.0.2.1")
    redis_server_of_its_own.stop()
    steps: list[Callable[[], object]] = [
        lambda: throttle.reserve("alice", "192.0.2.1"),
        lambda: throttle.count_use("tokens", "u-alice"),
        lambda: throttle.cancel(attempt),
        lambda: throttle.record_success(attempt),
        lambda: throttle.record_trusted("u-alice", "192.0.2.1"),
        throttle.check,
    ]
    for step in steps:
        with pytest.raises(StoreUnavailableError) as caught:
            step()
        assert caught.value.reason


@pytest.fixture
def redis_server_of_its_own() -> Generator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis", "cluster", "sentinel"])
def throttle(request: pytest.FixtureRequest) -> LoginThrottle:
    """A throttle of five attempts per hour, on each storage."""
    if request.param == "memory":
        return counting()
    return counting(url=request.getfixturevalue(f"{request.param}_url"))


def refused(
    throttle: LoginThrottle, account: str, address: str, user_id: str | None = None
) -> bool:
    try:
        throttle.reserve(account, address, user_id=user_id)
    except TooManyAttemptsError:
        return True
    return False


def test_a_refused_attempt_takes_from_no_budget(throttle: LoginThrottle) -> None:
    """Knocking at a locked account costs a network nothing that it needs elsewhere."""
    for i in range(5):
        throttle.reserve("alice", f"198.51.100.{i}")
    for _ in range(9):
        assert refused(throttle, "alice", "192.0.2.1")
    for i in range(5):
        assert not refused(throttle, f"user-{i}", "192.0.2.1")
    assert refused(throttle, "user-9", "192.0.2.1")


def test_parallel_first_logins_leave_nothing_behind(throttle: LoginThrottle) -> None:
    """Each takes back what it counted, although the first one made the pair known."""
    attempts = [
        throttle.reserve("alice", "192.0.2.1", user_id="u-alice") for _ in range(5)
    ]
    for attempt in attempts:
        throttle.record_success(attempt)
    for _ in range(5):
        assert not refused(throttle, "alice", "198.51.100.1", "u-alice")
        assert not refused(throttle, "bob", "192.0.2.1")
    assert refused(throttle, "alice", "198.51.100.2", "u-alice")
    assert refused(throttle, "bob", "192.0.2.1")


def test_own_logins_reset_no_count_of_others(throttle: LoginThrottle) -> None:
    """Guesses between logins to one's own account are counted."""
    for _ in range(5):
        throttle.reserve("victim", "192.0.2.66", user_id="u-victim")
        log_in_to(throttle, "mallory", "192.0.2.67")
    assert refused(throttle, "victim", "192.0.2.67", "u-victim")
    log_in_to(throttle, "mallory", "192.0.2.67")
    assert refused(throttle, "victim", "192.0.2.67", "u-victim")
    assert refused(throttle, "other", "192.0.2.66")


def test_what_is_refused_for_overload_costs_the_storage_one_command(
    redis_server_of_its_own: RedisServer,
) -> None:
    """Under a flood nothing is counted that would be taken back at once."""

    def overloaded(_: Attempt) -> None:
        raise OverloadedError

    throttle = counting(url=redis_server_of_its_own.url)
    with redis.Redis.from_url(redis_server_of_its_own.url) as client:

        def commands() -> int:
            return int(client.info("stats")["total_commands_processed"])

        throttle.check()  # connects
        before = commands()
        with pytest.raises(OverloadedError):
            throttle.reserve("alice", "192.0.2.1", admit=overloaded)
        assert commands() - before == 1 + 1  # one of them asks
    for _ in range(5):
        throttle.reserve("alice", "192.0.2.1")


def test_a_login_that_the_pool_would_refuse_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither before nor after: it is asked first."""

    def full(*_: object, **__: object) -> None:
        raise OverloadedError

    client = limited().test_client()
    monkeypatch.setattr(HashingPool, "check", full)
    monkeypatch.delattr(Counters, "reserve")
    assert_problem(guess(client), 503, "overloaded")


def test_a_window_that_ends_during_an_attempt_gives_no_extra_one(
    redis_url: str,
) -> None:
    """What is taken back from a window that is over does not enlarge the next."""
    throttle = counting(url=redis_url)
    attempts = [throttle.reserve("alice", "192.0.2.1") for _ in range(5)]
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()  # as if the hour were over
    for attempt in attempts:
        throttle.cancel(attempt)
    for _ in range(5):
        assert not refused(throttle, "alice", "192.0.2.1")
    assert refused(throttle, "alice", "192.0.2.1")


def log_in_to(throttle: LoginThrottle, account: str, address: str) -> bool:
    """Log in, and return whether the network was known."""
    attempt = throttle.reserve(account, address, user_id=f"u-{account}")
    throttle.record_success(attempt)
    return attempt.is_known


def test_a_network_is_remembered_for_a_season() -> None:
    """90 days after the latest login."""
    clock = Clock()
    throttle = counting(clock=clock)
    assert not log_in_to(throttle, "alice", "192.0.2.1")
    for _ in range(4):
        clock.move(89 * 86400)
        assert log_in_to(throttle, "alice", "192.0.2.1")
    clock.move(90 * 86400)
    assert not log_in_to(throttle, "alice", "192.0.2.1")


def test_a_remembered_network_is_of_one_account(throttle: LoginThrottle) -> None:
    """And of one network; a name that nobody has is known nowhere."""
    log_in_to(throttle, "alice", "192.0.2.1")
    assert throttle.reserve("alice", "192.0.2.1", user_id="u-alice").is_known
    assert not throttle.reserve("alice", "192.0.2.2", user_id="u-alice").is_known
    assert not throttle.reserve("bob", "192.0.2.1", user_id="u-bob").is_known
    assert not throttle.reserve("u-alice", "192.0.2.1").is_known
    marks = [throttle.reserve(i, "192.0.2.1", user_id=i).mark for i in ("a", "b")]
    assert marks[0] != marks[1]  # else what is stored tells who shares a network


def test_an_owner_waits_behind_no_guess_of_a_stranger() -> None:
    """`HashingPool` has a place for each key: owners and strangers share none."""
    throttle = counting()
    log_in_to(throttle, "alice", "192.0.2.1")
    owner, stranger, another = (
        set(throttle.reserve("alice", f"192.0.2.{i}", user_id="u-alice").keys)
        for i in (1, 2, 3)
    )
    assert not owner & stranger
    assert len(stranger & another) == 2  # the account, and the network around


@pytest.mark.parametrize("engine", ["memory", "redis"])
def test_parallel_logins_make_a_network_known(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """Whichever comes last."""
    is_redis = engine == "redis"
    url = request.getfixturevalue("redis_url") if is_redis else "memory://"
    throttle = counting("1000 per hour", url)
    for _ in range(20):
        in_parallel(8, lambda: log_in_to(throttle, "alice", "192.0.2.1"))
        assert throttle.reserve("alice", "192.0.2.1", user_id="u-alice").is_known


def test_a_bounded_number_of_networks_is_remembered_for_an_account() -> None:
    """The newest ones, mostly: each takes the place of another one."""
    throttle = counting("1000 per hour")
    for i in range(1000):
        log_in_to(throttle, "alice", f"10.0.{i // 250}.{i % 250}")
    known = throttle._known
    assert isinstance(known, MemoryCounters)
    assert len(known._counts) <= MAX_KNOWN_NETWORKS
    newest = [
        throttle.reserve("alice", f"10.0.3.{i}", user_id="u-alice").is_known
        for i in range(150, 250)
    ]
    assert newest[-1]
    assert sum(newest) > 50


def test_no_account_takes_the_places_of_another_s_networks() -> None:
    """Each has a hundred of its own."""
    throttle = counting("1000 per hour")
    log_in_to(throttle, "alice", "192.0.2.1")
    for i in range(500):
        log_in_to(throttle, f"user-{i}", "192.0.2.2")
    assert throttle.reserve("alice", "192.0.2.1", user_id="u-alice").is_known


def test_a_network_that_others_always_overtake_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The login succeeds all the same, and the next one tries again."""
    throttle = counting("1000 per hour")
    with monkeypatch.context() as overtaken:
        overtaken.setattr(throttle._known, "incr", lambda *_: 0)
        log_in_to(throttle, "alice", "192.0.2.1")
    assert not throttle.reserve("alice", "192.0.2.1", user_id="u-alice").is_known
    log_in_to(throttle, "alice", "192.0.2.1")
    assert throttle.reserve("alice", "192.0.2.1", user_id="u-alice").is_known


def test_who_was_identified_otherwise_is_let_in(throttle: LoginThrottle) -> None:
    """A mailed link ends what strangers' guesses did, from this network."""
    for i in range(5):
        throttle.reserve("alice", f"198.51.100.{i}", user_id="u-alice")
    assert refused(throttle, "alice", "192.0.2.1", "u-alice")
    throttle.record_trusted("u-alice", "192.0.2.1")
    for i in range(5):
        throttle.reserve("alice", f"198.51.101.{i}", user_id="u-alice")
    assert refused(throttle, "alice", "198.51.100.9", "u-alice")
    for _ in range(5):
        assert throttle.reserve("alice", "192.0.2.1", user_id="u-alice").is_known
    assert refused(throttle, "alice", "192.0.2.1", "u-alice")
    throttle.record_trusted("u-alice", "192.0.2.1")
    assert not refused(throttle, "alice", "192.0.2.1", "u-alice")


def test_applications_in_one_storage_count_apart(redis_url: str) -> None:
    """A realm is an application; the same realm and key is the same one."""
    mine = counting(url=redis_url)
    theirs = LoginThrottle(
        "5 per hour",
        open_redis(redis_url),
        secret=b"k" * 32,
        realm="another",
        now=Clock(),
    )
    for _ in range(5):
        mine.reserve("alice", "192.0.2.1")
    assert refused(mine, "alice", "192.0.2.1")
    assert not refused(theirs, "alice", "192.0.2.1")


def test_counts_are_shared_on_redis(redis_url: str) -> None:
    """Two processes' worth of throttles count as one, and keep no name."""
    first, second = counting(url=redis_url), counting(url=redis_url)
    attempt = first.reserve("alice", "192.0.2.1", user_id="u-alice")
    for throttle in (second, first, second, first):
        throttle.reserve("alice", "192.0.2.1", user_id="u-alice")
    assert refused(second, "alice", "192.0.2.1", "u-alice")
    second.record_success(attempt)
    assert first.reserve("alice", "192.0.2.1", user_id="u-alice").is_known
    with redis.Redis.from_url(redis_url) as client:
        keys = client.keys("*")
        assert all(0 < client.ttl(key) <= 90 * 86400 for key in keys)
        # One pattern is enough for an account of the server's (ACL).
        assert all(key.startswith(b"tokenauth:") for key in keys)
    assert b"alice" not in b" ".join(keys)
    assert b"192.0" not in b" ".join(keys)


def test_a_flood_of_names_fills_no_memory(is_full: bool) -> None:
    """Accounts and networks share a bounded number of budgets; counts are bounded."""
    throttle = counting("1000000 per minute; 1000000 per day")
    if not is_full:
        throttle._buckets = 500
    for i in range(100_000 if is_full else 3000):
        throttle.cancel(throttle.reserve(f"name-{i}", f"2001:db8:{i:x}::1"))
        throttle.reserve(f"name-{i}", f"2001:db8:{i // 65536:x}:{i % 65536:x}::1")
    counters = throttle._storage
    assert isinstance(counters, MemoryCounters)
    assert len(counters._counts) <= 4 * throttle._buckets
    assert all(len(key) < 80 for key in counters._counts)


def test_a_flood_makes_no_owner_a_stranger_and_no_failure_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Failures push out no known network, nor logins to an own account failures."""
    few = partial(MemoryCounters, capacity=100)
    monkeypatch.setattr(throttle_module, "MemoryCounters", few)
    throttle = counting("5 per hour")
    log_in_to(throttle, "alice", "192.0.2.1")
    for i in range(300):
        throttle.reserve(f"name-{i}", f"2001:db8:c:{i:x}::1")
    assert throttle.reserve("alice", "192.0.2.1", user_id="u-alice").is_known
    for i in range(5):
        throttle.reserve("bob", f"2001:db8:b:{i:x}::1", user_id="u-bob")
    for i in range(40):
        log_in_to(throttle, "mallory", f"2001:db8:a:{i:x}::1")
    assert refused(throttle, "bob", "2001:db8:b:ff::1", "u-bob")


def test_who_does_not_know_the_key_cannot_tell_who_shares_a_count() -> None:
    """Else an attacker would pick names that use up the limit of a victim's."""
    names = [f"name-{i}" for i in range(50)]
    counts = {
        secret: [throttle._bucket("login", "name", name) for name in names]
        for secret in (b"a" * 32, b"b" * 32)
        for throttle in [
            LoginThrottle("9 per hour", secret=secret, realm="r", now=Clock())
        ]
    }
    first, second = counts.values()
    assert sum(map(operator.eq, first, second)) < 3


def test_what_strangers_are_counted_in_fits_into_memory(redis_url: str) -> None:
    """Names and networks, logins and changes, two windows; more where it is shared."""
    few, many = counting()._buckets, counting(url=redis_url)._buckets
    assert 2 * 2 * 2 * few <= CAPACITY < many


def test_redis_keeps_a_bounded_number_of_counts_too(redis_url: str) -> None:
    """Any name falls into one of so many budgets."""
    throttle = counting("9 per hour", redis_url)
    throttle._buckets = 16
    for i in range(100):
        refused(throttle, f"name-{i}", f"10.0.{i}.1")
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() <= 32


def test_a_stopped_clock_stops_the_limits() -> None:
    """`tokenauth.testing.frozen_clock` moves the windows, too."""
    app = limited("2 per hour")
    client = app.test_client()
    with frozen_clock(app) as clock:
        codes = [guess(client).status_code for _ in range(3)]
        clock.move(3600)
        codes.append(guess(client).status_code)
    assert codes == [401, 401, 429, 401]
