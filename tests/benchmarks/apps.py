"""One protected page in each of several packages, as their documentation sets it up.

Where a package's documentation shows a faster way as well, there are two.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flask_login
from flask import Flask
from flask_httpauth import HTTPTokenAuth
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    get_jwt_identity,
    jwt_required,
)
from flask_login import current_user, login_required
from itsdangerous import BadData, URLSafeTimedSerializer

from tokenauth import DictUserStore, SessionStore, TokenAuth, User
from tokenauth.stores import open_sessions

SECRET = "benchmark-key-0123456789abcdef-0123456789"
LIFETIME = 900
PATH = "/protected"


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, and the headers that open it."""

    app: Flask
    headers: dict[str, str] = field(default_factory=dict)
    path: str = PATH


def bare(*, secret: str | None = None) -> Page:
    """Nothing but Flask; with a key it opens a session for each request."""
    app = Flask("bare")
    app.secret_key = secret

    @app.get(PATH)
    def page() -> dict[str, str]:
        return {"user": "u-1"}

    return Page(app=app)


def bare_with_key() -> Page:
    return bare(secret=SECRET)


def ours(sessions: SessionStore | None = None, path: str = PATH) -> Page:
    """tokenauth with its defaults, Flask-Login's own `login_required`."""
    app = Flask("ours")
    app.secret_key = SECRET
    auth = TokenAuth(app, DictUserStore({"u-1": User("u-1")}), sessions=sessions)

    @app.get(PATH)
    @login_required
    def page() -> dict[str, str]:
        return {"user": current_user.get_id()}

    @app.get("/public")
    def public() -> dict[str, str]:
        return {"user": "u-1"}

    with app.app_context():
        token = auth.login(User("u-1")).access_token
    headers = {"Authorization": f"Bearer {token}"} if path == PATH else {}
    return Page(app=app, headers=headers, path=path)


def ours_public() -> Page:
    """A public page of the same application, without a token."""
    return ours(path="/public")


def ours_at(url: str) -> Page:
    """tokenauth with its sessions where a URL says."""
    store = open_sessions(url)
    getattr(store, "create_tables", lambda: None)()
    return ours(store)


def jwt_extended() -> Page:
    """Flask-JWT-Extended's basic usage."""
    app = Flask("jwt_extended")
    app.config["JWT_SECRET_KEY"] = SECRET
    JWTManager(app)

    @app.get(PATH)
    @jwt_required()
    def page() -> dict[str, str]:
        return {"user": get_jwt_identity()}

    with app.app_context():
        token = create_access_token(identity="u-1")
    return Page(app=app, headers={"Authorization": f"Bearer {token}"})


def jwt_extended_revocable() -> Page:
    """The same with its blocklist, in memory: what ours does on each request."""
    page = jwt_extended()
    manager: JWTManager = page.app.extensions["flask-jwt-extended"]
    revoked: set[str] = set()
    manager.token_in_blocklist_loader(lambda _, payload: payload["jti"] in revoked)
    return page


def httpauth(*, secret: str | None = None) -> Page:
    """Flask-HTTPAuth's token scheme with a serializer that is kept."""
    app = Flask("httpauth")
    app.secret_key = secret
    auth = HTTPTokenAuth("Bearer")
    serializer = URLSafeTimedSerializer(SECRET)

    @auth.verify_token
    def verify(token: str) -> str | None:
        try:
            user: str = serializer.loads(token, max_age=LIFETIME)["user"]
        except BadData:
            return None
        return user

    @app.get(PATH)
    @auth.login_required
    def page() -> dict[str, str]:
        return {"user": auth.current_user()}

    token = serializer.dumps({"user": "u-1"})
    return Page(app=app, headers={"Authorization": f"Bearer {token}"})


def httpauth_with_key() -> Page:
    """The same with SECRET_KEY in the configuration, as its example has it."""
    return httpauth(secret=SECRET)


def flask_login_alone() -> Page:
    """Flask-Login's `request_loader` with a serializer that is kept."""
    app = Flask("flask_login_alone")
    app.secret_key = SECRET
    manager = flask_login.LoginManager(app)  # this is the peer
    serializer = URLSafeTimedSerializer(SECRET)
    users = {"u-1": User("u-1")}

    @manager.request_loader
    def load(request: flask_login.utils.LocalProxy) -> User | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            return users.get(serializer.loads(token, max_age=LIFETIME)["user"])
        except BadData:
            return None

    @app.get(PATH)
    @login_required
    def page() -> dict[str, str]:
        return {"user": current_user.get_id()}

    token = serializer.dumps({"user": "u-1"})
    return Page(app=app, headers={"Authorization": f"Bearer {token}"})


def flask_security() -> Page:
    """Flask-Security's quick start with Flask-SQLAlchemy on SQLite, by its token."""
    from flask_security import (
        Security,
        SQLAlchemyUserDatastore,
        auth_token_required,
        hash_password,
    )
    from flask_security.models import fsqla_v3 as fsqla
    from flask_sqlalchemy import SQLAlchemy

    folder = tempfile.TemporaryDirectory(prefix="tokenauth-")
    app = Flask("flask_security")
    app.config.update(
        SECRET_KEY=SECRET,
        SECURITY_PASSWORD_SALT="146585145368132386173505678016728509634",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{Path(folder.name, 'users.db')}",
    )
    app.extensions["folder"] = folder  # lives as long as the application
    db = SQLAlchemy(app)
    fsqla.FsModels.set_db_info(db)

    class Role(db.Model, fsqla.FsRoleMixin):  # type: ignore[name-defined]
        pass

    class Account(db.Model, fsqla.FsUserMixin):  # type: ignore[name-defined]
        __tablename__ = "user"

    store = SQLAlchemyUserDatastore(db, Account, Role)
    Security(app, store)

    @app.get(PATH)
    @auth_token_required
    def page() -> dict[str, str]:
        return {"user": current_user.get_id()}

    with app.app_context():
        db.create_all()
        account = store.create_user(
            email="one@example.com", password=hash_password("a good password")
        )
        db.session.commit()
        token = account.get_auth_token()
    return Page(app=app, headers={"Authentication-Token": token})


PAGES: dict[str, Callable[[], Page]] = {
    "bare Flask": bare,
    "bare Flask with a SECRET_KEY": bare_with_key,
    "tokenauth": ours,
    "tokenauth, public page": ours_public,
    "Flask-HTTPAuth + itsdangerous": httpauth,
    "Flask-HTTPAuth + itsdangerous, with a SECRET_KEY": httpauth_with_key,
    "Flask-Login + itsdangerous": flask_login_alone,
    "Flask-JWT-Extended": jwt_extended,
    "Flask-JWT-Extended with its blocklist": jwt_extended_revocable,
    "Flask-Security on SQLite": flask_security,
}


def served() -> Flask:
    """Return the application that the environment names, for gunicorn.

    `/how` says where its page is, and which headers open it.
    """
    page = PAGES[os.environ["BENCHMARK_PAGE"]]()

    @page.app.get("/how")
    def how() -> dict[str, Any]:
        return {"path": page.path, "headers": page.headers}

    return page.app
