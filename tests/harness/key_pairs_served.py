"""An issuer and its services for real servers, with their settings in files.

A SIGHUP makes gunicorn start workers that read the file anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flask import Flask

from tests.harness.key_pairs import add_views
from tokenauth import TokenAuth, TokenVerifier
from tokenauth.tokens import key_set


def _app() -> Flask:
    app = Flask("app")
    settings: dict[str, Any] = json.loads(Path(os.environ["SETTINGS"]).read_text())
    app.config.update(settings, TESTING=True)
    add_views(app)
    return app


def create_issuer() -> Flask:
    app = _app()
    TokenAuth(app)
    return app


def create_service() -> Flask:
    key_set.RETRY_SECONDS, key_set.REFRESH_SECONDS = 1, 2  # type: ignore[misc]
    app = _app()
    TokenVerifier(app)
    return app
