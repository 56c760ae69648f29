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
from tokenauth.accounts.hash_schemes import is_supported
from tokenauth.accounts.passwords import PasswordHasher
from tokenauth.errors import ConfigurationError
from tokenauth.settings import KNOWN, load
from tokenauth.tokens.keys import MIN_KEY_BYTES

OLD, OURS = secrets.token_hex(32), secrets.token_hex(32)


def settings(**changes: Any) -> Any:
    return load({"SECRET_KEY": SECRET, **changes}, "app")


def refusal(config: Mapping[str, Any], start: Callable[..., Any] = load) -> str:
    """Return the words with which a start is refused."""
    with pytest.raises(ConfigurationError) as caught:
        start(config, "app") if start is load else start(config)
    # The cure is in the message, not in what led to it.
    assert caught.value.__cause__ is None
    return str(caught.value)


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
    "of a Flask course": "5791628bb0b13ce0c676dfde280ba245",
    "of many applications": "your-secret-key-change-in-production",
    "of words": "my-super-secret-key-for-my-flask-app",
    "of one text": "secret" * 6,
    "of a sequence": "abcdefghijklmnopqrstuvwxyz0123456789",
    "with a line end": SECRET + "\n",
    "with a line end, in bytes": SECRET.encode() + b"\r\n",
    "with spaces": f" {SECRET}",
    "a number": 12345678901234567890123456789012,
    "true": True,
    "a list": [SECRET],
    "a bytearray": bytearray(SECRET, "ascii"),
}


@pytest.mark.advisory(
    "Superset CVE-2023-27524",
    "PyJWT CVE-2026-102266, joserfc CVE-2026-49852, python-jose CVE-2026-120459",
)
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("SECRET_KEY", {}),
        ("TOKENAUTH_SECRET_KEY", {}),
        ("TOKENAUTH_SECRET_KEY", {"SECRET_KEY": SECRET}),
    ],
    ids=["Flask's", "ours alone", "ours"],
)
def test_a_weak_key_is_refused(name: str, others: dict[str, Any]) -> None:
    """CVE-2023-27524, CVE-2026-102266: no start with a key that anybody can guess."""
    for what, key in BAD_KEYS.items():
        if key is None and others:
            assert settings(**others, **{name: key})  # absent: Flask's is used
            continue
        said = refusal({**others, name: key})
        assert said.startswith(name) or key is None, what
        assert "SECRET_KEY" in said, what
        assert "flask tokenauth new-secret" in said, what
        assert_not_quoted(key, said)


def assert_not_quoted(key: Any, said: str) -> None:
    text = key.decode("latin-1") if isinstance(key, bytes | bytearray) else str(key)
    begins = text.strip()[:8]
    assert len(begins) < 8 or begins not in said


