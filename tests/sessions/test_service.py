"""The desk against those who are faster, later or luckier than the rules expect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.kit import (
    PASSWORDS,
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
    password_hash,
    token_of,
)
from tests.stores.proxy import proxied
from tokenauth import InvalidCredentialsError, MemorySessionStore, StoreUnavailableError
from tokenauth.accounts.passwords import hash_password
from tokenauth.events import Event, login_failed
from tokenauth.web import state

DAY = 86_400
NEW = "quite another phrase"


def refresh(client: FlaskClient, tokens: dict[str, Any]) -> TestResponse:
    body = {"refresh_token": tokens["refresh_token"]}
    return client.post("/auth/refresh", json=body)


def change_password(client: FlaskClient, tokens: dict[str, Any]) -> TestResponse:
    return client.post(
        "/auth/password",
        headers=bearer(tokens["access_token"]),
        json={"current_password": PASSWORDS["alice"], "new_password": NEW},
    )


def is_alive(client: FlaskClient, tokens: dict[str, Any]) -> bool:
    header = bearer(tokens["access_token"])
    return client.get("/protected", headers=header).status_code == 200


class Story:
    """An application whose stores let something happen at one of their calls."""

    def __init__(self) -> None:
        self.users = make_users(alice=["read", "write"])
        self.sessions = MemorySessionStore()
        self.meanwhile: dict[str, list[Callable[[], object]]] = {}
        self.app = make_app(
            users=proxied(self.users, partial(self._around, "users")),
            sessions=proxied(self.sessions, partial(self._around, "sessions")),
        )
        self.client = self.app.test_client()

    def after(self, call: str, happens: Callable[[], object], *, nth: int = 1) -> None:
        """Let something happen once, right after the n-th such call from now."""
        self.meanwhile[call] = [lambda: None] * (nth - 1) + [happens]

    def _around(self, store: str, name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if waiting := self.meanwhile.get(f"{store}.{name}"):
            waiting.pop(0)()
        return answer

    def set_password(self) -> None:
        """Do what an operator does: change the password, then end all."""
        alice = self.users.find("alice")
        assert alice is not None
        alice.password_hash = password_hash("bob")
        self.sessions.end_all(alice.id)

    def disable(self) -> None:
        alice = self.users.find("alice")
        assert alice is not None
        alice.is_active = False
        self.sessions.end_all(alice.id)

    def fail(self) -> None:
        raise StoreUnavailableError

    def count(self) -> int:
        return len(self.sessions.of_user("u-alice", kind="login"))


@pytest.mark.parametrize("leeway", [0, 5, 30])
def test_a_request_that_waited_is_no_thief(leeway: int, clock: Clock) -> None:
    """Another tab rotated between its arrival and its look at the session."""
    config = {"TOKENAUTH_CLOCK_LEEWAY": leeway}
    client = make_app(clock=clock, config=config).test_client()
    first = log_in(client)
    second = refresh(client, first).get_json()
    clock.move(-0.001)
    assert refresh(client, first).get_json()["refresh_token"] == second["refresh_token"]


def test_without_a_grace_no_clock_opens_one(clock: Clock) -> None:
    """A host whose clock is behind is as strict as the others."""
    config = {"TOKENAUTH_REFRESH_GRACE": 0}
    client = make_app(clock=clock, config=config).test_client()
    clock.move(60)
    first = log_in(client)
    second = refresh(client, first).get_json()
    clock.move(-1)
    assert_problem(refresh(client, first), 400, "invalid_grant")
    assert not is_alive(client, second)


def test_a_token_of_long_ago_betrays_its_thief(
    client: FlaskClient, clock: Clock
) -> None:
    """Its own time is over, its login is not: the login ends."""
    pairs = [log_in(client)]
    for _ in range(8):
        clock.move(DAY)
        pairs.append(refresh(client, pairs[-1]).get_json())
    assert is_alive(client, pairs[-1])
    assert_problem(refresh(client, pairs[0]), 400, "invalid_grant")
    assert not is_alive(client, pairs[-1])


def test_a_retry_is_answered_although_its_token_expired_meanwhile(
    client: FlaskClient, clock: Clock
) -> None:
    """Rotated in the last second of its idle time, the answer lost."""
    first = log_in(client)
    clock.move(7 * DAY - 1)
    second = refresh(client, first).get_json()
    clock.move(2)
    assert refresh(client, first).get_json()["refresh_token"] == second["refresh_token"]


def test_a_token_from_the_future_is_refused_and_nothing_ends(
    client: FlaskClient, clock: Clock
) -> None:
    """A clock set back by an hour: nobody can tell, so nobody is accused."""
    first = log_in(client)
    clock.move(-3600)
    assert_problem(refresh(client, first), 400, "invalid_grant")
    clock.move(3600)
    assert refresh(client, first).status_code == 200


@pytest.mark.parametrize("grace", [1, 10])
def test_the_grace_is_exact(grace: int, clock: Clock) -> None:
    """A moment before its end a retry is answered, at its end it is reuse."""
    config = {"TOKENAUTH_REFRESH_GRACE": grace}
    client = make_app(clock=clock, config=config).test_client()
    first = log_in(client)
    assert refresh(client, first).status_code == 200
    clock.move(grace - 0.001)
    assert refresh(client, first).status_code == 200
    clock.move(0.001)
    assert_problem(refresh(client, first), 400, "invalid_grant")


def test_a_clock_may_be_behind_by_the_whole_leeway(
    client: FlaskClient, clock: Clock
) -> None:
    """Exactly at the leeway a retry is answered still."""
    clock.move(300)
    first = log_in(client)
    refresh(client, first)
    clock.move(-30)
    assert refresh(client, first).status_code == 200


def test_no_grace_outlasts_its_login(client: FlaskClient, clock: Clock) -> None:
    """A retry in the second at which the login ends is too late."""
    pairs = [log_in(client)]
    for _ in range(5):
        clock.move(6 * DAY - 1)
        pairs.append(refresh(client, pairs[-1]).get_json())
    clock.move(4)
    assert refresh(client, pairs[-2]).status_code == 200
    clock.move(1)
    assert_problem(refresh(client, pairs[-2]), 400, "invalid_grant")


def test_what_is_over_is_purged_a_few_at_a_time(app: Flask, clock: Clock) -> None:
    """At most so many as was said, and none that stands."""
    sessions = app.extensions["tokenauth"].sessions
    for _ in range(3):
        token_of(app)
    clock.move(DAY)
    token_of(app)
    clock.move(6.5 * DAY)
    purged = [sessions.purge(now=clock(), limit=2) for _ in range(3)]
    assert purged == [2, 1, 0]
    assert len(sessions.of_user("u-alice", kind="login")) == 1


def test_a_password_change_is_an_attempt_of_its_network() -> None:
    """Whoever guessed at other accounts there has no guess left for this one."""
    app = make_app(config={"TOKENAUTH_LOGIN_LIMITS": "2 per hour"})
    client, tokens = app.test_client(), {"access_token": token_of(app)}
    for name in ("eve", "mallory"):
        body = {"username": name, "password": "a wrong guess"}
        assert client.post("/auth/login", json=body).status_code == 401
    assert_problem(change_password(client, tokens), 429, "too_many_attempts")


def test_a_lost_scope_does_not_fail_a_password_change() -> None:
    """The new login has what is left of the old one's scopes."""
    story = Story()
    tokens = log_in(story.client)
    alice = story.users.find("alice")
    assert alice is not None
    alice.scopes = frozenset({"read"})
    answer = change_password(story.client, tokens)
    assert answer.status_code == 200
    assert answer.get_json()["scope"] == "read"


