"""Promise 7: no answer tells whether an account exists."""

from __future__ import annotations

from typing import Any

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash

from tests.kit import PASSWORDS, assert_problem, bearer, log_in, make_app, password_hash
from tokenauth import DictUserStore, StoreUnavailableError, User
from tokenauth.passwords import Argon2Cost, hash_password


class Users(DictUserStore):
    """A store with every sort of account that cannot be logged in to."""

    def __init__(self) -> None:
        self.is_down = False
        super().__init__(
            {
                "alice": User("alice", password_hash("alice"), id="u-alice"),
                "closed": User("closed", password_hash("alice"), is_active=False),
                "keyless": User("keyless", None),
            }
        )
        broken = User("broken", password_hash("alice"))
        self._add("broken", broken)
        broken.password_hash = "$argon2id$v=19$m=4194304,t=3,p=4$c2FsdHNhbA$aGFzaGg"

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        if self.is_down:
            raise StoreUnavailableError
        return super().set_password_hash(user_id, new, expected=expected)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count each argon2 computation."""
    computed: list[str] = []
    verify, make = PasswordHasher.verify, PasswordHasher.hash

    def counted_verify(self: Any, *args: Any) -> Any:
        computed.append("verify")
        return verify(self, *args)

    def counted_hash(self: Any, *args: Any) -> Any:
        computed.append("hash")
        return make(self, *args)

    monkeypatch.setattr(PasswordHasher, "verify", counted_verify)
    monkeypatch.setattr(PasswordHasher, "hash", counted_hash)
    return computed


FAILURES = {
    "wrong password": ("alice", "not her password"),
    "unknown user": ("nobody", PASSWORDS["alice"]),
    "disabled": ("closed", PASSWORDS["alice"]),
    "disabled, wrong password": ("closed", "not the password"),
    "no password": ("keyless", PASSWORDS["alice"]),
    "unreadable hash": ("broken", PASSWORDS["alice"]),
    "empty name": ("", PASSWORDS["alice"]),
    "overlong name": ("a" * 5000, PASSWORDS["alice"]),
    "control characters": ("ali\x00ce", PASSWORDS["alice"]),
    "bidi": ("\u202ealice", PASSWORDS["alice"]),
    "empty password": ("alice", ""),
    "long password": ("alice", "x" * 9000),
}


def test_every_failed_login_looks_and_costs_the_same(hashes: list[str]) -> None:
    """Status, headers and body are byte-equal, and one hash is computed each time."""
    client = make_app(users=Users()).test_client()
    seen = set()
    for username, password in FAILURES.values():
        hashes.clear()
        answer = client.post(
            "/auth/login", json={"username": username, "password": password}
        )
        assert_problem(answer, 401, "invalid_credentials")
        seen.add((answer.status, answer.data, str(answer.headers)))
        assert hashes == ["verify"], username
    assert len(seen) == 1


@pytest.mark.parametrize("spelling", ["alice", "ALICE", "Ａｌｉｃｅ"])
def test_a_name_may_be_spelled_in_any_way(spelling: str, hashes: list[str]) -> None:
    """All spellings are one account; a good login costs one computation, too."""
    client = make_app(users=Users()).test_client()
    answer = client.post(
        "/auth/login", json={"username": spelling, "password": PASSWORDS["alice"]}
    )
    assert answer.status_code == 200
    assert hashes == ["verify"]


@pytest.mark.parametrize(
    "weak",
    [
        generate_password_hash(PASSWORDS["alice"], "scrypt:1024:8:1"),
        generate_password_hash(PASSWORDS["alice"], "pbkdf2:sha256:1000"),
        hash_password(PASSWORDS["alice"], Argon2Cost(memory=64, time=1)),
    ],
    ids=["scrypt", "pbkdf2", "argon2"],
)
def test_a_weak_hash_is_upgraded_at_login(weak: str) -> None:
    """Once, and the new one opens the account."""
    users = DictUserStore({"alice": User("alice", weak)})
    client = make_app(users=users).test_client()
    log_in(client)
    user = users.get("alice")
    assert user is not None
    upgraded = user.password_hash
    assert upgraded != weak
    assert upgraded is not None
    assert upgraded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    log_in(client)
    assert user.password_hash == upgraded


def test_a_failed_upgrade_does_not_fail_the_login() -> None:
    """The store cannot write: the next login tries again."""
    users = Users()
    user = users.get("u-alice")
    assert user is not None
    user.password_hash = generate_password_hash(PASSWORDS["alice"], "scrypt:1024:8:1")
    users.is_down = True
    log_in(make_app(users=users).test_client())
    assert user.password_hash.startswith("scrypt")


class ChangedMeanwhile(DictUserStore):
    """A store in which something happens between the check and the session."""

    def __init__(self, *, new: str | None, is_active: bool = True) -> None:
        super().__init__({"alice": User("alice", password_hash("alice"))})
        self.new, self.becomes_active = new, is_active

    def find(self, username: str) -> User | None:
        user = super().find(username)
        assert user is not None
        copy = User("alice", user.password_hash)
        user.password_hash, user.is_active = self.new, self.becomes_active
        return copy


@pytest.mark.parametrize(
    "users",
    [
        ChangedMeanwhile(new=password_hash("bob")),
        ChangedMeanwhile(new=None),
        ChangedMeanwhile(new=password_hash("alice"), is_active=False),
    ],
    ids=["changed", "removed", "disabled"],
)
def test_a_login_does_not_survive_a_change_made_during_it(
    users: ChangedMeanwhile,
) -> None:
    """Whoever changed the password was told that no login of the old one is left."""
    client = make_app(users=users).test_client()
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    answer = client.post("/auth/login", json=body)
    assert_problem(answer, 401, "invalid_credentials")


def test_a_login_survives_an_upgrade_made_during_it() -> None:
    """Another hash of the same password is no change of the password."""
    users = ChangedMeanwhile(new=hash_password(PASSWORDS["alice"]))
    log_in(make_app(users=users).test_client())


def change(client: FlaskClient, token: str, current: str, new: str) -> Any:
    return client.post(
        "/auth/password",
        headers=bearer(token),
        json={"current_password": current, "new_password": new},
    )


def test_a_changed_password_ends_every_login() -> None:
    """The answer holds the only tokens that still work."""
    client = make_app(users=Users()).test_client()
    first, second = log_in(client), log_in(client)
    new = "quite another phrase"
    answer = change(client, first["access_token"], PASSWORDS["alice"], new)
    assert answer.status_code == 200
    for old in (first, second):
        check = client.get("/protected", headers=bearer(old["access_token"]))
        assert_problem(check, 401, "token_revoked")
        retry = client.post(
            "/auth/refresh", json={"refresh_token": old["refresh_token"]}
        )
        assert_problem(retry, 400, "invalid_grant")
    token = answer.get_json()["access_token"]
    assert client.get("/protected", headers=bearer(token)).status_code == 200
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    assert client.post("/auth/login", json=body).status_code == 401
    body["password"] = new
    assert client.post("/auth/login", json=body).status_code == 200


def test_a_password_is_not_changed_without_the_current_one() -> None:
    """A stolen token is not enough, and nothing ends."""
    client = make_app(users=Users()).test_client()
    token = log_in(client)["access_token"]
    answer = change(client, token, "wrong", "quite another phrase")
    assert_problem(answer, 401, "invalid_credentials")
    assert client.get("/protected", headers=bearer(token)).status_code == 200


def test_a_password_that_the_policy_refuses_changes_nothing() -> None:
    """422 says which rule."""
    client = make_app(users=Users()).test_client()
    token = log_in(client)["access_token"]
    answer = change(client, token, PASSWORDS["alice"], "short")
    assert_problem(answer, 422, "password_refused")
    assert "8 characters" in answer.get_json()["detail"]
    assert client.get("/protected", headers=bearer(token)).status_code == 200


def test_of_two_changes_at_a_time_one_happens() -> None:
    """The other is told that its current password is not current any more."""

    class Overtaken(Users):
        def set_password_hash(
            self, user_id: str, new: str | None, *, expected: str | None
        ) -> bool:
            return False

    client = make_app(users=Overtaken()).test_client()
    token = log_in(client)["access_token"]
    answer = change(client, token, PASSWORDS["alice"], "quite another phrase")
    assert_problem(answer, 401, "invalid_credentials")
