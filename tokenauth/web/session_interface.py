"""No Flask session where a token decides: none is opened, none saved, no cookie set.

The addresses of ours set none either, whatever cookies come along.
"""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin

from . import state
from .request import carries_token, is_our_endpoint


def join(app: Flask) -> None:
    """Keep the Flask session of an application out of token requests."""
    inner = app.session_interface
    if not isinstance(inner, TokenSessionInterface):
        query_param = state.of(app).settings.query_param
        ours = TokenSessionInterface(inner, query_param)
        app.session_interface = cast(SessionInterface, ours)


class TokenSession(dict[str, Any], SessionMixin):
    """The Flask session of a token request: it lasts as long as the request."""


class TokenSessionInterface:
    """Steps aside when a token decides.

    Everything else is the application's own session interface, unchanged.

    Args:
        inner: The application's own.
        query_param: URL parameter that may carry the token; None: none may.
    """

    def __init__(self, inner: SessionInterface, query_param: str | None) -> None:
        self._inner = inner
        self._query_param = query_param

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        """Return the session of a request, the first that Flask does for it."""
        header = request.environ.get("HTTP_AUTHORIZATION") or ""
        # As nearly everybody sends it, whatever follows.
        if header[:7] == "Bearer " or carries_token(request, self._query_param):
            return TokenSession()
        return self._inner.open_session(app, request)

    def is_null_session(self, session: object) -> bool:
        """Whether there is nothing to save: a token decided, or there is no key."""
        return isinstance(session, TokenSession) or self._inner.is_null_session(session)

    def save_session(
        self, app: Flask, session: SessionMixin, response: Response
    ) -> None:
        """Save a session that was opened, unless the address is one of ours."""
        if not is_our_endpoint():
            app.login_manager.update_remember_cookie(response)  # type: ignore[attr-defined]
            self._inner.save_session(app, session, response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
