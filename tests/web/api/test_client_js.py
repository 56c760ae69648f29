"""`/auth/client.js` and the refresh cookie, in a real browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient

from tests.harness.browser import in_browser, needs_browser
from tests.harness.firefox import Firefox, needs_firefox
from tests.harness.kit import PASSWORDS
from tests.harness.pages import (
    API,
    APP,
    CALL,
    FOREIGN,
    LOG_IN,
    Site,
    Tabs,
    ask,
    in_tabs,
    tabs_of,
)
from tokenauth.web.refresh_cookie import NAME

if TYPE_CHECKING:
    from playwright.async_api import Page

CHANGE = f"auth.changePassword({PASSWORDS['alice']!r}, 'staple tidy lantern')"
# Both see their refusal before either can do anything about it; Chromium sends equal
# requests that it may cache one after the other.
MEET = "auth.api('/protected?meet', { cache: 'no-store' })"

# All that a script can read: `indexedDB` has to be empty.
STORED = """async () => JSON.stringify([
    document.cookie, { ...localStorage }, { ...sessionStorage }, history.state, name,
    await caches.keys(), await indexedDB.databases(), location.href,
])"""


def test_the_file_is_cached_and_versioned(client: FlaskClient) -> None:
    """By its content; for a year where the page names the version that it means."""
    answer = client.get("/auth/client.js")
    assert answer.mimetype == "text/javascript"
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not {"Set-Cookie", "Vary"} & set(answer.headers.keys())
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert client.get("/auth/client.js", headers=tag).status_code == 304
    own = client.get(f"/auth/client.js?v={version('flask-login-tokenauth')}")
    assert "immutable" in own.headers["Cache-Control"]
    assert "max-age=31536000" in own.headers["Cache-Control"]
    other = client.get("/auth/client.js?v=0.0.1")
    assert other.headers["Cache-Control"] == "public, max-age=3600"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Over HTTPS, with a certificate made for the test."""
    with Site("https", API).served(tmp_path) as running:
        yield running


# Browsers take secure cookies on plain localhost, too.
HOSTS = {"https": API, "http": "localhost"}


@pytest.fixture(params=HOSTS)
def either_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The same, and over HTTP."""
    with Site(request.param, HOSTS[request.param]).served(tmp_path) as running:
        yield running


@pytest.fixture
def two_hosts(tmp_path: Path) -> Iterator[Site]:
    """The page and the API on two subdomains."""
    site = Site("https", API, allowed=[APP])
    with site.served(tmp_path) as running:
        yield running


@needs_browser
def test_a_login_outlives_a_reload_and_no_script_can_read_it(
    either_site: Site,
) -> None:
    """Without a login it asks for none; the refresh token is in the cookie alone."""
    site = either_site

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        assert await ask(page, CALL) == [401, "token_missing"]
        assert site.requests() == ["GET /protected 401"]
        assert await ask(page, LOG_IN) == [200, None]
        await page.reload()
        await page.wait_for_function("() => window.auth")
        site.requests()
        assert await ask(page, CALL) == [200, "alice"]
        assert site.requests() == ["GET /protected 200", "POST /auth/refresh 200"]

        [cookie] = await tabs.cookies()
        assert cookie["name"] == NAME
        assert cookie["path"] == "/auth"
        assert cookie["httpOnly"]
        assert cookie["secure"]
        assert cookie["sameSite"] == "Strict"
        stored = await page.evaluate(STORED)
        assert json.loads(stored)[0] == ""
        assert json.loads(stored)[5:7] == [[], []]
        assert len(site.tokens) == 2
        for token in (*site.tokens, cookie["value"]):
            assert token not in stored

    in_tabs(site, story)


@needs_browser
def test_all_tabs_refresh_once(
    either_site: Site,
) -> None:
    """Both see their token refused; one refreshes, and both get what they asked for."""
    site = either_site

    async def story(tabs: Tabs) -> None:
        pages = [await tabs.open(), await tabs.open()]
        await ask(pages[0], LOG_IN)
        assert await ask(pages[1], CALL) == [200, "alice"]  # told by the first
        site.requests()
        site.expire()
        answers = await asyncio.gather(*(ask(page, MEET) for page in pages))
        assert answers == [[200, "alice"]] * 2
        refused, good = ["GET /protected 401"] * 2, ["GET /protected 200"] * 2
        assert site.requests() == [*good, *refused, "POST /auth/refresh 200"]
        # The same after a reload of both, which know no token.
        await asyncio.gather(*(page.reload() for page in pages))
        for page in pages:
            await page.wait_for_function("() => window.auth")
        assert await asyncio.gather(*(ask(page, CALL) for page in pages))
        assert site.requests().count("POST /auth/refresh 200") in {1, 2}

    in_tabs(site, story)


@needs_browser
def test_ten_calls_at_once_refresh_once(site: Site) -> None:
    """The token expires in the midst of them."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        await ask(page, LOG_IN)
        site.expire()
        site.requests()
        calls = await page.evaluate(
            """async () => {
                const call = () => auth.api("/protected", { cache: "no-store" });
                const answers = await Promise.all(Array.from({ length: 10 }, call));
                return answers.map((answer) => answer.status);
            }"""
        )
        assert calls == [200] * 10
        assert site.requests().count("POST /auth/refresh 200") == 1

    in_tabs(site, story)


