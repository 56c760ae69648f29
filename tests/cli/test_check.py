"""`flask tokenauth check`, on real engines: good deployments and broken ones."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from flask import Flask
from flask_login import LoginManager
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.cli.running import flask, run
from tests.harness.kit import ALLOWS_TWO_RULES, Clock, make_app, make_users
from tests.harness.servers import RedisServer
from tests.stores.engines import sessions_at, url_of, users_at
from tokenauth import DictUserStore, MemorySessionStore, Session, TokenAuth, User
from tokenauth.cli.review_settings import Finding, Level, review_settings
from tokenauth.settings import load
from tokenauth.stores.sql import SQLUserStore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

KEY = secrets.token_hex(32)
PROXY = ("--ignore", "proxy")


def checked(app: Flask, *options: str, exit_code: int = 0) -> dict[str, Finding]:
    """Return what `check --json` finds, by area; no URL or password is in it."""
    result = run(app, "check", "--json", *options)
    assert result.exit_code == exit_code, result.output
    assert result.stderr == ""
    assert "canary" not in result.stdout
    assert "127.0.0.1" not in result.stdout
    found = [Finding(**each) for each in json.loads(result.stdout)]
    return {finding.area: finding for finding in found}


def deployed(**config: Any) -> Flask:
    """Return an application that has these settings and a good key."""
    app = Flask("shop")
    app.config.from_mapping({"SECRET_KEY": KEY, **config})
    TokenAuth(app, None if "TOKENAUTH_USERS_URL" in config else make_users())
    return app


@pytest.fixture(scope="module")
def durable_redis() -> Any:
    """A Redis that keeps what it was given."""
    with RedisServer(durable=True) as server:
        yield server


@pytest.fixture
def good(url: str, durable_redis: RedisServer) -> Flask:
    """A deployment with nothing to fix."""
    users_at(url)
    return deployed(TOKENAUTH_USERS_URL=url, TOKENAUTH_SESSION_URL=durable_redis.url)


# -- the command ---------------------------------------------------------------------


def test_good_deployment_passes_the_strict_check(good: Flask) -> None:
    """Each area is named, in the order in which it is printed."""
    good.wsgi_app = ProxyFix(good.wsgi_app, x_for=2)  # type: ignore[method-assign]
    found = checked(good, "--strict")
    assert {finding.level for finding in found.values()} == {"ok"}
    assert list(found) == [
        *("secret keys", "fallback keys", "access lifetime", "session lifetime"),
        *("refresh grace", "clock leeway", "idle lifetime", "tokens in URLs"),
        *("attempts on a password", "new passwords", "password hashes"),
        *("users", "sessions", "attempts"),
        *("eviction", "persistence", "clock", "DEBUG", "TESTING"),
        *("addresses", "proxy"),
    ]


def test_review_is_one_line_for_each_area(good: Flask) -> None:
    result = run(good, "check", *PROXY)
    lines = result.stdout.splitlines()
    assert (result.exit_code, len(lines)) == (0, 21)
    assert lines[0].split() == ["level", "area", "text"]
    assert lines[3].split(maxsplit=3) == ["ok", "access", "lifetime", "900 s."]
    assert KEY not in result.stdout


def test_warning_fails_the_strict_check_only(good: Flask) -> None:
    """An area that there is a reason for can be left out."""
    assert checked(good)["proxy"].level == "warning"
    assert checked(good, "--strict", exit_code=1)["proxy"].level == "warning"
    assert "proxy" not in checked(good, "--strict", *PROXY)


@pytest.mark.parametrize("flag", ["DEBUG", "TESTING"])
def test_flag_for_development_is_an_error(flag: str, good: Flask) -> None:
    """Also one that the application sets itself: `flask` would hide it."""
    good.config[flag] = True
    level, _, text = checked(good, exit_code=1)[flag]
    assert level == "error"
    assert text.startswith("On. ")


APP = """\
import os
from flask import Flask
from tokenauth import TokenAuth

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["KEY"],
    DEBUG=True,
    TOKENAUTH_USERS_URL="sqlite:///t.sqlite3",
    TOKENAUTH_SESSION_URL="sqlite:///t.sqlite3",
)
TokenAuth(app)
"""


def test_application_that_does_not_start_is_one_error(tmp_path: Path) -> None:
    """In the same form; missing tables do not stop the review of the rest."""
    (tmp_path / "app.py").write_text(APP)
    command = ("--app", "app", "tokenauth", "check", "--json")
    refused = flask(*command, cwd=tmp_path, env={"KEY": "short"})
    assert (refused.returncode, refused.stderr) == (1, "")
    (finding,) = json.loads(refused.stdout)
    assert (finding["level"], finding["area"]) == ("error", "start")
    assert finding["text"].startswith("SECRET_KEY has 5 bytes")
    started = flask(*command, cwd=tmp_path, env={"KEY": KEY})
    assert (started.returncode, started.stderr) == (1, "")
    found = {each["area"]: each for each in json.loads(started.stdout)}
    for area in ("users", "sessions"):
        assert found[area]["level"] == "error"
        assert "flask tokenauth init-db" in found[area]["text"]
    assert found["DEBUG"]["level"] == "error"
    assert found["TESTING"]["level"] == "ok"


# -- proxies -------------------------------------------------------------------------

CHAINS: dict[str, tuple[Callable[[Any], WSGIApplication], Level]] = {
    "none": (lambda app: app, "warning"),
    "proxy": (ProxyFix, "ok"),
    "proxy for the scheme": (lambda app: ProxyFix(app, x_for=0, x_proto=1), "warning"),
    "proxy around": (lambda app: ProxyFix(ProfilerMiddleware(app)), "ok"),
    "proxy below": (lambda app: Middleware(ProxyFix(app)), "ok"),
}


class Middleware:
    """One that names what it wraps as Flask names its own."""

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self.wsgi_app = wsgi_app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.wsgi_app(environ, start_response)


@pytest.mark.parametrize("chain", CHAINS)
def test_proxy_is_looked_for_in_the_whole_chain(chain: str, good: Flask) -> None:
    wrap, level = CHAINS[chain]
    good.wsgi_app = wrap(good.wsgi_app)  # type: ignore[assignment, method-assign]
    found = checked(good)["proxy"]
    assert found.level == level
    assert ("If a proxy is in front" in found.text) is (level == "warning")


def test_chain_that_is_a_circle_comes_to_an_end(good: Flask) -> None:
    """As that of a middleware which was given the application, not its `wsgi_app`."""
    good.wsgi_app = ProfilerMiddleware(good)  # type: ignore[method-assign]
    assert checked(good)["proxy"].level == "warning"


# -- settings ------------------------------------------------------------------------


def settings_say(area: str, **config: Any) -> Finding:
    """Return what is found in these settings about one area."""
    findings = review_settings(load({"SECRET_KEY": KEY, **config}, "app"))
    return next(finding for finding in findings if finding.area == area)


def test_key_with_a_pattern_is_an_error() -> None:
    """It is long enough and no secret. The finding does not quote it."""
    key = "qwertyuiopasdfghjklzxcvbnm1234567890"
    now, old = ({"SECRET_KEY": key}, {"SECRET_KEY_FALLBACKS": [KEY, key]})
    for config, name in ((now, "the secret key"), (old, "fallback key 1")):
        level, _, text = settings_say("secret keys", **config)
        assert level == "error"
        assert f"guessed: {name}." in text
        assert "flask tokenauth new-secret" in text
        assert key[:12] not in text


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fallback_keys_are_to_be_removed_in_time(count: int) -> None:
    keys = [secrets.token_hex(32) for _ in range(count)]
    finding = settings_say("fallback keys", SECRET_KEY_FALLBACKS=keys)
    assert finding.level == ("warning" if count else "ok")
    assert finding.text.startswith(f"{count}.")
    assert ("TOKENAUTH_SESSION_IDLE_LIFETIME" in finding.text) is bool(count)


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("area", "config", "text"),
    [
        ("access lifetime", {"ACCESS_LIFETIME": HOUR}, "3600 s."),
        ("access lifetime", {"ACCESS_LIFETIME": HOUR + SECOND}, "to 3600 at most"),
        ("session lifetime", {"SESSION_LIFETIME": 30 * DAY}, "2592000 s."),
        ("session lifetime", {"SESSION_LIFETIME": 60 * DAY}, "to 2592000 at most"),
        ("idle lifetime", {"SESSION_IDLE_LIFETIME": DAY}, "86400 s."),
        ("idle lifetime", {"SESSION_IDLE_LIFETIME": 30 * DAY}, "reached first"),
        ("idle lifetime", {"SESSION_IDLE_LIFETIME": 900}, "above TOKENAUTH_ACCESS"),
        ("refresh grace", {"REFRESH_GRACE": 60}, "60 s."),
        ("refresh grace", {"REFRESH_GRACE": 61}, "to 60 at most"),
        ("clock leeway", {"CLOCK_LEEWAY": 300}, "300 s."),
        ("clock leeway", {"CLOCK_LEEWAY": 301}, "to 300 at most"),
        (
            "attempts on a password",
            {"LOGIN_LIMITS": "9 per second; 100 per hour"},
            "At most 100 an hour.",
        ),
        (
            "attempts on a password",
            {"LOGIN_LIMITS": "2 per minute; 101 per hour"},
            "At most 101 an hour. Set TOKENAUTH_LOGIN_LIMITS",
        ),
        ("attempts on a password", {"LOGIN_LIMITS": "2 per minute"}, "120 an hour. S"),
        (
            "attempts on a password",
            {"LOGIN_LIMITS": "99 per 31 minutes"},
            "198 an hour. S",
        ),
        ("new passwords", {"PASSWORD_MIN_LENGTH": 7}, "MIN_LENGTH to 8"),
        ("new passwords", {"PASSWORD_MAX_LENGTH": 63}, "MAX_LENGTH to 64"),
        ("new passwords", {"PASSWORD_MAX_LENGTH": 64}, "8 characters to 64 bytes."),
        ("tokens in URLs", {"QUERY_PARAM": "token"}, "end up in logs"),
        ("password hashes", {"ARGON2_MEMORY_COST": 47104}, "47104 KiB, 2 passes."),
        (
            "password hashes",
            {"ARGON2_MEMORY_COST": 7168, "ARGON2_TIME_COST": 5},
            "TOKENAUTH_ARGON2_MEMORY_COST to 19456",
        ),
    ],
)
def test_setting_beyond_its_limit_is_a_warning(
    area: str, config: dict[str, Any], text: str
) -> None:
    """At the limit it is good, and only the fact is told."""
    found = settings_say(area, **{f"TOKENAUTH_{k}": v for k, v in config.items()})
    assert found.level == ("ok" if found.text == text else "warning")
    assert text in found.text


# -- stores that cannot be used ------------------------------------------------------


def test_redis_that_may_not_be_asked_is_a_warning(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command(
            *("ACL", "SETUSER", "canary", "on", ">pw", "~*", "+@all", "-info")
        )
        url = redis_url.replace("//", "//canary:pw@")
        found = checked(deployed(TOKENAUTH_SESSION_URL=url))
        client.execute_command("ACL", "DELUSER", "canary")
    assert found["sessions"].level == "ok"
    for area in ("eviction", "persistence"):
        assert found[area].level == "warning"
        assert "is not known" in found[area].text


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
    found = checked(app, exit_code=1)
    for area in ("users", "sessions"):
        assert found[area].level == "error"
        assert "of another release, without 'scopes'" in found[area].text
    assert "clock" not in found


MEMORY = {"TOKENAUTH_SESSION_URL": "memory://"}


@pytest.mark.parametrize(("workers", "level"), [("1", "warning"), ("4", "error")])
def test_what_is_in_one_process_is_an_error_if_several_serve(
    workers: str, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gunicorn takes the number of its workers from the environment."""
    monkeypatch.setenv("WEB_CONCURRENCY", workers)
    found = checked(deployed(), exit_code=int(level == "error"))
    for area, setting in (
        ("users", "TOKENAUTH_USERS_URL"),
        ("sessions", "TOKENAUTH_SESSION_URL"),
        ("attempts", "TOKENAUTH_LIMITS_URL"),
    ):
        assert found[area].level == level
        assert f"Set {setting} to a shared store" in found[area].text


