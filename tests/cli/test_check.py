"""What `flask tokenauth check` finds, one finding at a time, on the real engines."""

from __future__ import annotations

import os
import secrets
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.harness.kit import Clock, make_app, make_users
from tests.harness.servers import RedisServer
from tests.stores.engines import sessions_at, url_of, users_at
from tokenauth import DictUserStore, MemorySessionStore, User
from tokenauth.cli.findings import Finding, Level
from tokenauth.cli.review_settings import review_settings
from tokenauth.cli.review_stores import review_stores
from tokenauth.settings import load
from tokenauth.stores import ClockedStore, TableStore
from tokenauth.stores.sql import SQLSessionStore, SQLUserStore
from tokenauth.web import state

KEY = secrets.token_hex(32)
DEAD_POSTGRES = "postgresql+psycopg://me:canary-password@127.0.0.1:1/app"
DEAD_REDIS = "redis://:canary-password@127.0.0.1:1/0"


class WrongClock(Clock):
    """This host's clock, off by some seconds."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def __call__(self) -> float:
        return time.time() + self.shift


def settings_say(area: str, **config: Any) -> Finding:
    """Return what is found in these settings about one area."""
    findings = review_settings(load({"SECRET_KEY": KEY, **config}, "app"))
    return next(finding for finding in findings if finding.area == area)


def of_stores(app: Flask) -> dict[str, Finding]:
    """Return what is found about an application's stores, by area."""
    here = state.state_of(app)
    findings = review_stores(
        *here.stores,
        here.throttle,
        now=here.clock,
        leeway=here.settings.clock_leeway,
    )
    for finding in findings:
        assert "canary" not in finding.text
    return {finding.area: finding for finding in findings}


# -- settings ------------------------------------------------------------------------


def test_the_defaults_are_good() -> None:
    """With a random key an application has nothing to mend but what it adds."""
    findings = review_settings(load({"SECRET_KEY": KEY}, "app"))
    assert {finding.level for finding in findings} == {"ok"}
    assert len({finding.area for finding in findings}) == len(findings) == 12


def test_a_key_with_a_pattern_is_an_error() -> None:
    """It is long enough and no secret. The finding does not quote it."""
    key = "qwertyuiopasdfghjklzxcvbnm1234567890"
    now, old = ({"SECRET_KEY": key}, {"SECRET_KEY_FALLBACKS": [KEY, key]})
    for config, name in ((now, "the secret key"), (old, "fallback key 1")):
        level, _, text = settings_say("secret keys", **config)
        assert level == "error"
        assert f"guessed: {name}." in text
        assert "flask tokenauth new-secret" in text
        assert key[:12] not in text


def test_a_key_is_described_by_its_length() -> None:
    """And by nothing else of it."""
    finding = settings_say("secret keys")
    assert finding == ("ok", "secret keys", "64 bytes, and no pattern shows.")