@needs_browser
def test_a_logout_in_one_tab_is_one_in_all(site: Site) -> None:
    """The others are told, have no token any more, and ask for none."""

    async def story(tabs: Tabs) -> None:
        one, other = await tabs.open(), await tabs.open()
        await ask(one, LOG_IN)
        assert await ask(other, CALL) == [200, "alice"]
        site.expire()
        assert await ask(one, "auth.logout()") == [204, None]
        await other.wait_for_function("() => changes.length === 2")
        assert await other.evaluate("changes") == [True, False]
        assert await tabs.cookies() == []
        site.requests()
        assert await ask(other, CALL) == [401, "token_missing"]
        assert site.requests() == ["GET /protected 401"]

    in_tabs(site, story)


@needs_browser
def test_a_password_change_in_one_tab_logs_no_other_out(site: Site) -> None:
    """The new session is that of all tabs, and its cookie that of the next refresh."""

    async def story(tabs: Tabs) -> None:
        one, other = await tabs.open(), await tabs.open()
        await ask(one, LOG_IN)
        [before] = await tabs.cookies()
        assert await ask(one, CHANGE) == [200, None]
        [after] = await tabs.cookies()
        assert before["value"] != after["value"]
        await other.wait_for_function("() => changes.length === 2")
        assert await ask(other, CALL) == [200, "alice"]
        site.expire()
        assert await ask(other, CALL) == [200, "alice"]

    in_tabs(site, story)


@needs_browser
def test_a_session_that_was_ended_elsewhere_ends_here(site: Site) -> None:
    """One refresh is tried; then the 401 is the caller's, and the cookie is gone."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        await ask(page, LOG_IN)
        with site.app.app_context():
            site.app.extensions["tokenauth"].service.revoke_user("u-alice")
        site.requests()
        assert await ask(page, CALL) == [401, "token_revoked"]
        assert site.requests() == ["GET /protected 401", "POST /auth/refresh 400"]
        assert await page.evaluate("changes") == [True, False]
        assert await tabs.cookies() == []
        assert await ask(page, CALL) == [401, "token_missing"]

    in_tabs(site, story)


async def go_away(page: Page, site: Site) -> None:
    await page.evaluate("addEventListener('pageshow', () => (window.restored = true))")
    await page.goto(f"{site.url}/blank")


async def go_back(page: Page) -> None:
    # Playwright's own would wait for the page to load.
    await page.evaluate("() => void setTimeout(() => history.back())")
    await page.wait_for_function("() => window.auth")


@needs_browser
def test_a_page_that_comes_back_goes_on(site: Site) -> None:
    """Back/forward cache: the page is restored with its memory, and refreshes."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        await ask(page, LOG_IN)
        await go_away(page, site)
        await go_back(page)
        assert await page.evaluate("[window.restored, changes]") == [True, [True, True]]
        site.requests()
        assert await ask(page, CALL) == [200, "alice"]
        assert site.requests() == ["GET /protected 200", "POST /auth/refresh 200"]

    in_tabs(site, story)


@needs_browser
def test_a_page_that_comes_back_knows_of_the_logout(site: Site) -> None:
    """Whether Chromium restores it or loads it again."""

    async def story(tabs: Tabs) -> None:
        page, other = await tabs.open(), await tabs.open()
        await ask(page, LOG_IN)
        await other.wait_for_function("() => changes.length === 1")
        await go_away(page, site)
        assert await ask(other, "auth.logout()") == [204, None]
        await go_back(page)
        assert not await page.evaluate("auth.isLoggedIn()")
        site.requests()
        assert await ask(page, CALL) == [401, "token_missing"]
        assert site.requests() == ["GET /protected 401"]

    in_tabs(site, story)


@needs_browser
def test_what_is_busy_is_asked_again(site: Site) -> None:
    """A 503 of ours, after its `Retry-After`; not for ever."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        await ask(page, LOG_IN)
        site.failures = 1
        assert await ask(page, "auth.api('/flaky')") == [200, None]
        site.failures = 9
        assert await ask(page, "auth.api('/flaky')") == [503, "store_unavailable"]
        assert site.failures == 5

    in_tabs(site, story)


@needs_browser
def test_a_request_object_is_refused(site: Site) -> None:
    """It would be read as the address `/[object Request]`."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        api = "auth.api(new Request('/echo')).catch((error) => error.message)"
        assert await page.evaluate(api) == "Pass an address and options."

    in_tabs(site, story)


