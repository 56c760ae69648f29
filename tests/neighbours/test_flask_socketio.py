"""Flask-SocketIO: events know the handshake's user, or act by a token of their own."""

from __future__ import annotations

from typing import Any

import pytest
from flask import request
from flask_login import current_user, login_required
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import SocketIO
from flask_socketio.test_client import SocketIOTestClient

from tests.neighbours.kit import Shop, join
from tokenauth import AuthError, current_claims, require_scopes


def who() -> str:
    """Return the name of the user that an event acts for."""
    return str(getattr(current_user, "username", "nobody"))


@pytest.fixture(params=[True, False], ids=["own sessions", "Flask's sessions"])
def socketio(request: pytest.FixtureRequest) -> SocketIO:
    """Flask-SocketIO with each kind of session that it knows."""
    return SocketIO(async_mode="threading", manage_session=request.param)


@pytest.fixture
def shop(order: str, socketio: SocketIO) -> Shop:
    """An application whose events answer who they act for."""
    tokens: dict[str, str] = {}
    shop = join(order, socketio.init_app)

    @socketio.on("connect")
    def connect(auth: dict[str, str] | None = None) -> None:
        if auth is not None:
            try:
                shop.auth.act_by(auth["token"])
            except AuthError as error:
                raise Refused(error.error_code) from error
            tokens[request.sid] = auth["token"]  # type: ignore[attr-defined]

    @socketio.on("who")
    def answer_who() -> str:
        return who()

    @socketio.on("by token")
    def answer_by_token() -> dict[str, Any]:
        user = shop.auth.act_by(tokens[request.sid])  # type: ignore[attr-defined]
        return {"id": user.get_id(), "user": who(), "claims": bool(current_claims)}

    @socketio.on("narrow")
    def answer_narrow() -> str:
        shop.auth.act_by(tokens[request.sid])  # type: ignore[attr-defined]
        return str(require_scopes("read")(lambda: "read")())

    @socketio.on("guarded")
    @login_required
    def answer_guarded() -> str:
        return who()

    return shop


def connect(shop: Shop, socketio: SocketIO, **options: Any) -> SocketIOTestClient:
    """Connect a client, with the handshake's headers or `auth`."""
    return socketio.test_client(shop.app, **options)


def test_a_token_in_the_handshake_s_header_is_the_events_user(
    shop: Shop, socketio: SocketIO
) -> None:
    """Each event has the handshake's headers, and so its user."""
    client = connect(shop, socketio, headers=shop.bearer())
    assert client.emit("who", callback=True) == "alice"
    assert client.emit("guarded", callback=True) == "alice"
    assert connect(shop, socketio).emit("who", callback=True) == "nobody"


def test_a_token_in_the_handshake_s_auth_is_acted_by(
    shop: Shop, socketio: SocketIO
) -> None:
    """`auth.act_by(token)` makes its user the event's, with the token's claims."""
    client = connect(shop, socketio, auth={"token": shop.token("bob")})
    assert client.is_connected()
    assert client.emit("by token", callback=True) == {
        "id": "u-bob",
        "user": "bob",
        "claims": True,
    }
    assert client.emit("who", callback=True) == "nobody"  # an event starts as nobody's


def test_a_bad_token_in_the_handshake_is_refused(
    shop: Shop, socketio: SocketIO
) -> None:
    """The client is told the code."""
    client = connect(shop, socketio, auth={"token": "abc.def"})
    assert not client.is_connected()


def test_a_token_of_the_handshake_keeps_its_scopes(
    shop: Shop, socketio: SocketIO
) -> None:
    """A token without scopes does not become all that its user may."""
    wide = connect(shop, socketio, auth={"token": shop.token()})
    assert wide.emit("narrow", callback=True) == "read"
    narrow = connect(shop, socketio, auth={"token": shop.token(scopes=[])})
    with pytest.raises(AuthError) as error:
        narrow.emit("narrow", callback=True)
    assert error.value.error_code == "insufficient_scope"


def test_an_ended_session_ends_the_connection_s_rights(
    shop: Shop, socketio: SocketIO
) -> None:
    """The token is checked at each event, not only at the handshake."""
    client = connect(shop, socketio, headers=shop.bearer())
    assert client.emit("who", callback=True) == "alice"
    with shop.app.app_context():
        assert shop.auth.revoke_user("u-alice") == 1
    assert client.emit("who", callback=True) == "nobody"


def test_a_cookie_s_user_is_the_events_user(shop: Shop, socketio: SocketIO) -> None:
    """As with plain Flask-Login."""
    flask_client = shop.client_with_cookie()
    client = connect(shop, socketio, flask_test_client=flask_client)
    assert client.emit("who", callback=True) == "alice"


def test_views_of_the_application_are_as_before(shop: Shop) -> None:
    """Socket.IO's middleware is in front of them."""
    client = shop.app.test_client()
    assert client.get("/protected", headers=shop.bearer()).get_json() == {
        "user": "alice"
    }
    assert client.get("/protected").status_code == 401
