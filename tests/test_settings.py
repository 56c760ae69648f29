"""What would not be safe stops the start, by name, and quotes no secret."""

from __future__ import annotations

import math
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.kit import SECRET, make_users
from tokenauth import TokenAuth, create_app, demo
from tokenauth.accounts.passwords import dummy_hash, is_supported
from tokenauth.errors import ConfigurationError
from tokenauth.settings import KNOWN, load
from tokenauth.tokens.keys import MIN_KEY_BYTES

OLD, OURS = "o" * 16 + "l" * 16, "o" * 16 + "u" * 16


def settings(**changes: Any) -> Any:
    return load({"SECRET_KEY": SECRET, **changes}, "app")


def refusal(config: Mapping[str, Any], start: Callable[..., Any] = load) -> str:
    """Return the words with which a start is refused."""
    with pytest.raises(ConfigurationError) as caught:
        start(config, "app") if start is load else start(config)
    # The cure is in the message, not in what led to it.
    assert caught.value.__cause__ is None
    return str(caught.value)


RANDOM = secrets.token_hex(32)
EXAMPLE = "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf"
BAD_KEYS: dict[str, Any] = {
    "missing": None,
    "empty": "",
    "empty bytes": b"",
    "blank": " " * 40,
    "blank lines": "\n\t" * 40,
    "short": "canary-canary",
    "a byte short": "c4n4ry" * 5 + "c",
    "one character": "x" * 64,
    "one character, and a newline": "x" * 40 + "\n",
    "one character of two bytes": "é" * 32,
    "zeros": b"\x00" * 32,
    "of Flask's documentation": EXAMPLE,
    "of Flask's documentation, and a newline": EXAMPLE + "\n",
    "of Flask's documentation, in bytes": EXAMPLE.encode(),
    "of FastAPI's documentation": (
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
    ),
    "of Superset": "CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",
    "of jwt.io": "a-string-secret-at-least-256-bits-long",
    "of a tutorial": "the quick brown fox jumps over the lazy dog",
    "of a template": "please-Change-Me-before-production",
    "of Django": "django-insecure-" + "0123456789abcdef" * 2,
    "a number": 12345678901234567890123456789012,
    "true": True,
    "a list": [SECRET],
    "a bytearray": bytearray(SECRET, "ascii"),
}


@pytest.mark.advisory(
    "Superset CVE-2023-27524",
    "PyJWT CVE-2026-102266, joserfc CVE-2026-49852, python-jose CVE-2026-120459",
)
@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("SECRET_KEY", {}),
        ("TOKENAUTH_SECRET_KEY", {}),
        ("TOKENAUTH_SECRET_KEY", {"SECRET_KEY": SECRET}),
    ],
    ids=["Flask's", "ours alone", "ours"],
)
def test_a_weak_key_is_refused(name: str, others: dict[str, Any], key: Any) -> None:
    """CVE-2023-27524, CVE-2026-102266: no start with a key that anybody can guess."""
    if key is None and others:
        assert settings(**others, **{name: key})  # absent: Flask's is used
        return
    said = refusal({**others, name: key})
    assert said.startswith(name) or key is None
    assert "SECRET_KEY" in said
    assert "flask tokenauth new-secret" in said
    assert_not_quoted(key, said)


def assert_not_quoted(key: Any, said: str) -> None:
    text = key.decode("latin-1") if isinstance(key, bytes | bytearray) else str(key)
    begins = text.strip()[:8]
    assert len(begins) < 8 or begins not in said