@pytest.mark.parametrize(
    ("count", "level"), [(0, "ok"), (1, "warning"), (2, "warning")]
)
def test_fallback_keys_are_to_be_taken_out(count: int, level: Level) -> None:
    """How many there are, and after which time the old logins are over."""
    keys = [secrets.token_hex(32) for _ in range(count)]
    finding = settings_say("fallback keys", SECRET_KEY_FALLBACKS=keys)
    assert finding.level == level
    if count:
        assert finding.text.startswith(f"{count} that tokens may be signed with")
        assert "TOKENAUTH_SESSION_IDLE_LIFETIME" in finding.text


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOMENT = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("area", "config", "level", "text"),
    [
        ("access lifetime", {"ACCESS_LIFETIME": HOUR}, "ok", "3600 s."),
        (
            "access lifetime",
            {"ACCESS_LIFETIME": HOUR + MOMENT},
            "warning",
            "TOKENAUTH_ACCESS_LIFETIME to an hour",
        ),
        ("session lifetime", {"SESSION_LIFETIME": 30 * DAY}, "ok", "2592000 s."),
        (
            "session lifetime",
            {"SESSION_LIFETIME": 60 * DAY},
            "warning",
            "60 days without a password",
        ),
        ("idle lifetime", {"SESSION_IDLE_LIFETIME": DAY}, "ok", "86400 s."),
        (
            "idle lifetime",
            {"SESSION_IDLE_LIFETIME": 30 * DAY},
            "warning",
            "Without effect",
        ),
        (
            "idle lifetime",
            {"SESSION_IDLE_LIFETIME": 15 * 60},
            "warning",
            "cannot be refreshed",
        ),
        ("refresh grace", {"REFRESH_GRACE": 60}, "ok", "60 s."),
        ("refresh grace", {"REFRESH_GRACE": DAY}, "warning", "to 60 s at most"),
        ("clock leeway", {"CLOCK_LEEWAY": 300}, "ok", "300 s."),
        ("clock leeway", {"CLOCK_LEEWAY": 301}, "warning", "the hosts' clocks"),
        (
            "attempts on a password",
            {"LOGIN_LIMITS": "9 per second; 100 per hour"},
            "ok",
            "100 an hour",
        ),
        (
            "attempts on a password",
            {"LOGIN_LIMITS": "2 per minute; 101 per hour"},
            "warning",
            "101 an hour: set TOKENAUTH_LOGIN_LIMITS",
        ),
        ("attempts on a password", {"LOGIN_LIMITS": "2 per minute"}, "warning", "120"),
        (
            "attempts on a password",
            {"LOGIN_LIMITS": "99 per 31 minutes"},
            "warning",
            "198 an hour",
        ),
        ("attempts on a password", {"LOGIN_LIMITS": "100 per day"}, "ok", "100 an"),
        ("new passwords", {"PASSWORD_MIN_LENGTH": 7}, "warning", "MIN_LENGTH to 8"),
        ("new passwords", {"PASSWORD_MAX_LENGTH": 63}, "warning", "MAX_LENGTH to 64"),
        ("new passwords", {"PASSWORD_MAX_LENGTH": 64}, "ok", "to 64 bytes"),
        ("password hashing", {"PASSWORD_CONCURRENCY": os.cpu_count()}, "ok", "at a"),
        (
            "password hashing",
            {"PASSWORD_CONCURRENCY": (os.cpu_count() or 1) + 1},
            "warning",
            "TOKENAUTH_PASSWORD_CONCURRENCY",
        ),
        ("tokens in URLs", {"QUERY_PARAM": "token"}, "warning", "end up in logs"),
        ("password hashes", {"ARGON2_MEMORY_COST": 47104}, "ok", "47104 KiB, 2"),
        (
            "password hashes",
            {"ARGON2_MEMORY_COST": 7168, "ARGON2_TIME_COST": 5},
            "warning",
            "TOKENAUTH_ARGON2_MEMORY_COST to 19456",
        ),
    ],
)
def test_a_setting_beyond_its_limit_is_a_warning(
    area: str, config: dict[str, Any], level: Level, text: str
) -> None:
    """At the limit it is good."""
    found = settings_say(area, **{f"TOKENAUTH_{k}": v for k, v in config.items()})
    assert found.level == level
    assert text in found.text


# -- stores --------------------------------------------------------------------------


def test_what_one_process_knows_is_a_warning(app: Flask) -> None:
    """Users, sessions and attempts alike; and there is no other clock."""
    found = of_stores(app)
    for area, setting in (
        ("users", "TOKENAUTH_USERS_URL"),
        ("sessions", "TOKENAUTH_SESSION_URL"),
        ("attempts", "TOKENAUTH_LIMITS_URL"),
    ):
        assert found[area].level == "warning"
        assert f"unless one process serves, set {setting}" in found[area].text
    assert found["clock"] == ("ok", "clock", "No store has another than this host's.")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_database_is_asked(engine: str, request: pytest.FixtureRequest) -> None:
    """It answers, and its tables are of this version."""
    url = url_of(engine, request)
    app = make_app(users=users_at(url), sessions=sessions_at(url), clock=WrongClock(0))
    found = of_stores(app)
    for area in ("users", "sessions"):
        assert found[area] == ("ok", area, "The store answers.")
    assert found["clock"].level == "ok"


