"""The pages on protecting views and on ending sessions are true."""

from __future__ import annotations

from typing import Any, assert_type

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_login import UserMixin, current_user, login_required

from tests.harness.guides import app_of, names_of
from tests.harness.kit import (
    PASSWORDS,
    SECRET,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
    password_hash,
    token_of,
)
from tokenauth import User, require_scopes
from tokenauth.testing import frozen_clock


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)


def client_of(name: str, **given: Any) -> FlaskClient:
    """Return a client of a page's application, which may be tested."""
    app = app_of(name, **given)
    app.testing = True
    return app.test_client()


# -- protect views and blueprints ------------------------------------------------------


def test_a_blueprint_is_protected_as_a_whole() -> None:
    """Each of its views, and no preflight."""
    reports = names_of("blueprint")["reports"]

    @reports.get("/1")
    def first() -> str:
        return f"for {current_user.username}"

    app = make_app()
    app.register_blueprint(reports)
    client = app.test_client()
    assert_problem(client.get("/reports/1"), 401, "token_missing")
    assert client.options("/reports/1").status_code == 200
    headers = bearer(token_of(app))
    assert client.get("/reports/1", headers=headers).text == "for alice"


def test_a_decorator_above_the_route_protects_nothing() -> None:
    """As the page warns."""
    app = make_app()

    @login_required
    @app.get("/open")
    def bare() -> str:
        return "open"

    @app.get("/closed")
    @login_required
    def guarded() -> str:
        return "closed"

    client = app.test_client()
    assert client.get("/open").text == "open"
    assert_problem(client.get("/closed"), 401, "token_missing")


def test_a_view_may_be_async() -> None:
    """And is protected like any other."""
    app = make_app()
    names_of("async", app=app, current_user=current_user, login_required=login_required)
    client = app.test_client()
    assert_problem(client.get("/soon"), 401, "token_missing")
    headers = bearer(token_of(app))
    assert client.get("/soon", headers=headers).json == {"user": "alice"}


def test_a_login_can_be_asked_for_with_types() -> None:
    """And without a scope: of users who have none, too."""
    app = make_app()

    @require_scopes()
    def double(number: int) -> str:
        return str(2 * number)

    app.add_url_rule("/double/<int:number>", view_func=double)
    client = app.test_client()
    assert_problem(client.get("/double/4"), 401, "token_missing")
    assert client.get("/double/4", headers=bearer(token_of(app))).text == "8"
    with app.test_request_context(headers=bearer(token_of(app))):
        assert_type(double(4), str)


# -- optional login --------------------------------------------------------------------


def test_a_public_view_refuses_a_bad_token() -> None:
    """Its client learns to refresh; strangers and users are served."""
    client = client_of("optional")
    headers = bearer(log_in(client)["access_token"])
    assert client.get("/products").json == {"greeting": "Hello."}
    assert client.get("/products", headers=headers).json == {
        "greeting": "Hello, alice."
    }
    assert_problem(
        client.get("/products", headers=bearer("abc.def")), 401, "token_invalid"
    )
    with frozen_clock(client.application) as clock:
        clock.move(3600)
        refused = client.get("/products", headers=headers)
    assert_problem(refused, 401, "token_expired")
    assert client.post("/auth/logout", headers=headers).status_code == 204
    assert_problem(client.get("/products", headers=headers), 401, "token_revoked")


# -- roles and permissions -------------------------------------------------------------


def test_a_role_is_a_set_of_scopes() -> None:
    """Each member may do what the role permits."""
    hashes = {"ann_hash": password_hash("alice"), "ben_hash": password_hash("bob")}
    client = client_of("roles", **hashes)
    for name, person, status in (("Ann", "alice", 200), ("Ben", "bob", 403)):
        body = {"username": name, "password": PASSWORDS[person]}
        tokens = client.post("/auth/login", json=body).get_json()
        headers = bearer(tokens["access_token"])
        assert client.get("/orders", headers=headers).status_code == 200
        assert client.post("/refunds", headers=headers).status_code == status


