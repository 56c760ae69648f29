"""`TokenVerifier`: a Flask application that accepts the tokens of another one."""

from __future__ import annotations

from flask import Flask

from ..tokens.claims import Claims
from ..web import session_interface
from ..web.api import routes
from ..web.login import TokenLoginManager
from ..web.state import KEY, current_state
from .build import build_verifier


class TokenVerifier:
    """Accepts the access tokens of another application, by its public keys.

    `login_required`, `current_user`, `current_claims`, the guards and the errors are as
    on that application. The user is a `TokenUser`: what the token says. A revoked login
    ends with its access token, unless `TOKENAUTH_SESSION_URL` names the sessions.

    Args:
        app: The application; without one, call `init_app` later.

    Attributes:
        login_manager: The application's `flask_login.LoginManager`.

    Raises:
        ConfigurationError: `TOKENAUTH_VERIFY_KEYS` or `TOKENAUTH_REALM` is missing, or
            a setting is unsafe or cannot work.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self.login_manager = TokenLoginManager()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Join to an application.

        Args:
            app: The application, with its configuration.

        Raises:
            ConfigurationError: as the class does.
        """
        app.extensions[KEY] = build_verifier(app)
        self.login_manager.init_app(app)
        session_interface.join(app)
        routes.guard(app)

    def verify(self, token: str) -> Claims:
        """Return what a token says, after the whole check that a request gets.

        Args:
            token: An access token, or a personal access token where the sessions are
                seen.

        Raises:
            AuthError: the token is bad.
            StoreUnavailableError: sessions or keys cannot be read.
        """
        return current_state().verifier.authenticate(token).claims