def test_redis_is_asked(redis_url: str) -> None:
    """For sessions and for attempts."""
    config = {"TOKENAUTH_SESSION_URL": redis_url}
    found = of_stores(make_app(config=config, clock=WrongClock(0)))
    for area in ("sessions", "attempts"):
        assert found[area] == ("ok", area, "The store answers.")
    assert found["clock"].level == "ok"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_tables_of_another_version_are_an_error(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """The finding says what they lack."""
    url = url_of(engine, request)
    users, sessions = users_at(url), sessions_at(url)
    app = make_app(users=users, sessions=sessions)
    assert isinstance(users, SQLUserStore)
    with users.database.transaction() as connection:
        for table in ("tokenauth_users", "tokenauth_sessions"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN scopes")
    found = of_stores(app)
    for area in ("users", "sessions"):
        assert found[area].level == "error"
        assert "of another release, without 'scopes'" in found[area].text
    assert "clock" not in found


def test_tables_that_may_not_be_read_are_an_error(postgres_url: str) -> None:
    """A right that is missing shows with the first row that is asked for."""
    store = users_at(postgres_url)
    assert isinstance(store, SQLUserStore)
    role = f"r_{secrets.token_hex(8)}"
    with store.database.transaction() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
    url = postgres_url.replace("//postgres@", f"//{role}@")
    found = of_stores(make_app(users=SQLUserStore(url)))
    assert found["users"].level == "error"
    assert "(no_permission)" in found["users"].text


@pytest.mark.parametrize(
    ("sessions_url", "area", "reason"),
    [
        (DEAD_POSTGRES, "sessions", "refused"),
        (DEAD_REDIS, "sessions", "refused"),
        (DEAD_REDIS, "attempts", None),
    ],
)
def test_a_store_that_is_down_is_an_error(
    sessions_url: str, area: str, reason: str | None
) -> None:
    """The finding says why as far as it is known, and tells no password."""
    found = of_stores(make_app(config={"TOKENAUTH_SESSION_URL": sessions_url}))
    assert found[area].level == "error"
    assert ("(" in found[area].text) is (reason is not None)
    assert (reason or "does not answer: see") in found[area].text
    assert "clock" not in found


def test_a_server_that_stops_is_found_down(tmp_path: Path) -> None:
    """It answered before."""
    with RedisServer() as server:
        app = make_app(config={"TOKENAUTH_SESSION_URL": server.url})
        assert of_stores(app)["sessions"].level == "ok"
        server.stop()
        assert of_stores(app)["sessions"].level == "error"


def test_an_application_s_own_store_may_fail_in_its_own_way() -> None:
    """Its error is named by type: its text may hold anything."""

    class Broken(DictUserStore):
        def find(self, username: str) -> User | None:
            raise LookupError("canary")

    found = of_stores(make_app(users=Broken({})))
    assert found["users"].level == "error"
    assert "raises LookupError" in found["users"].text


# -- clocks --------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["postgresql", "redis"])
def test_the_clock_of_a_server_is_read(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """In seconds, with their fractions; it runs on this host, so it is right."""
    store = sessions_at(url_of(engine, request))
    assert isinstance(store, ClockedStore)
    before = time.time()
    theirs = store.read_clock()
    assert theirs is not None
    assert before - 0.01 <= theirs <= time.time() + 0.01
    assert theirs % 1


def test_a_file_has_no_clock(tmp_path: Path) -> None:
    """Nor has memory."""
    url = f"sqlite:///{tmp_path}/t.sqlite3"
    for store in (users_at(url), sessions_at(url)):
        assert isinstance(store, ClockedStore)
        assert store.read_clock() is None
    assert not isinstance(MemorySessionStore(), ClockedStore)


@pytest.mark.parametrize("engine", ["postgresql", "redis"])
@pytest.mark.parametrize(
    ("shift", "leeway", "level", "text"),
    [
        (0, 30, "ok", "30 s are allowed"),
        (0, 0, "ok", "0 s are allowed"),
        (-10, 30, "ok", "30 s are allowed"),
        (20, 30, "warning", "as far off to the other side"),
        (-20, 30, "warning", "TOKENAUTH_CLOCK_LEEWAY (30 s)"),
        (40, 30, "error", "TOKENAUTH_CLOCK_LEEWAY is 30 s"),
        (-40, 30, "error", "refuse each other's tokens"),
        (3, 0, "error", "TOKENAUTH_CLOCK_LEEWAY is 0 s"),
    ],
)
def test_a_clock_that_differs_is_found(
    shift: float,
    leeway: float,
    level: Level,
    text: str,
    *,
    engine: str,
    request: pytest.FixtureRequest,
) -> None:
    """To either side, against the leeway: the application's clock is the one off."""
    sessions = sessions_at(url_of(engine, request))
    config = {"TOKENAUTH_CLOCK_LEEWAY": leeway}
    app = make_app(sessions=sessions, clock=WrongClock(shift), config=config)
    found = of_stores(app)["clock"]
    assert found.level == level
    assert float(found.text.split()[0]) == pytest.approx(abs(shift), abs=0.2)
    assert text in found.text


def test_the_users_clock_counts_where_sessions_have_none(
    postgres_url: str, tmp_path: Path
) -> None:
    """Sessions in a file, users on a server."""
    users = users_at(postgres_url)
    sessions = sessions_at(f"sqlite:///{tmp_path}/t.sqlite3")
    assert isinstance(sessions, SQLSessionStore)
    assert isinstance(sessions, TableStore)
    clock = WrongClock(100)
    app = make_app(users=users, sessions=sessions, clock=clock)
    assert of_stores(app)["clock"].level == "error"
    assert of_stores(make_app(users=make_users(), sessions=sessions))[
        "clock"
    ].level == ("ok")
