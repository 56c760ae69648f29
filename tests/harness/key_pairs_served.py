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

REFRESH = 0.5  # seconds until a service asks for the issuer's keys anew


def _app() -> Flask:
    app = Flask("app")
    file = Path(os.environ["SETTINGS"])
    settings: dict[str, Any] = json.loads(file.read_text())
    app.config.update(settings, TESTING=True)
    add_views(app)
    file.with_suffix(f".{os.getpid()}").touch()  # this process has read it
    return app


def create_issuer() -> Flask:
    app = _app()
    TokenAuth(app)
    return app


def create_service() -> Flask:
    key_set.RETRY_SECONDS = 0.1  # type: ignore[misc,assignment]
    key_set.REFRESH_SECONDS = REFRESH  # type: ignore[misc,assignment]
    app = _app()
    TokenVerifier(app)
    return app
