"""Where each request comes in: before any function of the application sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, Request, request

from . import found, login, routes, sessionless
from .events import LOGGER

if TYPE_CHECKING:
    from flask.ctx import RequestContext
    from flask.typing import ResponseReturnValue


def join(app: Flask, *, if_many_processes: str | None) -> None:
    """Let every request of an application come in here.

    Args:
        app: The application.
        if_many_processes: Warning for an application that several processes serve, as
            the server says with each request (PEP 3333).
    """
    found.join(app)
    _put_all_in_place(app, if_many_processes)
    _look_at_unusual_requests(app)


def _put_all_in_place(app: Flask, if_many_processes: str | None) -> None:
    begin, warning = app.request_context, if_many_processes

    def request_context(environ: dict[str, Any]) -> RequestContext:
        nonlocal warning
        # Each time: what is set up after us may have taken our places.
        login.manager_of(app)
        sessionless.join(app)
        if warning and environ.get("wsgi.multiprocess"):
            text, warning = warning, None
            LOGGER.warning(text)
        return begin(environ)

    app.request_context = request_context  # type: ignore[method-assign]


def _look_at_unusual_requests(app: Flask) -> None:
    """Answer what has no view, and OPTIONS.

    Not in a `before_request` function: Flask would call it for every request, at ten
    times the cost.
    """
    preprocess = app.preprocess_request

    def preprocess_request() -> ResponseReturnValue | None:
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        if current.routing_exception is not None:
            routes.refuse_unrouted()
        elif current.method == "OPTIONS":
            refusal: ResponseReturnValue | None = login.manager_of(app).guard_options()
            if refusal is not None:
                return refusal
        return preprocess()

    app.preprocess_request = preprocess_request  # type: ignore[method-assign]
