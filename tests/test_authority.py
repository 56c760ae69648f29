"""The desk against those who are faster, later or luckier than the rules expect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.kit import (
    PASSWORDS,
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
    password_hash,
)
from tests.stores.proxy import proxied
from tokenauth import InvalidCredentialsError, MemorySessionStore, state
from tokenauth.passwords import hash_password

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
        authority = state.current().authority
        story.after("sessions.add", story.disable)
        with pytest.raises(InvalidCredentialsError):
            authority.start(alice)
    assert story.count() == 0