@pytest.mark.advisory(
    "PyJWT CVE-2026-102266, joserfc CVE-2026-49852, python-jose CVE-2026-120459"
)
@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
@pytest.mark.parametrize(
    "name", ["SECRET_KEY_FALLBACKS", "TOKENAUTH_SECRET_KEY_FALLBACKS"]
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_weak_fallback_is_refused(name: str, place: int, key: Any) -> None:
    """A token under an old key is accepted, so an old key must be as good."""
    fallbacks = [OLD, OLD]
    fallbacks[place] = key
    said = refusal({"SECRET_KEY": SECRET, name: fallbacks})
    assert said.startswith(f"{name}[{place}]")
    assert "flask tokenauth new-secret" in said
    assert_not_quoted(key, said)


@pytest.mark.parametrize(
    "value",
    ["", SECRET, SECRET.encode(), {SECRET}, 5, True, {SECRET: 1}, iter([OLD])],
    ids=lambda value: f"{type(value).__name__} {bool(value)}",
)
@pytest.mark.parametrize(
    "name", ["SECRET_KEY_FALLBACKS", "TOKENAUTH_SECRET_KEY_FALLBACKS"]
)
def test_fallbacks_are_a_list(name: str, value: Any) -> None:
    """A text would be read as a list of one-character keys."""
    said = refusal({"SECRET_KEY": SECRET, name: value})
    assert said.startswith(f"{name} must be a list")
    assert SECRET not in said


@pytest.mark.parametrize("size", [MIN_KEY_BYTES, 33, 64, 4096])
def test_a_random_key_is_accepted(size: int) -> None:
    """Exactly 32 bytes are enough, in bytes as in text."""
    raw = bytes(range(1, 17)) + secrets.token_bytes(size - 16)
    assert settings(SECRET_KEY=raw).secret_keys == (raw,)
    text = secrets.token_hex(size)[:size]
    assert settings(SECRET_KEY=text).secret_keys == (text.encode(),)


def test_the_newest_key_comes_last() -> None:
    """As itsdangerous wants it: all verify, the last one signs."""
    found = settings(SECRET_KEY_FALLBACKS=[OLD, OURS])
    assert found.secret_keys == (OLD.encode(), OURS.encode(), SECRET.encode())
    assert settings(SECRET_KEY_FALLBACKS=(OLD,)).secret_keys[0] == OLD.encode()
    absent: Any
    for absent in (None, [], ()):
        assert settings(SECRET_KEY_FALLBACKS=absent).secret_keys == (SECRET.encode(),)


def test_our_keys_go_over_flask_s() -> None:
    """The keys of tokens may be others than those of cookies."""
    found = settings(TOKENAUTH_SECRET_KEY=OURS, TOKENAUTH_SECRET_KEY_FALLBACKS=[OLD])
    assert found.secret_keys == (OLD.encode(), OURS.encode())
    found = settings(
        SECRET_KEY_FALLBACKS=["never read"], TOKENAUTH_SECRET_KEY_FALLBACKS=[OLD]
    )
    assert found.secret_keys == (OLD.encode(), SECRET.encode())


def test_our_key_does_not_bring_flask_s_fallbacks() -> None:
    """Flask's old keys belong to Flask's key."""
    found = settings(TOKENAUTH_SECRET_KEY=OURS, SECRET_KEY_FALLBACKS=[OLD])
    assert found.secret_keys == (OURS.encode(),)


DURATIONS = {
    "ACCESS_LIFETIME": 15 * 60,
    "SESSION_LIFETIME": 30 * 86400,
    "SESSION_IDLE_LIFETIME": 7 * 86400,
    "REFRESH_GRACE": 10,
    "CLOCK_LEEWAY": 30,
}
LIFETIMES = [name for name in DURATIONS if name.endswith("LIFETIME")]
BAD_DURATIONS: list[Any] = [
    -1,
    -0.001,
    timedelta(seconds=-5),
    math.nan,
    math.inf,
    -math.inf,
    True,
    False,
    "900",
    "15 min",
    "",
    b"900",
    [900],
    {},
    10**12,
    10**400,
    timedelta.max,
]


@pytest.mark.parametrize("value", BAD_DURATIONS, ids=str)
@pytest.mark.parametrize("name", DURATIONS)
def test_a_duration_is_a_number_of_seconds(name: str, value: Any) -> None:
    """Nothing lives for ever, or not at all, by mistake."""
    said = refusal({"SECRET_KEY": SECRET, f"TOKENAUTH_{name}": value})
    assert said.startswith(f"TOKENAUTH_{name} must be a")
    assert "seconds" in said


@pytest.mark.parametrize("value", [0, 0.0, 0.5, timedelta(0), timedelta(seconds=0.9)])
@pytest.mark.parametrize("name", LIFETIMES)
def test_a_lifetime_has_at_least_a_second(name: str, value: Any) -> None:
    """A token that is born dead is a mistake."""
    said = refusal({"SECRET_KEY": SECRET, f"TOKENAUTH_{name}": value})
    assert said == f"TOKENAUTH_{name} must be at least one second."


@pytest.mark.parametrize("name", DURATIONS)
def test_durations_may_be_timedeltas(name: str) -> None:
    """Seconds or a `timedelta`; a century is the end; absent is the default."""
    for given_value, seconds in (
        (1, 1),
        (2.5, 2.5),
        (timedelta(minutes=5), 300),
        (100 * 365 * 86400, 100 * 365 * 86400),
        (None, DURATIONS[name]),
    ):
        found = settings(**{f"TOKENAUTH_{name}": given_value})
        assert getattr(found, name.lower()) == seconds
    assert getattr(settings(), name.lower()) == DURATIONS[name]


@pytest.mark.parametrize("name", ["REFRESH_GRACE", "CLOCK_LEEWAY"])
def test_grace_and_leeway_may_be_zero(name: str) -> None:
    """Whoever wants neither may have it."""
    for zero in (0, 0.0, timedelta(0)):
        assert getattr(settings(**{f"TOKENAUTH_{name}": zero}), name.lower()) == 0


# For each rule: a value that breaks it, and words of the cure.
BROKEN: list[tuple[str, Any, str]] = [
    ("TOKENAUTH_URL_PREFIX", "auth", "/auth"),
    ("TOKENAUTH_URL_PREFIX", "/auth/", "/auth"),
    ("TOKENAUTH_URL_PREFIX", "//auth", "/auth"),
    ("TOKENAUTH_URL_PREFIX", "/", "/auth"),
    ("TOKENAUTH_URL_PREFIX", "", "not empty"),
    ("TOKENAUTH_URL_PREFIX", "/<auth>", "/auth"),
    ("TOKENAUTH_URL_PREFIX", "/a b", "/auth"),
    ("TOKENAUTH_URL_PREFIX", "/auth\n", "/auth"),
    ("TOKENAUTH_URL_PREFIX", "/é", "/auth"),
    ("TOKENAUTH_URL_PREFIX", 5, "text"),
    ("TOKENAUTH_REALM", 'a"b', "printable"),
    ("TOKENAUTH_REALM", "a\\b", "printable"),
    ("TOKENAUTH_REALM", "a\nb", "printable"),
    ("TOKENAUTH_REALM", "é", "printable"),
    ("TOKENAUTH_REALM", "", "not empty"),
    ("TOKENAUTH_REALM", "  ", "not empty"),
    ("TOKENAUTH_REALM", 5, "text"),
    ("TOKENAUTH_QUERY_PARAM", True, "text"),
    ("TOKENAUTH_QUERY_PARAM", "", "text"),
    ("TOKENAUTH_SESSION_URL", "", "text"),
    ("TOKENAUTH_SESSION_URL", b"memory://", "text"),
    ("TOKENAUTH_USERS_URL", "", "text"),
    ("TOKENAUTH_LIMITS_URL", "", "text"),
    ("TOKENAUTH_LOGIN_LIMITS", [], "list of texts"),
    ("TOKENAUTH_LOGIN_LIMITS", ["5 per minute", ""], "list of texts"),
    ("TOKENAUTH_SESSION_LIMIT", 0, "at least 1"),
    ("TOKENAUTH_SESSION_LIMIT", -1, "at least 1"),
    ("TOKENAUTH_SESSION_LIMIT", True, "whole number"),
    ("TOKENAUTH_SESSION_LIMIT", 1.5, "whole number"),
    ("TOKENAUTH_SESSION_LIMIT", "5", "whole number"),
    ("TOKENAUTH_PASSWORD_CONCURRENCY", 0, "at least 1"),
    ("TOKENAUTH_PASSWORD_MIN_LENGTH", 0, "at least 1"),
    ("TOKENAUTH_PASSWORD_MAX_LENGTH", 7, "at least 8"),
    ("TOKENAUTH_PASSWORD_BREACH_CHECK", "https://", "function"),
    ("TOKENAUTH_ARGON2_MEMORY_COST", 19455, "OWASP"),
    ("TOKENAUTH_ARGON2_TIME_COST", 1, "OWASP"),
    ("TOKENAUTH_ARGON2_PARALLELISM", 0, "whole number"),
    ("TOKENAUTH_ARGON2_PARALLELISM", 65, "at most 64"),
    ("TOKENAUTH_ARGON2_MEMORY_COST", 1 << 22, "at most"),
    ("TOKENAUTH_ARGON2_TIME_COST", 65, "at most"),
    ("TOKENAUTH_ARGON2_TIME_COST", 64, "product"),
    ("LOGIN_DISABLED", True, "TESTING"),
]


@pytest.mark.parametrize(("key", "value", "cure"), BROKEN)
def test_a_bad_value_is_refused_by_name(key: str, value: Any, cure: str) -> None:
    """The message names the key and says what to do."""
    said = refusal({"SECRET_KEY": SECRET, key: value})
    assert key in said
    assert cure in said


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("TOKENAUTH_ACESS_LIFETIME", "TOKENAUTH_ACCESS_LIFETIME"),
        ("TOKENAUTH_SECRETKEY", "TOKENAUTH_SECRET_KEY"),
        ("TOKENAUTH_FALLBACKS", "TOKENAUTH_SECRET_KEY_FALLBACKS"),
        ("TOKENAUTH_access_lifetime", "TOKENAUTH_ACCESS_LIFETIME"),
        ("TOKENAUTH_JWT_ALGORITHM", "TOKENAUTH_"),
        ("TOKENAUTH_", "TOKENAUTH_"),
        ("TOKENAUTH_🦊", "TOKENAUTH_"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, near: str) -> None:
    """A slip in a name would leave a default where something else was meant."""
    said = refusal({"SECRET_KEY": SECRET, key: None})
    assert said.startswith(f"{key} is unknown. Did you mean {near}")
    assert any(f"mean {known}?" in said for known in KNOWN)


def test_a_slip_in_the_key_s_own_name_is_named() -> None:
    """And not the key that is missing because of it."""
    said = refusal({"TOKENAUTH_SECRT_KEY": SECRET})
    assert "Did you mean TOKENAUTH_SECRET_KEY?" in said
    assert SECRET not in said


def test_others_keys_are_others_business() -> None:
    """Only our own prefix is looked at."""
    assert settings(TOKENAUTHX=1, tokenauth_realm=2, JWT_SECRET_KEY="x")


def test_login_disabled_is_for_tests() -> None:
    """It opens every protected view."""
    assert settings(LOGIN_DISABLED=True, TESTING=True)
    assert settings(LOGIN_DISABLED=False)


def test_a_realm_that_cannot_be_sent_is_refused_by_its_key() -> None:
    """The application's name is its default, and may need another."""
    with pytest.raises(ConfigurationError, match="TOKENAUTH_REALM"):
        load({"SECRET_KEY": SECRET}, "café")
    assert (
        load({"SECRET_KEY": SECRET, "TOKENAUTH_REALM": "cafe"}, "café").realm == "cafe"
    )
    assert settings().realm == "app"


@pytest.mark.parametrize(
    ("memory", "time"), [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)]
)
def test_owasp_s_equivalents_are_accepted(memory: int, time: int) -> None:
    """OWASP Password Storage Cheat Sheet: five settings of equal strength."""

    def cost(memory: int, time: int) -> Any:
        return settings(
            TOKENAUTH_ARGON2_MEMORY_COST=memory, TOKENAUTH_ARGON2_TIME_COST=time
        ).argon2

    assert (cost(memory, time).memory, cost(memory, time).time) == (memory, time)
    for weaker in ((memory - 1, time), (memory, time - 1)):
        with pytest.raises(ConfigurationError):
            cost(*weaker)