def test_a_role_of_a_model_gives_its_scopes() -> None:
    """By a property."""
    given = {"UserMixin": UserMixin, "ROLES": {"support": {"orders:read"}}}
    member = names_of("role-property", **given)["Member"]
    assert member("support").scopes == {"orders:read"}


def test_a_granted_scope_needs_a_new_login() -> None:
    """Refreshing keeps the scopes; a scope that is taken away is gone at once."""
    users = make_users(alice=["orders:read"])
    app = make_app(users=users)
    for path, scope in (("refunds", "orders:refund"), ("orders", "orders:read")):
        app.add_url_rule(f"/{path}", path, require_scopes(scope)(str))
    client = app.test_client()
    tokens = log_in(client)
    alice = users.find("alice")
    assert alice is not None
    alice.scopes = frozenset({"orders:refund"})
    body = {"refresh_token": tokens["refresh_token"]}
    tokens = client.post("/auth/refresh", json=body).get_json()
    for path in ("/refunds", "/orders"):
        answer = client.get(path, headers=bearer(tokens["access_token"]))
        assert_problem(answer, 403, "insufficient_scope")
    headers = bearer(log_in(client)["access_token"])
    assert client.get("/refunds", headers=headers).status_code == 200


# -- API keys --------------------------------------------------------------------------


def test_a_key_is_made_listed_and_ended() -> None:
    """By the application, for a user who has no password."""
    users = make_users(alice=["keys:admin"], bob=["reports:read"])
    client = client_of("keys", users=users)
    app = client.application
    app.add_url_rule("/reports", view_func=require_scopes("reports:read")(str))
    headers = bearer(log_in(client)["access_token"])
    url = "/admin/keys/u-bob"
    made = client.post(url, json={"name": "backup"}, headers=headers)
    assert made.status_code == 201
    key = bearer(made.get_json()["token"])
    assert client.get("/reports", headers=key).status_code == 200
    assert client.get("/auth/sessions", headers=key).status_code == 401
    [listed] = client.get(url, headers=headers).get_json()["keys"]
    assert listed["name"] == "backup"
    end = client.delete(f"/admin/keys/{listed['id']}", headers=headers)
    assert end.status_code == 204
    assert_problem(client.get("/reports", headers=key), 401, "token_revoked")
    assert_problem(client.get(url, headers=bearer(token_of(app, "bob"))), 403, SCOPE)


SCOPE = "insufficient_scope"


def test_a_user_makes_a_key() -> None:
    """By the bodies that the page shows."""
    app = make_app(users=make_users(alice=["reports:read"]))
    client = app.test_client()
    headers = bearer(log_in(client)["access_token"])
    body = {"name": "nightly report", "scope": "reports:read", "expires_in": 7776000}
    made = client.post("/auth/tokens", json=body, headers=headers)
    assert made.status_code == 201
    key = made.get_json()
    assert client.get("/protected", headers=bearer(key["token"])).status_code == 200
    gone = client.delete(f"/auth/tokens/{key['id']}", headers=headers)
    assert gone.status_code == 204


def test_a_service_account_cannot_log_in() -> None:
    """As it has no password."""
    users = {"backup-bot": User("backup-bot", scopes="reports:read")}
    client = client_of("keys", users=users)
    body = {"username": "backup-bot", "password": ""}
    refused = client.post("/auth/login", json=body)
    assert_problem(refused, 401, "invalid_credentials")


# -- another header, a handshake -------------------------------------------------------


def test_the_token_may_be_in_another_header() -> None:
    """`Authorization` is somebody else's then."""
    client = client_of("header")
    token = log_in(client)["access_token"]
    basic = {"Authorization": "Basic c3RhZ2luZzpzdGFnaW5n"}
    for value in (f"Bearer {token}", token):
        headers = basic | {"X-Api-Token": value}
        assert client.get("/protected", headers=headers).json == {"user": "alice"}
    assert_problem(
        client.get("/protected", headers=bearer(token)), 401, "token_missing"
    )


