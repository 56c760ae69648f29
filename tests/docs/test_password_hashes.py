"""The page "Password hashes of other frameworks": users log in with what they have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    PBKDF2PasswordHasher,
    PBKDF2SHA1PasswordHasher,
    ScryptPasswordHasher,
)
from flask import Flask
from flask_security import Security
from flask_security import hash_password as flask_security_hash
from werkzeug.security import generate_password_hash

from tests.harness.guides import names_of
from tests.harness.kit import CHEAP, PASSWORDS, SECRET, log_in, make_app
from tokenauth import DictUserStore, User, hash_password

RIGHT = PASSWORDS["alice"]


def of_flask_security(salt: str) -> str:
    app = Flask("old")
    app.config.update(SECRET_KEY=SECRET, SECURITY_PASSWORD_SALT=salt)
    app.config["SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS"] = {
        "argon2__time_cost": 1,
        "argon2__memory_cost": 32,
    }
    Security(app, object(), register_blueprint=False)
    with app.app_context():
        return f"flask-security:{flask_security_hash(RIGHT)}"


@pytest.mark.parametrize("upgrades", [True, False])
def test_the_hashes_of_another_system_are_verified_and_replaced(
    upgrades: bool,
) -> None:
    """By the page's function; replaced unless the application says no."""
    names = names_of("hashes", app=SimpleNamespace(config={}))
    user = User("alice")
    users = DictUserStore({"alice": user})
    user.password_hash = stored = of_flask_security(names["SALT"].decode())
    app = make_app(
        users=users,
        config={
            "TOKENAUTH_PASSWORD_VERIFIER": names["verify_old_hash"],
            "TOKENAUTH_PASSWORD_UPGRADE": upgrades,
        },
    )
    client = app.test_client()
    wrong = {"username": "alice", "password": "not hers"}
    assert client.post("/auth/login", json=wrong).status_code == 401
    log_in(client)
    replaced = str(user.password_hash).startswith("$argon2id$")
    assert replaced == upgrades
    assert (user.password_hash == stored) != upgrades
    assert client.post("/auth/login", json=wrong).status_code == 401
    log_in(client)


CHEAPER: dict[Any, dict[str, Any]] = {  # they take half a second each by default
    PBKDF2PasswordHasher: {"iterations": 1000},
    PBKDF2SHA1PasswordHasher: {"iterations": 1000},
    ScryptPasswordHasher: {"work_factor": 2**10},
    Argon2PasswordHasher: {"time_cost": 1, "memory_cost": 8, "parallelism": 1},
}


@pytest.mark.parametrize("hasher", CHEAPER)
def test_a_hash_of_django_s_is_rewritten(hasher: Any) -> None:
    """Each of its own classes makes one that opens the account."""
    quick = type("Quick", (hasher,), CHEAPER[hasher])()
    made = quick.encode(PASSWORDS["alice"], quick.salt())
    rewritten = names_of("django")["from_django"](made)
    log_in(make_app(users=DictUserStore({"alice": rewritten})).test_client())


def test_another_hash_of_django_s_is_not_rewritten() -> None:
    """The account gets no password."""
    assert names_of("django")["from_django"]("md5$salt$aGFzaA==") is None


@pytest.mark.parametrize("scheme", ["scrypt:1024:8:1", "pbkdf2:sha256:1000"])
def test_werkzeug_s_hashes_are_read_and_renewed(scheme: str) -> None:
    """At the next login."""
    stored = generate_password_hash(PASSWORDS["alice"], method=scheme)
    users = DictUserStore({"alice": stored})
    log_in(make_app(users=users).test_client())
    user = users.find("alice")
    assert user is not None
    assert str(user.password_hash).startswith("$argon2id$")


def test_an_argon2_hash_is_read() -> None:
    """And one of bcrypt stops a dict of users, so nobody is surprised."""
    users = DictUserStore({"alice": hash_password(PASSWORDS["alice"], CHEAP)})
    log_in(make_app(users=users).test_client())
    with pytest.raises(RuntimeError, match="no supported scheme"):
        DictUserStore({"alice": "$2b$12$" + "a" * 53})