@pytest.mark.advisory(
    "PyJWT CVE-2026-102266, joserfc CVE-2026-49852, python-jose CVE-2026-120459"
)
@pytest.mark.parametrize(
    "name", ["SECRET_KEY_FALLBACKS", "TOKENAUTH_SECRET_KEY_FALLBACKS"]
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_weak_fallback_is_refused(name: str, place: int) -> None:
    """A token under an old key is accepted, so an old key must be as good."""
    for what, key in BAD_KEYS.items():
        fallbacks = [OLD, OLD]
        fallbacks[place] = key
        said = refusal({"SECRET_KEY": SECRET, name: fallbacks})
        assert said.startswith(f"{name}[{place}]"), what
        assert "flask tokenauth new-secret" in said, what
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
    assert said.startswith(f"{name} must be a list of keys (oldest first).")
    assert SECRET not in said


@pytest.mark.parametrize("name", ["SECRET_KEY", "TOKENAUTH_SECRET_KEY"])
def test_short_key_for_cookies_may_stay(name: str) -> None:
    """`os.urandom(24)` is fine there, and changing it would end all cookies."""
    older = secrets.token_bytes(24)
    said = refusal({name: older})
    assert said.startswith(f"{name} has 24 bytes; at least 32 are needed.")
    assert ("set TOKENAUTH_SECRET_KEY beside" in said) is (name == "SECRET_KEY")
    assert settings(SECRET_KEY=older, TOKENAUTH_SECRET_KEY=OURS)
    said = refusal({"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": [older]})
    assert "set TOKENAUTH_SECRET_KEY_FALLBACKS beside" in said
    found = settings(SECRET_KEY_FALLBACKS=[older], TOKENAUTH_SECRET_KEY_FALLBACKS=[])
    assert found.secret_keys == (SECRET.encode(),)


def test_key_is_bytes_that_end_like_a_line_by_chance() -> None:
    """Random bytes may: only a text is read from a file with its line end."""
    key = b"\n\xff" + secrets.token_bytes(40) + b"\n"
    assert settings(SECRET_KEY=key).secret_keys == (key,)


def test_key_may_come_from_an_environment_that_is_not_utf_8() -> None:
    """Python gives such bytes as lone surrogates."""
    key = OURS + "\udcff"
    found = settings(TOKENAUTH_SECRET_KEY=key).secret_keys
    assert found == (key.encode(errors="surrogatepass"),)


@pytest.mark.parametrize("key", ["secret" * 6, "my-super-secret-key-for-the-flask-app"])
def test_guessable_key_is_accepted_in_tests(key: str) -> None:
    """A test suite has no secrets; published keys and short ones are refused."""
    assert settings(SECRET_KEY=key, TESTING=True)
    for bad in ("short", EXAMPLE):
        assert refusal({"SECRET_KEY": bad, "TESTING": True})


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


DURATION = [
    *(-1, -0.001, timedelta(seconds=-5), math.nan, math.inf, -math.inf, True, False),
    *("900", "15 min", "", b"900", [900], {}, 10**12, 10**400, timedelta.max),
]
LIFETIME = [*DURATION, 0, 0.0, 0.5, timedelta(0), timedelta(seconds=0.9)]
COUNT = [0, -1, True, 1.5, 2**63, "5", b"5", [5], math.nan, timedelta(1)]
TEXT = ["", "  ", 5, True, b"memory://", ["memory://"], {}]
FLAG = [0, 1, "true", "False", "yes", "", []]
# For each setting: values that are refused, and words of the message.
REFUSED: dict[str, tuple[str, list[Any]]] = {
    "URL_PREFIX": (
        "'/auth'",
        [
            *TEXT,
            "auth",
            "/auth/",
            "//auth",
            "/",
            "/<a>",
            "/a/../b",
            "/.",
            "/a b",
            "/auth\n",
            "/é",
            "/\udcb3",
        ],
    ),
    "HOST": (
        "'api.example.com'",
        [
            *TEXT,
            "API.example.com",
            "http://a",
            "a/b",
            "<a>.b",
            "a b",
            "a:b",
            "a\n",
            "é",
        ],
    ),
    "HEADER": (
        "'X-Api-Token'",
        [*TEXT, "X Token", "X:", "X-Token\n", "é", "(a)", "cookie"],
    ),
    "REALM": ("printable ASCII", [*TEXT, 'a"b', "a\\b", "a\nb", "a\n", "é"]),
    "DOCS": ("true or false", FLAG),
    "ACCESS_LIFETIME": ("1 second", LIFETIME),
    "SESSION_LIFETIME": ("1 second", LIFETIME),
    "SESSION_IDLE_LIFETIME": ("1 second", LIFETIME),
    "SESSION_CHECK_LAG": ("at most 10: ", [*DURATION, 10.001, timedelta(1)]),
    "SESSION_LIMIT": ("at least 1", COUNT),
    "REFRESH_GRACE": ("from 0", DURATION),
    "CLOCK_LEEWAY": ("from 0", DURATION),
    "REFRESH_COOKIE": ("true or false", FLAG),
    "REFRESH_COOKIE_SAMESITE": ("'Strict'", [*TEXT, "strict", "none"]),
    "REFRESH_COOKIE_DOMAIN": (
        "'example.com'",
        [*TEXT, "localhost", ".example.com", "Example.com", "a.b:80", "10.0.0.1"],
    ),
    "ORIGINS": (
        '"https://app.example.com"',
        [
            *("https://a.example", 5, True, {}, [5], [""], ["*"], ["null"]),
            *(["a.example"], ["https://a.example/"], ["https://A.example"]),
            *(["https://a.example:443"], ["http://a.example:80"], ["//a.example"]),
            *(["https://*.a.example"], ["https://a@b.example"], ["https://a b"]),
        ],
    ),
    "REFRESH_OTHER_NETWORKS": ("at least 1", COUNT),
    "USERS_URL": ("not empty", TEXT),
    "SESSION_URL": ("not empty", TEXT),
    "QUERY_PARAM": ("not empty", TEXT),
    "PASSWORD_MIN_LENGTH": ("at least 1", COUNT),
    "PASSWORD_MAX_LENGTH": ("at least", [*COUNT, 7]),
    "PASSWORD_BREACH_CHECK": ("a function", ["https://", 5, True]),
    "PASSWORD_CONCURRENCY": ("at least 1", COUNT),
    "PASSWORD_UPGRADE": ("true or false", FLAG),
    "PASSWORD_VERIFIER": ("a function", ["https://", 5, True]),
    "ARGON2_MEMORY_COST": ("at least 1", COUNT),
    "ARGON2_TIME_COST": ("at least 1", COUNT),
    "ARGON2_PARALLELISM": ("at least 1", COUNT),
    "LOGIN_LIMITS": ("or a list", [*TEXT[:5], {}, [], [5], ["5 per minute", 5]]),
    "LIMITS_URL": ("not empty", TEXT),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_value_is_refused_by_name(name: str) -> None:
    """The message names the key and says what to write."""
    what_to_write, values = REFUSED[name]
    for value in values:
        said = refusal({"SECRET_KEY": SECRET, f"TOKENAUTH_{name}": value})
        assert said.startswith(f"TOKENAUTH_{name} must be "), repr(value)
        assert what_to_write in said, repr(value)


def test_a_cookie_for_other_sites_needs_their_names() -> None:
    """No page of theirs could refresh."""
    config = {"SECRET_KEY": SECRET, "TOKENAUTH_REFRESH_COOKIE": True}
    said = refusal({**config, "TOKENAUTH_REFRESH_COOKIE_SAMESITE": "None"})
    assert said.startswith("TOKENAUTH_REFRESH_COOKIE_SAMESITE")
    assert "TOKENAUTH_ORIGINS" in said


def test_origins_are_those_that_browsers_send() -> None:
    """With the ports that are not usual, of any scheme, of IPv6."""
    origins = ["https://a.example", "http://localhost:3000", "capacitor://localhost"]
    origins += ["http://[::1]:5000", "https://a.example:80"]
    found = settings(TOKENAUTH_REFRESH_COOKIE=True, TOKENAUTH_ORIGINS=origins)
    assert found.origins == (*origins,)


def test_every_setting_has_bad_values() -> None:
    """The keys have tables of their own."""
    pairs = ("SIGNING_KEY", "SIGNING_KEY_FALLBACKS", "VERIFY_KEYS")
    names = ("SECRET_KEY", "SECRET_KEY_FALLBACKS", *pairs)
    keys = {f"TOKENAUTH_{name}" for name in names}
    assert KNOWN - keys == {f"TOKENAUTH_{name}" for name in REFUSED}


DAY = 86400
CENTURY = 100 * 365 * DAY
# For each kind of setting: what is given, and what is read.
READ: list[tuple[str, Any, Any]] = [
    ("ACCESS_LIFETIME", None, 15 * 60),
    ("ACCESS_LIFETIME", 1, 1),
    ("ACCESS_LIFETIME", 2.5, 2.5),
    ("SESSION_LIFETIME", None, 30 * DAY),
    ("SESSION_LIFETIME", CENTURY, CENTURY),
    ("SESSION_IDLE_LIFETIME", None, 7 * DAY),
    ("SESSION_IDLE_LIFETIME", timedelta(minutes=5), 300),
    ("SESSION_CHECK_LAG", None, 0),
    ("SESSION_CHECK_LAG", 10, 10),
    ("REFRESH_GRACE", None, 10),
    ("REFRESH_GRACE", 0, 0),
    ("CLOCK_LEEWAY", None, 30),
    ("CLOCK_LEEWAY", timedelta(0), 0),
    ("URL_PREFIX", None, "/auth"),
    ("URL_PREFIX", "/api/v1.0", "/api/v1.0"),
    ("HOST", None, None),
    ("HOST", "api.example.com", "api.example.com"),
    ("HOST", "localhost:5000", "localhost:5000"),
    ("HOST", "[::1]:5000", "[::1]:5000"),
    ("HEADER", None, "Authorization"),
    ("HEADER", "X-Api-Token", "X-Api-Token"),
    ("DOCS", None, True),
    ("DOCS", False, False),
    ("PASSWORD_VERIFIER", None, None),
    ("PASSWORD_VERIFIER", print, print),
    ("PASSWORD_UPGRADE", None, True),
    ("PASSWORD_UPGRADE", False, False),
    ("PASSWORD_MAX_LENGTH", 8, 8),
    ("PASSWORD_BREACH_CHECK", None, None),
    ("PASSWORD_BREACH_CHECK", print, print),
    ("SESSION_LIMIT", None, 100),
    ("QUERY_PARAM", None, None),
    ("LOGIN_LIMITS", None, "30 per minute; 100 per day"),
    ("LOGIN_LIMITS", ["5 per minute", "9 per day"], "5 per minute;9 per day"),
    ("LOGIN_LIMITS", ("5 per minute",), "5 per minute"),
]


@pytest.mark.parametrize(("name", "value", "expected"), READ)
def test_good_value_is_read(name: str, value: Any, expected: Any) -> None:
    """None, and no value at all, are the default."""
    found = settings(**{f"TOKENAUTH_{name}": value})
    assert getattr(found, name.lower()) == expected
    if value is None:
        assert getattr(settings(), name.lower()) == expected


@pytest.mark.parametrize(
    ("cost", "cure"),
    [
        ({"MEMORY_COST": 19455}, "OWASP"),
        ({"TIME_COST": 1}, "OWASP"),
        ({"PARALLELISM": 65}, "at most 64"),
        ({"MEMORY_COST": 1 << 22}, "at most"),
        ({"TIME_COST": 65}, "at most"),
        ({"TIME_COST": 64}, "product"),
    ],
)
def test_cost_out_of_bounds_is_refused(cost: dict[str, int], cure: str) -> None:
    """Neither cheaper than OWASP's minimum nor more than a stored hash may cost."""
    [name] = cost
    given = {f"TOKENAUTH_ARGON2_{name}": value for name, value in cost.items()}
    said = refusal({"SECRET_KEY": SECRET, **given})
    assert f"TOKENAUTH_ARGON2_{name}" in said
    assert cure in said


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("TOKENAUTH_ACESS_LIFETIME", "TOKENAUTH_ACCESS_LIFETIME"),
        ("TOKENAUTH_SECRETKEY", "TOKENAUTH_SECRET_KEY"),
        ("TOKENAUTH_FALLBACKS", "TOKENAUTH_SECRET_KEY_FALLBACKS"),
        ("TOKENAUTH_access_lifetime", "TOKENAUTH_ACCESS_LIFETIME"),
        ("TOKENAUTH_SESSION_LIMT", "TOKENAUTH_SESSION_LIMIT"),
        ("TOKENAUTH_JWT_ALGORITHM", None),
        ("TOKENAUTH_", None),
        ("TOKENAUTH_🦊", None),
    ],
)
def test_unknown_key_is_refused_and_a_near_one_named(
    key: str, near: str | None
) -> None:
    """A typing error would leave a default in force; far names would mislead."""
    said = refusal({"SECRET_KEY": SECRET, key: None})
    cure = f"Did you mean {near}?" if near else "Remove it."
    assert said == f"{key} is unknown. {cure}"


