"""What another site or a sibling domain tries with the refresh cookie, in a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.browser import needs_browser
from tests.harness.kit import PASSWORDS
from tests.harness.pages import (
    API,
    APP,
    CALL,
    FOREIGN,
    LOG_IN,
    SIBLING,
    Site,
    Tabs,
    ask,
    in_tabs,
)
from tests.harness.redis_servers import wait_until
from tokenauth.web.refresh_cookie import NAME

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = needs_browser

BOB = json.dumps({"username": "bob", "password": PASSWORDS["bob"], "cookie": True})

# What a page can send to another origin without being allowed to: forms lead away,
FORMS = (
    """(url, body) => {
        const form = document.createElement("form");
        const input = document.createElement("input");
        form.method = "post"; form.enctype = "text/plain"; form.action = url;
        input.name = body.slice(0, -1) + ', "label": "'; input.value = '"}';
        form.append(input); document.body.append(form);
        form.submit();
    }""",
    """(url) => {
        const form = document.createElement("form");
        form.method = "post"; form.action = url;
        form.innerHTML = "<input name=grant_type value=refresh_token>";
        document.body.append(form);
        form.submit();
    }""",
    """(url, body) => {
        const form = document.createElement("form");
        form.method = "post"; form.enctype = "text/plain";
        form.action = `/redirect?to=${encodeURIComponent(url)}`;
        document.body.append(form);
        form.submit();
    }""",
)
# and a page can send the rest at once: a fetch without CORS, one with it, beacons, an
# image, and a fetch that is redirected.
OTHERS = """(url, body) => {
    const json = { "Content-Type": "application/json" };
    const given = { method: "POST", credentials: "include", body, headers: json };
    fetch(url, { ...given, mode: "no-cors" });
    fetch(url, given).catch(() => 0);
    navigator.sendBeacon(url, body);
    navigator.sendBeacon(url, new Blob([body], { type: "application/json" }));
    new Image().src = url;
    fetch(`/redirect?to=${encodeURIComponent(url)}`, given).catch(() => 0);
}"""
SENT = 11  # GET (image), 5 POST, 2 redirects, 3 OPTIONS (and nothing after them)
COMPLAINTS = ["blocked by CORS policy", "Cross-Origin"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An API that trusts the page on one subdomain."""
    with Site("https", API, allowed=[APP]).served(tmp_path) as running:
        yield running


async def attack(tabs: Tabs, host: str, path: str, body: str) -> list[str]:
    """Send everything from a host's pages; return what was answered, and how."""
    tabs.site.requests()

    async def send(script: str) -> Page:
        page = await tabs.browser.new_page()
        await page.goto(f"{tabs.site.at(host)}/blank")
        await page.evaluate(f"([url, body]) => void ({script})(url, body)", sent)
        return page

    sent = [tabs.site.url + path, body]
    pages = await asyncio.gather(*map(send, (*FORMS, OTHERS)))
    await asyncio.to_thread(wait_until, lambda: len(tabs.site.log) >= SENT)
    await asyncio.sleep(0.1)  # for the browser to read the last answers
    for page in pages:
        await page.close()
    seen = tabs.site.requests()
    assert len(seen) == SENT, seen
    return seen


@pytest.mark.parametrize("host", [FOREIGN, SIBLING])
def test_no_other_site_spends_or_ends_the_login(site: Site, host: str) -> None:
    """Cross-site and from a sibling domain, to which the browser sends the cookie."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open(APP, API)
        await ask(page, LOG_IN)
        [before] = await tabs.cookies()
        seen = await attack(tabs, host, "/auth/refresh", "{}")
        seen += await attack(tabs, host, "/auth/logout", "{}")
        sent = [line for line in seen if line.startswith("POST /auth/")]
        assert "POST /auth/refresh 415" in sent
        assert not [line for line in sent if line.endswith((" 200", " 204"))]
        assert await tabs.cookies() == [before]
        assert await ask(page, CALL) == [200, "alice"]
        site.expire()
        assert await ask(page, CALL) == [200, "alice"]

    in_tabs(site, story, complaints=COMPLAINTS)


@pytest.mark.parametrize("host", [FOREIGN, SIBLING])
def test_no_other_site_logs_its_visitor_in(site: Site, host: str) -> None:
    """Login CSRF: the visitor would act as the attacker."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open(APP, API)
        seen = await attack(tabs, host, "/auth/login", BOB)
        assert "POST /auth/login 415" in seen
        assert "POST /auth/login 200" not in seen
        assert await tabs.cookies() == []
        assert await ask(page, CALL) == [401, "token_missing"]

    in_tabs(site, story, complaints=COMPLAINTS)


def bobs(site: Site) -> str:
    """Return a refresh token of the attacker's own."""
    with site.app.app_context():
        service = site.app.extensions["tokenauth"].service
        token: str = service.start(service.users.find("bob")).refresh_token
    return token


async def toss(tabs: Tabs, crowd: Iterable[int] = ()) -> None:
    """Have a page of the sibling domain set a cookie for the API."""
    sibling = await tabs.browser.new_page()
    await sibling.goto(f"{tabs.site.at(SIBLING)}/blank")
    flags = "Domain=site.test; Path=/auth; Secure"
    cookies = [f"{n}=1; {flags}" for n in crowd]
    cookies.append(f"{NAME}={bobs(tabs.site)}; {flags}")
    await sibling.evaluate("(all) => all.forEach((c) => document.cookie = c)", cookies)
    assert "site.test" in {each["domain"].lstrip(".") for each in await tabs.cookies()}


async def reload(page: Page) -> None:
    await page.reload()
    await page.wait_for_function("() => window.auth")


def test_a_tossed_cookie_does_not_replace_a_login(site: Site) -> None:
    """It is refused beside the user's own, and both go: the user logs in again."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        await ask(page, LOG_IN)
        await toss(tabs)
        await reload(page)
        assert await ask(page, CALL) == [401, "token_missing"]
        assert await tabs.cookies() == []
        await ask(page, LOG_IN)
        await reload(page)
        assert await ask(page, CALL) == [200, "alice"]

    in_tabs(site, story)


def test_a_tossed_cookie_logs_nobody_in(site: Site) -> None:
    """A page whose user did not log in here asks for no refresh."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        await toss(tabs)
        await reload(page)
        site.requests()
        assert await ask(page, CALL) == [401, "token_missing"]
        assert site.requests() == ["GET /protected 401"]

    in_tabs(site, story)


def test_a_cookie_that_displaces_the_user_s_own_logs_nobody_in(site: Site) -> None:
    """With so many others beside it that the browser drops the oldest."""

    async def story(tabs: Tabs) -> None:
        page = await tabs.open()
        await ask(page, LOG_IN)
        names, start = [API], 0
        while API in names and start < 1000:  # the browser drops those of longest ago
            await toss(tabs, crowd=range(start, start + 200))
            names = [each["domain"] for each in await tabs.cookies()]
            start += 200
        assert API not in names
        await reload(page)
        assert await ask(page, CALL) == [401, "token_missing"]
        assert await page.evaluate("changes") == [False]
        await ask(page, LOG_IN)
        await reload(page)
        assert await ask(page, CALL) == [200, "alice"]

    in_tabs(site, story)
