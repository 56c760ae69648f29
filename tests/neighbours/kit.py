"""An application with a neighbour, set up before or after TokenAuth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Flask
from flask.testing import FlaskClient
from flask_login import current_user, login_required, login_user

from tests.harness.kit import PASSWORDS, SECRET, Clock, bearer, make_users
from tokenauth import DictUserStore, TokenAuth
from tokenauth.testing import CHEAP_HASHING

ORDERS = ["neighbour first", "TokenAuth first"]


class Shop(NamedTuple):
    """An application, its TokenAuth and its users."""

    app: Flask
    auth: TokenAuth
    users: DictUserStore

    def token(self, username: str = "alice", **wanted: Any) -> str:
        """Return a new access token."""
        user = self.users.find(username)
        assert user is not None
        with self.app.app_context():
            return self.auth.login(user, **wanted).access_token

    def bearer(self, username: str = "alice", **wanted: Any) -> dict[str, str]:
        """Return the header that carries a new access token."""
        return bearer(self.token(username, **wanted))

    def client_with_cookie(self, username: str = "alice") -> FlaskClient:
        """Return a client with the session cookie of a user."""
        client = self.app.test_client()
        assert client.post(f"/cookie-login/{username}").status_code == 200
        return client


def join(
    order: str,
    set_up: Callable[[Flask], object],
    *,
    users: DictUserStore | None = None,
    config: Mapping[str, Any] | None = None,
    app: Flask | None = None,
    clock: Clock | None = None,
) -> Shop:
    """Return an application with a neighbour, `/protected`, `/public` and cookie users.

    Args:
        order: One of `ORDERS`.
        set_up: What joins the neighbour to the application.
        users: The default is alice, with the scope `read`, and bob.
        config: Settings beside a key; hashing is cheap under `TESTING`.
        app: An application of the neighbour's own class.
        clock: The default is the time of the machine.
    """
    app = app or Flask("shop")
    app.config.update({"SECRET_KEY": SECRET, "TESTING": True, **(config or {})})
    if app.testing:
        app.config.from_mapping(CHEAP_HASHING | app.config)
    shop = Shop(app, TokenAuth(), users or make_users(alice=["read"]))
    if order == ORDERS[0]:
        set_up(app)
    shop.auth.init_app(app, shop.users)
    if order == ORDERS[1]:
        set_up(app)
    if clock is not None:
        app.extensions["tokenauth"].clock.source = clock
    add_views(shop)
    return shop


def add_views(shop: Shop) -> None:
    """Add a protected view, a public one and a cookie login."""
    app, users = shop.app, shop.users
    shop.auth.login_manager.user_loader(users.get)

    @app.get("/protected")
    @login_required
    def protected() -> dict[str, str]:
        return {"user": current_user.username}

    @app.get("/public")
    def public() -> dict[str, str | None]:
        return {"user": getattr(current_user, "username", None)}

    @app.post("/cookie-login/<username>")
    def cookie_login(username: str) -> str:
        login_user(users.find(username))
        return "welcome"


def credentials(username: str = "alice") -> dict[str, str]:
    """Return the body of a login."""
    return {"username": username, "password": PASSWORDS[username]}
