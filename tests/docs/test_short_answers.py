"""The short answers at the end of the guides are true."""

from __future__ import annotations

import io
import logging
import shlex
from pathlib import Path
from typing import Any, assert_type

import flask
import pytest
from flask import Flask, Response, request
from flask.cli import routes_command
from flask.testing import FlaskClient
from flask_login import current_user, login_required
from prometheus_client import CollectorRegistry, generate_latest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.security import generate_password_hash
from werkzeug.test import Client

import tokenauth
from tests.harness.guides import PAGE, block, names_of
from tests.harness.kit import (
    CHEAP,
    PASSWORDS,
    SECRET,
    assert_problem,
    bearer,
    log_in,
    make_app,
    password_hash,
    token_of,
)
from tests.stores.engines import users_at
from tokenauth import AuthError, DictUserStore, User, require_scopes
from tokenauth.accounts.passwords import hash_password
from tokenauth.metrics import export_metrics

# What the snippets leave out.
IMPORTS: dict[str, Any] = {
    **{name: getattr(flask, name) for name in ("abort", "g", "has_request_context")},
    "current_claims": tokenauth.current_claims,
    "current_user": current_user,
    "logging": logging,
    "login_required": login_required,
    "request": request,
}


def with_snippet(name: str, app: Flask | None = None) -> FlaskClient:
    """Add a snippet to the smallest application; return a client."""
    app = make_app() if app is None else app
    names_of(name, app=app, **IMPORTS)
    return app.test_client()


def test_a_blueprint_is_protected_as_a_whole() -> None:
    """Each of its views, also one that answers OPTIONS itself."""
    reports = names_of("blueprint")["reports"]

    @reports.route("/1", methods=["GET", "OPTIONS"], provide_automatic_options=False)
    def first() -> str:
        return f"for {current_user.username}"

    app = make_app()
    app.register_blueprint(reports)
    client = app.test_client()
    for method in ("GET", "OPTIONS"):
        assert_problem(client.open("/reports/1", method=method), 401, "token_missing")
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
    client = with_snippet("async")
    assert_problem(client.get("/soon"), 401, "token_missing")
    headers = bearer(token_of(client.application))
    assert client.get("/soon", headers=headers).json == {"user": "alice"}


