"""The page on browsers, in one; and what it says of Flask-JWT-Extended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify, redirect
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    jwt_required,
    set_access_cookies,
    set_refresh_cookies,
)
from werkzeug.test import Client
from werkzeug.wrappers import Response

from tests.harness.browser import in_browser, needs_browser, open_browser
from tests.harness.guides import app_of, block, names_of
from tests.harness.kit import PASSWORDS, SECRET, make_users
from tests.harness.pages import Site
from tokenauth import TokenAuth
from tokenauth.web.refresh_cookie import NAME


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)


@needs_browser
def test_the_page_logs_in_and_the_component_watches(tmp_path: Path) -> None:
    """Log in by the form, reload, log out by the button; the component sees it all."""
    site = Site("http", "localhost", app=app_of("browser"))
    for path, text, kind in (
        ("/show", block("html", "page"), "text/html"),
        ("/component.js", block("js", "component"), "text/javascript"),
        ("/welcome.js", block("js", "welcome"), "text/javascript"),
    ):
        answer = Response(text, mimetype=kind)
        site.app.add_url_rule(path, path, lambda answer=answer: answer)

    async def story() -> None:
        async with open_browser(site) as browser:
            page = await browser.new_page()
            await page.goto(f"{site.url}/show")
            await page.get_by_text("Please log in.").wait_for()
            watch = """async () => {
                const { watchProfile } = await import("/component.js");
                window.seen = [];
                watchProfile((me) => seen.push(me.user), () => seen.push(null));
            }"""
            await page.evaluate(watch)
            await page.locator("[name=username]").fill("alice")
            await page.locator("[name=password]").fill("wrong")
            await page.get_by_role("button", name="Log in").click()
            await page.get_by_text("password is wrong").wait_for()
            await page.locator("[name=password]").fill(PASSWORDS["alice"])
            await page.get_by_role("button", name="Log in").click()
            await page.get_by_text("You are alice.").wait_for()
            await page.wait_for_function("() => seen.length === 2")
            assert await page.evaluate("seen") == [None, "alice"]
            await page.reload()
            await page.get_by_text("You are alice.").wait_for()
            await page.evaluate("import('/welcome.js')")
            await page.get_by_role("button", name="Log out").click()
            await page.get_by_text("Please log in.").wait_for()

    with site.served(tmp_path):
        in_browser(story())


def test_a_login_elsewhere_sets_the_cookie_on_its_redirect() -> None:
    """By the page's lines."""
    app, users = app_of("browser"), make_users()
    names: dict[str, Any] = {"app": app, "users": _ByName(users), "redirect": redirect}
    names["name_from_identity_provider"] = lambda: "alice"
    names_of("callback", auth=TokenAuth(), **names)
    answer = app.test_client().get("/callback", base_url="https://localhost")
    assert answer.location == "/welcome"
    assert answer.headers["Set-Cookie"].startswith(f"{NAME}=")


def test_a_page_on_a_subdomain_may_use_the_cookie() -> None:
    """By the page's lines."""
    client = app_of("subdomains").test_client()
    origin = {"Origin": "https://app.example.com"}
    asked = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    allowed = client.options("/auth/refresh", headers=asked).headers
    assert allowed["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert allowed["Access-Control-Allow-Credentials"] == "true"
    asked["Origin"] = "https://evil.example.com"
    refused = client.options("/auth/refresh", headers=asked).headers
    assert "Access-Control-Allow-Origin" not in refused


@pytest.fixture
def other() -> Client:
    """Flask-JWT-Extended with cookies, and nothing else set."""
    app = Flask(__name__)
    app.config.update(JWT_SECRET_KEY=SECRET, JWT_TOKEN_LOCATION=["cookies"])
    JWTManager(app)

    @app.post("/login")
    def login() -> Response:
        response = jsonify({})
        set_access_cookies(response, create_access_token("alice"))
        set_refresh_cookies(response, create_refresh_token("alice"))
        return response

    @app.route("/view", methods=["GET", "POST"])
    @jwt_required()
    def view() -> str:
        return "seen"

    return Client(app)


def test_what_the_table_says_of_flask_jwt_extended(other: Client) -> None:
    """Its cookies go everywhere, and open views; a header protects what is no GET."""
    lines = other.post("/login").headers.getlist("Set-Cookie")
    flags = {line.partition("=")[0]: set(line.split("; ")[1:]) for line in lines}
    assert flags == {
        "access_token_cookie": {"HttpOnly", "Path=/"},
        "refresh_token_cookie": {"HttpOnly", "Path=/"},
        "csrf_access_token": {"Path=/"},
        "csrf_refresh_token": {"Path=/"},
    }
    assert other.get("/view").status_code == 200
    assert other.post("/view").status_code == 401
    csrf = other.get_cookie("csrf_access_token")
    assert csrf is not None
    assert other.post("/view", headers={"X-CSRF-TOKEN": csrf.value}).status_code == 200


class _ByName:
    """What the page's lines call `users`."""

    def __init__(self, users: Any) -> None:
        self.find = users.find
