"""The page on which a person reads the API and tries it, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask.testing import FlaskClient

from tests.kit import SECRET, assert_problem
from tests.servers import AppServer, serve
from tokenauth import docs_page

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response

ROOT = Path(__file__).parents[1]
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
needs_browser = pytest.mark.skipif(
    BROWSER is None or find_spec("playwright") is None,
    reason="NOT RUN: no browser. Install Chromium (Debian: apt-get install chromium) "
    "and the dependency group 'browser'.",
)


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
def server() -> Iterator[AppServer]:
    """The demo, whose user the description's examples name."""
    env = {"FLASK_SECRET_KEY": SECRET}
    with serve("tokenauth.demo:create_app()", cwd=ROOT, env=env) as running:
        yield running


@pytest.fixture
def page(server: AppServer) -> Iterator[Page]:
    """A page of the system's browser; a fetch from elsewhere or a complaint fails."""
    from playwright.sync_api import sync_playwright

    entries: list[ConsoleMessage] = []
    requests: list[Request] = []
    crashes: list[Error] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            args=[
                "--no-sandbox",  # CI runs as root, which Chromium's sandbox refuses
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        # Playwright marks its handlers, which a method of a list does not bear.
        page.on("console", lambda entry: entries.append(entry))  # noqa: PLW0108
        page.on("pageerror", lambda error: crashes.append(error))  # noqa: PLW0108
        page.on("request", lambda sent: requests.append(sent))  # noqa: PLW0108
        yield page
        browser.close()
    assert crashes == []
    # A status that the story expects is no fault of the page's.
    complaints = [entry.text for entry in entries if entry.type == "error"]
    assert [text for text in complaints if "Failed to load resource" not in text] == []
    own = (f"{server.url}/", "data:", "blob:")
    assert [sent.url for sent in requests if not sent.url.startswith(own)] == []


def execute(page: Page, operation_id: str, **fields: str) -> Response:
    """Fill an operation's fields, send it by its button, return what came back."""
    from playwright.sync_api import expect

    block = page.locator(f"[id$='-{operation_id}']")
    if "is-open" not in (block.get_attribute("class") or ""):
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Try it out").click()
    for name, value in fields.items():
        block.get_by_placeholder(name).fill(value)
    with page.expect_response(lambda _: True) as caught:
        block.get_by_role("button", name="Execute").click()
    shown = block.locator(".live-responses-table .response-col_status").last
    expect(shown).to_contain_text(str(caught.value.status))
    return caught.value


@needs_browser
def test_a_person_logs_in_authorises_and_calls(
    page: Page, server: AppServer, tmp_path: Path
) -> None:
    """From the login over `/auth/me` to the end of the session, all on the page."""
    page.goto(f"{server.url}/auth/docs")
    page.locator(".opblock").first.wait_for()
    assert page.locator(".opblock").count() == 13
    page.screenshot(path=tmp_path / "opened.png", full_page=True)
    assert execute(page, "tokenauth_me").status == 401

    pair = execute(page, "tokenauth_log_in")
    assert pair.status == 200
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".dialog-ux")
    dialog.get_by_label("auth-bearer-value").fill(pair.json()["access_token"])
    page.screenshot(path=tmp_path / "authorising.png")
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").first.click()

    me = execute(page, "tokenauth_me")
    assert (me.status, me.json()["username"]) == (200, "JohnDoe")
    listed = execute(page, "tokenauth_list_sessions")
    assert [each["current"] for each in listed.json()["sessions"]] == [True]
    session_id = listed.json()["sessions"][0]["id"]
    ended = execute(page, "tokenauth_end_session", session_id=session_id)
    assert ended.status == 204
    refused = execute(page, "tokenauth_me")
    assert (refused.status, refused.json()["code"]) == (401, "token_revoked")
    block = page.locator("[id$='-tokenauth_me']")
    block.get_by_text("token_revoked").first.wait_for()
    block.screenshot(path=tmp_path / "revoked.png")
