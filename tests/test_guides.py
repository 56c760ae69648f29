"""The guides in tokenauth/docs/guides.md run, with the real packages."""

from __future__ import annotations

import warnings
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token

from tests.guides import app_of
from tests.kit import PASSWORDS, SECRET, assert_problem, bearer, log_in, make_users

OLD_KEY = "old-jwt-key-" + "0123456789abcdef" * 2


def run(name: str, monkeypatch: pytest.MonkeyPatch, **given: Any) -> FlaskClient:
    """Run a guide's snippet; return a client of its application."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    return app_of(name, **given).test_client()


def test_cookie_logins_work_beside_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cookie's user without a token, the token's user with one."""
    client = run(
        "cookies",
        monkeypatch,
        check_form=lambda form: form["password"] == PASSWORDS[form["username"]],
    )
    page = client.get("/profile", headers={"Accept": "text/html"})
    assert page.status_code == 302
    assert page.location.startswith("/login")
    form = {"username": "alice", "password": PASSWORDS["alice"]}
    assert client.post("/login", data=form).status_code == 302
    assert client.get("/profile").json == {"user": "alice"}
    token = log_in(client, "bob")["access_token"]
    assert client.get("/profile", headers=bearer(token)).json == {"user": "bob"}
    bad = client.get("/profile", headers=bearer(token + "A"))
    assert_problem(bad, 401, "token_invalid")


def test_a_token_needs_no_csrf_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie does, and a bad token does not help it; logging in needs none."""
    users = make_users()
    client = run("wtf", monkeypatch, users=users)
    manager: Any = client.application.login_manager  # type: ignore[attr-defined]
    manager.user_loader(users.get)
    with client.session_transaction() as session:
        session["_user_id"] = "u-alice"
    for headers in ({}, bearer("abc.def")):
        refused = client.post("/order", headers=headers)
        assert (refused.status_code, "CSRF" in refused.text) == (400, True)
    headers = bearer(log_in(client, "bob")["access_token"])
    assert client.post("/order", headers=headers).json == {"user": "bob"}


def test_flask_admin_lets_only_users_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its views ask `current_user`; who is nobody gets the challenge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Flask-Admin's own imports
        client = run("admin", monkeypatch)
    assert_problem(client.get("/admin/"), 401, "token_missing")
    token = log_in(client)["access_token"]
    assert client.get("/admin/", headers=bearer(token)).status_code == 200


@pytest.mark.parametrize("name", ["apiflask", "restx"])
def test_a_view_of_another_framework_is_protected(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 401 stays a 401 with its challenge, and a token opens the view."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the frameworks' own imports
        client = run(name, monkeypatch)
    answer = client.get("/protected")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer realm=")
    assert answer.get_json()["code"] == "token_missing"
    token = log_in(client)["access_token"]
    assert client.get("/protected", headers=bearer(token)).json == {"user": "alice"}


def test_an_address_counts_only_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One proxy is trusted: the last entry counts, whatever a client adds before."""
    client = run("nginx", monkeypatch)
    header = {"X-Forwarded-For": "6.6.6.6, 192.0.2.7"}
    assert client.get("/address", headers=header).json == {"address": "192.0.2.7"}


def test_old_jwts_are_accepted_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens made by the real Flask-JWT-Extended, beside ours; refresh tokens not."""
    old = Flask("old")
    old.config["JWT_SECRET_KEY"] = OLD_KEY
    JWTManager(old)
    with old.test_request_context():
        access = create_access_token("u-bob")
        refresh = create_refresh_token("u-bob")
    monkeypatch.setenv("FLASK_JWT_SECRET_KEY", OLD_KEY)
    client = run("jwt", monkeypatch)
    assert client.get("/protected", headers=bearer(access)).json == {"user": "bob"}
    ours = log_in(client)["access_token"]
    assert client.get("/protected", headers=bearer(ours)).json == {"user": "alice"}
    forged = jwt.encode({"sub": "u-bob", "type": "access"}, "x" * 32)
    for bad in (refresh, access[:-2], forged):
        answer = client.get("/protected", headers=bearer(bad))
        assert_problem(answer, 401, "token_invalid")


def test_old_tokens_of_flask_security_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tokens made by the real Flask-Security, in their own header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Flask-Security's own imports
        from flask_security import RoleMixin, Security, UserDatastore, UserMixin

        class OldUser(UserMixin):
            fs_uniquifier = "u-bob"

        old = Flask("old")
        old.config.update(SECRET_KEY=SECRET, SECURITY_PASSWORD_SALT="s" * 32)
        datastore = UserDatastore(OldUser, RoleMixin)
        Security(old, datastore, register_blueprint=False)
        with old.test_request_context():
            token = OldUser().get_auth_token()
    client = run("security", monkeypatch)
    header = {"Authentication-Token": token}
    assert client.get("/protected", headers=header).json == {"user": "bob"}
    header = {"Authentication-Token": token[:-2]}
    assert_problem(client.get("/protected", headers=header), 401, "token_missing")


def test_a_request_loader_of_your_own_still_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The old keys open the view, and so do our tokens."""
    users = make_users()
    client = run(
        "loader", monkeypatch, users=users, old_api_keys={"k-1": users.get("u-bob")}
    )
    header = {"X-API-Key": "k-1"}
    assert client.get("/protected", headers=header).json == {"user": "bob"}
    token = log_in(client)["access_token"]
    assert client.get("/protected", headers=bearer(token)).json == {"user": "alice"}
    assert_problem(client.get("/protected"), 401, "token_missing")
