"""The page "Registration and a forgotten password"."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.harness.guides import app_of
from tests.harness.kit import SECRET, assert_problem, bearer
from tests.stores.engines import users_at
from tokenauth import User
from tokenauth.stores.sql import SQLUserStore

ADDRESS = "Ann.Lee@Example.org"
PASSWORD, NEW = "a mule at a staple", "lantern: tidy staple"


class Site:
    """The page's application, its users, and the mails that it sent."""

    def __init__(self, users: SQLUserStore) -> None:
        self.users = users
        self.mails: list[tuple[str, str]] = []
        self.jobs: list[tuple[Callable[..., None], Any]] = []
        app = app_of(
            "registration",
            users=users,
            later=lambda function, *arguments: self.jobs.append((function, arguments)),
            send_mail=lambda address, text: self.mails.append((address, text)),
        )
        app.config["SITE"] = "https://shop.example"
        self.client: FlaskClient = app.test_client()

    def work(self) -> None:
        """Do what was put off."""
        with self.client.application.app_context():
            while self.jobs:
                function, arguments = self.jobs.pop()
                function(*arguments)

    def forget(self, username: str = ADDRESS) -> str:
        """Ask for a link; return what it leads to, and the token that is posted."""
        self.client.post("/forgot", data={"username": username})
        self.work()
        address, link = self.mails.pop()
        assert address == ADDRESS
        assert link.startswith("https://shop.example/reset?token=")
        page = self.client.get(link.removeprefix("https://shop.example"))
        return token_in(page.text)

    def log_in(self, password: str) -> Any:
        body = {"username": ADDRESS, "password": password}
        return self.client.post("/auth/login", json=body)


def token_in(form: str) -> str:
    """Return the token that a form holds."""
    [token] = re.findall(r'name=token value="([^"]+)"', form)
    return html.unescape(token)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The application, with one registered user."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    site = Site(users_at(f"sqlite:///{tmp_path}/users.sqlite3"))
    data = {"username": ADDRESS, "password": PASSWORD}
    assert site.client.post("/register", data=data).status_code == 201
    return site


def test_who_registered_can_log_in(site: Site) -> None:
    """And a name is given once, whatever its spelling."""
    assert site.log_in(PASSWORD).status_code == 200
    data = {"username": ADDRESS.upper(), "password": NEW}
    assert site.client.post("/register", data=data).status_code == 409
    assert site.log_in(NEW).status_code == 401


def test_what_cannot_be_used_is_refused(site: Site) -> None:
    """A password by its rule, a username by what names look like."""
    data = {"username": "johannes", "password": "Johannes1"}
    answer = site.client.post("/register", data=data)
    assert_problem(answer, 422, "password_refused")
    data = {"username": "a\0b", "password": PASSWORD}
    assert_problem(site.client.post("/register", data=data), 400, "invalid_request")
    assert len(list(site.users.all())) == 1


def test_a_password_is_refused_by_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application's, not the defaults."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    monkeypatch.setenv("FLASK_TOKENAUTH_PASSWORD_MIN_LENGTH", "30")
    site = Site(users_at(f"sqlite:///{tmp_path}/users.sqlite3"))
    data = {"username": ADDRESS, "password": PASSWORD}
    refused = site.client.post("/register", data=data)
    assert_problem(refused, 422, "password_refused")
    assert list(site.users.all()) == []


def test_a_link_changes_a_password_once(site: Site) -> None:
    """Who held the account before is out."""
    headers = bearer(site.log_in(PASSWORD).get_json()["access_token"])
    data = {"token": site.forget(), "password": NEW}
    assert site.client.post("/reset", data=data).status_code == 200
    assert_problem(site.client.get("/auth/me", headers=headers), 401, "token_revoked")
    assert site.log_in(PASSWORD).status_code == 401
    assert site.log_in(NEW).status_code == 200
    again = site.client.post("/reset", data=data | {"password": PASSWORD})
    assert (again.status_code, "too old" in again.text) == (400, True)
    assert site.log_in(NEW).status_code == 200


def test_a_refused_password_is_followed_by_another_form(site: Site) -> None:
    """The link still works; a field that is missing does not use it up either."""
    token = site.forget()
    assert site.client.post("/reset", data={"token": token}).status_code == 400
    data = {"token": token, "password": "short"}
    refused = site.client.post("/reset", data=data)
    assert refused.status_code == 422
    assert "Use at least 8 characters." in refused.text
    data = {"token": token_in(refused.text), "password": NEW}
    assert data["token"] == token
    assert site.client.post("/reset", data=data).status_code == 200
    assert site.log_in(NEW).status_code == 200


def test_a_stranger_does_not_end_a_link(site: Site) -> None:
    """However often a link is asked for, five are sent, and all of them work."""
    token = site.forget()
    for _ in range(20):
        site.client.post("/forgot", data={"username": ADDRESS.upper()})
        site.work()
    assert len(site.mails) == 4
    data = {"token": token, "password": NEW}
    assert site.client.post("/reset", data=data).status_code == 200


def test_a_form_cannot_be_written_by_a_link(site: Site) -> None:
    """What is no token is text."""
    page = site.client.get("/reset", query_string={"token": '"><script>'})
    assert "<script>" not in page.text


def test_no_answer_tells_who_has_an_account(site: Site) -> None:
    """Nor what is done before it; who is nobody, or disabled, gets no mail."""
    user = User("closed@example.org", id="u-closed", is_active=False)
    assert site.users.add(user)
    names = [ADDRESS, user.username, "nobody@example.org", "a\0b", ""]
    answers = {site.client.post("/forgot", data={"username": n}).data for n in names}
    assert len(answers) == 1
    assert len(site.jobs) == len(names)
    site.work()
    assert [address for address, _ in site.mails] == [ADDRESS]


def test_who_has_no_password_sets_one_by_the_link(site: Site) -> None:
    """The way in which registration tells nothing either."""
    [registered] = site.users.all()
    assert site.users.remove(registered.id)
    assert site.users.add(User(ADDRESS, id="u-ann"))
    assert not site.users.add(User(ADDRESS, id="u-ann-2"))
    data = {"token": site.forget(), "password": NEW}
    assert site.client.post("/reset", data=data).status_code == 200
    assert site.log_in(NEW).status_code == 200