@pytest.mark.parametrize("path", ["/protected", "/auth/login", "/auth/tokens"])
def test_a_preflight_needs_no_token(path: str) -> None:
    """And what adds the headers of CORS after a request reaches each answer."""
    app = make_app()

    @app.after_request
    def allow(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "https://app.example"
        return response

    client = app.test_client()
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert client.options(path, headers=asked).status_code == 200
    refused = client.get(path, headers=asked)
    assert refused.status_code in {401, 405}
    assert "Access-Control-Allow-Origin" in refused.headers


def test_log_lines_name_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each request the one that its token stands for."""
    text = io.StringIO()
    monkeypatch.setattr("sys.stderr", text)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    app = make_app()

    @app.get("/log")
    def log() -> str:
        logging.getLogger("shop").info("looked")
        return "looked"

    try:
        client = with_snippet("log", app)
        client.get("/log")
        client.get("/log", headers=bearer("a.b"))
        client.get("/log", headers=bearer(token_of(app)))
        client.post("/auth/login", json={"username": "alice", "password": "wrong"})
        logging.getLogger("shop").info("idle")
    finally:
        root.setLevel(level)
    lines = text.getvalue().splitlines()
    shown = [line for line in lines if line.endswith((" looked", " idle"))]
    assert shown == [
        "INFO user=- looked",
        "INFO user=- looked",
        "INFO user=u-alice looked",
        "INFO user=- idle",
    ]
    assert any("login_failed" in line and "wrong_password" in line for line in lines)


def test_failed_logins_are_counted_by_their_reason() -> None:
    """In the series that the page names."""
    app = make_app()
    registry = CollectorRegistry()
    export_metrics(app, registry)
    body = {"username": "alice", "password": "wrong"}
    app.test_client().post("/auth/login", json=body)
    series = 'tokenauth_events_total{event="login_failed",reason="wrong_password"}'
    assert series in PAGE
    assert f"{series} 1.0" in generate_latest(registry).decode()


def test_an_endpoint_can_be_left_out() -> None:
    """And no other is; `flask routes` knows its name."""
    client = with_snippet("without")
    headers = bearer(token_of(client.application))
    body = {"name": "nightly build"}
    assert client.post("/auth/tokens", json=body, headers=headers).status_code == 404
    assert client.get("/auth/tokens", headers=headers).status_code == 200
    shown = client.application.test_cli_runner().invoke(routes_command)
    assert "tokenauth.create_token" in shown.output


def test_errors_can_have_another_format() -> None:
    """Those of endpoints, decorators and missing addresses alike."""
    client = with_snippet("format")
    for answer, status, code in (
        (client.get("/protected"), 401, "token_missing"),
        (client.post("/auth/login", json={}), 400, "invalid_request"),
        (client.get("/auth/nowhere"), 404, "not_found"),
    ):
        assert answer.status_code == status
        assert answer.mimetype == "application/json"
        assert answer.json == {"error": code}
    assert "WWW-Authenticate" in client.get("/protected").headers


def test_an_error_handler_sees_only_some_errors() -> None:
    """Those of endpoints."""
    app = make_app()
    seen: list[str] = []

    @app.errorhandler(AuthError)
    def note(error: AuthError) -> tuple[str, int]:
        seen.append(error.error_code)
        return error.error_code, error.code or 500

    client = app.test_client()
    client.get("/protected")
    client.post("/auth/login", json={})
    assert seen == ["invalid_request"]


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


@pytest.mark.parametrize("scheme", ["scrypt:1024:8:1", "pbkdf2:sha256:1000"])
def test_werkzeug_s_hashes_are_read_and_renewed(scheme: str) -> None:
    """At the next login."""
    stored = generate_password_hash(PASSWORDS["alice"], method=scheme)
    users = DictUserStore({"alice": stored})
    log_in(make_app(users=users).test_client())
    user = users.find("alice")
    assert user is not None
    assert str(user.password_hash).startswith("$argon2id$")


def test_an_argon2_hash_is_read() -> None:
    """And one of bcrypt stops a dict of users, so nobody is surprised."""
    users = DictUserStore({"alice": hash_password(PASSWORDS["alice"], CHEAP)})
    log_in(make_app(users=users).test_client())
    with pytest.raises(RuntimeError, match="no supported scheme"):
        DictUserStore({"alice": "$2b$12$" + "a" * 53})


def test_the_endpoints_move() -> None:
    """With their prefix, or with the application."""
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    moved = make_app(config={"TOKENAUTH_URL_PREFIX": "/api/v1/auth"}).test_client()
    assert moved.post("/api/v1/auth/login", json=body).status_code == 200
    assert moved.post("/auth/login", json=body).status_code == 404
    mounts = DispatcherMiddleware(Flask("site"), {"/api": make_app()})
    client = Client(mounts)
    answer = client.post("/api/auth/login", json=body)
    assert answer.status_code == 200
    headers = bearer(answer.get_json()["access_token"])
    assert client.get("/api/protected", headers=headers).status_code == 200


def test_users_in_a_dict_have_scopes() -> None:
    """As many as they are given."""
    names = names_of(
        "scopes", User=User, hash_password=lambda _: password_hash("bob"), password=""
    )
    app = make_app(users=DictUserStore(names["users"]))
    body = {"username": "Ann", "password": PASSWORDS["bob"]}
    answer = app.test_client().post("/auth/login", json=body)
    assert answer.get_json()["scope"] == "orders reports:read"


def test_kept_users_have_scopes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the command line."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    url = f"sqlite:///{tmp_path}/users.sqlite3"
    users = users_at(url)
    app = make_app(users=users)
    runner = app.test_cli_runner()
    held = []
    for line in block("sh", "scopes").splitlines():
        arguments = shlex.split(line)[1:]
        result = runner.invoke(args=arguments, input="a mule at a staple\n")
        assert result.exit_code == 0, result.output
        ann = users.find("ann")
        assert isinstance(ann, User)
        held.append(ann.scopes)
    assert held == [{"reports:read", "orders"}, {"reports:read"}]
