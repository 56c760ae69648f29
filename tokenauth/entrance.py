"""Where each request comes in: before any function of the application sees it."""

from __future__ import annotations

from collections.abc import Callable
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
            the server says with a request (PEP 3333).
    """
    found.join(app)
    let_go = _hold_our_places(app)

    def settle() -> None:
        let_go()
        if if_many_processes and request.environ.get("wsgi.multiprocess"):
            LOGGER.warning(if_many_processes)

    _look_at_unusual_requests(app, settle)


def _hold_our_places(app: Flask) -> Callable[[], None]:
    """See to it that nothing set up after us takes our places.

    Returns:
        What ends that. From the first request on Flask takes no more set-up, and to
        look at each would take as long as its token's signature.
    """
    begin = app.request_context

    def request_context(environ: dict[str, Any]) -> RequestContext:
        login.manager_of(app)
        sessionless.join(app)
        return begin(environ)

    def let_go() -> None:
        if app.request_context is request_context:  # nobody has put theirs round it
            app.request_context = begin  # type: ignore[method-assign]

    app.request_context = request_context  # type: ignore[method-assign]
    return let_go


def _look_at_unusual_requests(app: Flask, at_the_first: Callable[[], None]) -> None:
    """Answer what has no view, and OPTIONS.

    Not in a `before_request` function: Flask would call it for every request, at ten
    times the cost.
    """
    preprocess, is_first = app.preprocess_request, True

    def preprocess_request() -> ResponseReturnValue | None:
        nonlocal is_first
        if is_first:
            is_first = False
            at_the_first()
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        if current.routing_exception is not None:
            routes.refuse_unrouted()
        elif current.method == "OPTIONS":
            refusal: ResponseReturnValue | None = login.manager_of(app).guard_options()
            if refusal is not None:
                return refusal
        return preprocess()

    app.preprocess_request = preprocess_request  # type: ignore[method-assign]
