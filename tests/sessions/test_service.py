"""Sessions that the application starts, their number, and what is left of them."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.kit import (
    PASSWORDS,
    SECRET,
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
    token_of,
)
from tests.sessions.meanwhile import Meanwhile
from tokenauth import InvalidCredentialsError, MemorySessionStore, TokenAuth
from tokenauth.events import Event, session_revoked
from tokenauth.web import state

DAY = 86_400


def refresh(client: FlaskClient, token: str) -> TestResponse:
    return client.post("/auth/refresh", json={"refresh_token": token})


def refreshed(client: FlaskClient, token: str) -> dict[str, Any]:
    answer = refresh(client, token)
    assert answer.status_code == 200, answer.text
    pair: dict[str, Any] = answer.get_json()
    return pair


def is_alive(client: FlaskClient, tokens: dict[str, Any]) -> bool:
    header = bearer(tokens["access_token"])
    return client.get("/protected", headers=header).status_code == 200


def test_a_login_by_the_application_does_not_survive_a_disable() -> None:
    """The application's idea of the user may be old."""
    scene = Meanwhile()
    alice = scene.users.find("alice")
    assert alice is not None
    with scene.app.app_context():
        service = state.current_state().service
        scene.after("sessions.add", scene.disable)
        with pytest.raises(InvalidCredentialsError):
            service.start(alice)
    assert scene.count() == 0


def test_the_oldest_session_ends_at_the_limit(clock: Clock) -> None:
    """Two at a time: the third ends the first, and the operator learns of it."""
    sessions = MemorySessionStore()
    app = make_app(
        sessions=sessions, clock=clock, config={"TOKENAUTH_SESSION_LIMIT": 2}
    )
    client = app.test_client()
    heard: list[Event] = []
    pairs, ids = [], []
    alice = app.extensions["tokenauth"].stores.users.get("u-alice")
    with app.app_context():
        for name in ("not", "counted", "here"):
            TokenAuth().create_personal_token(alice, name=name)
    with session_revoked.connected_to(lambda _, event: heard.append(event), app):
        for _ in range(3):
            clock.move(1)
            pairs.append(log_in(client))
            ids.append(sessions.of_user("u-alice", kind="login")[0].id)
    assert [is_alive(client, pair) for pair in pairs] == [False, True, True]
    ended = [(event.reason, event.session_id) for event in heard]
    assert ended == [("session_limit", ids[0])]


def test_a_pair_can_be_sent_as_json(app: Flask) -> None:
    """As a dict with the names of RFC 6749; its repr still shows nothing."""
    users = make_users()
    alice = users.find("alice")
    assert alice is not None
    with app.app_context():
        pair = TokenAuth().login(alice)
    assert json.loads(json.dumps(pair.to_dict())) == {
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": pair.refresh_token,
        "refresh_expires_in": 7 * DAY,
        "scope": "",
    }
    assert repr(pair) == "<TokenPair>"


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


def test_ended_sessions_do_not_pile_up(clock: Clock) -> None:
    """Each login drops a few that are over; what is dropped stays refused."""
    store = MemorySessionStore()
    client = make_app(sessions=store, clock=clock).test_client()
    first = log_in(client)
    log_in(client, "bob")
    clock.move(3 * DAY)
    bob = log_in(client, "bob")
    renewed = refreshed(client, first["refresh_token"])
    clock.move(5 * DAY)
    log_in(client)
    assert len(store.of_user("u-bob", kind="login")) == 1
    assert is_alive(client, refreshed(client, renewed["refresh_token"]))
    clock.move(40 * DAY)
    assert store.purge(now=clock(), limit=100) == 3
    assert store.purge(now=clock(), limit=100) == 0
    assert_problem(refresh(client, bob["refresh_token"]), 400, "invalid_grant")


def test_a_session_holds_nothing_that_logs_in(clock: Clock) -> None:
    """Promise 6: no string of a stored session is a token, or makes one."""
    store = MemorySessionStore()
    client = make_app(sessions=store, clock=clock).test_client()
    tokens = log_in(client, label="phone")
    rows = store.of_user("u-alice", kind="login")
    dump = pickle.dumps(rows)
    for secret in (*tokens.values(), PASSWORDS["alice"], SECRET):
        if isinstance(secret, str) and len(secret) > 8:
            assert secret.encode() not in dump
    for text in (rows[0].id, rows[0].user_id, "phone"):
        answer = client.get("/protected", headers=bearer(text))
        assert_problem(answer, 401, "token_invalid")
        assert_problem(refresh(client, text), 400, "invalid_grant")


@pytest.mark.advisory("DRF CVE-2026-114137")
@pytest.mark.parametrize("missing", ["end", "rotate", "touch"])
def test_a_store_says_what_was_there(missing: str) -> None:
    """Asked about a session that is gone, a store changes nothing."""
    store = MemorySessionStore()
    assert not store.end("x" * 22)
    assert store.rotate("x" * 22, 0, now=1, idle_expires_at=2) is None
    store.touch("x" * 22, now=1)
    assert store.get("x" * 22) is None
