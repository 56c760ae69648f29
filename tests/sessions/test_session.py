"""Promise 5: the rules of refreshing, with the clock in hand."""

from __future__ import annotations

import pickle
import threading
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
)
from tokenauth import MemorySessionStore
from tokenauth.tokens.claims import RefreshClaims
from tokenauth.tokens.signing import REFRESH, TokenSigner

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


def test_a_refresh_token_is_traded_for_the_next_pair(client: FlaskClient) -> None:
    """Both tokens are new, and the new ones work."""
    first = log_in(client)
    second = refreshed(client, first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert is_alive(client, second)
    assert is_alive(client, refreshed(client, second["refresh_token"]))


@pytest.mark.advisory("auth-js #213, #1901, #2136")
def test_a_retry_in_the_grace_gets_the_same_successor(
    client: FlaskClient, clock: Clock
) -> None:
    """Two tabs, or a lost answer: nobody is logged out, and no second branch grows."""
    first = log_in(client)
    second = refreshed(client, first["refresh_token"])
    clock.move(9.9)
    again = refreshed(client, first["refresh_token"])
    assert again["refresh_token"] == second["refresh_token"]
    assert is_alive(client, again)


def test_a_reuse_after_the_grace_ends_the_login(
    client: FlaskClient, clock: Clock
) -> None:
    """A thief or the owner: one of them holds a stolen token, so all of them end."""
    first = log_in(client)
    second = refreshed(client, first["refresh_token"])
    clock.move(10)
    assert_problem(refresh(client, first["refresh_token"]), 400, "invalid_grant")
    assert not is_alive(client, second)
    assert_problem(refresh(client, second["refresh_token"]), 400, "invalid_grant")


@pytest.mark.advisory("auth-js #213, #1901, #2136")
def test_a_grandparent_is_reuse_even_within_the_grace(client: FlaskClient) -> None:
    """Only the direct predecessor can be an honest retry."""
    first = log_in(client)
    second = refreshed(client, first["refresh_token"])
    third = refreshed(client, second["refresh_token"])
    assert_problem(refresh(client, first["refresh_token"]), 400, "invalid_grant")
    assert not is_alive(client, third)


@pytest.mark.advisory("Keycloak #50999")
def test_twenty_rotations_in_one_second_are_told_apart(client: FlaskClient) -> None:
    """Order is counted, not judged by the clock (Keycloak #50999)."""
    tokens = [log_in(client)]
    for _ in range(20):
        tokens.append(refreshed(client, tokens[-1]["refresh_token"]))
    assert len({pair["refresh_token"] for pair in tokens}) == 21
    assert_problem(refresh(client, tokens[5]["refresh_token"]), 400, "invalid_grant")
    assert not is_alive(client, tokens[-1])


def test_without_a_grace_every_reuse_ends_the_login(clock: Clock) -> None:
    """The strictest setting is possible."""
    app = make_app(clock=clock, config={"TOKENAUTH_REFRESH_GRACE": 0})
    client = app.test_client()
    first = log_in(client)
    second = refreshed(client, first["refresh_token"])
    assert_problem(refresh(client, first["refresh_token"]), 400, "invalid_grant")
    assert not is_alive(client, second)


def test_a_clock_set_back_does_not_open_the_grace(
    client: FlaskClient, clock: Clock
) -> None:
    """Hosts' clocks may differ by the leeway, and by no more."""
    first = log_in(client)
    clock.move(300)
    refreshed(client, first["refresh_token"])
    clock.move(-31)
    assert_problem(refresh(client, first["refresh_token"]), 400, "invalid_grant")


@pytest.mark.advisory("Keycloak CVE-2026-1035")
def test_fifty_threads_rotate_once(clock: Clock) -> None:
    """One winner; all others get the same successor."""
    app = make_app(clock=clock)
    token = log_in(app.test_client())["refresh_token"]
    barrier = threading.Barrier(50)
    answers: list[Any] = []

    def use() -> None:
        client = app.test_client()
        barrier.wait()
        answers.append(refreshed(client, token)["refresh_token"])

    threads = [threading.Thread(target=use) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50
    assert len(set(answers)) == 1


def test_a_login_ends_when_it_is_idle(client: FlaskClient, clock: Clock) -> None:
    """Seven days without a refresh; using a token does not slide that."""
    first = log_in(client)
    clock.move(7 * DAY - 1)
    second = refreshed(client, first["refresh_token"])
    clock.move(7 * DAY)
    assert_problem(refresh(client, second["refresh_token"]), 400, "invalid_grant")


@pytest.mark.advisory("knox #311")
def test_a_login_ends_absolutely(client: FlaskClient, clock: Clock) -> None:
    """Refreshed every day, it ends after thirty: sliding never passes the end."""
    pair = log_in(client)
    for day in range(1, 30):
        clock.move(DAY)
        pair = refreshed(client, pair["refresh_token"])
        assert pair["refresh_expires_in"] == min(7, 30 - day) * DAY
    clock.move(DAY - 1)
    last = refreshed(client, pair["refresh_token"])
    assert last["expires_in"] == 1
    clock.move(1)
    assert not is_alive(client, last)
    assert_problem(refresh(client, last["refresh_token"]), 400, "invalid_grant")


@pytest.mark.advisory("Flask-JWT-Extended 4.4.0 (#483)")
def test_an_access_token_is_no_refresh_token(client: FlaskClient) -> None:
    """Neither is the other (Flask-JWT-Extended #483)."""
    tokens = log_in(client)
    assert_problem(refresh(client, tokens["access_token"]), 400, "invalid_grant")
    header = bearer(tokens["refresh_token"])
    assert_problem(client.get("/protected", headers=header), 401, "token_invalid")


def test_a_user_who_is_gone_cannot_refresh(clock: Clock) -> None:
    """Disabled: neither token works."""
    users = make_users()
    client = make_app(users=users, clock=clock).test_client()
    tokens = log_in(client)
    alice = users.get("u-alice")
    assert alice is not None
    alice.is_active = False
    assert_problem(refresh(client, tokens["refresh_token"]), 400, "invalid_grant")
    header = bearer(tokens["access_token"])
    assert_problem(client.get("/protected", headers=header), 401, "token_revoked")


def test_a_rotation_of_keys_logs_nobody_out(clock: Clock) -> None:
    """The successor is signed with the newest key; a retired key is dead."""
    store, users, new = MemorySessionStore(), make_users(), "n" * 20 + "k" * 20

    def client(**keys: Any) -> FlaskClient:
        return make_app(
            users=users, sessions=store, clock=clock, config=keys
        ).test_client()

    tokens = log_in(client())
    during = client(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[SECRET])
    assert is_alive(during, tokens)
    renewed = refreshed(during, tokens["refresh_token"])
    after = client(SECRET_KEY=new)
    assert is_alive(after, renewed)
    assert not is_alive(after, tokens)
    assert is_alive(after, refreshed(after, renewed["refresh_token"]))


def test_a_token_of_a_generation_to_come_ends_the_login(app: Flask) -> None:
    """The store was set back: nobody can tell who is honest."""
    client = app.test_client()
    tokens = log_in(client)
    signer = TokenSigner(
        (SECRET.encode(),), purpose=REFRESH, realm="app", claims_type=RefreshClaims
    )
    claims = signer.read(tokens["refresh_token"])
    ahead = RefreshClaims(
        claims.subject,
        claims.session_id,
        claims.issued_at,
        claims.expires_at,
        claims.authenticated_at,
        claims.scopes,
        generation=1,
    )
    assert_problem(refresh(client, signer.issue(ahead)), 400, "invalid_grant")
    assert not is_alive(client, tokens)


def test_the_oldest_login_ends_at_the_limit(clock: Clock) -> None:
    """Two at a time: the third ends the first."""
    app = make_app(clock=clock, config={"TOKENAUTH_SESSION_LIMIT": 2})
    client = app.test_client()
    pairs = []
    for _ in range(3):
        clock.move(1)
        pairs.append(log_in(client))
    assert [is_alive(client, pair) for pair in pairs] == [False, True, True]


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
