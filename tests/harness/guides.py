"""The guides' code and settings, taken from the page, and applications made of them."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

import tokenauth
from tests.harness.kit import Clock, make_app, make_users

PAGE = (Path(tokenauth.__file__).parent / "docs" / "guides.md").read_text()


def block(language: str, name: str) -> str:
    """Return what a guide has people copy."""
    fence = rf"^```{language} {name}\n(.*?)^```$"
    [found] = re.findall(fence, PAGE, re.DOTALL | re.MULTILINE)
    text: str = found
    return text


def names_of(name: str, **given: Any) -> dict[str, Any]:
    """Run a guide's snippet as a new module; return the module's names."""
    names: dict[str, Any] = {
        "__name__": f"guide_{name}",
        "users": make_users(),
        **given,
    }
    exec(block("python", name), names)  # noqa: S102 # our own page
    return names


def app_of(name: str, **given: Any) -> Flask:
    """Run a guide's snippet as a new application's module."""
    app: Flask = names_of(name, **given)["app"]
    return app


def behind_nginx() -> Flask:
    """Return the application of the guide to nginx, for a server."""
    return app_of("nginx")


def fetching() -> Flask:
    """Return an application whose page has the fetch wrapper; only `/tick` ends tokens.

    `/requests` tells what was asked for since it was last asked, and how it went. With
    `?meet` two refusals wait for each other, so that both clients see theirs before
    either can do anything about it.
    """
    clock, meeting, log = Clock(), threading.Barrier(2, timeout=20), list[str]()
    app = make_app(clock=clock, config={"TESTING": False})

    @app.after_request
    def note(response: Response) -> Response:
        if request.path != "/requests":
            log.append(f"{request.method} {request.path} {response.status_code}")
        if "meet" in request.args and response.status_code == 401:
            meeting.wait()
        return response

    @app.get("/")
    def page() -> str:
        return "<script type=module>window.auth = await import('/auth.js')</script>"

    @app.get("/auth.js")
    def script() -> Response:
        return Response(block("js", "fetch"), mimetype="text/javascript")

    @app.post("/tick")
    def tick() -> tuple[str, int]:
        clock.move(3600)
        return "", 204

    @app.get("/requests")
    def requests() -> list[str]:
        told = log.copy()
        log.clear()
        return told

    return app
