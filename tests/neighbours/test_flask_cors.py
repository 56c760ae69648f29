"""Flask-CORS: a preflight carries no token, and browsers read our refusals."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_cors import CORS, cross_origin
from flask_login import login_required

from tests.neighbours.kit import Shop, credentials, join
from tokenauth import fresh_login_required, require_scopes

ORIGIN = "https://app.example"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization",
}
GUARDS = {
    "login_required": login_required,
    "require_scopes": require_scopes("read"),
    "fresh_login_required": fresh_login_required(max_age=60),
}


def needs_cross_origin() -> None:
    """Skip where Flask-CORS' decorator fails on this Flask, without us, too."""
    app = Flask("alone")
    app.get("/orders")(cross_origin()(lambda: "orders"))
    app.logger.disabled = True
    if app.test_client().options("/orders", headers=PREFLIGHT).status_code != 200:
        pytest.skip("cross_origin() fails on this Flask")


def join_app_wide(order: str) -> Shop:
    return join(order, lambda app: CORS(app, origins=[ORIGIN]))


def allowed_origin(answer: Any) -> str | None:
    value: str | None = answer.headers.get("Access-Control-Allow-Origin")
    return value


@pytest.mark.parametrize("guard", GUARDS)
def test_cross_origin_over_a_guard_answers_the_preflight(
    order: str, guard: str
) -> None:
    """As with plain Flask-Login; the request itself needs the token."""

    needs_cross_origin()

    def set_up(app: Flask) -> None:
        view = cross_origin(origins=[ORIGIN])(GUARDS[guard](lambda: "orders"))
        app.get("/orders")(view)

    shop = join(order, set_up)
    client = shop.app.test_client()
    preflight = client.options("/orders", headers=PREFLIGHT)
    assert (preflight.status_code, allowed_origin(preflight)) == (200, ORIGIN)
    assert client.get("/orders", headers={"Origin": ORIGIN}).status_code == 401
    headers = {"Origin": ORIGIN, **shop.bearer()}
    if guard != "fresh_login_required":
        answer = client.get("/orders", headers=headers)
        assert (answer.text, allowed_origin(answer)) == ("orders", ORIGIN)


def test_login_required_over_cross_origin_answers_the_preflight(order: str) -> None:
    """Flask-Login lets OPTIONS pass, to whoever answers it."""

    needs_cross_origin()

    def set_up(app: Flask) -> None:
        view = login_required(cross_origin(origins=[ORIGIN])(lambda: "orders"))
        app.get("/orders")(view)

    client = join(order, set_up).app.test_client()
    preflight = client.options("/orders", headers=PREFLIGHT)
    assert (preflight.status_code, allowed_origin(preflight)) == (200, ORIGIN)
    assert client.get("/orders").status_code == 401


@pytest.mark.parametrize("path", ["/protected", "/public", "/auth/login", "/auth/me"])
def test_every_preflight_of_an_open_application_is_answered(
    order: str, path: str
) -> None:
    """`CORS(app)` covers its views and our endpoints."""
    client = join_app_wide(order).app.test_client()
    answer = client.options(path, headers=PREFLIGHT)
    assert (answer.status_code, allowed_origin(answer)) == (200, ORIGIN)
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
    foreign = {**PREFLIGHT, "Origin": "https://elsewhere.example"}
    assert allowed_origin(client.options(path, headers=foreign)) is None


def test_a_browser_may_read_what_we_refuse(order: str) -> None:
    """Our errors carry the header like other answers, in either order."""
    shop = join_app_wide(order)
    client, headers = shop.app.test_client(), {"Origin": ORIGIN}
    answers = {
        "protected": client.get("/protected", headers=headers),
        "me": client.get("/auth/me", headers=headers),
        "nowhere": client.get("/auth/nowhere", headers=headers),
        "login": client.post("/auth/login", json={}, headers=headers),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "protected": 401,
        "me": 401,
        "nowhere": 404,
        "login": 400,
    }
    assert {allowed_origin(answer) for answer in answers.values()} == {ORIGIN}


def test_a_login_from_another_origin(order: str) -> None:
    """The whole way of a single-page application."""
    client = join_app_wide(order).app.test_client()
    origin = {"Origin": ORIGIN}
    login = client.post("/auth/login", json=credentials(), headers=origin)
    assert allowed_origin(login) == ORIGIN
    token = login.get_json()["access_token"]
    headers = {**origin, "Authorization": f"Bearer {token}"}
    answer = client.get("/protected", headers=headers)
    assert (answer.get_json(), allowed_origin(answer)) == ({"user": "alice"}, ORIGIN)
