"""The Flask session where a token decides: empty, never saved, no cookie set.

Our own endpoints set no session cookie either, whatever cookies come along.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Request, Response, appcontext_pushed
from flask.sessions import SessionInterface, SessionMixin

from .identity import forget
from .request import is_our_endpoint, is_token_request, this_request
from .state import current_state


def join(app: Flask) -> None:
    """Put our session interface round the application's, whenever that is set."""
    wrap(app)
    appcontext_pushed.connect(wrap, app)  # others may be set up after us


def wrap(app: Flask, **_: object) -> None:
    """Put our session interface round the application's, unless it is there."""
    if not isinstance(app.session_interface, TokenSessionInterface):
        app.session_interface = TokenSessionInterface(app.session_interface)


def settle(app: Flask) -> None:
    """Stop looking for others: from the first request on Flask takes no set-up."""
    appcontext_pushed.disconnect(wrap, app)


class TokenSession(dict[str, Any], SessionMixin):
    """The Flask session of a token request, where the application's has no class."""


class TokenSessionInterface(SessionInterface):
    """Steps aside for token requests; all else is the application's own interface.

    Args:
        inner: The application's own.
    """

    def __init__(self, inner: SessionInterface) -> None:
        self._inner = inner
        self.pickle_based = inner.pickle_based
        self.null_session_class = inner.null_session_class

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        """Return the session of a request; this is the first that Flask does for it."""
        forget()
        if is_token_request(request):
            empty: SessionMixin = getattr(self._inner, "session_class", TokenSession)()
            return empty
        return self._inner.open_session(app, request)

    def make_null_session(self, app: Flask) -> Any:
        """Return a session that says that there is no key."""
        return self._inner.make_null_session(app)

    def is_null_session(self, obj: object) -> bool:
        """Return whether there is nothing to save, as the application's own says."""
        return self._inner.is_null_session(obj)

    def save_session(
        self, app: Flask, session: SessionMixin, response: Response
    ) -> None:
        """Save a session, unless a token decides or the endpoint is one of ours.

        Flask calls this after every hook, so what a hook made of the response counts.
        """
        request = this_request()
        if is_token_request(request):
            _keep_private(request, response)
        elif not is_our_endpoint(request):
            self._inner.save_session(app, session, response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _keep_private(request: Request, response: Response) -> None:
    """Keep caches that see only the URL from an answer (RFC 6750 section 2.3)."""
    parameter = current_state().settings.query_param
    if parameter is not None and parameter.encode() in request.query_string:
        response.headers.setdefault("Cache-Control", "private, no-store")