@needs_browser
def test_the_token_is_sent_to_no_other_origin(site: Site) -> None:
    """However the address is spelled."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        await ask(page, LOG_IN)
        for address in ("https://evil.test/", "//evil.test/", r"\\\\evil.test"):
            refused = await page.evaluate(
                "(to) => auth.api(to).catch((error) => error.name)", address
            )
            assert refused == "TypeError"

    in_tabs(site, story)


@needs_browser
def test_the_api_may_be_on_another_subdomain(two_hosts: Site) -> None:
    """With CORS; the code of an error is enough, and `Retry-After` may be hidden."""
    site = two_hosts

    async def story(tabs: Tabs) -> None:
        page, other = await tabs.open(APP, API), await tabs.open(APP, API)
        assert await ask(page, LOG_IN) == [200, None]
        [cookie] = await tabs.cookies()
        assert cookie["domain"] == API
        await page.reload()
        await page.wait_for_function("() => window.auth")
        assert await ask(page, CALL) == [200, "alice"]
        site.expire()
        answers = await asyncio.gather(*(ask(tab, MEET) for tab in (page, other)))
        assert answers == [[200, "alice"]] * 2
        site.failures = 1
        assert await ask(page, "auth.api('/flaky')") == [200, None]
        assert await ask(page, CHANGE) == [200, None]
        assert await ask(other, "auth.logout()") == [204, None]
        assert await tabs.cookies() == []

    in_tabs(site, story)


@asynccontextmanager
async def at_another_site(
    folder: Path, preferences: dict[str, Any]
) -> AsyncGenerator[tuple[Site, Page]]:
    """Show a page of another site that may use the API, in a browser set up so."""
    (folder / "Default").mkdir()
    profile = json.dumps({"profile": preferences})
    (folder / "Default" / "Preferences").write_text(profile)
    config = {"TOKENAUTH_REFRESH_COOKIE_SAMESITE": "None"}
    site = Site("https", API, config, allowed=[FOREIGN])
    with site.served(folder):
        async with tabs_of(site, profile=folder) as tabs:
            yield site, await tabs.open(FOREIGN, API)


@needs_browser
@pytest.mark.parametrize("is_blocked", [False, True])
def test_a_page_of_another_site_works_as_far_as_the_browser_lets_it(
    tmp_path: Path, is_blocked: bool
) -> None:
    """Where third-party cookies are blocked, a login lasts as long as its token."""

    async def story() -> None:
        mode = {"cookie_controls_mode": int(is_blocked)}
        async with at_another_site(tmp_path, mode) as (site, page):
            assert await ask(page, LOG_IN) == [200, None]
            assert await ask(page, CALL) == [200, "alice"]
            assert len(await page.context.cookies()) == (not is_blocked)
            site.expire()
            expected = [401, "token_expired"] if is_blocked else [200, "alice"]
            assert await ask(page, CALL) == expected
            assert await page.evaluate("auth.isLoggedIn()") is not is_blocked

    in_browser(story())


@needs_browser
def test_where_all_cookies_are_blocked_public_views_work(tmp_path: Path) -> None:
    """And a login says why it does not."""

    async def story() -> None:
        mode = {"default_content_setting_values": {"cookies": 2}}
        async with at_another_site(tmp_path, mode) as (_, page):
            assert await ask(page, "auth.api('/public')") == [200, None]
            refused = await page.evaluate(f"{LOG_IN}.catch((error) => error.name)")
            assert refused == "SecurityError"

    in_browser(story())


# -- Firefox ---------------------------------------------------------------------------


def status_of(call: str) -> str:
    return f"{call}.then((answer) => answer.status)"


@needs_firefox
def test_firefox_keeps_a_login_as_chromium_does(tmp_path: Path) -> None:
    """Reload, two tabs that refresh at once, no token in reach, one logout."""
    with Firefox() as firefox:
        for scheme, host in HOSTS.items():
            with Site(scheme, host).served(tmp_path) as site:
                check_in_firefox(firefox, site)


def check_in_firefox(firefox: Firefox, site: Site) -> None:
    one, other = (firefox.open(f"{site.url}/") for _ in "ab")
    assert firefox.run(one, status_of(LOG_IN)) == 200
    assert firefox.run(other, status_of(CALL)) == 200
    firefox.reload(one)
    site.requests()
    assert firefox.run(one, status_of(CALL)) == 200
    assert site.requests() == ["GET /protected 200", "POST /auth/refresh 200"]

    site.expire()
    for tab in (one, other):
        firefox.run(tab, f"void (window.met = {status_of(MEET)})")
    assert [firefox.run(tab, "met") for tab in (one, other)] == [200, 200]
    assert site.requests().count("POST /auth/refresh 200") == 1

    [cookie] = firefox.cookies()
    assert (cookie["name"], cookie["path"]) == (NAME, "/auth")
    assert cookie["httpOnly"]
    assert cookie["secure"]
    assert cookie["sameSite"] == "strict"
    stored = firefox.run(one, f"({STORED})()")
    for token in (*site.tokens, cookie["value"]["value"]):
        assert token not in stored

    assert firefox.run(one, status_of("auth.logout()")) == 204
    assert firefox.run(other, status_of(CALL)) == 401
    assert firefox.cookies() == []
