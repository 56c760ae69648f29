"""Without a token all is as with Flask-Login alone: the same bytes, step by step."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask, render_template_string, request, session
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from flask_login import (
    LoginManager,
    current_user,
    fresh_login_required,
    login_required,
    login_user,
    logout_user,
)
from werkzeug.test import TestResponse

from tests.harness.kit import SECRET
from tokenauth import DictUserStore, TokenAuth, User

BROWSER = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "User-Agent": "one",
}


def shop(config: Mapping[str, Any]) -> tuple[Flask, DictUserStore]:
    """Return a site with cookie users, but for its manager."""
    app = Flask("shop")
    app.config.update({"SECRET_KEY": SECRET, "TESTING": True, **config})
    users = DictUserStore({"alice": User("alice", id="1")})

    @app.get("/")
    def home() -> str:
        return render_template_string("{{ current_user.is_authenticated }}")

    def page(path: str, view: Callable[[], str]) -> None:
        app.add_url_rule(path, path.strip("/"), view)

    page("/plain", lambda: "plain")
    page("/slash/", lambda: "slash")
    page("/mine", login_required(lambda: str(current_user.get_id())))
    page("/fresh", fresh_login_required(lambda: "fresh"))

    @app.post("/in")
    def log_in() -> str:
        remember = "remember" in request.args
        return str(login_user(users.find("alice"), remember=remember))

    @app.post("/out")
    def log_out() -> str:
        return str(logout_user())

    @app.post("/cart")
    def cart() -> str:
        session["cart"] = [*session.get("cart", ()), 1]
        session.permanent = True
        return str(session["cart"])

    return app, users


def join(manager: Any, users: DictUserStore) -> None:
    """Set a manager up as the site wants it."""
    manager.user_loader(users.get)
    manager.login_view = "/log-in"
    manager.refresh_view = "/refresh"

    @manager.request_loader  # type: ignore[untyped-decorator, unused-ignore]
    def by_key(request: Any) -> User | None:
        is_known = request.headers.get("X-API-Key") == "known"
        return users.get("1") if is_known else None


Step = Callable[[FlaskClient, DictUserStore], TestResponse | None]


def ask(path: str, method: str = "GET", **headers: str) -> Step:
    """Send a request as a browser does, with some headers of its own."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def step(client: FlaskClient, _: DictUserStore) -> TestResponse:
        return client.open(path, method=method, headers=BROWSER | named)

    return step


def cookie(name: str, value: str | None) -> Step:
    """Put a cookie into the browser, or take it out."""

    def step(client: FlaskClient, _: DictUserStore) -> None:
        if value is None:
            client.delete_cookie(name)
        else:
            client.set_cookie(name, value)

    return step


def disable(_client: FlaskClient, users: DictUserStore) -> None:
    """Disable the user."""
    user = users.get("1")
    assert user is not None
    user.is_active = False


MINE, LOG_IN, REMEMBER = ask("/mine"), ask("/in", "POST"), ask("/in?remember=1", "POST")
FORGET = cookie("session", None)

STORIES: dict[str, list[Step]] = {
    "a stranger": [
        *map(ask, ("/", "/plain", "/mine", "/fresh", "/slash", "/nowhere")),
        ask("/in"),
        ask("/mine", "HEAD"),
        ask("/mine", "OPTIONS"),
        ask("/mine", "POST"),
    ],
    "a login": [LOG_IN, MINE, ask("/"), ask("/fresh"), ask("/out", "POST"), MINE],
    "a shopping cart": [ask("/cart", "POST"), ask("/"), LOG_IN, ask("/plain")],
    "a remembered login": [REMEMBER, FORGET, MINE, ask("/fresh"), ask("/out", "POST")],
    "a forged remember cookie": [cookie("remember_token", "1|00"), ask("/"), MINE],
    "an empty remember cookie": [cookie("remember_token", ""), ask("/"), MINE],
    "a forged session": [cookie("session", "x.y.z"), ask("/"), MINE],
    "a session of another browser": [
        LOG_IN,
        ask("/mine", User_Agent="another"),
        ask("/fresh", User_Agent="another"),
        MINE,
        ask("/fresh"),
    ],
    "a remembered session of another browser": [
        REMEMBER,
        ask("/mine", User_Agent="another"),
        MINE,
    ],
    "a cart of another browser": [
        ask("/cart", "POST"),
        ask("/", User_Agent="another"),
        ask("/mine", User_Agent="another"),
    ],
    "a disabled user": [REMEMBER, disable, MINE, ask("/"), LOG_IN, FORGET, MINE],
    "a key of the application's": [
        ask("/mine", X_API_Key="known"),
        ask("/mine", X_API_Key="unknown"),
        LOG_IN,
        ask("/mine", X_API_Key="unknown"),
    ],
    "a header of another scheme": [
        ask("/mine", Authorization="Basic YTpi"),
        LOG_IN,
        ask("/mine", Authorization="Basic YTpi"),
        ask("/", Authorization="Digest realm=x"),
    ],
}

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "strong": {"SESSION_PROTECTION": "strong"},
    "no protection": {"SESSION_PROTECTION": None},
    "refreshed": {"REMEMBER_COOKIE_REFRESH_EACH_REQUEST": True},
    "next in session": {"USE_SESSION_FOR_NEXT": True},
    "disabled": {"LOGIN_DISABLED": True},
}


def without_proofs(app: Flask, headers: list[tuple[str, str]]) -> list[Any]:
    """Return headers, with cookies decoded and without what binds them to a password.

    That is tested below; all else in a cookie is Flask's and Flask-Login's.
    """
    serializer: Any = SecureCookieSessionInterface().get_signing_serializer(app)
    shown: list[Any] = []
    for name, value in headers:
        cookie = re.fullmatch(r"(session|remember_token)=([^;]+)(;.*)", value)
        if name != "Set-Cookie" or cookie is None:
            shown.append((name, value))
            continue
        content: Any = cookie[2].partition("|")[0]
        if cookie[1] == "session":
            content = serializer.loads(content)
            content.pop("_tokenauth_login", None)
        shown.append((name, cookie[1], content, cookie[3]))
    return shown


def told(story: list[Step], config: Mapping[str, Any], *, is_ours: bool) -> list[Any]:
    """Return each answer of a story: status, headers as they are, body."""
    app, users = shop(config)
    if is_ours:
        manager: Any = TokenAuth(app, users).login_manager
    else:
        manager = LoginManager(app)
    join(manager, users)
    client = app.test_client()
    answers = (step(client, users) for step in story)
    return [
        (a.status, without_proofs(app, list(a.headers)), a.data)
        for a in answers
        if a is not None
    ]


@pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_cookie_user_notices_nothing(
    story: list[Step], config: Mapping[str, Any]
) -> None:
    """Status, headers in their order, content of cookies, and bodies are equal."""
    plain: list[Any] = []
    ours: list[Any] = []
    second = None
    while second != int(time.time()):  # the second is in the cookies
        second = int(time.time())
        plain = told(story, config, is_ours=False)
        ours = told(story, config, is_ours=True)
    assert ours == plain
    assert len(plain) > 1
