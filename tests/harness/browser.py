"""The system's Chromium, driven by playwright."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from playwright.async_api import (
        BrowserContext,
        BrowserType,
        ConsoleMessage,
        Request,
        WebError,
    )

T = TypeVar("T")

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
needs_browser = pytest.mark.skipif(
    BROWSER is None or find_spec("playwright") is None,
    reason="NOT RUN: no browser. Install Chromium (Debian: apt-get install chromium) "
    "and the dependency group 'browser'.",
)


OPTIONS: dict[str, Any] = {
    "executable_path": BROWSER,
    "args": [
        "--no-sandbox",  # CI runs as root, which Chromium's sandbox refuses
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP *.test 127.0.0.1",
    ],
    "ignore_default_args": ["--disable-back-forward-cache"],
}
VIEW: dict[str, Any] = {
    "viewport": {"width": 1200, "height": 900},
    "ignore_https_errors": True,
}


class Server(Protocol):
    @property
    def url(self) -> str: ...


class Chromium:
    """One for all tests of a worker, started when it is first asked for.

    With playwright's asynchronous kit, since the other is made of greenlets: with
    those, and coverage measured in many threads, Python 3.11 can spin for ever.
    """

    def __init__(self) -> None:
        self.runner, self._open = asyncio.Runner(), AsyncExitStack()
        self._kind: BrowserType | None = None
        self._window: BrowserContext | None = None

    async def window(self, profile: Path | None) -> BrowserContext:
        """Return one without cookies.

        A profile is a folder with preferences: only a browser of its own takes one.
        All else have one in turn, since to open one takes as long as a story. Each site
        has a port of its own, and so an origin that stored nothing yet.
        """
        from playwright.async_api import async_playwright

        if self._kind is None:
            playwright = await self._open.enter_async_context(async_playwright())
            self._kind = playwright.chromium
        if profile is not None:
            return await self._kind.launch_persistent_context(
                profile, **OPTIONS, **VIEW
            )
        if self._window is None:
            browser = await self._kind.launch(**OPTIONS)
            await self._open.enter_async_context(browser)
            self._window = await browser.new_context(**VIEW)
            await self._window.new_page()  # with the last one it would close
        return self._window

    async def leave(self, window: BrowserContext) -> None:
        """Close its pages and forget its cookies; close one with a profile."""
        if window is self._window:
            for page in window.pages[1:]:
                await page.close()
            await window.clear_cookies()
        else:
            await window.close()

    def close(self) -> None:
        if self._kind is not None:  # mutmut runs the tests twice in one process
            self.runner.run(self._open.aclose())
            self.runner.close()


CHROMIUM = Chromium()


@pytest.fixture(scope="session", autouse=True)
def closed_browser() -> Iterator[None]:
    """Close the browser when all tests have run."""
    yield
    CHROMIUM.close()


def in_browser(story: Coroutine[Any, Any, T]) -> T:
    """Do what happens in the browser, to its end."""
    return CHROMIUM.runner.run(story)


@asynccontextmanager
async def open_browser(
    server: Server,
    *others: str,
    complaints: Sequence[str] = (),
    profile: Path | None = None,
) -> AsyncGenerator[BrowserContext]:
    """Open a window without a past; a page's complaint fails, and a foreign fetch.

    Others are the beginnings of addresses that pages may fetch from, too; complaints
    are parts of those that the story expects. Any certificate will do, and all names
    under `test` are this machine's.
    """
    entries: list[ConsoleMessage] = []
    requests: list[Request] = []
    crashes: list[WebError] = []
    # Playwright marks its handlers, which a method of a list does not bear.
    handlers: dict[str, Callable[[Any], None]] = {
        "console": lambda entry: entries.append(entry),  # noqa: PLW0108
        "weberror": lambda error: crashes.append(error),  # noqa: PLW0108
        "request": lambda sent: requests.append(sent),  # noqa: PLW0108
    }
    window: Any = await CHROMIUM.window(profile)
    for event, handler in handlers.items():
        window.on(event, handler)
    try:
        yield window
    finally:
        await CHROMIUM.leave(window)
        for event, handler in handlers.items():
            window.remove_listener(event, handler)
    assert [crash.error for crash in crashes] == []
    # A status that the story expects is no fault of the page's.
    errors = [entry.text for entry in entries if entry.type == "error"]
    expected = ("Failed to load resource", *complaints)
    assert [text for text in errors if not any(e in text for e in expected)] == []
    own = (f"{server.url}/", "data:", "blob:", *others)
    assert [sent.url for sent in requests if not sent.url.startswith(own)] == []
