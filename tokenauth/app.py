"""`create_app`: the API that stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

from .extension import TokenAuth
from .users import UserStore


def create_app(
    config: Mapping[str, Any] | None = None, *, users: UserStore | None = None
) -> Flask:
    """Return the stand-alone API.

    Args:
        config: Settings that go over those of the environment (`FLASK_*`, see
            `flask.Config.from_prefixed_env`).
        users: Where users are kept.

    Raises:
        ConfigurationError: it is set up in a way that is not safe.
    """
    app = Flask("tokenauth")
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    TokenAuth(app, users)
    return app
