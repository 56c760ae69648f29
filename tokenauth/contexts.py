"""Where each request begins: what must be in its place by then, and what is told."""

from __future__ import annotations

from typing import Any

from flask import Flask, has_app_context
from flask.ctx import RequestContext

from . import found, login, sessionless
from .events import LOGGER


def join(app: Flask, *, if_many_processes: str | None) -> None:
    """Let every request of an application begin here.

    Args:
        app: The application.
        if_many_processes: Warning for an application that several processes serve, as
            the server says with each request (PEP 3333).
    """
    manager = login.manager_of(app)
    sessions = sessionless.join(app)
    warning = if_many_processes
    found.join(app)
    begin = app.request_context

    def request_context(environ: dict[str, Any]) -> RequestContext:
        nonlocal sessions, warning
        # Each time: what is set up after us may have taken our places.
        if app.login_manager is not manager:  # type: ignore[attr-defined]
            login.manager_of(app)
        if app.session_interface is not sessions:
            sessions = sessionless.join(app)
        if has_app_context():
            found.join_outer(app)
        if warning and environ.get("wsgi.multiprocess"):
            LOGGER.warning(warning)
            warning = None
        return begin(environ)

    app.request_context = request_context  # type: ignore[method-assign]