@pytest.mark.parametrize("call", ["users.set_password_hash", "sessions.add"])
@pytest.mark.parametrize("event", [Story.set_password, Story.disable])
def test_a_renewed_login_does_not_survive_what_overtook_it(
    call: str, event: Callable[[Story], None]
) -> None:
    """Whoever changed the password next was told that no login is left."""
    story = Story()
    tokens = log_in(story.client)
    story.after(call, lambda: event(story))
    answer = change_password(story.client, tokens)
    assert_problem(answer, 401, "invalid_credentials")
    assert story.count() == 0


def test_a_password_change_that_came_too_late_ends_nothing() -> None:
    """Two clicks on one button: the first one's new login stays."""
    story = Story()
    tokens, other = log_in(story.client), log_in(story.client)
    answers: list[Any] = []
    story.after(
        "users.get",
        lambda: answers.append(change_password(story.client, other)),
        nth=2,  # the first tells who asks
    )
    assert_problem(change_password(story.client, tokens), 401, "invalid_credentials")
    assert is_alive(story.client, answers[0].get_json())


def test_a_password_change_that_is_overtaken_is_announced() -> None:
    """By an operator, at the last moment: nobody's password was wrong."""
    story = Story()
    tokens = log_in(story.client)
    story.after("sessions.end_all", story.set_password)
    heard: list[Event] = []
    with login_failed.connected_to(lambda _, event: heard.append(event)):
        assert_problem(
            change_password(story.client, tokens), 401, "invalid_credentials"
        )
    assert [(each.user_id, each.reason) for each in heard] == [("u-alice", "overtaken")]


