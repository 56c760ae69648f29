"""`create_app`: the API that stands alone."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException

from .cli.database import init_db
from .cli.running import running_command
from .cli.users import add
from .errors import ConfigurationError
from .extension import TokenAuth
from .stores import open_sessions, open_users
from .stores.provision import Stores
from .web.api.routes import as_problem


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the stand-alone API.

    Users are kept where `TOKENAUTH_USERS_URL` says: by default in the SQLite file
    `instance/tokenauth.sqlite3` under the working directory, which is created with its
    tables. Sessions are kept beside them unless `TOKENAUTH_SESSION_URL` says otherwise.

    Args:
        config: Settings that go over those of the environment (`FLASK_*`, see
            `flask.Config.from_prefixed_env`).

    Raises:
        ConfigurationError: it is set up in a way that is not safe.
        StoreUnavailableError: the default SQLite file could not be opened.
    """
    app = configured_app(config)
    TokenAuth(app)
    return app


def configured_app(config: Mapping[str, Any] | None, name: str = "tokenauth") -> Flask:
    """Return the application that `create_app` gives a `TokenAuth`.

    Its settings say where users are kept; sessions follow them.

    Args:
        config: As for `create_app`.
        name: Of the default realm, and of the default SQLite file.

    Raises:
        ConfigurationError: a URL names no store, its driver is missing, or the default
            SQLite file cannot be created.
        StoreUnavailableError: the default SQLite file could not be opened.
    """
    app = Flask("tokenauth", instance_path=str(Path.cwd() / "instance"))
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    app.config.setdefault("TOKENAUTH_REALM", name)
    # Nobody but programs asks here, and none of them reads HTML.
    app.register_error_handler(HTTPException, as_problem)
    if not app.config.get("TOKENAUTH_USERS_URL"):
        app.config["TOKENAUTH_USERS_URL"] = _embedded(app, name)
    return app


def _embedded(app: Flask, name: str) -> str:
    """Return the URL of the default SQLite file.

    It is created by a server, and by commands that write: not by `users list`, which
    may run in the wrong folder.
    """
    file = Path(app.instance_path, f"{name}.sqlite3")
    # Relative: the folders above may have letters that mean something in a URL.
    url = f"sqlite:///instance/{file.name}"
    is_created = running_command() in {None, add, init_db}
    try:
        _create(file) if is_created else _check_writable(file)
    except OSError as error:
        raise ConfigurationError(
            f"Users and sessions cannot be kept in {file}: {error.strerror}. Let this "
            "process write there, or set TOKENAUTH_USERS_URL to another file, as in "
            "'sqlite:////data/tokenauth.sqlite3', or to a database."
        ) from None
    if is_created:
        users = open_users(url)
        for store in Stores(users, open_sessions(url, beside=users)).with_tables:
            store.create_tables()
    return url


def _create(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)  # it will hold password hashes


def _check_writable(file: Path) -> None:
    """Check that a server could create the file, or write to it."""
    found = next(path for path in (file, *file.parents) if path.exists())
    if not os.access(found, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
