"""The two applications that `flood` compares, the same to look at from outside."""

from __future__ import annotations

import os

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask import Flask, request
from flask_login import LoginManager, UserMixin, current_user, login_required
from itsdangerous import BadData, URLSafeTimedSerializer

from tokenauth import DictUserStore, TokenAuth
from tokenauth.accounts.hash_schemes import Argon2Cost
from tokenauth.accounts.passwords import hash_password

SECRET = "benchmark-key-0123456789abcdef-0123456789"
PASSWORD = "the right one, at last"
HONEST = "honest"
ATTACKED = tuple(f"user-{i}" for i in range(64))


def password_hash() -> str:
    """Return the hash that every user has, at our default cost."""
    return hash_password(PASSWORD, Argon2Cost())


def ours() -> Flask:
    """tokenauth with its defaults, and what FLASK_* says."""
    app = Flask("ours")
    app.config["SECRET_KEY"] = SECRET
    app.config.from_prefixed_env()
    stored = password_hash()
    TokenAuth(app, DictUserStore(dict.fromkeys((HONEST, *ATTACKED), stored)))
    _protect(app)
    return app


def naive() -> Flask:
    """What the manuals of Flask-Login, itsdangerous and argon2-cffi add up to."""
    app = Flask("naive")
    app.config["SECRET_KEY"] = SECRET
    stored = password_hash()
    users = dict.fromkeys((HONEST, *ATTACKED), stored)
    cost = os.environ.get("NAIVE_COST", "owasp")
    hasher = PasswordHasher() if cost == "default" else PasswordHasher(2, 19456, 1)
    if cost == "default":
        users = dict.fromkeys(users, hasher.hash(PASSWORD))
    serializer = URLSafeTimedSerializer(SECRET)
    manager = LoginManager(app)

    class User(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = self.username = name

    @manager.request_loader
    def load(_: object) -> User | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            name = serializer.loads(token, max_age=3600)
        except BadData:
            return None
        return User(name) if name in users else None

    @app.post("/auth/login")
    def login() -> tuple[dict[str, str], int]:
        body = request.get_json()
        try:
            hasher.verify(users[body["username"]], body["password"])
        except (KeyError, VerifyMismatchError):
            return {"code": "invalid_credentials"}, 401
        token = serializer.dumps(body["username"])
        return {"access_token": str(token)}, 200

    _protect(app)
    return app


def _protect(app: Flask) -> None:
    @app.get("/protected")
    @login_required
    def protected() -> dict[str, str]:
        return {"hello": current_user.username}