def test_no_login_that_begins_during_a_password_change_is_left() -> None:
    """It began with the old password, after the old logins were ended."""
    story = Story()
    tokens = log_in(story.client)
    late: list[dict[str, Any]] = []
    story.after("sessions.end_all", lambda: late.append(log_in(story.client)))
    renewed = change_password(story.client, tokens).get_json()
    assert not is_alive(story.client, late[0])
    assert is_alive(story.client, renewed)


def test_a_login_that_begins_during_a_reset_is_counted_with_the_others() -> None:
    """It ends like those that stood before."""
    story = Story()
    log_in(story.client)
    passwords = story.app.extensions["tokenauth"].password_login
    alice = story.users.find("alice")
    assert alice is not None
    story.after("sessions.end_all", lambda: log_in(story.client))
    with story.app.app_context():
        assert passwords.set_password(alice, "quite another one") == 2
    assert story.count() == 0


def test_a_store_that_fails_in_a_password_change_leaves_no_login() -> None:
    """Whether the password was changed nobody can tell; the old logins are gone."""
    story = Story()
    tokens = log_in(story.client)
    story.after("users.set_password_hash", story.fail)
    answer = change_password(story.client, tokens)
    assert_problem(answer, 503, "store_unavailable")
    assert story.count() == 0


def test_a_password_change_goes_on_as_the_same_device() -> None:
    """The new login has the old one's scopes, label and client, and no more."""
    story = Story()
    tokens = log_in(story.client, scope="read", label="phone")
    (before,) = story.sessions.of_user("u-alice", kind="login")
    assert change_password(story.client, tokens).get_json()["scope"] == "read"
    (after,) = story.sessions.of_user("u-alice", kind="login")
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
    story = Story()
    tokens = log_in(story.client)
    computed.clear()
    assert change_password(story.client, tokens).status_code == 200
    assert computed == ["verify", "hash"]


def test_a_password_change_needs_its_session_to_stand() -> None:
    """It was ended while the password was checked: nothing is changed any more."""
    story = Story()
    tokens = log_in(story.client)
    session_id = story.sessions.of_user("u-alice", kind="login")[0].id
    story.after("sessions.get", lambda: story.sessions.end(session_id))
    assert_problem(change_password(story.client, tokens), 401, "token_revoked")
    assert log_in(story.client)  # with the old password


def test_a_refresh_that_another_overtook_has_the_same_successor() -> None:
    """Both looked at the session before either rotated it."""
    story = Story()
    first = log_in(story.client)
    answers: list[Any] = []
    story.after("sessions.get", lambda: answers.append(refresh(story.client, first)))
    second = refresh(story.client, first).get_json()
    assert answers[0].get_json()["refresh_token"] == second["refresh_token"]
    assert is_alive(story.client, second)


def test_a_password_change_goes_on_with_an_upgraded_hash() -> None:
    """Another device logs in meanwhile, and its login stores a stronger hash."""
    story = Story()
    tokens = log_in(story.client)
    alice = story.users.find("alice")
    upgraded = hash_password(PASSWORDS["alice"])
    story.after("users.get", lambda: setattr(alice, "password_hash", upgraded), nth=2)
    assert change_password(story.client, tokens).status_code == 200


def test_a_login_by_the_application_does_not_survive_a_disable() -> None:
    """The application's idea of the user may be old."""
    story = Story()
    alice = story.users.find("alice")
    assert alice is not None
    with story.app.app_context():
        authority = state.current_state().service
        story.after("sessions.add", story.disable)
        with pytest.raises(InvalidCredentialsError):
            authority.start(alice)
    assert story.count() == 0
