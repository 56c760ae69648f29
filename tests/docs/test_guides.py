"""The how-to guides in tokenauth/docs/guides run, with the real packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import flask_admin
import jwt
import pytest
from flask import Flask, Request
from flask.testing import FlaskClient
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt_identity,
    jwt_required,
)
from flask_login import LoginManager, current_user, login_required
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from tests.harness.guides import app_of, block, names_of
from tests.harness.kit import (
    PASSWORDS,
    REDIRECTS,
    SECRET,
    assert_problem,
    bearer,
    log_in,
    make_users,
    token_of,
)
from tests.neighbours import test_flask_restx
from tests.neighbours.frameworks import works_alone
from tokenauth import DictUserStore, User

OLD_KEY = "old-jwt-key-" + "0123456789abcdef" * 2


def run(name: str, monkeypatch: pytest.MonkeyPatch, **given: Any) -> FlaskClient:
    """Run a page's snippet; return a client of its application."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    return app_of(name, **given).test_client()


def csrf_token(page: str) -> str:
    """Return the token of a form."""
    [token] = re.findall(r'name=csrf_token value="([^"]+)"', page)
    return str(token)


def cookie_login(client: FlaskClient, username: str, password: str) -> TestResponse:
    """Log in by the page's form."""
    form = {"username": username, "password": password}
    form["csrf_token"] = csrf_token(client.get("/login").text)
    return client.post("/login", data=form)


def test_cookie_logins_work_beside_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cookie's user without a token, the token's user with one."""
    client = run("cookies", monkeypatch)
    page = client.get("/profile", headers={"Accept": "text/html"})
    assert page.status_code in REDIRECTS
    assert page.location.startswith("/login")
    for name in ("eve", "a\0b", ""):
        refused = cookie_login(client, name, PASSWORDS["alice"])
        assert refused.status_code == 400
        assert csrf_token(refused.text)
    assert cookie_login(client, "Alice", PASSWORDS["alice"]).status_code in REDIRECTS
    assert client.get("/profile").json == {"user": "alice"}
    token = log_in(client, "bob")["access_token"]
    assert client.get("/profile", headers=bearer(token)).json == {"user": "bob"}
    bad = client.get("/profile", headers=bearer(token + "A"))
    assert_problem(bad, 401, "token_invalid")


def test_a_cookie_opens_no_api_and_no_form_of_another_site(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API asks for a token and for no CSRF token; forms ask for a CSRF token."""
    client = run("cookies", monkeypatch)
    page = client.get("/login").text
    cookie_login(client, "alice", PASSWORDS["alice"])
    assert_problem(client.post("/api/orders"), 401, "token_missing")
    headers = bearer(log_in(client, "bob")["access_token"])
    assert client.post("/api/orders", headers=headers).json == {"ordered_by": "bob"}
    for path in ("/logout", "/login"):
        assert client.post(path).status_code == 400
    assert client.get("/profile").json == {"user": "alice"}
    form = {"csrf_token": csrf_token(page)}
    assert client.post("/logout", data=form).status_code in REDIRECTS
    assert client.get("/profile").status_code in REDIRECTS


def test_attempts_at_the_login_page_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Together with those at the endpoint."""
    monkeypatch.setenv("FLASK_TOKENAUTH_LOGIN_LIMITS", "2 per hour")
    client = run("cookies", monkeypatch)
    guess = {"username": "alice", "password": "a guess"}
    assert "is wrong" in cookie_login(client, **guess).text
    assert client.post("/auth/login", json=guess).status_code == 401
    assert "Too many" in cookie_login(client, **guess).text


def test_a_hash_of_werkzeug_s_opens_the_login_page_after_its_upgrade(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a login with a token upgrades it."""
    stored = generate_password_hash(PASSWORDS["alice"], "pbkdf2:sha256:1000")
    client = run("cookies", monkeypatch, users=DictUserStore({"alice": stored}))
    log_in(client)
    assert cookie_login(client, "alice", PASSWORDS["alice"]).status_code in REDIRECTS


def test_one_object_joins_several_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with settings and sessions of its own."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    make = names_of("factory")["create_app"]
    client = make().test_client()
    other = make({"TOKENAUTH_REALM": "other"}).test_client()
    headers = bearer(log_in(client)["access_token"])
    assert client.get("/profile", headers=headers).json == {"user": "alice"}
    assert_problem(other.get("/profile", headers=headers), 401, "token_invalid")


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
    """With the scope, of user and token; without a token there is the challenge."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Flask-Admin's own imports
        names = names_of("admin", users=make_users(alice=["admin"]))
    app = names["app"]
    index = flask_admin.expose()(lambda _: "orders")
    orders = type("Orders", (names["ProtectedView"],), {"index": index})
    app.extensions["admin"][0].add_view(orders(endpoint="orders"))
    client = app.test_client()
    for page in ("/admin/", "/admin/orders/"):
        assert_problem(client.get(page), 401, "token_missing")
    narrow = token_of(app, scopes=[])
    for token, status in (
        (token_of(app), 200),
        (narrow, 403),
        (token_of(app, "bob"), 403),
    ):
        for page in ("/admin/", "/admin/orders/"):
            assert client.get(page, headers=bearer(token)).status_code == status


@pytest.mark.parametrize("name", ["apiflask", "restx"])
def test_a_view_of_another_framework_is_protected(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 401 stays a 401 with its challenge, and a token opens the view."""
    if name == "restx" and not works_alone(test_flask_restx.method):
        pytest.skip("Flask-RESTX fails on this Flask, without us, too")
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


