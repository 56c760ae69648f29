"""The tutorial's example, made safe: two users in a dict, one protected view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_login import current_user, login_required

from .app import create_app as create_api
from .passwords import hash_password
from .users import DictUserStore


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the stand-alone API with the tutorial's users and its protected view.

    Args:
        config: Settings that go over those of the environment.
    """
    users = DictUserStore(
        {
            "JohnDoe": hash_password("correct horse battery"),
            "JaneDoe": hash_password("staple tidy lantern"),
        }
    )
    app = create_api(config, users=users)

    @app.get("/protected")
    @login_required  # type: ignore[untyped-decorator] # Flask-Login has no types
    def protected() -> dict[str, str]:
        return {"hello": current_user.username}

    return app