class Broken(DictUserStore):
    """An application's own store that fails in its own way."""

    def find(self, username: str) -> User | None:
        raise LookupError("canary")


class Behind(MemorySessionStore):
    """A store whose reads go to a replica that is behind."""

    def get(self, session_id: str) -> Session | None:
        return None


def test_application_s_own_store_that_fails_is_an_error() -> None:
    """Its error is named by type: its text may hold anything."""
    found = checked(make_app(users=Broken({}), sessions=Behind()), exit_code=1)
    assert found["users"].level == "error"
    assert "raises LookupError" in found["users"].text
    assert found["sessions"].level == "error"
    assert "could not be read again" in found["sessions"].text


# -- clocks --------------------------------------------------------------------------


class WrongClock(Clock):
    """This host's clock, off by some seconds."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def __call__(self) -> float:
        return time.time() + self.shift


@pytest.mark.parametrize("engine", ["postgresql", "redis"])
def test_server_s_clock_is_read_in_fractions_of_a_second(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """It runs on this host, so it is right."""
    store: Any = sessions_at(url_of(engine, request))
    before = time.time()
    theirs = store.read_clock()
    assert theirs is not None
    assert before - 0.01 <= theirs <= time.time() + 0.01
    assert theirs % 1


@pytest.mark.parametrize("engine", ["postgresql", "redis"])
@pytest.mark.parametrize(
    ("shift", "leeway", "level", "text"),
    [
        (0, 30, "ok", "30 s are allowed."),
        (0, 0, "ok", "0 s are allowed."),
        (-10, 30, "ok", "30 s are allowed."),
        (20, 30, "warning", "30 s are allowed. Hosts may"),
        (-20, 30, "warning", "other direction"),
        (40, 30, "error", "30 s are allowed. Hosts may refuse"),
        (-40, 30, "error", "by one source (NTP)"),
        (3, 0, "error", "raise TOKENAUTH_CLOCK_LEEWAY"),
    ],
)
def test_clock_that_differs_from_the_store_s_is_found(
    shift: float,
    leeway: float,
    level: Level,
    text: str,
    *,
    engine: str,
    request: pytest.FixtureRequest,
) -> None:
    """In either direction, against the leeway."""
    sessions = sessions_at(url_of(engine, request))
    config = {"TOKENAUTH_CLOCK_LEEWAY": leeway}
    app = make_app(sessions=sessions, clock=WrongClock(shift), config=config)
    found = checked(app, exit_code=1)["clock"]  # TESTING is on
    assert found.level == level
    assert float(found.text.split()[0]) == pytest.approx(abs(shift), abs=0.2)
    assert text in found.text


def test_users_clock_counts_where_sessions_have_none(
    postgres_url: str, url: str
) -> None:
    """Sessions in a file, users on a server."""
    sessions, clock = sessions_at(url), WrongClock(100)
    app = make_app(users=users_at(postgres_url), sessions=sessions, clock=clock)
    assert checked(app, exit_code=1)["clock"].level == "error"
    app = make_app(sessions=sessions, clock=clock)
    text = checked(app, exit_code=1)["clock"].text
    assert text == "No store has a clock of its own."


@pytest.mark.skipif(not ALLOWS_TWO_RULES, reason="this Werkzeug refuses it itself")
def test_an_address_that_the_application_claims_too_is_a_warning() -> None:
    """As the blueprint of Flask's own tutorial does."""
    app = deployed()
    app.add_url_rule("/auth/login", "form", lambda: "a form", methods=["POST"])
    finding = checked(app)["addresses"]
    assert finding.level == "warning"
    assert "POST /auth/login" in finding.text
    assert checked(deployed())["addresses"].level == "ok"


def test_a_manager_that_took_our_place_is_an_error() -> None:
    app = deployed()
    LoginManager(app)
    text = checked(app, exit_code=1)["start"].text
    assert text.startswith("Another LoginManager took the place")
