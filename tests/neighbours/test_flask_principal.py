"""Flask-Principal: the identity is that of the token's user, not of the session."""

from __future__ import annotations

import pytest
from flask import Flask, current_app, g
from flask_login import current_user
from flask_principal import (
    Identity,
    Permission,
    Principal,
    RoleNeed,
    UserNeed,
    identity_changed,
    identity_loaded,
)

from tests.neighbours.kit import Shop, join


def load_identity() -> Identity | None:
    """Return the identity of whoever is logged in."""
    if not current_user.is_authenticated:
        return None
    return Identity(current_user.get_id())


def provide(sender: Flask, identity: Identity) -> None:
    """Give an identity its needs, as Flask-Principal's documentation does."""
    identity.provides.add(UserNeed(identity.id))
    for scope in getattr(current_user, "scopes", ()):
        identity.provides.add(RoleNeed(scope))


def become() -> str:
    """Make the user the session's identity, as after a login."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    identity_changed.send(app, identity=Identity(current_user.get_id()))
    return "done"


@pytest.fixture
def shop(order: str) -> Shop:
    """An application with a view for the role `read`."""

    def set_up(app: Flask) -> None:
        Principal(app).identity_loader(load_identity)
        identity_loaded.connect(provide, app)

    shop = join(order, set_up)
    may_read = Permission(RoleNeed("read")).require(403)
    shop.app.get("/read", endpoint="read")(may_read(lambda: "read"))
    shop.app.get("/identity", endpoint="identity")(lambda: str(g.identity.id))
    shop.app.post("/become")(become)
    return shop


def test_a_token_s_user_has_the_identity_and_its_roles(shop: Shop) -> None:
    """Whoever has the role may, others may not."""
    client = shop.app.test_client()
    assert client.get("/read", headers=shop.bearer()).text == "read"
    assert client.get("/read", headers=shop.bearer("bob")).status_code == 403
    assert client.get("/read").status_code == 403


def test_a_cookie_s_identity_is_not_a_token_s(shop: Shop) -> None:
    """Flask-Principal keeps alice's identity in her session; bob's token is bob's."""
    client = shop.client_with_cookie()
    client.post("/become")
    assert client.get("/identity").text == "u-alice"
    assert client.get("/identity", headers=shop.bearer("bob")).text == "u-bob"
    bad = {"Authorization": "Bearer abc.def"}
    assert client.get("/identity", headers=bad).text == "None"


def test_an_identity_that_a_token_request_sets_goes_with_it(shop: Shop) -> None:
    """It is not written to a session: the next request without a token is nobody's."""
    client = shop.app.test_client()
    answer = client.post("/become", headers=shop.bearer())
    assert (answer.text, answer.headers.get("Set-Cookie")) == ("done", None)
    assert client.get("/identity").text == "None"
