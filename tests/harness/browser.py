"""The system's Chromium, driven by playwright."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.harness.servers import AppServer

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, ConsoleMessage, Request, WebError

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
needs_browser = pytest.mark.skipif(
    BROWSER is None or find_spec("playwright") is None,
    reason="NOT RUN: no browser. Install Chromium (Debian: apt-get install chromium) "
    "and the dependency group 'browser'.",
)


@asynccontextmanager
async def open_browser(
    server: AppServer, *others: str
) -> AsyncGenerator[BrowserContext]:
    """Open the browser; a page's complaint fails, and a fetch from elsewhere.

    Others are the beginnings of addresses that pages may fetch from, too.

    With playwright's asynchronous kit, since the other is made of greenlets: with
    those, and coverage measured in many threads, Python 3.11 can spin for ever.
    """
    from playwright.async_api import async_playwright

    entries: list[ConsoleMessage] = []
    requests: list[Request] = []
    crashes: list[WebError] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=BROWSER,
            args=[
                "--no-sandbox",  # CI runs as root, which Chromium's sandbox refuses
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        context = await browser.new_context(viewport={"width": 1200, "height": 1600})
        # Playwright marks its handlers, which a method of a list does not bear.
        context.on("console", lambda entry: entries.append(entry))  # noqa: PLW0108
        context.on("weberror", lambda error: crashes.append(error))  # noqa: PLW0108
        context.on("request", lambda sent: requests.append(sent))  # noqa: PLW0108
        yield context
        await browser.close()
    assert [crash.error for crash in crashes] == []
    # A status that the story expects is no fault of the page's.
    complaints = [entry.text for entry in entries if entry.type == "error"]
    assert [text for text in complaints if "Failed to load resource" not in text] == []
    own = (f"{server.url}/", "data:", "blob:", *others)
    assert [sent.url for sent in requests if not sent.url.startswith(own)] == []
