"""The code and settings of the how-to guides, and applications made of them."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from flask_cors import CORS

import tokenauth
from tests.harness.kit import Clock, make_app, make_users

FOLDER = Path(tokenauth.__file__).parent / "docs"
PAGES = {page.relative_to(FOLDER): page.read_text() for page in FOLDER.rglob("*.md")}


def block(language: str, name: str) -> str:
    """Return what a page has people copy."""
    fence = rf"^```{language} {name}\n(.*?)^```$"
    [found] = re.findall(fence, "\n".join(PAGES.values()), re.DOTALL | re.MULTILINE)
    text: str = found
    return text


def names_of(name: str, **given: Any) -> dict[str, Any]:
    """Run a snippet as a new module; return the module's names."""
    names: dict[str, Any] = {
        "__name__": f"guide_{name}",
        "users": make_users(),
        **given,
    }
    exec(block("python", name), names)  # noqa: S102 # our own page
    return names


def app_of(name: str, **given: Any) -> Flask:
    """Run a snippet as a new application's module."""
    app: Flask = names_of(name, **given)["app"]
    return app


def behind_nginx() -> Flask:
    """Return the application of the page on nginx, for a server."""
    return app_of("nginx")


def fetching() -> Flask:
    """Return an application whose page has the client file; only `/tick` ends tokens.

    `/requests` lists what was requested since it was last asked, and the status. With
    `?meet` two refusals wait for each other, so that both clients see theirs before
    either can do anything about it. The client file of `/elsewhere` has the address of
    the application on another origin.
    """
    clock, meeting, log = Clock(), threading.Barrier(2, timeout=20), list[str]()
    app = make_app(clock=clock, config={"TESTING": False})
    CORS(app)

    @app.after_request
    def note(response: Response) -> Response:
        if request.path != "/requests" and request.method != "OPTIONS":
            log.append(f"{request.method} {request.path} {response.status_code}")
        if "meet" in request.args and response.status_code == 401:
            meeting.wait()
        return response

    add_pages(app)

    @app.post("/tick")
    def tick() -> tuple[str, int]:
        clock.move(3600)
        return "", 204

    @app.get("/requests")
    def requests() -> list[str]:
        seen = log.copy()
        log.clear()
        return seen

    return app


def add_pages(app: Flask) -> None:
    """Add pages with the client file, on the application's origin and for another."""

    @app.get("/")
    def page() -> str:
        return "<script type=module>window.auth = await import('/auth.js')</script>"

    @app.get("/elsewhere")
    def elsewhere() -> str:
        return page().replace("auth.js", "auth.js?elsewhere")

    @app.get("/auth.js")
    def script() -> str:
        text = block("js", "fetch")
        if "elsewhere" in request.args:
            port = request.host.partition(":")[2]
            assert 'const API = "";' in text
            text = text.replace('API = ""', f'API = "http://localhost:{port}"')
        return text

    @app.get("/component.js")
    def component() -> str:
        return block("js", "component")

    @app.after_request
    def is_script(response: Response) -> Response:
        if request.path.endswith(".js"):
            response.mimetype = "text/javascript"
        return response
