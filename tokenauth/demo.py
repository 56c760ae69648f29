"""The tutorial's example, made safe: two users in a dict, one protected view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from .accounts.passwords import hash_password
from .accounts.users import UserRecord, UserStore
from .app import configured_app
from .extension import TokenAuth
from .stores import open_users
from .stores.dict_users import DictUserStore


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the stand-alone API with the tutorial's users and its protected view.

    `/` leads to the page to try the API.

    Args:
        config: Settings that go over those of the environment.
    """
    # No token of these two users, whose passwords are known, works anywhere else.
    app = configured_app(config, "tokenauth-demo")
    TokenAuth(app, DemoUsers(open_users(app.config["TOKENAUTH_USERS_URL"])))

    @app.get("/protected")
    @login_required  # type: ignore[untyped-decorator] # Flask-Login has no types
    def protected() -> dict[str, str]:
        return {"hello": current_user.username}

    if "tokenauth.page" in app.view_functions:  # TOKENAUTH_DOCS is not off

        @app.get("/")
        def index() -> ResponseReturnValue:
            return redirect(url_for("tokenauth.page"))

    return app


class DemoUsers:
    """The tutorial's users in a dict, and after them those that are kept.

    A password that one of the tutorial's users changes is the old one again after a
    restart.

    Args:
        kept: Users that outlive the process.
    """

    def __init__(self, kept: UserStore) -> None:
        self._tutorial = DictUserStore(
            {
                "JohnDoe": hash_password("correct horse battery"),
                "JaneDoe": hash_password("staple tidy lantern"),
            }
        )
        self._kept = kept

    def get(self, user_id: str) -> UserRecord | None:
        """Return the user with this id, or None."""
        return self._tutorial.get(user_id) or self._kept.get(user_id)

    def find(self, username: str) -> UserRecord | None:
        """Return the user with this folded name, or None."""
        return self._tutorial.find(username) or self._kept.find(username)

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        """Replace a hash if it still is the expected one, atomically."""
        return any(
            store.set_password_hash(user_id, new, expected=expected)
            for store in (self._tutorial, self._kept)
        )