def test_a_token_in_a_second_header_keeps_its_scopes() -> None:
    """And a bad one is refused."""
    client = client_of("second-header", users=make_users(alice=["reports:read"]))
    app = client.application
    for scopes, status in ((["reports:read"], 200), ([], 403)):
        header = {"X-API-Key": token_of(app, scopes=scopes)}
        assert client.get("/reports", headers=header).status_code == status
    bad = client.get("/reports", headers={"X-API-Key": "abc.def"})
    assert_problem(bad, 401, "token_invalid")
    assert_problem(client.get("/reports"), 401, "token_missing")


def test_a_handshake_s_token_is_acted_by() -> None:
    """In each event, until its session ends."""
    names = names_of("socketio")
    app, socketio, auth = names["app"], names["socketio"], names["auth"]
    refused = socketio.test_client(app, auth={"token": "abc.def"})
    assert not refused.is_connected()
    assert not socketio.test_client(app).is_connected()
    client = socketio.test_client(app, auth={"token": token_of(app)})
    assert client.emit("orders", callback=True) == {"orders of": "alice"}
    with app.app_context():
        assert auth.revoke_user("u-alice") == 1
    assert client.emit("orders", callback=True) == {"error": "token_revoked"}
    client.disconnect()
    assert names["tokens"] == {}


# -- CORS ------------------------------------------------------------------------------


def test_another_origin_sends_tokens_and_reads_errors() -> None:
    """By the page's lines."""
    client = client_of("cors")
    origin = {"Origin": "https://app.example"}
    asked = origin | {"Access-Control-Request-Method": "GET"}
    assert client.options("/protected", headers=asked).status_code == 200
    refused = client.get("/protected", headers=origin)
    assert_problem(refused, 401, "token_missing")
    assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "WWW-Authenticate" in refused.headers["Access-Control-Expose-Headers"]
    headers = origin | bearer(log_in(client)["access_token"])
    assert client.get("/protected", headers=headers).json == {"user": "alice"}


# -- revoke, log out everywhere --------------------------------------------------------


@pytest.fixture
def shop() -> Flask:
    """The page's application; alice may manage sessions."""
    return client_of("revoke", users=make_users(alice=["sessions:admin"])).application


def test_the_application_ends_the_session_of_the_request(shop: Flask) -> None:
    """`auth.logout()` is enough."""
    client = shop.test_client()
    headers = bearer(log_in(client)["access_token"])
    assert client.post("/logout", headers=headers).status_code == 204
    assert_problem(client.post("/logout", headers=headers), 401, "token_revoked")


def test_an_administrator_ends_sessions(shop: Flask) -> None:
    """One from the list, one by a token that leaked."""
    client = shop.test_client()
    headers = bearer(log_in(client)["access_token"])
    listed, leaked = (log_in(client, "bob")["access_token"] for _ in "ab")
    url = "/admin/users/u-bob/sessions"
    sessions = client.get(url, headers=headers).get_json()["sessions"]
    assert [s["client"].startswith("Werkzeug") for s in sessions] == [True, True]
    body = {"token": leaked}
    answer = client.post("/admin/revoke", json=body, headers=headers)
    assert answer.json == {"ended": True}
    [last] = client.get(url, headers=headers).get_json()["sessions"]
    answer = client.delete(f"/admin/sessions/{last['id']}", headers=headers)
    assert answer.json == {"ended": True}
    for token in (listed, leaked):
        refused = client.get("/auth/me", headers=bearer(token))
        assert_problem(refused, 401, "token_revoked")


def test_a_user_logs_out_everywhere() -> None:
    """Sessions and personal access tokens end; other users' stay."""
    closed: list[str] = []
    client = client_of("everywhere", close=closed.append)
    tokens = [log_in(client)["access_token"] for _ in "ab"]
    other = bearer(log_in(client, "bob")["access_token"])
    headers = bearer(tokens[0])
    body = {"name": "key"}
    key = client.post("/auth/tokens", json=body, headers=headers).get_json()["token"]
    url = "/account/log-out-everywhere"
    assert client.post(url, headers=headers).json == {"ended": 3}
    for token in (*tokens, key):
        refused = client.get("/auth/me", headers=bearer(token))
        assert_problem(refused, 401, "token_revoked")
    assert client.get("/auth/me", headers=other).status_code == 200
    assert client.delete("/account", headers=other).status_code == 204
    assert closed == ["u-bob"]