# As the kubelet adds them for Services called flask-tokenauth and flask-tokenauth-db.
SERVICES = {
    "SERVICE_HOST": "10.3.104.46",
    "SERVICE_PORT": 80,
    "SERVICE_PORT_HTTP_ALT": 80,
    "PORT": "tcp://10.3.104.46:80",
    "PORT_80_TCP": "tcp://10.3.104.46:80",
    "PORT_80_TCP_PROTO": "tcp",
    "PORT_80_TCP_PORT": 80,
    "PORT_80_TCP_ADDR": "10.3.104.46",
    "PORT_53_UDP": "udp://10.3.104.46:53",
}


@pytest.mark.parametrize("prefix", ["TOKENAUTH_", "TOKENAUTH_DB_"])
@pytest.mark.parametrize("name", SERVICES)
def test_service_variables_of_kubernetes_are_ignored(prefix: str, name: str) -> None:
    """`from_prefixed_env` makes settings of them, and nobody chose them."""
    assert settings(**{f"{prefix}{name}": SERVICES[name]})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TOKENAUTH_PORT", 5000),
        ("TOKENAUTH_SERVICE", "x"),
        ("TOKENAUTH_SERVICE_HOSTS", "x"),
        ("TOKENAUTH_PORT_80", "x"),
    ],
)
def test_key_that_looks_like_a_service_is_refused(key: str, value: Any) -> None:
    """The pattern is no way around the check."""
    assert "unknown" in refusal({"SECRET_KEY": SECRET, key: value})


