"""What SECURITY.md says under "Limits" is so, and no worse."""

from __future__ import annotations

from pathlib import Path

from flask.testing import FlaskClient

from tests.harness.kit import (
    PASSWORDS,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
    password_hash,
)
from tests.stores.engines import users_at
from tokenauth import MemorySessionStore, TokenAuth, User

LIMITS = {"TOKENAUTH_LOGIN_LIMITS": "3 per minute"}


def attempt(client: FlaskClient, username: str, address: str) -> int:
    """Try a wrong password from an address; return the status."""
    body = {"username": username, "password": "wrong"}
    environ = {"REMOTE_ADDR": address}
    answer = client.post("/auth/login", json=body, environ_base=environ)
    return answer.status_code


def test_a_known_network_can_be_told_its_accounts() -> None:
    """By who has used up its budget; no other network can."""
    client = make_app(config=LIMITS).test_client()
    log_in(client)
    for address, told in (("127.0.0.1", 401), ("192.0.2.1", 429)):
        for number in range(3):
            assert attempt(client, f"eve-{number}", address) == 401
        assert attempt(client, "nobody", address) == 429
        assert attempt(client, "bob", address) == 429
        assert attempt(client, "alice", address) == told


def test_what_is_counted_in_memory_forgets_the_owner_s_network() -> None:
    """Another process, or the same after a restart, takes the owner for a stranger."""
    users, sessions = make_users(), MemorySessionStore()
    worker, other = (
        make_app(users=users, sessions=sessions, config=LIMITS).test_client()
        for _ in range(2)
    )
    log_in(worker)
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    for client, told in ((worker, 200), (other, 429)):
        for number in range(3):
            assert attempt(client, "alice", f"192.0.2.{number}") == 401
        assert client.post("/auth/login", json=body).status_code == told


def test_a_user_of_the_same_id_inherits_what_stands(tmp_path: Path) -> None:
    """Unless it was ended, as the page says."""
    users = users_at(f"sqlite:///{tmp_path}/users.sqlite3")
    app = make_app(users=users)
    auth = TokenAuth()
    client = app.test_client()

    def add() -> None:
        assert users.add(User("alice", password_hash("alice")))

    add()
    headers = bearer(log_in(client)["access_token"])
    assert users.remove("alice")
    assert_problem(client.get("/protected", headers=headers), 401, "token_revoked")
    add()
    assert client.get("/protected", headers=headers).status_code == 200
    assert users.remove("alice")
    with app.app_context():
        auth.revoke_user("alice")
    add()
    assert_problem(client.get("/protected", headers=headers), 401, "token_revoked")


def test_the_cost_of_new_hashes_is_shown() -> None:
    """To compare with that of old ones; those differ until the next login."""
    app = make_app(config={"TESTING": False})
    shown = app.test_cli_runner().invoke(args=["tokenauth", "check"]).output
    assert "password hashes" in shown
    assert "19456 KiB, 2 passes." in shown
