"""`make docs` builds a site that is whole, works offline, and names what is public."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import tokenauth
from tests.harness.browser import in_browser, needs_browser, open_browser
from tests.harness.guides import FOLDER, names_of
from tests.harness.kit import make_app
from tests.harness.servers import HOST, AppServer, outside_of_coverage
from tokenauth import events

# Beside `tokenauth` itself: modules whose names are public, and which.
DEEP = {
    "tokenauth.stores.sql": None,
    "tokenauth.stores.redis": None,
    "tokenauth.tokens": ["AccessTokenVerifier", "read_header"],
    "tokenauth.metrics": ["export_metrics"],
    "tokenauth.testing": ["CHEAP_HASHING", "Clock", "client_as", "frozen_clock"],
    "tokenauth.events": ["Event"],
}


def public() -> dict[str, Any]:
    """Return every public name and what it names."""
    names = {f"tokenauth.{name}" for name in tokenauth.__all__}
    for module, listed in DEEP.items():
        found = listed or importlib.import_module(module).__all__
        names |= {f"{module}.{name}" for name in found}
    things = {}
    for name in sorted(names):
        module, _, attribute = name.rpartition(".")
        things[name] = getattr(importlib.import_module(module), attribute)
    return things


def documented() -> Iterator[str]:
    """Yield the names of which the reference has an entry."""
    directive = r"^\.\. (currentmodule|module|(?:auto)?\w+):: ([\w.]+)"
    for page in ("api", "events"):
        text, module = (FOLDER / f"reference/{page}.md").read_text(), ""
        for kind, name in re.findall(directive, text, re.MULTILINE):
            if kind in {"currentmodule", "module"}:
                module = name
            else:
                yield f"{module}.{name}"


def test_the_reference_has_every_public_name_and_no_other() -> None:
    assert sorted(documented()) == sorted(public())


def test_a_receiver_is_told_of_a_theft() -> None:
    """By the page's lines."""
    told: list[str] = []
    app = make_app()
    names_of("events", app=app, alert=told.append)
    events.send(events.refresh_reused, app, events.Event(at=1.0, user_id="u-ann"))
    assert told == ["A refresh token of u-ann was stolen."]


@pytest.fixture
def site(tmp_path: Path, is_full: bool) -> Path:
    """The built site; a warning fails it. Its own theme takes half of the time."""
    folder = tmp_path / "site"
    options = ["-b", "html", "-n", "-W", "--keep-going", "-q"]
    options += [] if is_full else ["-D", "html_theme=basic"]
    command = [sys.executable, "-m", "sphinx", *options, str(FOLDER), str(folder)]
    env = outside_of_coverage() | {"PYTHONPATH": str(FOLDER.parents[1])}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@needs_browser
@pytest.mark.checkout  # its pages on security and changes are beside the package
def test_the_site_is_searched_without_a_network(site: Path) -> None:
    """No page loads anything from elsewhere; people's words find the right page."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    server = ThreadingHTTPServer((HOST, 0), handler)
    threading.Thread(target=server.serve_forever).start()
    url = f"http://{HOST}:{server.server_port}"

    async def search() -> str:
        found = ""
        async with open_browser(cast(AppServer, SimpleNamespace(url=url))) as browser:
            page = await browser.new_page()
            for words in ("blacklist", "fresh_login_required", "kubernetes"):
                await page.goto(f"{url}/search.html?q={words}")
                await page.wait_for_selector("#search-results li a")
                found += await page.inner_text("#search-results")
        return found

    try:
        found = in_browser(search())
    finally:
        server.shutdown()
        server.server_close()
    for title in ("Revoke a token", "Python API", "Docker and Kubernetes"):
        assert title in found
