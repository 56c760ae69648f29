"""What users of Flask-Login write does what it says, for cookies and for tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask_login
import pytest
from flask import Flask, Request, session
from flask_login import current_user, login_required, login_user, logout_user

from tests.harness.kit import SECRET, Clock, bearer, make_users
from tests.neighbours.kit import ORDERS, Shop, credentials, join
from tokenauth import (
    ConfigurationError,
    TokenAuth,
    User,
    current_claims,
    require_scopes,
)


@pytest.fixture
def shop(clock: Clock) -> Shop:
    """An application that came from Flask-Login."""
    shop = join(ORDERS[0], lambda app: None, clock=clock)
    app = shop.app

    @app.post("/logout")
    @login_required
    def log_out() -> str:
        logout_user()
        return str(getattr(current_user, "username", "nobody"))

    return shop


def test_logout_user_ends_the_token_s_session(shop: Shop) -> None:
    """The token opens nothing afterwards, nor does its refresh token."""
    client = shop.app.test_client()
    tokens = client.post("/auth/login", json=credentials()).get_json()
    headers = bearer(tokens["access_token"])
    other = shop.bearer()
    assert client.post("/logout", headers=headers).text == "nobody"
    assert client.get("/protected", headers=headers).status_code == 401
    body = {"refresh_token": tokens["refresh_token"]}
    assert client.post("/auth/refresh", json=body).status_code == 400
    assert client.get("/protected", headers=other).status_code == 200


def test_logout_user_ends_a_cookie_s_login(shop: Shop) -> None:
    """And no token's session."""
    headers = shop.bearer()
    client = shop.client_with_cookie()
    assert client.post("/logout").text == "nobody"
    assert client.get("/protected").status_code == 401
    assert client.get("/protected", headers=headers).status_code == 200


def test_login_user_without_a_loader_raises() -> None:
    """As in Flask-Login: no request could load the user from the cookie."""
    app, users = Flask("shop"), make_users()
    app.config.update(SECRET_KEY=SECRET, TESTING=True)
    TokenAuth(app, users)
    app.post("/in")(lambda: str(login_user(users.find("alice"))))
    with pytest.raises(ConfigurationError, match="user_loader"):
        app.test_client().post("/in")


@pytest.mark.parametrize("way", ["act_by", "verify"])
def test_a_token_from_another_header_keeps_its_scopes(shop: Shop, way: str) -> None:
    """A `request_loader` that reads it gives the user, not all that the user may."""

    @shop.auth.login_manager.request_loader
    def by_key(request: Request) -> Any:
        token = request.headers.get("X-Key", "")
        if way == "act_by":
            return shop.auth.act_by(token)
        return shop.users.get(shop.auth.verify(token).subject)

    guarded = require_scopes("read")(lambda: "read")
    shop.app.get("/read", endpoint="read")(guarded)
    client = shop.app.test_client()
    assert client.get("/read", headers={"X-Key": shop.token()}).text == "read"
    narrow = shop.token(scopes=[])
    answer = client.get("/read", headers={"X-Key": narrow})
    assert (answer.status_code, answer.get_json()["code"]) == (
        403,
        "insufficient_scope",
    )


def test_a_token_that_a_user_loader_verifies_keeps_its_scopes() -> None:
    """A cookie session may hold one."""
    app, users = Flask("shop"), make_users(alice=["read"])
    app.config.update(SECRET_KEY=SECRET, TESTING=True)
    auth, alice = TokenAuth(app, users), User("alice", id="u-alice", scopes=["read"])
    app.get("/read", endpoint="read")(require_scopes("read")(lambda: "read"))

    @auth.login_manager.user_loader
    def by_id(user_id: str) -> Any:
        return users.get(auth.verify(session["token"]).subject)

    client = app.test_client()
    for scopes, status in ((["read"], 200), ([], 403)):
        with app.app_context():
            token = auth.login(alice, scopes=scopes).access_token
        with client.session_transaction() as kept:
            kept.update(_user_id="u-alice", token=token)
        assert client.get("/read").status_code == status


def test_a_token_that_a_view_verifies_is_not_the_request_s(shop: Shop) -> None:
    """Only what the `request_loader` verifies speaks for the user it returns."""

    @shop.auth.login_manager.request_loader
    def by_key(request: Request) -> Any:
        return shop.users.get(shop.auth.verify(request.headers["X-Key"]).subject)

    @shop.app.get("/scopes")
    def scopes() -> list[str]:
        assert current_user.is_authenticated
        shop.auth.verify(shop.token(scopes=[]))
        return sorted(current_claims.scopes)

    client = shop.app.test_client()
    assert client.get("/scopes", headers={"X-Key": shop.token()}).json == ["read"]


def test_a_user_of_another_kind_need_not_be_active(shop: Shop) -> None:
    """Flask-Login asks for `is_authenticated` alone."""

    class Machine:
        is_authenticated, username = True, "a machine"

        def get_id(self) -> str:
            return "machine"

    shop.auth.login_manager.request_loader(lambda _: Machine())
    answer = shop.app.test_client().get("/protected")
    assert (answer.status_code, answer.get_json()) == (200, {"user": "a machine"})


def test_login_user_in_a_token_request_is_for_that_request(shop: Shop) -> None:
    """`current_user` changes; no cookie is set, since no session is kept."""

    @shop.app.post("/become/<username>")
    def become(username: str) -> str:
        login_user(shop.users.find(username))
        return str(current_user.username)

    client = shop.app.test_client()
    answer = client.post("/become/bob", headers=shop.bearer())
    assert answer.text == "bob"
    assert "Set-Cookie" not in answer.headers
    assert client.get("/public").get_json() == {"user": None}


SIGNALS: list[tuple[str, Callable[[Any, Shop], Any]]] = [
    ("user_logged_out", lambda c, s: c.post("/logout", headers=s.bearer())),
    ("user_logged_in", lambda c, _: c.post("/cookie-login/alice")),
]


@pytest.mark.parametrize(("name", "act"), SIGNALS, ids=[name for name, _ in SIGNALS])
def test_flask_login_s_signals_are_sent(
    shop: Shop, name: str, act: Callable[[Any, Shop], Any]
) -> None:
    """Once each, from the application."""
    sent: list[object] = []

    def receive(sender: Flask, **_: object) -> None:
        sent.append(sender)

    with getattr(flask_login, name).connected_to(receive):
        act(shop.app.test_client(), shop)
    assert sent == [shop.app]
