"""Hooks of the application: before us at the request, after us at the response."""

from __future__ import annotations

import pytest
from flask import Flask, Response, g, jsonify, make_response, request
from flask_login import current_user, login_required

from tests.harness.kit import bearer, make_users
from tests.neighbours.kit import Shop, credentials, join


def read_form(app: Flask) -> None:
    app.before_request(lambda: request.form.get("x") and None)


def read_body(app: Flask) -> None:
    app.before_request(lambda: (request.get_data(), None)[1])


def read_json(app: Flask) -> None:
    app.before_request(lambda: request.get_json(silent=True) and None)


def read_values(app: Flask) -> None:
    app.before_request(lambda: request.values.get("x") and None)


@pytest.mark.parametrize("hook", [read_form, read_body, read_json, read_values])
def test_a_body_that_a_hook_has_read_is_there_for_us(order: str, hook: object) -> None:
    """Request logs, method overrides and the like read it first."""
    assert callable(hook)
    users = make_users(alice=["introspect"])
    client = join(order, hook, users=users).app.test_client()
    login = client.post("/auth/login", json=credentials())
    assert login.status_code == 200, login.text
    tokens = login.get_json()
    headers, form = bearer(tokens["access_token"]), {"token": tokens["access_token"]}
    answer = client.post("/auth/introspect", data=form, headers=headers)
    assert answer.get_json()["active"] is True
    body = {"refresh_token": tokens["refresh_token"]}
    refreshed = client.post("/auth/refresh", json=body)
    assert refreshed.status_code == 200, refreshed.text
    form = {"token": refreshed.get_json()["access_token"]}
    assert client.post("/auth/revoke", data=form).status_code == 200
    assert client.get("/protected", headers=bearer(form["token"])).status_code == 401


# -- the last hand on a response -------------------------------------------------------


def wrap_json(app: Flask) -> None:
    """Answer each of the application's pages as {"data": ...}, in a new response."""

    @app.after_request
    def wrap(response: Response) -> Response:
        if request.path.startswith("/auth/"):
            return response
        body = jsonify(data=response.get_json(silent=True))
        return make_response(body, response.status_code)


def replace_response(app: Flask) -> None:
    """Stream what the view said, in another response."""

    @app.after_request
    def replace(response: Response) -> Response:
        if response.is_streamed or request.path.startswith("/auth/"):
            return response
        return Response(iter([response.get_data()]), response.status)


HOOKS = [wrap_json, replace_response]


@pytest.mark.parametrize("hook", HOOKS)
def test_the_use_of_a_personal_token_is_noted(order: str, hook: object) -> None:
    """The list of tokens shows it, whatever response the client got."""
    assert callable(hook)
    client = join(order, hook).app.test_client()
    login = client.post("/auth/login", json=credentials())
    headers = bearer(login.get_json()["access_token"])
    made = client.post("/auth/tokens", json={"name": "script"}, headers=headers)
    assert made.status_code in {200, 201}, made.text
    token = made.get_json()["token"]
    assert client.get("/protected", headers=bearer(token)).status_code == 200
    (listed,) = client.get("/auth/tokens", headers=headers).get_json()["tokens"]
    assert listed["last_used_at"] is not None


@pytest.mark.parametrize("hook", HOOKS)
def test_an_answer_to_a_token_in_the_url_is_not_stored(
    order: str, hook: object
) -> None:
    """RFC 6750 section 2.3, also where a hook makes a new response."""
    assert callable(hook)
    shop = join(order, hook, config={"TOKENAUTH_QUERY_PARAM": "token"})
    client = shop.app.test_client()
    answer = client.get("/protected", query_string={"token": shop.token()})
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]


# -- order of hooks --------------------------------------------------------------------


@pytest.fixture
def hooked(order: str) -> Shop:
    """An application whose hooks ask who is there."""

    def set_up(app: Flask) -> None:
        @app.before_request
        def note() -> None:
            g.before = getattr(current_user, "username", None)

        @app.after_request
        def tell(response: Response) -> Response:
            after = getattr(current_user, "username", None)
            response.headers["X-User"] = f"{g.before} {after}"
            return response

    return join(order, set_up)


def test_hooks_know_the_user(hooked: Shop) -> None:
    """Before the view and after it, by token and by cookie."""
    client = hooked.app.test_client()

    def seen(headers: dict[str, str] | None) -> str:
        return client.get("/public", headers=headers).headers["X-User"]

    assert seen(hooked.bearer()) == "alice alice"
    assert seen(bearer("abc.def")) == "None None"
    assert seen(None) == "None None"
    by_cookie = hooked.client_with_cookie("bob")
    assert by_cookie.get("/public").headers["X-User"] == "bob bob"


def test_a_login_wanted_everywhere_leaves_our_endpoints_open(order: str) -> None:
    """`before_request(login_required(...))` closes the pages, and not `/auth/login`."""

    def set_up(app: Flask) -> None:
        app.before_request(login_required(lambda: None))

    shop = join(order, set_up)
    client = shop.app.test_client()
    assert client.get("/public").status_code == 401
    login = client.post("/auth/login", json=credentials())
    assert login.status_code == 200
    tokens = login.get_json()
    body = {"refresh_token": tokens["refresh_token"]}
    refreshed = client.post("/auth/refresh", json=body)
    assert refreshed.status_code == 200
    form = {"token": refreshed.get_json()["refresh_token"]}
    assert client.post("/auth/revoke", data=form).status_code == 200
    assert client.get("/public", headers=shop.bearer()).status_code == 200
