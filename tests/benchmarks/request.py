"""One request to a protected page, in this process: Flask called as a server does."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

from tests.benchmarks.apps import PAGES, Page
from tests.benchmarks.measure import Bar, Group, take_turns

BARE, OURS, PUBLIC = "bare Flask", "tokenauth", "tokenauth, public page"
HTTPAUTH, JWT = "Flask-HTTPAuth + itsdangerous", "Flask-JWT-Extended"


def caller(page: Page) -> Callable[[], None]:
    """Return what makes one request and insists on its success."""
    template = environ(page)
    app = page.app.wsgi_app
    answered = ""

    def start_response(status: str, *_: Any) -> Callable[[bytes], Any]:
        nonlocal answered
        answered = status
        return lambda _: None

    def call() -> None:
        body: Any = app(dict(template), start_response)
        b"".join(body)
        body.close()
        if answered != "200 OK":
            raise AssertionError(f"{page.app.name}: {answered}")

    return call


def environ(page: Page) -> dict[str, Any]:
    """Return what gunicorn would pass for a request of wrk."""
    headers = {"Host": "127.0.0.1:5000", "User-Agent": "wrk", "Accept": "*/*"}
    names = {
        f"HTTP_{name.upper().replace('-', '_')}": value
        for name, value in (headers | page.headers).items()
    }
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": page.path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **names,
    }


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return the group of all pages, and the bars of requests."""
    calls = {name: caller(make()) for name, make in PAGES.items()}
    group = Group(
        title="a request to a protected page",
        unit="us",
        base=BARE,
        samples=take_turns("request", calls, rounds=rounds, number=60),
        is_overhead=True,
    )
    bars = [
        Bar(what="request: added / bare", value=group.ratio(OURS), at_most=0.55),
        Bar(
            what="request: added / Flask-JWT-Extended's",
            value=group.added_ratio(OURS, JWT),
            at_most=0.16,
        ),
        Bar(
            what="request: added / Flask-HTTPAuth's",
            value=group.added_ratio(OURS, HTTPAUTH),
            at_most=0.75,
        ),
        Bar(
            what="request / public page of the same application",
            value=group.ratio(OURS, PUBLIC),
            at_most=1.07,
        ),
    ]
    return [group], bars
