"""Users of another system log in with the hashes that they have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from flask import Flask
from flask_security import Security
from flask_security import hash_password as flask_security_hash

from tests.harness.guides import names_of
from tests.harness.kit import PASSWORDS, SECRET, log_in, make_app
from tokenauth import DictUserStore, User

RIGHT = PASSWORDS["alice"]


def of_flask_security(salt: str) -> str:
    app = Flask("old")
    app.config.update(SECRET_KEY=SECRET, SECURITY_PASSWORD_SALT=salt)
    Security(app, object(), register_blueprint=False)
    with app.app_context():
        return f"flask-security:{flask_security_hash(RIGHT)}"


@pytest.mark.parametrize("upgrades", [True, False])
def test_the_hashes_of_another_system_are_verified_and_replaced(upgrades: bool) -> None:
    """By the guide's function; replaced unless the application says no."""
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
