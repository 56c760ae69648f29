"""The shop's tests: `python -m pytest tests`."""

import re

import pytest
from shop import create_app
from shop.models import Account, auth, db
from werkzeug.security import generate_password_hash

from tokenauth.testing import CHEAP_HASHING

pytest_plugins = ["tokenauth.testing.fixtures"]
OLD, NEW = "tidy lantern, tall", "staple: a quiet mule"
SITE = {"Origin": "http://localhost:3000"}


@pytest.fixture
def app(tmp_path):
    config = {
        "TESTING": True,
        "SECRET_KEY": "for the tests alone, nothing is signed with it elsewhere",
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/shop.sqlite3",
        "TOKENAUTH_SESSION_URL": "memory://",
    }
    app = create_app({**config, **CHEAP_HASHING})
    mails = app.extensions["mails"] = []
    app.extensions["mail"] = lambda address, token: mails.append(token)
    with app.app_context():
        db.create_all()
        old_hash = generate_password_hash(OLD, "pbkdf2:sha256:1000")
        account = Account(email="Ann@Example.com", password_hash=old_hash)
        account.scopes = "orders staff"
        db.session.add(account)
        db.session.commit()
    return app


@pytest.fixture
def client(app):
    return app.test_client()


def log_in(client, password, email="ann@example.com"):
    return client.post("/auth/login", json={"username": email, "password": password})


def admin_login(client, password=OLD):
    token = re.findall('value="(.*?)"', client.get("/admin/login").text)[0]
    form = {"email": "ann@example.com", "password": password, "csrf_token": token}
    return client.post("/admin/login", data=form)


def test_an_old_account_logs_in(client):
    tokens = log_in(client, OLD).get_json()
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = client.post("/api/orders", headers={**header, **SITE})
    assert answer.get_json() == {"ordered_by": "Ann@Example.com"}
    assert answer.headers["Access-Control-Allow-Origin"] == SITE["Origin"]
    assert admin_login(client).location == "/admin/"  # also after the upgrade


def test_registration_and_its_refusals(client):
    body = {"email": "Ben@Example.com", "password": "short"}
    assert client.post("/api/register", json=body).status_code == 422
    body["password"] = NEW
    tokens = client.post("/api/register", json=body).get_json()
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.post("/api/orders", headers=header).status_code == 201
    body["email"] = "BEN@example.com"
    assert client.post("/api/register", json=body).status_code == 409


def test_a_reset_ends_what_there_was(app, client, client_as):
    before = client_as("ann@example.com")
    assert (
        client.post("/api/forgot", json={"email": "ANN@example.com"}).status_code == 200
    )
    body = {"token": app.extensions["mails"].pop(), "password": "short"}
    assert client.post("/api/reset", json=body).status_code == 422
    assert client.post("/api/reset", json={**body, "password": NEW}).status_code == 200
    assert before.post("/api/orders").get_json()["code"] == "token_revoked"
    assert log_in(client, OLD).status_code == 401
    assert log_in(client, NEW).status_code == 200


def test_a_token_without_the_scope_orders_nothing(client_as):
    assert (
        client_as("ann@example.com", scopes=[]).post("/api/orders").status_code == 403
    )


def test_a_token_expires(client_as, frozen_clock):
    client = client_as("ann@example.com")
    frozen_clock.move(15 * 60)
    assert client.post("/api/orders").get_json()["code"] == "token_expired"


def test_the_admin_area_takes_cookies_and_the_api_does_not(client):
    assert client.get("/admin/").location.startswith("/admin/login")
    assert "wrong" in admin_login(client, NEW).text
    admin_login(client)
    assert "Ann@Example.com" in client.get("/admin/").text
    assert client.post("/admin/logout").status_code == 400  # no CSRF token
    assert client.post("/api/orders").get_json()["code"] == "token_missing"


def test_a_preflight_needs_no_token(client):
    asked = {**SITE, "Access-Control-Request-Method": "POST"}
    answer = client.options("/api/orders", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SITE["Origin"]


def test_a_session_can_be_revoked(app, client_as):
    client = client_as("ann@example.com")
    with app.app_context():
        account = auth.users.find("ann@example.com")
        assert [auth.revoke_session(s.id) for s in auth.sessions_of(account)] == [True]
    assert client.post("/api/orders").get_json()["code"] == "token_revoked"
