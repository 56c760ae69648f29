"""What would not be safe stops the start, by name, and quotes no secret."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from tests.kit import SECRET, make_users
from tokenauth import TokenAuth, create_app, demo
from tokenauth.config import load
from tokenauth.errors import ConfigurationError

EXAMPLE = "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf"
BAD_KEYS: list[Any] = [
    None,
    "",
    " " * 40,
    b"",
    "short",
    "x" * 31,
    "x" * 64,
    b"\x00" * 32,
    "é" * 32,
    "x" * 40 + "\n",
    "please-Change-Me-before-production",
    EXAMPLE,
    EXAMPLE + "\n",
    "django-insecure-" + "0123456789abcdef" * 2,
    1234567890,
    True,
    [SECRET],
]


def settings(**changes: Any) -> Any:
    return load({"SECRET_KEY": SECRET, **changes}, "app")


@pytest.mark.parametrize("key", BAD_KEYS, ids=range(len(BAD_KEYS)))
@pytest.mark.parametrize("name", ["SECRET_KEY", "TOKENAUTH_SECRET_KEY"])
def test_a_weak_key_is_refused(name: str, key: Any) -> None:
    """CVE-2023-27524, CVE-2026-102266: no start with a key that anybody can guess."""
    with pytest.raises(ConfigurationError, match="SECRET_KEY") as caught:
        load({name: key}, "app")
    assert "flask auth new-secret" in str(caught.value)
    if isinstance(key, str) and key.strip():
        assert key.strip() not in str(caught.value)


@pytest.mark.parametrize("key", BAD_KEYS, ids=range(len(BAD_KEYS)))
@pytest.mark.parametrize(
    "name", ["SECRET_KEY_FALLBACKS", "TOKENAUTH_SECRET_KEY_FALLBACKS"]
)
def test_a_weak_fallback_is_refused(name: str, key: Any) -> None:
    """A token under an old key is accepted, so an old key must be as good."""
    with pytest.raises(ConfigurationError, match=rf"{name}\[1\]"):
        settings(**{name: ["o" * 16 + "l" * 16, key]})


@pytest.mark.parametrize("value", ["a text", b"bytes", {"a set"}, 5, {SECRET: 1}])
def test_fallbacks_are_a_list(value: Any) -> None:
    """A text would be read as a list of one-character keys."""
    with pytest.raises(ConfigurationError, match="must be a list"):
        settings(SECRET_KEY_FALLBACKS=value)


@pytest.mark.parametrize("start", [create_app, demo.create_app], ids=["api", "demo"])
@pytest.mark.parametrize("key", [None, "short"])
def test_every_way_of_starting_refuses_a_weak_key(
    start: Any, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The factory and the demo refuse what the extension refuses."""
    monkeypatch.delenv("FLASK_SECRET_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        start({"SECRET_KEY": key})
    app = Flask("app")
    app.config["SECRET_KEY"] = key
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        TokenAuth(app, make_users())


DURATIONS = ["ACCESS_LIFETIME", "SESSION_LIFETIME", "SESSION_IDLE_LIFETIME"]
BAD_DURATIONS: list[Any] = [
    -1,
    timedelta(seconds=-5),
    math.nan,
    math.inf,
    -math.inf,
    True,
    "900",
    "15 min",
    [900],
    10**12,
    10**400,
]


@pytest.mark.parametrize("value", [*BAD_DURATIONS, 0, 0.5, timedelta(0)], ids=str)
@pytest.mark.parametrize("name", DURATIONS)
def test_a_lifetime_is_a_positive_number_of_seconds(name: str, value: Any) -> None:
    """Nothing lives for ever, or not at all, by mistake."""
    with pytest.raises(ConfigurationError, match=f"TOKENAUTH_{name}"):
        settings(**{f"TOKENAUTH_{name}": value})


@pytest.mark.parametrize("value", BAD_DURATIONS, ids=repr)
@pytest.mark.parametrize("name", ["REFRESH_GRACE", "CLOCK_LEEWAY"])
def test_grace_and_leeway_are_numbers_of_seconds(name: str, value: Any) -> None:
    """They may be zero, and nothing worse."""
    with pytest.raises(ConfigurationError, match=f"TOKENAUTH_{name}"):
        settings(**{f"TOKENAUTH_{name}": value})
    assert settings(**{f"TOKENAUTH_{name}": 0})


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("TOKENAUTH_URL_PREFIX", "auth", "/auth"),
        ("TOKENAUTH_URL_PREFIX", "/auth/", "/auth"),
        ("TOKENAUTH_URL_PREFIX", "//auth", "/auth"),
        ("TOKENAUTH_URL_PREFIX", "", "not empty"),
        ("TOKENAUTH_URL_PREFIX", "/<auth>", "/auth"),
        ("TOKENAUTH_REALM", 'a"b', "printable"),
        ("TOKENAUTH_REALM", "a\nb", "printable"),
        ("TOKENAUTH_REALM", "é", "printable"),
        ("TOKENAUTH_REALM", 5, "text"),
        ("TOKENAUTH_QUERY_PARAM", True, "text"),
        ("TOKENAUTH_QUERY_PARAM", "", "text"),
        ("TOKENAUTH_SESSION_LIMIT", 0, "whole number"),
        ("TOKENAUTH_SESSION_LIMIT", True, "whole number"),
        ("TOKENAUTH_SESSION_LIMIT", 1.5, "whole number"),
        ("TOKENAUTH_PASSWORD_MIN_LENGTH", 0, "at least 1"),
        ("TOKENAUTH_PASSWORD_MAX_LENGTH", 7, "at least 8"),
        ("TOKENAUTH_ARGON2_MEMORY_COST", 8, "OWASP"),
        ("TOKENAUTH_ARGON2_TIME_COST", 1, "OWASP"),
        ("TOKENAUTH_ARGON2_PARALLELISM", 0, "whole number"),
        ("TOKENAUTH_ARGON2_MEMORY_COST", 1 << 22, "at most"),
        ("TOKENAUTH_ARGON2_PARALLELISM", 65, "at most 64"),
        ("TOKENAUTH_ARGON2_TIME_COST", 64, "product"),
        ("TOKENAUTH_ACESS_LIFETIME", 5, "TOKENAUTH_ACCESS_LIFETIME"),
        ("LOGIN_DISABLED", True, "TESTING"),
    ],
)
def test_a_bad_value_is_refused_by_name(key: str, value: Any, hint: str) -> None:
    """The message names the key and says what to do."""
    with pytest.raises(ConfigurationError) as caught:
        settings(**{key: value})
    assert key in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("memory", "time"), [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)]
)
def test_owasp_s_equivalents_are_accepted(memory: int, time: int) -> None:
    """OWASP Password Storage Cheat Sheet: five settings of equal strength."""
    cost = settings(
        TOKENAUTH_ARGON2_MEMORY_COST=memory, TOKENAUTH_ARGON2_TIME_COST=time
    ).argon2
    assert (cost.memory, cost.time) == (memory, time)


def test_what_is_given_is_what_holds() -> None:
    """Durations may be timedeltas; our own key goes over Flask's."""
    ours = "o" * 16 + "u" * 16
    found = settings(
        TOKENAUTH_SECRET_KEY=ours,
        TOKENAUTH_SECRET_KEY_FALLBACKS=[SECRET],
        TOKENAUTH_ACCESS_LIFETIME=timedelta(minutes=5),
        TOKENAUTH_REALM="shop",
    )
    assert found.secret_keys == (SECRET.encode(), ours.encode())
    assert found.access_lifetime == 300
    assert found.realm == "shop"
    assert settings().realm == "app"
    assert settings(LOGIN_DISABLED=True, TESTING=True)


def test_our_key_does_not_bring_flask_s_fallbacks() -> None:
    """Flask's old keys belong to Flask's key."""
    found = settings(
        TOKENAUTH_SECRET_KEY="o" * 16 + "u" * 16, SECRET_KEY_FALLBACKS=[SECRET]
    )
    assert len(found.secret_keys) == 1