@given(
    st.sampled_from([7168, 9216, 12288, 19456, 47104, 1 << 18, (1 << 18) + 1]),
    st.integers(1, 70),
    st.integers(1, 70),
)
def test_what_is_hashed_can_be_verified(memory: int, time: int, lanes: int) -> None:
    """No accepted cost is beyond what a stored hash may ask for."""
    try:
        cost = settings(
            TOKENAUTH_ARGON2_MEMORY_COST=memory,
            TOKENAUTH_ARGON2_TIME_COST=time,
            TOKENAUTH_ARGON2_PARALLELISM=lanes,
        ).argon2
    except ConfigurationError:
        return
    assert is_supported(dummy_hash(cost))


def start_extension(config: Mapping[str, Any]) -> None:
    app = Flask("app")
    app.config.update(config)
    TokenAuth(app, make_users())


def start_later(config: Mapping[str, Any]) -> None:
    app = Flask("app")
    app.config.update(config)
    TokenAuth().init_app(app, make_users())


STARTS = [start_extension, start_later, create_app, demo.create_app]
UNSAFE: dict[str, dict[str, Any]] = {
    "no key": {"SECRET_KEY": None},
    "empty key": {"SECRET_KEY": ""},
    "short key": {"SECRET_KEY": "short"},
    "example key": {"SECRET_KEY": EXAMPLE},
    "weak key of ours": {"SECRET_KEY": SECRET, "TOKENAUTH_SECRET_KEY": "x" * 99},
    "weak fallback": {"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": [""]},
    "fallbacks in a text": {"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": OLD},
    "no lifetime": {"SECRET_KEY": SECRET, "TOKENAUTH_ACCESS_LIFETIME": 0},
    "endless": {"SECRET_KEY": SECRET, "TOKENAUTH_SESSION_LIFETIME": math.inf},
    "cheap hash": {"SECRET_KEY": SECRET, "TOKENAUTH_ARGON2_TIME_COST": 1},
    "open views": {"SECRET_KEY": SECRET, "LOGIN_DISABLED": True},
    "unknown setting": {"SECRET_KEY": SECRET, "TOKENAUTH_LIFETIME": 5},
}


