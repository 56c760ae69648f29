"""An application, and requests to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from flask import Flask
from flask_login import current_user, login_required
from werkzeug.test import run_wsgi_app

from tests.harness.kit import SECRET
from tests.stores.engines import NOW
from tokenauth import SessionStore, TokenAuth, User, UserStore
from tokenauth.sessions.issuer import TokenIssuer
from tokenauth.sessions.session import Session


class AnyUsers:
    """As many users as there are ids."""

    def get(self, user_id: str) -> User:
        return User(user_id)

    def find(self, username: str) -> User:
        return User(username)

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        return False


def app_at(store: SessionStore, users: UserStore | None = None, **config: Any) -> Flask:
    """Return an application with `/me`, a second after `NOW`."""
    app = Flask("growth")
    app.config.update({"SECRET_KEY": SECRET, **config})
    TokenAuth().init_app(app, users or AnyUsers(), sessions=store)
    app.extensions["tokenauth"].clock.source = lambda: NOW + 1

    @app.get("/me")
    @login_required
    def me() -> str:
        return str(current_user.id)

    return app


class Visitor:
    """Requests to an application, each with the tokens of the next session.

    Args:
        app: From `app_at`.
        sessions: Sessions of its store.
        issuer: The application that issued the tokens; None: the same.
    """

    def __init__(
        self, app: Flask, sessions: Sequence[Session], *, issuer: Flask | None = None
    ) -> None:
        self.app = app
        mint = TokenIssuer((issuer or app).extensions["tokenauth"].settings)
        pairs = [mint.pair(each, User(each.user_id), NOW) for each in sessions]
        self._access = itertools.cycle([pair.access_token for pair in pairs])
        self._refresh = iter([pair.refresh_token for pair in pairs])

    def request(self) -> None:
        """Answer a request of a protected view."""
        self._answer("GET", "/me", token=next(self._access))

    def refresh(self) -> None:
        """Answer a refresh."""
        body = b'{"refresh_token": "%b"}' % next(self._refresh).encode()
        self._answer("POST", "/auth/refresh", body)

    def logout(self) -> None:
        """Answer a logout."""
        self._answer("POST", "/auth/logout", token=next(self._access))

    def start(self, user: User) -> None:
        """Do all that a login does but for the password."""
        self.app.extensions["tokenauth"].service.start(user)

    def _answer(
        self, method: str, path: str, body: bytes = b"", token: str = ""
    ) -> None:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "http",
        }
        if token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        _, status, _ = run_wsgi_app(self.app.wsgi_app, environ)
        if not status.startswith("2"):
            raise RuntimeError(f"{method} {path}: {status}")
