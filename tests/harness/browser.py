"""The system's Chromium, driven by playwright."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

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


class Server(Protocol):
    @property
    def url(self) -> str: ...


@asynccontextmanager
async def open_browser(
    server: Server,
    *others: str,
    flags: Sequence[str] = (),
    complaints: Sequence[str] = (),
    profile: Path | None = None,
) -> AsyncGenerator[BrowserContext]:
    """Open the browser; a page's complaint fails, and a fetch from elsewhere.

    Others are the beginnings of addresses that pages may fetch from, too; complaints
    are parts of those that the story expects. Any certificate will do. A profile is a
    folder with preferences, in place of those by default.

    With playwright's asynchronous kit, since the other is made of greenlets: with
    those, and coverage measured in many threads, Python 3.11 can spin for ever.
    """
    from playwright.async_api import async_playwright

    entries: list[ConsoleMessage] = []
    requests: list[Request] = []
    crashes: list[WebError] = []
    async with async_playwright() as playwright:
        options: Any = {
            "executable_path": BROWSER,
            "args": [
                "--no-sandbox",  # CI runs as root, which Chromium's sandbox refuses
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                *flags,
            ],
            "ignore_default_args": ["--disable-back-forward-cache"],
        }
        view: Any = {
            "viewport": {"width": 1200, "height": 1600},
            "ignore_https_errors": True,
        }
        chromium = playwright.chromium
        if profile is None:
            context = await (await chromium.launch(**options)).new_context(**view)
        else:
            context = await chromium.launch_persistent_context(
                profile, **options, **view
            )
        # Playwright marks its handlers, which a method of a list does not bear.
        context.on("console", lambda entry: entries.append(entry))  # noqa: PLW0108
        context.on("weberror", lambda error: crashes.append(error))  # noqa: PLW0108
        context.on("request", lambda sent: requests.append(sent))  # noqa: PLW0108
        yield context
        await context.close()
    assert [crash.error for crash in crashes] == []
    # A status that the story expects is no fault of the page's.
    errors = [entry.text for entry in entries if entry.type == "error"]
    expected = ("Failed to load resource", *complaints)
    assert [text for text in errors if not any(e in text for e in expected)] == []
    own = (f"{server.url}/", "data:", "blob:", *others)
    assert [sent.url for sent in requests if not sent.url.startswith(own)] == []