@pytest.fixture
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this shell's is read, and nothing is left in its folder."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("FLASK_"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize("start", STARTS, ids=["auth", "later", "api", "demo"])
@pytest.mark.parametrize("config", UNSAFE.values(), ids=UNSAFE)
def test_every_way_of_starting_refuses_the_same(
    start: Callable[..., Any], config: dict[str, Any]
) -> None:
    """CVE-2023-27524: the extension, the factory, and the demo alike."""
    assert refusal(config, start) == refusal(config)


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize("app", ["tokenauth:create_app", "tokenauth.demo:create_app"])
@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "SECRET_KEY is not set"),
        ({"SECRET_KEY": "canary-canary"}, "SECRET_KEY has 13 bytes"),
        ({"SECRET_KEY": "1" * 40}, "SECRET_KEY must be text"),
        ({"SECRET_KEY": EXAMPLE}, "SECRET_KEY is a published example"),
        (
            {"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": OLD},
            "SECRET_KEY_FALLBACKS must be a list",
        ),
        (
            {"SECRET_KEY": SECRET, "TOKENAUTH_CLOCK_LEEWAY": "-1"},
            "TOKENAUTH_CLOCK_LEEWAY must be",
        ),
        ({"SECRET_KEY": SECRET, "TOKENAUTH_RELM": "x"}, "TOKENAUTH_REALM"),
    ],
)
def test_the_command_line_refuses_the_same(
    app: str, environment: dict[str, str], named: str
) -> None:
    """Settings of the environment, and a command that needs the application."""
    outcome = CliRunner().invoke(
        FlaskGroup(),
        ["--app", app, "tokenauth", "inspect", "a.b"],
        env={f"FLASK_{name}": value for name, value in environment.items()},
    )
    assert outcome.exit_code == 1
    assert outcome.output.startswith("Error: ")
    assert named in outcome.output
    for value in environment.values():
        assert len(value) < 8 or value not in outcome.output


