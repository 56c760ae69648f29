"""The page on which a person reads the API and tries it, in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient

from tests.harness.browser import in_browser, needs_browser, open_browser
from tests.harness.kit import PASSWORDS, SECRET, assert_problem, make_app
from tests.harness.pages import Site
from tests.harness.servers import AppServer, serve
from tokenauth.web.api import docs_page

if TYPE_CHECKING:
    from playwright.async_api import Page


def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    """Every address on it is relative, and its policy forbids all others."""
    page = client.get("/auth/docs")
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 5
    for address in addresses:
        with client.get(f"/auth/{address}") as answer:
            assert answer.status_code == 200
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Set-Cookie" not in answer.headers
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name", ["index.html", "swagger-ui.js", "..%2f__init__.py", "../__init__.py", "x"]
)
def test_only_the_page_s_own_files_are_sent(client: FlaskClient, name: str) -> None:
    """What else the package holds, and what lies around it, is not there."""
    assert_problem(client.get(f"/auth/docs/{name}"), 404, "not_found")


@pytest.mark.parametrize("path", ["docs", "docs/swagger-ui.css"])
def test_without_its_package_the_page_names_it(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """404 with the command that installs it; the description is there all the same."""
    monkeypatch.setattr(docs_page, "_PACKAGE", "no_such_package")
    missing = client.get(f"/auth/{path}")
    assert_problem(missing, 404, "not_found")
    detail = missing.get_json()["detail"]
    assert "pip install 'flask-login-tokenauth[docs]'" in detail
    assert client.get("/auth/openapi.json").status_code == 200


# -- in the browser ----------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AppServer]:
    """The demo, whose user the description's examples name."""
    env = {"FLASK_SECRET_KEY": SECRET}
    with serve("tokenauth.demo:create_app()", cwd=tmp_path, env=env) as running:
        yield running


async def execute(page: Page, operation_id: str, **fields: str) -> tuple[int, Any]:
    """Fill an operation's fields, send it by its button, return what came back.

    Returns:
        The status, and the body where it is JSON.
    """
    from playwright.async_api import expect

    block = page.locator(f"[id$='-{operation_id}']")
    if "is-open" not in (await block.get_attribute("class") or ""):
        await block.locator(".opblock-summary-control").click()
        await block.get_by_role("button", name="Try it out").click()
    for name, value in fields.items():
        await block.get_by_placeholder(name).fill(value)
    async with page.expect_response(lambda _: True) as caught:
        await block.get_by_role("button", name="Execute").click()
    response = await caught.value
    shown = block.locator(".live-responses-table .response-col_status").last
    await expect(shown).to_contain_text(str(response.status))
    body = None if response.status == 204 else await response.json()
    return response.status, body


@needs_browser
def test_a_person_logs_in_authorises_and_calls(server: AppServer) -> None:
    """From the login over `/auth/me` to the end of the session, all on the page."""
    in_browser(visit(server))


async def visit(server: AppServer) -> None:
    async with open_browser(server) as browser:
        page = await browser.new_page()
        await page.goto(f"{server.url}/auth/docs")
        await page.locator(".opblock").first.wait_for()
        assert await page.locator(".opblock").count() == 14
        if pictures := os.environ.get("SCREENSHOTS"):
            await page.screenshot(path=f"{pictures}/docs-page.jpg", quality=60)
        status, _ = await execute(page, "tokenauth_me")
        assert status == 401

        status, pair = await execute(page, "tokenauth_log_in")
        assert status == 200
        await authorise(page, pair["access_token"])

        status, me = await execute(page, "tokenauth_me")
        assert (status, me["username"]) == (200, "JohnDoe")
        _, listed = await execute(page, "tokenauth_list_sessions")
        assert [each["current"] for each in listed["sessions"]] == [True]
        session_id = listed["sessions"][0]["id"]
        status, _ = await execute(page, "tokenauth_end_session", session_id=session_id)
        assert status == 204
        status, refusal = await execute(page, "tokenauth_me")
        assert (status, refusal["code"]) == (401, "token_revoked")
        block = page.locator("[id$='-tokenauth_me']")
        await block.get_by_text("token_revoked").first.wait_for()


@needs_browser
def test_a_person_logs_in_by_the_refresh_cookie(tmp_path: Path) -> None:
    """Where there is one: the page's calls have the token, after a reload, too."""

    async def story(site: Site) -> None:
        async with open_browser(site) as browser:
            page = await browser.new_page()
            await page.goto(f"{site.url}/auth/docs")
            form = page.locator("form").first
            await form.get_by_placeholder("username").fill("alice")
            await form.get_by_placeholder("password").fill("wrong")
            await form.get_by_role("button", name="Log in").click()
            await form.get_by_text("password is wrong").wait_for()
            await form.get_by_placeholder("password").fill(PASSWORDS["alice"])
            await form.get_by_role("button", name="Log in").click()
            await form.get_by_role("button", name="Log out").wait_for()
            assert (await execute(page, "tokenauth_me"))[0] == 200
            site.expire()
            await page.goto(f"{site.url}/blank")
            await page.goto(f"{site.url}/auth/docs")
            await page.locator(".opblock").first.wait_for()
            status, me = await execute(page, "tokenauth_me")
            assert (status, me["username"]) == (200, "alice")
            site.expire()
            await form.get_by_role("button", name="Log out").click()
            await form.get_by_role("button", name="Log in").wait_for()
            status, _ = await execute(page, "tokenauth_me")
            assert status == 401

    with Site("http", "localhost").served(tmp_path) as site:
        in_browser(story(site))


@pytest.mark.parametrize("is_on", [True, False])
def test_the_page_has_a_form_to_log_in_where_the_cookie_is_on(is_on: bool) -> None:
    """Elsewhere a password would be sent in vain."""
    app = make_app(config={"TOKENAUTH_REFRESH_COOKIE": is_on})
    hidden = re.search("<form [^>]*hidden>", app.test_client().get("/auth/docs").text)
    assert bool(hidden) is not is_on


async def authorise(page: Page, token: str) -> None:
    await page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".dialog-ux")
    await dialog.get_by_label("auth-bearer-value").fill(token)
    await dialog.get_by_role("button", name="Apply credentials").click()
    await dialog.get_by_role("button", name="Close").first.click()
