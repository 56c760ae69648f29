"""Step-up: what only a login of the last minutes may do (RFC 9470)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.kit import PASSWORDS, Clock, assert_problem, bearer, log_in, make_app
from tokenauth import fresh_login_required


@pytest.fixture
def app(clock: Clock) -> Flask:
    app = make_app(clock=clock)

    @app.post("/transfer")
    @fresh_login_required(max_age=120)
    def transfer() -> str:
        return "transferred"

    @app.post("/close")
    @fresh_login_required()
    async def close() -> str:
        return "closed"

    @app.post("/now")
    @fresh_login_required(max_age=0)
    def now() -> str:
        return "now"

    return app


def test_a_fresh_login_may(client: FlaskClient, clock: Clock) -> None:
    """Up to and with the last second of the age that the view accepts."""
    headers = bearer(log_in(client)["access_token"])
    assert client.post("/transfer", headers=headers).text == "transferred"
    clock.move(120)
    assert client.post("/transfer", headers=headers).text == "transferred"
    clock.move(180)
    assert client.post("/close", headers=headers).text == "closed"


def test_an_older_login_is_told_to_log_in_again(
    client: FlaskClient, clock: Clock
) -> None:
    """401 with the challenge of RFC 9470, which names the greatest age."""
    headers = bearer(log_in(client)["access_token"])
    clock.move(121)
    refused = client.post("/transfer", headers=headers)
    assert_problem(refused, 401, "fresh_login_required")
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer realm="app", error="insufficient_user_authentication", '
        'error_description="This needs a login at most 120 seconds old: log in '
        'again.", max_age="120"'
    )
    assert client.post("/close", headers=headers).text == "closed"
    again = bearer(log_in(client)["access_token"])
    assert client.post("/transfer", headers=again).text == "transferred"


def test_the_default_is_five_minutes(client: FlaskClient, clock: Clock) -> None:
    """`@fresh_login_required()` accepts 300 seconds and not one more."""
    headers = bearer(log_in(client)["access_token"])
    clock.move(301)
    refused = client.post("/close", headers=headers)
    assert_problem(refused, 401, "fresh_login_required")
    assert 'max_age="300"' in refused.headers["WWW-Authenticate"]


def test_refreshing_does_not_make_a_login_fresh(
    client: FlaskClient, clock: Clock
) -> None:
    """Only a password does: a stolen refresh token steps up to nothing."""
    tokens = log_in(client)
    clock.move(200)
    body = {"refresh_token": tokens["refresh_token"]}
    renewed = client.post("/auth/refresh", json=body).get_json()
    headers = bearer(renewed["access_token"])
    assert_problem(
        client.post("/transfer", headers=headers), 401, "fresh_login_required"
    )
    assert client.post("/close", headers=headers).text == "closed"
    clock.move(101)
    assert_problem(client.post("/close", headers=headers), 401, "fresh_login_required")


def test_a_password_change_makes_a_login_fresh(
    client: FlaskClient, clock: Clock
) -> None:
    """The current password was proved at that moment."""
    headers = bearer(log_in(client)["access_token"])
    clock.move(600)
    body = {
        "current_password": PASSWORDS["alice"],
        "new_password": "another horse, another battery",
    }
    changed = client.post("/auth/password", json=body, headers=headers).get_json()
    headers = bearer(changed["access_token"])
    assert client.post("/transfer", headers=headers).text == "transferred"


def test_an_age_of_zero_is_this_very_second(client: FlaskClient, clock: Clock) -> None:
    """A login counts in whole seconds, however the clock ticks between them."""
    clock.move(0.9)
    headers = bearer(log_in(client)["access_token"])
    assert client.post("/now", headers=headers).text == "now"
    clock.move(0.2)
    assert_problem(client.post("/now", headers=headers), 401, "fresh_login_required")


@pytest.mark.parametrize("max_age", [-1, math.nan, None, "300", [300]])
def test_an_age_that_is_none_is_refused_at_once(max_age: Any) -> None:
    """Not with the first request."""
    with pytest.raises(ValueError, match="number of seconds"):
        fresh_login_required(max_age=max_age)


def test_a_personal_token_is_never_fresh(client: FlaskClient) -> None:
    """However old a login may be: nobody proves a password with it."""
    app = client.application
    app.post("/ever")(fresh_login_required(max_age=10**10)(lambda: "ever"))
    headers = bearer(log_in(client)["access_token"])
    made = client.post("/auth/tokens", json={"name": "script"}, headers=headers)
    assert client.post("/ever", headers=headers).text == "ever"
    refused = client.post("/ever", headers=bearer(made.get_json()["token"]))
    assert_problem(refused, 401, "fresh_login_required")


def test_without_a_token_it_is_a_missing_token(client: FlaskClient) -> None:
    """A stranger is asked to log in, not to log in again."""
    assert_problem(client.post("/transfer"), 401, "token_missing")
    bad = client.post("/transfer", headers=bearer("abc.def"))
    assert_problem(bad, 401, "token_invalid")