def run_flask(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "tokenauth.demo:create_app", *args],
        env={name: os.environ[name] for name in os.environ if name[:6] != "FLASK_"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_that_starts_without_a_key_ends_at_once() -> None:
    """What an operator sees: the name of the setting, and the command that helps."""
    refused = run_flask("tokenauth", "inspect", "a.b")
    assert refused.returncode != 0
    assert "SECRET_KEY is not set" in refused.stderr
    assert "flask tokenauth new-secret" in refused.stderr


def test_a_new_secret_needs_no_key_and_is_one() -> None:
    """The cure works where the ailment is."""
    made = run_flask("tokenauth", "new-secret")
    assert made.returncode == 0
    assert settings(SECRET_KEY=made.stdout.strip())


def test_a_session_check_may_not_lag_for_long() -> None:
    """What was ended would go on being served."""
    assert settings(TOKENAUTH_SESSION_CHECK_LAG=10).session_check_lag == 10
    with pytest.raises(ConfigurationError, match="CHECK_LAG may be at most 10 seconds"):
        settings(TOKENAUTH_SESSION_CHECK_LAG=10.5)


@pytest.mark.parametrize(
    ("sessions", "limits"),
    [
        ("redis://host/1", "redis://host/1"),
        ("rediss://host/1", "rediss://host/1"),
        ("unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
        ("sqlite:///file", "memory://"),
        ("memory://", "memory://"),
    ],
)
def test_attempts_are_counted_where_the_sessions_are(
    sessions: str, limits: str
) -> None:
    """If that is a Redis; under the name that the limits library has for it."""
    assert settings(TOKENAUTH_SESSION_URL=sessions).limits_url == limits


@pytest.mark.parametrize("own", [None, "memory://", "sqlite:///sessions"])
@pytest.mark.parametrize("users", [None, "sqlite:///users"])
def test_sessions_are_kept_where_the_users_are(
    users: str | None, own: str | None
) -> None:
    """Unless they have a URL of their own; without either, in memory."""
    found = settings(TOKENAUTH_USERS_URL=users, TOKENAUTH_SESSION_URL=own)
    assert found.users_url == users
    assert found.session_url == (own or users or "memory://")


def test_settings_show_and_give_away_nothing() -> None:
    """They hold the keys, and the URLs with their passwords."""
    found = settings(TOKENAUTH_LIMITS_URL="redis://:canary@host")
    assert repr(found) == str(found) == "<Settings>"
    with pytest.raises(AttributeError):
        found.realm = "other"


def test_a_guessable_key_is_warned_of_where_it_is_in_use(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once at start and by no more than its name; a random key is not."""
    regular = "secret" * 6
    for config in (
        {"SECRET_KEY": regular},
        {"SECRET_KEY": RANDOM, "SECRET_KEY_FALLBACKS": [regular]},
    ):
        caplog.clear()
        start_extension(config)
        [record] = caplog.records
        assert record.levelname == "WARNING"
        assert "flask tokenauth new-secret" in record.getMessage()
        assert regular not in record.getMessage()
    caplog.clear()
    start_extension({"SECRET_KEY": RANDOM})
    start_extension({"SECRET_KEY": regular, "TESTING": True})
    assert not caplog.records
