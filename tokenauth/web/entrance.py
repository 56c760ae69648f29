"""Where each request comes in: before any function of the application sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, request

from ..events import LOGGER
from . import found, login
from . import session_interface as sessionless
from .api import routes

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
    let_go = _hold_our_places(app)
    _look_at_requests(app, let_go, if_many_processes)


def _take_our_places(app: Flask) -> None:
    login.manager_of(app)
    sessionless.join(app)


def _hold_our_places(app: Flask) -> Callable[[], None]:
    """Take our places again before a request begins: others are set up after us.

    Returns:
        What ends that: from the first request on Flask takes no set-up, and a look here
        takes as long as a signature.
    """
    begin = app.request_context

    def request_context(environ: dict[str, Any]) -> RequestContext:
        _take_our_places(app)
        return begin(environ)

    def let_go() -> None:
        if app.request_context is request_context:  # nobody has put theirs round it
            app.request_context = begin  # type: ignore[method-assign]

    app.request_context = request_context  # type: ignore[method-assign]
    return let_go


def _look_at_requests(
    app: Flask, let_go: Callable[[], None], if_many_processes: str | None
) -> None:
    """Answer what has no view, and OPTIONS; see what changed since the last request.

    Not in a `before_request` function: Flask would call it for every request, at ten
    times the cost.
    """
    preprocess, warning = app.preprocess_request, if_many_processes
    manager: object = None
    interface: object = None

    def preprocess_request() -> ResponseReturnValue | None:
        nonlocal warning, manager, interface
        # The first request; or what Flask cannot refuse was put there by hand since.
        if app.session_interface is not interface or app.login_manager is not manager:  # type: ignore[attr-defined]
            let_go()
            _take_our_places(app)
            interface, manager = app.session_interface, app.login_manager  # type: ignore[attr-defined]
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        if warning and current.environ.get("wsgi.multiprocess"):
            text, warning = warning, None
            LOGGER.warning(text)
        if current.routing_exception is not None:
            routes.refuse_unrouted()
        elif current.method == "OPTIONS":
            refusal: ResponseReturnValue | None = login.manager_of(app).guard_options()
            if refusal is not None:
                return refusal
        return preprocess()

    app.preprocess_request = preprocess_request  # type: ignore[method-assign]
