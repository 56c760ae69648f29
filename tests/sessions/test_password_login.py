"""Logging in with a password and changing it, while something else happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.kit import (
    PASSWORDS,
    assert_problem,
    bearer,
    log_in,
    make_app,
    token_of,
)
from tests.sessions.meanwhile import Meanwhile
from tokenauth.accounts.passwords import hash_password
from tokenauth.events import Event, login_failed

DAY = 86_400
NEW = "quite another phrase"


def change_password(
    client: FlaskClient, tokens: dict[str, Any], address: str = "127.0.0.1"
) -> TestResponse:
    return client.post(
        "/auth/password",
        headers=bearer(tokens["access_token"]),
        json={"current_password": PASSWORDS["alice"], "new_password": NEW},
        environ_base={"REMOTE_ADDR": address},
    )


def is_alive(client: FlaskClient, tokens: dict[str, Any]) -> bool:
    header = bearer(tokens["access_token"])
    return client.get("/protected", headers=header).status_code == 200


def test_a_password_change_is_an_attempt_of_its_network() -> None:
    """Whoever guessed at another account there has no guess left for this one."""
    app = make_app(config={"TOKENAUTH_LOGIN_LIMITS": "2 per hour"})
    client, tokens = app.test_client(), {"access_token": token_of(app)}
    others = {"access_token": token_of(app, "bob")}
    for _ in range(2):
        assert change_password(client, others).status_code == 401
    assert_problem(change_password(client, tokens), 429, "too_many_attempts")
    assert change_password(client, tokens, "192.0.2.1").status_code == 200


def test_a_lost_scope_does_not_fail_a_password_change() -> None:
    """The new login has what is left of the old one's scopes."""
    scene = Meanwhile()
    tokens = log_in(scene.client)
    alice = scene.users.find("alice")
    assert alice is not None
    alice.scopes = frozenset({"read"})
    answer = change_password(scene.client, tokens)
    assert answer.status_code == 200
    assert answer.get_json()["scope"] == "read"


@pytest.mark.parametrize("call", ["users.set_password_hash", "sessions.add"])
@pytest.mark.parametrize("event", [Meanwhile.set_password, Meanwhile.disable])
def test_a_renewed_login_does_not_survive_what_overtook_it(
    call: str, event: Callable[[Meanwhile], None]
) -> None:
    """Whoever changed the password next was told that no login is left."""
    scene = Meanwhile()
    tokens = log_in(scene.client)
    scene.after(call, lambda: event(scene))
    answer = change_password(scene.client, tokens)
    assert_problem(answer, 401, "invalid_credentials")
    assert scene.count() == 0


@pytest.mark.parametrize(
    ("event", "reason"),
    [(Meanwhile.disable, "disabled"), (Meanwhile.remove, "unknown_id")],
)
def test_a_login_that_is_overtaken_is_announced(
    event: Callable[[Meanwhile], None], reason: str
) -> None:
    """With what happened to its user."""
    scene = Meanwhile()
    scene.after("sessions.add", lambda: event(scene))
    heard: list[Event] = []
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    with login_failed.connected_to(lambda _, event: heard.append(event)):
        answer = scene.client.post("/auth/login", json=body)
    assert_problem(answer, 401, "invalid_credentials")
    assert [(each.user_id, each.reason) for each in heard] == [("u-alice", reason)]


def test_a_password_change_that_came_too_late_ends_nothing() -> None:
    """Two clicks on one button: the first one's new login stays."""
    scene = Meanwhile()
    tokens, other = log_in(scene.client), log_in(scene.client)
    answers: list[Any] = []
    scene.after(
        "users.get",
        lambda: answers.append(change_password(scene.client, other)),
        nth=2,  # the first tells who asks
    )
    assert_problem(change_password(scene.client, tokens), 401, "invalid_credentials")
    assert is_alive(scene.client, answers[0].get_json())


