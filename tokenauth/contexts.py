"""The context of a request: what must be in place before it, and whose user it has.

Flask-Login keeps the user on `g`. An outer application context, as in a shell, a worker
or a test, is one `g` for all requests in it, one after another or one inside another.
"""

from __future__ import annotations

from typing import Any

from flask import (
    Flask,
    Request,
    current_app,
    has_app_context,
    has_request_context,
    request,
)
from flask.ctx import RequestContext

from . import login, sessionless


def join(app: Flask) -> None:
    """Let every request of an application begin in a context of ours."""

    def request_context(environ: dict[str, Any]) -> RequestContext:
        # Each time: what is set up after us may have taken our places.
        login.manager_of(app)
        sessionless.join(app)
        return TokenRequestContext(app, environ)

    app.request_context = request_context  # type: ignore[method-assign]


class TokenRequestContext(RequestContext):
    """A request's context, which takes over nobody's user and leaves nobody its own.

    A copy, as `flask.copy_current_request_context` makes it, is one as well.
    """

    def push(self) -> None:
        """Begin: whoever was found for another request is forgotten."""
        if has_app_context():
            self._leave_only_user_of(self.request)
        super().push()

    def pop(self, *args: BaseException | None, **kwargs: BaseException | None) -> None:
        """End: whoever was found is forgotten, unless this request goes on outside."""
        super().pop(*args, **kwargs)
        if has_app_context():
            outer = request._get_current_object() if has_request_context() else None  # type: ignore[attr-defined]
            self._leave_only_user_of(outer)

    def _leave_only_user_of(self, carrier: Request | None) -> None:
        if current_app._get_current_object() is self.app:  # type: ignore[attr-defined]
            login.keep_user_of(carrier)
