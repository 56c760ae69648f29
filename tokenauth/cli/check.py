"""`flask tokenauth check`: a deployment, reviewed."""

from __future__ import annotations

import sys
from typing import Any, Final

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo, with_appcontext
from werkzeug.middleware.proxy_fix import ProxyFix

from ..errors import ConfigurationError
from ..stores.provision import CHECK
from .findings import Finding
from .group import as_json, rooms, show, tokenauth
from .review_settings import review_settings
from .review_stores import review_stores

_BELOW: Final = ("__wrapped__", "app", "wsgi_app", "application", "_app")
"""Names by which a middleware knows what it is wrapped around.

`functools.wraps` copies the names of what it wraps: its own comes first.
"""


@tokenauth.command(
    CHECK,
    short_help="Review a deployment, and say what to mend.",
    with_appcontext=False,
)
@as_json
@click.pass_context
def check(context: click.Context, *, is_json: bool) -> None:
    """Review the application as it is set up here, and say what to mend.

    Looks at keys, lifetimes, hashes, stores, clocks, debugging, and for a ProxyFix. Run
    it where the application is served, with the same environment.

    Exits with 1 if there is an error, with 0 if there is none; warnings are advice.

    \b
    Example:
      flask --app myapp tokenauth check
      flask --app myapp tokenauth check --json
    """
    # `flask` would go over the application's own DEBUG, and a server would not.
    context.ensure_object(ScriptInfo).set_debug_flag = False
    try:
        findings = _review()
    except ConfigurationError as refusal:
        findings = [Finding("error", "start", str(refusal))]
    show(Finding._fields, [list(each) for each in findings], is_json=is_json)
    if any(finding.level == "error" for finding in findings):
        sys.exit(1)


@with_appcontext
def _review() -> list[Finding]:
    here = rooms()
    return [
        *review_settings(here.settings),
        *review_stores(
            *here.stores,
            here.throttle,
            now=here.clock,
            leeway=here.settings.clock_leeway,
        ),
        *_review_server(current_app._get_current_object()),  # type: ignore[attr-defined]
    ]


def _review_server(app: Flask) -> list[Finding]:
    return [
        _flag(
            "DEBUG",
            "whoever meets an error may see, and run, code: turn it off where others "
            "reach the application.",
            is_on=app.debug,
        ),
        _flag(
            "TESTING",
            "what is refused elsewhere is let pass: turn it off outside of tests.",
            is_on=app.testing,
        ),
        _proxy(app.wsgi_app),
    ]


def _flag(name: str, consequence: str, *, is_on: bool) -> Finding:
    if is_on:
        return Finding("error", name, f"On, so {consequence}")
    return Finding("ok", name, "Off.")


def _proxy(wsgi_app: Any) -> Finding:
    for layer in _layers(wsgi_app):
        if isinstance(layer, ProxyFix) and layer.x_for:
            text = f"ProxyFix believes {layer.x_for} in front: see that it is so many."
            return Finding("ok", "proxy", text)
    return Finding(
        "warning",
        "proxy",
        "No ProxyFix was found around the application. If a proxy is in front, all "
        "clients have its address, and one budget of attempts: wrap app.wsgi_app in "
        "werkzeug.middleware.proxy_fix.ProxyFix. If there is none, all is well.",
    )


def _layers(wsgi_app: Any) -> list[Any]:
    """Return a WSGI application and what it is wrapped around, outermost first."""
    layers: list[Any] = []
    layer = wsgi_app
    while layer is not None and layer not in layers:
        layers.append(layer)
        below = (getattr(layer, name, None) for name in _BELOW)
        layer = next((each for each in below if each is not None), None)
    return layers