REPORTS = """
from flask import Flask
from tokenauth import TokenAuth, User, hash_password, require_scopes

def create_app(config):
    app = Flask("reports")
    app.config.update(config)
    john = User("JohnDoe", hash_password("correct horse"), scopes="reports:read")
    TokenAuth(app, {"JohnDoe": john})
    app.add_url_rule("/reports", view_func=require_scopes("reports:read")(list))
    return app
"""


def test_an_application_is_tested_with_fixtures(tmp_path: Path) -> None:
    """By a pytest of its own."""
    (tmp_path / "reports.py").write_text(REPORTS)
    (tmp_path / "conftest.py").write_text(block("python", "conftest"))
    (tmp_path / "test_reports.py").write_text(block("python", "tests"))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they load slowly
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in run.stdout, run.stdout


# -- from other tokens -----------------------------------------------------------------

Header: TypeAlias = dict[str, str]


class Change(NamedTuple):
    """A guide's application on a day of the period, and on a day after it."""

    during: FlaskClient
    after: FlaskClient
    users: DictUserStore

    def check(self, old: Header, *bad: Header, refusal: str) -> None:
        """Bob's old token and new ones open the view; later new ones only."""
        new = bearer(log_in(self.during)["access_token"])
        assert self.during.get("/protected", headers=old).json == {"user": "bob"}
        assert self.during.get("/protected", headers=new).json == {"user": "alice"}
        for header in bad:
            answer = self.during.get("/protected", headers=header)
            assert_problem(answer, 401, refusal)
        self._check_that_he_can_be_disabled(old)

        new = bearer(log_in(self.after)["access_token"])
        assert self.after.get("/protected", headers=new).json == {"user": "alice"}
        assert_problem(self.after.get("/protected", headers=old), 401, refusal)

    def _check_that_he_can_be_disabled(self, old: Header) -> None:
        bob = self.users.get("u-bob")
        assert bob is not None
        bob.is_active = False
        assert self.during.get("/protected", headers=old).status_code == 401
        bob.is_active = True
        assert self.during.get("/protected", headers=old).status_code == 200


def change(name: str, monkeypatch: pytest.MonkeyPatch, **given: Any) -> Change:
    users = make_users()
    today = datetime.now().astimezone().date()

    def client(until: date) -> FlaskClient:
        monkeypatch.setenv("FLASK_OLD_TOKENS_UNTIL", until.isoformat())
        return run(name, monkeypatch, users=users, **given)

    return Change(client(today + timedelta(2)), client(today), users)


def test_jwts_are_accepted_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the real Flask-JWT-Extended; its refresh tokens never are."""
    old = Flask("old")
    old.config["JWT_SECRET_KEY"] = OLD_KEY
    JWTManager(old)

    @old.get("/protected")
    @jwt_required()
    def protected() -> str:
        return get_jwt_identity()  # type: ignore[no-any-return] # no types

    with old.app_context():
        access = bearer(create_access_token("u-bob"))
        refresh = bearer(create_refresh_token("u-bob"))
        expired = bearer(create_access_token("u-bob", expires_delta=timedelta(-1)))
    answer = old.test_client().get("/protected", headers=access)
    assert answer.text == "u-bob"
    forged = bearer(jwt.encode({"sub": "u-bob", "type": "access"}, "x" * 32))
    altered = {"Authorization": access["Authorization"][:-2]}
    monkeypatch.setenv("FLASK_JWT_SECRET_KEY", OLD_KEY)
    moving = change("jwt", monkeypatch)
    bad = (refresh, expired, forged, altered)
    moving.check(access, *bad, refusal="token_invalid")


def test_a_jwt_whose_identity_is_a_number_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `create_access_token(identity=user.id)` makes it."""
    old = Flask("old")
    old.config["JWT_SECRET_KEY"] = OLD_KEY
    JWTManager(old)
    with old.app_context():
        headers = bearer(create_access_token(7))
    monkeypatch.setenv("FLASK_JWT_SECRET_KEY", OLD_KEY)
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    monkeypatch.setenv("FLASK_OLD_TOKENS_UNTIL", str(date.max))
    app = app_of("jwt", users={"bob": User("bob", id="7")})
    answer = app.test_client().get("/protected", headers=headers)
    assert answer.get_json() == {"user": "bob"}


def test_tokens_of_flask_security_are_accepted_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that the real Flask-Security gave bob when he logged in to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Flask-Security's own imports
        from tests.harness.flask_security_app import token_for

        token = token_for("bob@example.com", fs_uniquifier="u-bob")
    altered = {"Authentication-Token": token[:-2]}
    monkeypatch.setenv("FLASK_SECURITY_TOKEN_MAX_AGE", "900")
    moving = change("security", monkeypatch)
    old = {"Authentication-Token": token}
    moving.check(old, altered, refusal="token_missing")


def test_a_request_loader_of_your_own_works_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys that opened a view of plain Flask-Login's open ours."""
    keys = {"k-1": "u-bob"}
    header = {"X-API-Key": "k-1"}
    users = make_users()
    old = Flask("old")
    old.secret_key = SECRET
    manager = LoginManager(old)

    @manager.request_loader
    def load(request: Request) -> object:
        user_id = keys.get(request.headers.get("X-API-Key", ""))
        return users.get(user_id) if user_id else None

    @old.get("/protected")
    @login_required
    def protected() -> str:
        return current_user.username  # type: ignore[no-any-return] # no types

    assert old.test_client().get("/protected", headers=header).text == "bob"
    moving = change("loader", monkeypatch, old_api_keys=keys)
    moving.check(header, {"X-API-Key": "k-2"}, refusal="token_invalid")
