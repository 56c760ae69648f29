"""Flask-Limiter: limits by user know the token's user, in either order of set-up."""

from __future__ import annotations

import pytest
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import current_user, login_required

from tests.neighbours.kit import Shop, credentials, join


def who() -> str:
    """Return the user's id, or the address of a stranger."""
    return current_user.get_id() or get_remote_address()


def by_address(limit: str) -> Limiter:
    """Return a limiter of all requests of an address."""
    return Limiter(get_remote_address, storage_uri="memory://", default_limits=[limit])


@pytest.fixture
def limiter() -> Limiter:
    """A limiter that counts by user."""
    return Limiter(who, storage_uri="memory://")


@pytest.fixture
def shop(order: str, limiter: Limiter) -> Shop:
    """An application with one view of two requests a minute."""

    def set_up(app: Flask) -> None:
        limiter.init_app(app)

        @app.get("/limited")
        @limiter.limit("2 per minute")
        @login_required
        def limited() -> str:
            return str(current_user.username)

    return join(order, set_up)


def test_each_user_has_an_own_limit(shop: Shop) -> None:
    """By token or by cookie: the count is the user's."""
    client, alice = shop.app.test_client(), shop.bearer()
    assert client.get("/limited", headers=alice).text == "alice"
    assert shop.client_with_cookie().get("/limited").text == "alice"
    assert client.get("/limited", headers=alice).status_code == 429
    assert client.get("/limited", headers=shop.bearer("bob")).text == "bob"


def test_a_bad_token_counts_as_a_stranger(shop: Shop) -> None:
    """It spends nobody's limit but that of its address."""
    client = shop.app.test_client()
    bad = {"Authorization": "Bearer abc.def"}
    seen = [client.get("/limited", headers=bad).status_code for _ in range(3)]
    assert seen == [401, 401, 429]
    assert client.get("/limited", headers=shop.bearer()).text == "alice"


def test_a_limit_of_the_application_holds_for_our_endpoints(order: str) -> None:
    """Default limits count logins like any request; Flask-Limiter words its 429."""
    limiter = by_address("2 per minute")
    client = join(order, limiter.init_app).app.test_client()
    seen = [client.post("/auth/login", json=credentials()) for _ in range(3)]
    assert [answer.status_code for answer in seen] == [200, 200, 429]


def test_our_own_limit_of_logins_is_independent(order: str) -> None:
    """Both count; ours answers with its problem document."""
    limiter = by_address("100 per minute")
    config = {"TOKENAUTH_LOGIN_LIMITS": "1 per hour"}
    client = join(order, limiter.init_app, config=config).app.test_client()
    wrong = {**credentials(), "password": "not this one"}
    assert client.post("/auth/login", json=wrong).status_code == 401
    answer = client.post("/auth/login", json=wrong)
    assert (answer.status_code, answer.get_json()["code"]) == (429, "too_many_attempts")