def test_misspelled_secret_key_is_named() -> None:
    """And not the key that is missing because of it."""
    said = refusal({"TOKENAUTH_SECRT_KEY": SECRET})
    assert "Did you mean TOKENAUTH_SECRET_KEY?" in said
    assert SECRET not in said


def test_keys_of_others_are_ignored() -> None:
    """Only our own prefix is looked at."""
    assert settings(TOKENAUTHX=1, tokenauth_realm=2, JWT_SECRET_KEY="x")


def test_login_disabled_is_for_tests() -> None:
    """It opens every protected view."""
    assert "TESTING" in refusal({"SECRET_KEY": SECRET, "LOGIN_DISABLED": True})
    assert settings(LOGIN_DISABLED=True, TESTING=True)
    assert settings(LOGIN_DISABLED=False)


@pytest.mark.parametrize("name", ["main", "shop.main", "a.shop.main"])
def test_realm_is_the_same_however_the_app_is_started(name: str) -> None:
    """`python -m shop.main` is called main, `flask --app shop.main` is not."""
    assert load({"SECRET_KEY": SECRET}, name).realm == "main"
    assert load({"SECRET_KEY": SECRET, "TOKENAUTH_REALM": "a.b"}, name).realm == "a.b"


def test_name_that_is_no_realm_is_refused() -> None:
    """The setting that cures it is named."""
    with pytest.raises(ConfigurationError, match="TOKENAUTH_REALM"):
        load({"SECRET_KEY": SECRET}, "café")


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
    assert is_supported(PasswordHasher(cost).dummy)


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
            {"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": f"{OLD},{OURS}"},
            "FLASK_SECRET_KEY_FALLBACKS='[\"...\"]'",
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


@pytest.mark.usefixtures("bare_environment")
def test_a_program_that_starts_without_a_key_ends_at_once() -> None:
    """What an operator sees: the name of the setting, and the command that helps."""
    command = ["--app", "tokenauth.demo:create_app", "tokenauth", "inspect", "a.b"]
    refused = subprocess.run(
        [sys.executable, "-m", "flask", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "SECRET_KEY is not set" in refused.stderr
    assert "flask tokenauth new-secret" in refused.stderr


@pytest.mark.usefixtures("bare_environment")
def test_a_new_secret_needs_no_key_and_is_one() -> None:
    """The cure works where the ailment is."""
    command = ["--app", "tokenauth.demo:create_app", "tokenauth", "new-secret"]
    made = CliRunner().invoke(FlaskGroup(), command)
    assert made.exit_code == 0
    assert settings(SECRET_KEY=made.stdout.strip())


@pytest.mark.parametrize(
    ("sessions", "limits"),
    [
        ("redis://host/1", "redis://host/1"),
        ("rediss://host/1", "rediss://host/1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis+cluster://h1,h2", "redis+cluster://h1,h2"),
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
