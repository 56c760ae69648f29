"""`flask tokenauth check`: reviews a deployment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click
from flask import Flask
from flask.cli import ScriptInfo, with_appcontext
from werkzeug.middleware.proxy_fix import ProxyFix

from ..errors import ConfigurationError
from ..web.api.routes import conflicts
from ..web.login import manager_of
from ..web.request import this_app
from .group import as_json, find_state, show, tokenauth
from .review_settings import Finding, expect, review_settings
from .review_stores import review_stores


@tokenauth.command(with_appcontext=False)
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning, too.")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="AREA",
    help="Leave an area out, as in --ignore proxy; repeat the option for more.",
)
@as_json
@click.pass_context
def check(
    context: click.Context, ignored: tuple[str, ...], *, strict: bool, is_json: bool
) -> None:
    """Review a deployment, and say what to fix.

    Looks at keys, lifetimes and password hashes, does with each store what a login
    does and undoes it, compares clocks, and looks for debug mode and a ProxyFix. Run
    it where the application is served, with the same environment.

    Exits with 1 if there is an error, or, with --strict, a warning.

    \b
    Example:
      flask --app myapp tokenauth check
      flask --app myapp tokenauth check --strict --ignore proxy
      flask --app myapp tokenauth check --json
    """
    # `flask` would override the application's own DEBUG, and a server would not.
    context.ensure_object(ScriptInfo).set_debug_flag = False
    try:
        findings = _review()
    except ConfigurationError as refusal:
        findings = [Finding("error", "start", str(refusal))]
    shown = [finding for finding in findings if finding.area not in ignored]
    show(Finding._fields, shown, is_json=is_json)
    bad = {"error", "warning"} if strict else {"error"}
    if any(finding.level in bad for finding in shown):
        sys.exit(1)


@with_appcontext
def _review() -> list[Finding]:
    here = find_state()
    manager_of(this_app())  # raises if another took its place
    return [
        *review_settings(here.settings),
        *review_stores(here),
        *_review_server(this_app()),
    ]


def _review_server(app: Flask) -> Iterator[Finding]:
    for name, is_on, advice in (
        ("DEBUG", app.debug, "Everybody who meets an error may see and run code."),
        ("TESTING", app.testing, "Settings that are not safe are accepted."),
    ):
        fact = "On." if is_on else "Off."
        advised = f"{advice} Turn it off where others reach the application."
        yield expect(not is_on, name, fact, advised, otherwise="error")
    claimed = ", ".join(conflicts(app))
    yield expect(
        not claimed,
        "addresses",
        f"Claimed by the application, too: {claimed or 'none'}.",
        "Only the rule that was added first answers. Set TOKENAUTH_URL_PREFIX.",
    )
    yield _proxy(app.wsgi_app)


def _proxy(wsgi_app: Any) -> Finding:
    layers = [each for each in _layers(wsgi_app) if isinstance(each, ProxyFix)]
    trusted = max((layer.x_for for layer in layers), default=0)
    return expect(
        trusted > 0,
        "proxy",
        f"ProxyFix trusts {trusted} proxies with the client's address (x_for).",
        "If a proxy is in front of the application, all clients have its address and "
        "share its limit of attempts: wrap app.wsgi_app in "
        "werkzeug.middleware.proxy_fix.ProxyFix. If there is none: --ignore proxy.",
    )


def _layers(wsgi_app: Any) -> Iterator[Any]:
    """Yield a WSGI application and what it wraps, as Werkzeug's middlewares name it."""
    seen: list[Any] = []
    while wsgi_app is not None and wsgi_app not in seen:
        seen.append(wsgi_app)
        yield wsgi_app
        wsgi_app = getattr(wsgi_app, "wsgi_app", None) or getattr(wsgi_app, "app", None)
