"""The guides that need real servers and a real browser run with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from tests.browser import needs_browser, open_browser
from tests.guides import block
from tests.kit import PASSWORDS
from tests.servers import AppServer, serve

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page


# -- a fetch wrapper for browsers ------------------------------------------------------


def test_the_fetch_wrapper_is_short() -> None:
    """Promised in about thirty lines."""
    lines = [line for line in block("js", "fetch").splitlines() if line]
    assert 30 <= len(lines) <= 34


@pytest.fixture
def fetching() -> Iterator[AppServer]:
    with serve("tests.guides:fetching()") as server:
        yield server


class Tabs:
    """Two tabs of one browser, and the application that they show."""

    def __init__(self, server: AppServer, *pages: Page) -> None:
        self._server = server
        self._pages = pages

    async def open(self) -> None:
        for page in self._pages:
            await page.goto(self._server.url)
            await page.wait_for_function("() => window.auth")

    async def each(self, call: str) -> list[Any]:
        """Make a call of the wrapper's in all tabs at the same moment."""
        calls = (self._ask(page, call) for page in self._pages)
        return list(await asyncio.gather(*calls))

    async def first(self, call: str) -> Any:
        return await self._ask(self._pages[0], call)

    async def _ask(self, page: Page, call: str) -> Any:
        script = f"""async () => {{
            const answer = await {call};
            const body = answer.status === 204 ? {{}} : await answer.json();
            return [answer.status, body.user ?? body.code];
        }}"""
        return await page.evaluate(script)

    def requests(self) -> list[str]:
        """Return what the server was asked for since the last time."""
        with urlopen(f"{self._server.url}/requests", timeout=20) as answer:  # noqa: S310
            told: list[str] = json.load(answer)
        return [line for line in told if line.split()[1] not in {"/", "/auth.js"}]


async def tabs_of(browser: BrowserContext, server: AppServer) -> Tabs:
    tabs = Tabs(server, await browser.new_page(), await browser.new_page())
    await tabs.open()
    return tabs


LOG_IN = f"auth.login('alice', {PASSWORDS['alice']!r})"
CALL = "auth.api('/protected')"
# Chromium sends equal requests that it may cache one after the other.
MEET = "auth.api('/protected?meet', { cache: 'no-store' })"
END = "auth.api('/auth/sessions', { method: 'DELETE' })"  # as from elsewhere
TICK = "fetch('/tick', { method: 'POST' })"


@needs_browser
def test_all_tabs_refresh_once(fetching: AppServer) -> None:
    """Both see their token refused; one refreshes, and both get what they asked for."""

    async def story() -> None:
        async with open_browser(fetching) as browser:
            tabs = await tabs_of(browser, fetching)
            assert await tabs.first(LOG_IN) == [200, None]
            assert await tabs.each(CALL) == [[200, "alice"]] * 2
            assert await tabs.first(TICK) == [204, None]
            tabs.requests()
            assert await tabs.each(MEET) == [[200, "alice"]] * 2
            assert sorted(tabs.requests()) == [
                "GET /protected 200",
                "GET /protected 200",
                "GET /protected 401",
                "GET /protected 401",
                "POST /auth/refresh 200",
            ]

    asyncio.run(story())


@needs_browser
def test_a_login_that_is_over_is_not_asked_for_again(fetching: AppServer) -> None:
    """One refresh is tried; then the 401 is the caller's, and no token is left."""

    async def story() -> None:
        async with open_browser(fetching) as browser:
            tabs = await tabs_of(browser, fetching)
            await tabs.first(LOG_IN)
            assert await tabs.first("auth.logout()") == [204, None]
            tabs.requests()
            assert await tabs.each(CALL) == [[401, "token_missing"]] * 2
            assert tabs.requests() == ["GET /protected 401"] * 2

            await tabs.first(LOG_IN)
            assert await tabs.first(END) == [204, None]
            tabs.requests()
            assert await tabs.each(MEET) == [[401, "token_revoked"]] * 2
            assert sorted(tabs.requests()) == [
                "GET /protected 401",
                "GET /protected 401",
                "POST /auth/refresh 400",
            ]
            assert await tabs.each(CALL) == [[401, "token_missing"]] * 2

    asyncio.run(story())
