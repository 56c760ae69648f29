"""The tutorial's example, made safe: two users in a dict, one protected view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from .accounts.passwords import hash_password
from .app import configured_app
from .extension import TokenAuth


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return an API with the tutorial's users and its protected view.

    Sessions outlive the process; a password that is changed is the old one again after
    a restart. `/` leads to the page to try the API.

    Args:
        config: Settings that go over those of the environment.
    """
    # No token of these two users, whose passwords are known, works anywhere else.
    app = configured_app(config, "tokenauth-demo")
    users = {
        "JohnDoe": hash_password("correct horse battery"),
        "JaneDoe": hash_password("staple tidy lantern"),
    }
    TokenAuth(app, users)

    @app.get("/protected")
    @login_required  # type: ignore[untyped-decorator] # Flask-Login has no types
    def protected() -> dict[str, str]:
        return {"hello": current_user.username}

    if "tokenauth.page" in app.view_functions:  # TOKENAUTH_DOCS is not off

        @app.get("/")
        def index() -> ResponseReturnValue:
            return redirect(url_for("tokenauth.page"))

    return app
