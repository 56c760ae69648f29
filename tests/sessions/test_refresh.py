"""Promise 5: one use of a refresh token wins, a retry is answered, a theft ends it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from blinker import NamedSignal
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.kit import (
    SECRET,
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
)
from tests.sessions.meanwhile import Meanwhile
from tokenauth import MemorySessionStore, events
from tokenauth.events import Event
from tokenauth.sessions import refresh as rules
from tokenauth.sessions.refresh import GraceNetworks
from tokenauth.sessions.session import new_session
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


@contextmanager
def told(signal: NamedSignal, app: Flask) -> Generator[list[Event]]:
    heard: list[Event] = []
    with signal.connected_to(lambda _, event: heard.append(event), app):
        yield heard


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
    with told(events.session_revoked, app) as revoked:
        assert_problem(refresh(client, signer.issue(ahead)), 400, "invalid_grant")
    assert [event.reason for event in revoked] == ["store_set_back"]
    assert not is_alive(client, tokens)


@pytest.mark.parametrize("leeway", [0, 5, 30])
def test_a_request_that_waited_is_no_thief(leeway: int, clock: Clock) -> None:
    """Another tab rotated between its arrival and its look at the session."""
    config = {"TOKENAUTH_CLOCK_LEEWAY": leeway}
    client = make_app(clock=clock, config=config).test_client()
    first = log_in(client)
    second = refresh(client, first["refresh_token"]).get_json()
    clock.move(-0.001)
    assert (
        refresh(client, first["refresh_token"]).get_json()["refresh_token"]
        == second["refresh_token"]
    )


def test_without_a_grace_no_clock_opens_one(clock: Clock) -> None:
    """A host whose clock is behind is as strict as the others."""
    config = {"TOKENAUTH_REFRESH_GRACE": 0}
    client = make_app(clock=clock, config=config).test_client()
    clock.move(60)
    first = log_in(client)
    second = refresh(client, first["refresh_token"]).get_json()
    clock.move(-1)
    assert_problem(refresh(client, first["refresh_token"]), 400, "invalid_grant")
    assert not is_alive(client, second)


def test_a_token_of_long_ago_betrays_its_thief(
    client: FlaskClient, clock: Clock
) -> None:
    """Its own time is over, its login is not: the login ends."""
    pairs = [log_in(client)]
    for _ in range(8):
        clock.move(DAY)
        pairs.append(refresh(client, pairs[-1]["refresh_token"]).get_json())
    assert is_alive(client, pairs[-1])
    assert_problem(refresh(client, pairs[0]["refresh_token"]), 400, "invalid_grant")
    assert not is_alive(client, pairs[-1])


def test_a_retry_is_answered_although_its_token_expired_meanwhile(
    client: FlaskClient, clock: Clock
) -> None:
    """Rotated in the last second of its idle time, the answer lost."""
    first = log_in(client)
    clock.move(7 * DAY - 1)
    second = refresh(client, first["refresh_token"]).get_json()
    clock.move(2)
    assert (
        refresh(client, first["refresh_token"]).get_json()["refresh_token"]
        == second["refresh_token"]
    )


def test_a_token_from_the_future_is_refused_and_nothing_ends(
    client: FlaskClient, clock: Clock
) -> None:
    """A clock set back by an hour: nobody can tell, so nobody is accused."""
    first = log_in(client)
    clock.move(-3600)
    assert_problem(refresh(client, first["refresh_token"]), 400, "invalid_grant")
    clock.move(3600)
    assert refresh(client, first["refresh_token"]).status_code == 200


@pytest.mark.parametrize("grace", [1, 10])
def test_the_grace_is_exact(grace: int, clock: Clock) -> None:
    """A moment before its end a retry is answered, at its end it is reuse."""
    config = {"TOKENAUTH_REFRESH_GRACE": grace}
    client = make_app(clock=clock, config=config).test_client()
    first = log_in(client)
    assert refresh(client, first["refresh_token"]).status_code == 200
    clock.move(grace - 0.001)
    assert refresh(client, first["refresh_token"]).status_code == 200
    clock.move(0.001)
    assert_problem(refresh(client, first["refresh_token"]), 400, "invalid_grant")


def test_a_clock_may_be_behind_by_the_whole_leeway(
    client: FlaskClient, clock: Clock
) -> None:
    """Exactly at the leeway a retry is answered still."""
    clock.move(300)
    first = log_in(client)
    refresh(client, first["refresh_token"])
    clock.move(-30)
    assert refresh(client, first["refresh_token"]).status_code == 200


def test_no_grace_outlasts_its_login(client: FlaskClient, clock: Clock) -> None:
    """A retry in the second at which the login ends is too late."""
    pairs = [log_in(client)]
    for _ in range(5):
        clock.move(6 * DAY - 1)
        pairs.append(refresh(client, pairs[-1]["refresh_token"]).get_json())
    clock.move(4)
    assert refresh(client, pairs[-2]["refresh_token"]).status_code == 200
    clock.move(1)
    assert_problem(refresh(client, pairs[-2]["refresh_token"]), 400, "invalid_grant")


def test_a_refresh_that_another_overtook_has_the_same_successor() -> None:
    """Both looked at the session before either rotated it."""
    scene = Meanwhile()
    first = log_in(scene.client)
    answers: list[Any] = []
    scene.after(
        "sessions.get",
        lambda: answers.append(refresh(scene.client, first["refresh_token"])),
    )
    second = refresh(scene.client, first["refresh_token"]).get_json()
    assert answers[0].get_json()["refresh_token"] == second["refresh_token"]
    assert is_alive(scene.client, second)


def test_a_session_that_ended_during_a_refresh_is_not_refreshed() -> None:
    """It was ended between the look at it and its rotation."""
    scene = Meanwhile()
    token = log_in(scene.client)["refresh_token"]
    scene.after("sessions.get", lambda: scene.sessions.end_all("u-alice"))
    assert_problem(refresh(scene.client, token), 400, "invalid_grant")


def test_retries_from_another_network_end_the_session_by_a_setting(
    clock: Clock,
) -> None:
    """A thief who follows the owner within the grace, at each refresh."""
    app = make_app(clock=clock, config={"TOKENAUTH_REFRESH_OTHER_NETWORKS": 3})
    client = app.test_client()
    pair, thief = log_in(client), {"REMOTE_ADDR": "198.51.100.7"}
    for answer in (200, 200, 400):
        old = {"refresh_token": pair["refresh_token"]}
        pair = refreshed(client, pair["refresh_token"])
        with (
            told(events.refresh_repeated, app) as repeated,
            told(events.refresh_reused, app) as reused,
        ):
            assert refresh(client, old["refresh_token"]).status_code == 200  # a tab
            stolen = client.post("/auth/refresh", json=old, environ_base=thief)
        assert stolen.status_code == answer
        reasons = [None, "other_network"] if answer == 200 else [None]
        assert [event.reason for event in repeated] == reasons
        assert len(reused) == (answer == 400)
        clock.move(900)
    assert_problem(refresh(client, pair["refresh_token"]), 400, "invalid_grant")


def test_one_user_s_refreshes_do_not_limit_another() -> None:
    """They may be ten times the attempts of the shortest window."""
    client = make_app(config={"TOKENAUTH_LOGIN_LIMITS": "1 per minute"}).test_client()
    alice, bob = log_in(client, "alice"), log_in(client, "bob")
    for _ in range(10):
        alice = refreshed(client, alice["refresh_token"])
    answer = refresh(client, alice["refresh_token"])
    assert_problem(answer, 429, "too_many_attempts")
    refreshed(client, bob["refresh_token"])


def test_a_bounded_number_of_refreshes_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The latest ones; of what is forgotten no retry is of another network."""
    monkeypatch.setattr(rules, "_MOST_SESSIONS", 10)
    networks = GraceNetworks()
    sessions = [new_session("u-alice", now=0, lifetime=60) for _ in range(11)]
    for session in sessions:
        networks.note(session, "192.0.2.1")
        assert networks.retries(session, "192.0.2.1") == 0
        assert networks.retries(session, "192.0.2.2") == 1
    assert networks.retries(sessions[-1], "192.0.2.2") == 2
    assert networks.retries(sessions[0], "192.0.2.2") == 0
