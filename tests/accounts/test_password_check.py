"""Promise 7: no answer tells whether an account exists."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask.testing import FlaskClient
from flask_login import UserMixin
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from tests.harness.kit import (
    PASSWORDS,
    USUAL_HASHING,
    assert_problem,
    bearer,
    log_in,
    make_app,
    password_hash,
    token_of,
)
from tokenauth import DictUserStore, OverloadedError, StoreUnavailableError, User
from tokenauth.accounts.hash_schemes import Argon2Cost
from tokenauth.accounts.hashing_pool import HashingPool
from tokenauth.accounts.password_check import account_of
from tokenauth.accounts.passwords import hash_password

# As a damaged, foreign or hostile table would hold them.
UNREADABLE: dict[str, Any] = {
    "greedy": "$argon2id$v=19$m=4194304,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g",
    "cut short": password_hash("alice")[:60],
    "salt too short": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaGhhc2g",
    "lanes without memory": "$argon2id$v=19$m=8,t=2,p=4$c2FsdHNhbHQ$aGFzaGhhc2g",
    "not ascii": "$argon2id$v=19$m=19456,t=2,p=1$c2Fsd\xe9NhbHQ$aGFzaGhhc2g",
    "odd scrypt": "scrypt:1000:8:1$salt$00ff",
    "idle pbkdf2": "pbkdf2:sha256:0$salt$00ff",
    "bcrypt": "$2b$12$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuvabcdefghijk",
    "clear text": PASSWORDS["alice"],
    "nothing": "",
    "bytes": password_hash("alice").encode(),
    "a number": 5,
}


class Users(DictUserStore):
    """A store with every sort of account that cannot be logged in to."""

    def __init__(self) -> None:
        self.is_down = False
        unreadable = {name: User(name) for name in UNREADABLE}
        super().__init__(
            {
                "alice": User("alice", password_hash("alice"), id="u-alice"),
                "closed": User("closed", password_hash("alice"), is_active=False),
                "keyless": User("keyless", None),
                "old": User("old", "scrypt:1024:8:1$salt$00ff"),
                "older": User("older", "pbkdf2:sha1:1000$salt$00ff"),
                **unreadable,
            }
        )
        for name, stored in UNREADABLE.items():
            unreadable[name].password_hash = stored

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        if self.is_down:
            raise StoreUnavailableError
        return super().set_password_hash(user_id, new, expected=expected)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each hash that is computed to its end, in whichever scheme."""
    computed: list[str] = []

    def note(owner: Any, name: str) -> None:
        compute = getattr(owner, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            try:
                result = compute(*args, **kwargs)
            except VerifyMismatchError:
                computed.append(name)
                raise
            computed.append(name)
            return result

        monkeypatch.setattr(owner, name, noted)

    note(PasswordHasher, "verify")
    note(PasswordHasher, "hash")
    note(hashlib, "scrypt")
    note(hashlib, "pbkdf2_hmac")
    return computed


RIGHT = PASSWORDS["alice"]
FAILURES: dict[str, tuple[str, str]] = {
    "wrong_password": ("alice", "not her password"),
    "nearly right": ("alice", RIGHT[:-1]),
    "right and more": ("alice", RIGHT + "\x00"),
    "in capitals": ("alice", RIGHT.upper()),
    "empty password": ("alice", ""),
    "long password": ("alice", "x" * 9000),
    "password of all planes": ("alice", "𝕒\U0010ffff\x00\u202e\ufeff"),
    "its hash as the password": ("alice", password_hash("alice")),
    "unknown_user": ("nobody", RIGHT),
    "disabled": ("closed", RIGHT),
    "disabled, wrong password": ("closed", "not the password"),
    "no_password": ("keyless", RIGHT),
    "no password, and none given": ("keyless", ""),
    "scrypt": ("old", "wrong"),
    "pbkdf2": ("older", "wrong"),
    **{f"stored: {name}": (name, RIGHT) for name in UNREADABLE},
    "clear text that is no hash": ("clear text", RIGHT),
    "nothing for nothing": ("nothing", ""),
    "empty name": ("", RIGHT),
    "blank name": ("  ", RIGHT),
    "name with a blank inside": ("ali ce", RIGHT),
    "longest name": ("a" * 254, RIGHT),
    "overlong name": ("a" * 255, RIGHT),
    "far too long": ("a" * 5000, RIGHT),
    "all combining marks": ("e" + "\u0301" * 2000, RIGHT),
    "NUL": ("ali\x00ce", RIGHT),
    "newline": ("ali\nce", RIGHT),
    "bidi": ("\u202ealice", RIGHT),
    "unassigned": ("\u0378", RIGHT),
    "SQL": ("' OR 1=1 --", RIGHT),
    "id instead of a name": ("u-alice", RIGHT),
}
MANY = {"TOKENAUTH_LOGIN_LIMITS": "1000 per minute"}


@pytest.fixture(scope="module")
def victim() -> FlaskClient:
    return make_app(users=Users(), config=MANY).test_client()


@pytest.fixture(scope="module")
def unknown(victim: FlaskClient) -> tuple[str, bytes, str]:
    """What a client sees that asks for an account that does not exist."""
    body = {"username": "nobody", "password": "x"}
    return seen(victim.post("/auth/login", json=body))


def seen(answer: TestResponse) -> tuple[str, bytes, str]:
    """Return all that a client sees of an answer."""
    return answer.status, answer.data, str(answer.headers)


@pytest.mark.advisory(
    "FAB CVE-2021-29621, CVE-2022-21659", "Django CVE-2016-2513, CVE-2024-39329"
)
@pytest.mark.parametrize("failure", FAILURES)
def test_every_failed_login_looks_and_costs_the_same(
    failure: str,
    hashes: list[str],
    victim: FlaskClient,
    unknown: tuple[str, bytes, str],
) -> None:
    """Status, headers and body are byte-equal, and exactly one hash is computed."""
    username, password = FAILURES[failure]
    answer = victim.post(
        "/auth/login", json={"username": username, "password": password}
    )
    assert_problem(answer, 401, "invalid_credentials")
    assert hashes == [{"old": "scrypt", "older": "pbkdf2_hmac"}.get(username, "verify")]
    assert seen(answer) == unknown


@pytest.mark.parametrize(
    "body",
    [
        b'{"username": "alice", "password": "\\ud800"}',
        b'{"username": "\\udfff", "password": "x"}',
        b'{"username": "\xed\xa0\x80", "password": "x"}',
        b'{"username": 5, "password": "x"}',
        b'{"username": "alice", "password": null}',
        b'{"username": "alice"}',
    ],
)
def test_what_cannot_be_hashed_is_not_text(
    body: bytes, hashes: list[str], victim: FlaskClient
) -> None:
    """A lone surrogate, or no text at all: refused before any account is looked at."""
    answer = victim.post("/auth/login", data=body, content_type="application/json")
    assert_problem(answer, 400, "invalid_request")
    assert hashes == []


REFUSED_CHANGES = {
    "wrong_password": ("alice", "not her password"),
    "empty password": ("alice", ""),
    "long password": ("alice", "x" * 9000),
    "no_password": ("keyless", RIGHT),
    **{f"stored: {name}": (name, RIGHT) for name in UNREADABLE},
}


@pytest.mark.parametrize("failure", REFUSED_CHANGES)
def test_every_refused_change_looks_and_costs_the_same(
    failure: str,
    hashes: list[str],
    victim: FlaskClient,
    unknown: tuple[str, bytes, str],
) -> None:
    """The second entry point to a password (CVE-2025-13473): as strict as the first."""
    username, current = REFUSED_CHANGES[failure]
    headers = bearer(token_of(victim.application, username))
    body = {"current_password": current, "new_password": "quite another phrase"}
    answer = victim.post("/auth/password", headers=headers, json=body)
    assert_problem(answer, 401, "invalid_credentials")
    assert hashes == ["verify"]
    assert seen(answer) == unknown


def test_a_disabled_user_s_token_changes_nothing_and_costs_nothing(
    hashes: list[str],
) -> None:
    """Whoever is not let in is not asked for a password either."""
    users = Users()
    client = make_app(users=users).test_client()
    headers = bearer(token_of(client.application))
    user = users.get("u-alice")
    assert user is not None
    user.is_active = False
    body = {"current_password": RIGHT, "new_password": "quite another phrase"}
    answer = client.post("/auth/password", headers=headers, json=body)
    assert_problem(answer, 401, "token_revoked")
    assert hashes == []


@pytest.mark.parametrize(
    ("username", "reason"),
    [
        ("nobody", "unknown_user"),
        ("alice", "wrong_password"),
        ("closed", "disabled"),
        ("keyless", "no_password"),
        ("greedy", "unsupported_hash"),
        ("bytes", "unsupported_hash"),
    ],
)
def test_the_operator_is_told_what_the_client_is_not(
    username: str, reason: str, victim: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """One line of the log says why."""
    caplog.set_level(logging.INFO, logger="tokenauth")
    victim.post("/auth/login", json={"username": username, "password": "wrong"})
    (record,) = caplog.records
    assert f'reason="{reason}"' in record.message
    # A name that is nobody's may be a password in the wrong field.
    assert (f'account="{username}"' in record.message) == (username != "nobody")


@pytest.mark.parametrize("spelling", ["alice", "ALICE", "Ａｌｉｃｅ", " alice\u3000"])
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
    client = make_app(users=users, config=USUAL_HASHING).test_client()
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
    users.is_down = False
    log_in(make_app(users=users).test_client())
    assert user.password_hash.startswith("$argon2id")


def test_a_busy_pool_puts_an_upgrade_off(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password was right: its login does not wait for it, and it is no event."""
    users = Users()
    user = users.get("u-alice")
    assert user is not None
    user.password_hash = generate_password_hash(PASSWORDS["alice"], "scrypt:1024:8:1")
    client = make_app(users=users).test_client()
    turns = iter([HashingPool.run])

    def run(pool: HashingPool, *args: Any, **kwargs: Any) -> Any:
        if (turn := next(turns, None)) is None:
            raise OverloadedError
        return turn(pool, *args, **kwargs)

    monkeypatch.setattr(HashingPool, "run", run)
    log_in(client)
    assert user.password_hash.startswith("scrypt")
    assert "store_failed" not in caplog.text


class ReadOnly(Users):
    """A store whose own error says what it was asked to write, as SQLAlchemy's does."""

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        raise OSError(f"read-only: {new}, {expected}")


def test_a_read_only_table_of_users_still_logs_them_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever the store raises; its words, which quote the hash, are not logged."""
    users = ReadOnly()
    user = users.get("u-alice")
    assert user is not None
    user.password_hash = generate_password_hash(PASSWORDS["alice"], "scrypt:1024:8:1")
    log_in(make_app(users=users).test_client())
    assert "A stronger password hash was not stored: OSError" in caplog.text
    assert "scrypt" not in caplog.text
    assert "$argon2id" not in caplog.text


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


def test_a_new_password_is_not_the_username_in_any_spelling() -> None:
    """Also where the name that the store holds has capitals."""
    users = DictUserStore({"Alexandra": User("Alexandra", password_hash("alice"))})
    client = make_app(users=users).test_client()
    token = token_of(client.application, "alexandra")
    answer = change(client, token, PASSWORDS["alice"], "alexandra 12")
    assert_problem(answer, 422, "password_refused")
    assert "besides the username" in answer.get_json()["detail"]


class Nameless(UserMixin):
    """A user of an application that knows people by a number alone."""

    id = "Seven"
    password_hash = None


def test_a_user_without_a_username_is_counted_by_id() -> None:
    """An application's own class of users need not have usernames."""
    assert account_of(Nameless()) == "seven"


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
