"""Whose user it is: Flask-Login keeps him on `g`, which may outlive his request.

An outer application context, as in a shell, a worker or a test, is one `g` for all
requests in it, one after another or one inside another.
"""

from __future__ import annotations

from functools import partial

from flask import (
    Flask,
    Request,
    current_app,
    has_app_context,
    has_request_context,
    request,
)
from flask.ctx import RequestContext

from . import login


def join(app: Flask) -> None:
    """Let every request of an application keep to its own user."""
    app.request_context = partial(TokenRequestContext, app)  # type: ignore[method-assign]


class TokenRequestContext(RequestContext):
    """A request's context, which takes over nobody's user and leaves nobody its own.

    A copy, as `flask.copy_current_request_context` makes it, is one as well.
    """

    def push(self) -> None:
        """Begin: whoever was found for another request is forgotten."""
        if has_app_context():
            self._leave_only_user_of(self.request)
        super().push()

    def pop(self, *args: BaseException | None) -> None:
        """End: whoever was found is forgotten, unless this request goes on outside."""
        super().pop(*args)
        if has_app_context():
            outer = request._get_current_object() if has_request_context() else None  # type: ignore[attr-defined]
            self._leave_only_user_of(outer)

    def _leave_only_user_of(self, carrier: Request | None) -> None:
        if current_app._get_current_object() is self.app:  # type: ignore[attr-defined]
            login.keep_user_of(carrier)