def test_a_password_change_that_is_overtaken_is_announced() -> None:
    """By an operator, at the last moment: nobody's password was wrong."""
    scene = Meanwhile()
    tokens = log_in(scene.client)
    scene.after("sessions.end_all", scene.set_password)
    heard: list[Event] = []
    with login_failed.connected_to(lambda _, event: heard.append(event)):
        assert_problem(
            change_password(scene.client, tokens), 401, "invalid_credentials"
        )
    assert [(each.user_id, each.reason) for each in heard] == [("u-alice", "overtaken")]


def test_no_login_that_begins_during_a_password_change_is_left() -> None:
    """It began with the old password, after the old logins were ended."""
    scene = Meanwhile()
    tokens = log_in(scene.client)
    late: list[dict[str, Any]] = []
    scene.after("sessions.end_all", lambda: late.append(log_in(scene.client)))
    renewed = change_password(scene.client, tokens).get_json()
    assert not is_alive(scene.client, late[0])
    assert is_alive(scene.client, renewed)


def test_a_login_that_begins_during_a_reset_is_counted_with_the_others() -> None:
    """It ends like those that stood before."""
    scene = Meanwhile()
    log_in(scene.client)
    passwords = scene.app.extensions["tokenauth"].password_login
    alice = scene.users.find("alice")
    assert alice is not None
    scene.after("sessions.end_all", lambda: log_in(scene.client))
    with scene.app.app_context():
        assert passwords.set_password(alice, "quite another one") == 2
    assert scene.count() == 0


def test_a_store_that_fails_in_a_password_change_leaves_no_login() -> None:
    """Whether the password was changed nobody can tell; the old logins are gone."""
    scene = Meanwhile()
    tokens = log_in(scene.client)
    scene.after("users.set_password_hash", scene.fail)
    answer = change_password(scene.client, tokens)
    assert_problem(answer, 503, "store_unavailable")
    assert scene.count() == 0


def test_a_password_change_goes_on_as_the_same_device() -> None:
    """The new login has the old one's scopes, label and client, and no more."""
    scene = Meanwhile()
    tokens = log_in(scene.client, scope="read", label="phone")
    (before,) = scene.sessions.of_user("u-alice", kind="login")
    assert change_password(scene.client, tokens).get_json()["scope"] == "read"
    (after,) = scene.sessions.of_user("u-alice", kind="login")
    assert after.id != before.id
    assert after.scopes == {"read"}
    assert after.label == "phone"
    assert after.client == before.client is not None


def test_a_password_change_computes_two_hashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The old one and the new one: what is only looked at again costs nothing."""
    computed: list[str] = []
    for name in ("hash", "verify"):
        original = getattr(PasswordHasher, name)

        def counted(*args: Any, name: str = name, call: Any = original) -> Any:
            computed.append(name)
            return call(*args)

        monkeypatch.setattr(PasswordHasher, name, counted)
    scene = Meanwhile()
    tokens = log_in(scene.client)
    computed.clear()
    assert change_password(scene.client, tokens).status_code == 200
    assert computed == ["verify", "hash"]


def test_a_password_change_needs_its_session_to_stand() -> None:
    """It was ended while the password was checked: nothing is changed any more."""
    scene = Meanwhile()
    tokens = log_in(scene.client)
    session_id = scene.sessions.of_user("u-alice", kind="login")[0].id
    scene.after("sessions.get", lambda: scene.sessions.end(session_id))
    assert_problem(change_password(scene.client, tokens), 401, "token_revoked")
    assert log_in(scene.client)  # with the old password


def test_a_password_change_goes_on_with_an_upgraded_hash() -> None:
    """Another device logs in meanwhile, and its login stores a stronger hash."""
    scene = Meanwhile()
    tokens = log_in(scene.client)
    alice = scene.users.find("alice")
    upgraded = hash_password(PASSWORDS["alice"])
    scene.after("users.get", lambda: setattr(alice, "password_hash", upgraded), nth=2)
    assert change_password(scene.client, tokens).status_code == 200
