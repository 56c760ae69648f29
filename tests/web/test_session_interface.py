"""Where a token decides, Flask's session is neither opened nor saved."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Request, flash, g, get_flashed_messages, request, session
from flask.sessions import NullSession, SecureCookieSessionInterface, SessionMixin
from flask_login import LoginManager, current_user, login_required

from tests.harness.kit import SECRET, bearer, let_in_by_cookie, make_app, token_of
from tokenauth import User


class Counting(SecureCookieSessionInterface):
    """Flask's own interface, which counts what it is asked to do."""

    def __init__(self) -> None:
        self.opened = self.saved = 0

    def open_session(self, *args: Any) -> Any:
        self.opened += 1
        return super().open_session(*args)

    def save_session(self, *args: Any) -> None:
        self.saved += 1
        super().save_session(*args)


def replaced_before() -> tuple[Flask, Counting]:
    interface = Counting()

    class Before(Flask):
        session_interface = interface

    return make_app(flask_class=Before), interface


def replaced_after() -> tuple[Flask, Counting]:
    app, interface = make_app(), Counting()
    app.session_interface = interface
    return app, interface


def replaced_amid_requests() -> tuple[Flask, Counting]:
    app, interface = make_app(), Counting()
    with app.test_request_context():
        app.session_interface = interface
    return app, interface


MAKERS = [replaced_before, replaced_after, replaced_amid_requests]


@pytest.mark.parametrize("make", MAKERS)
def test_a_token_request_opens_no_session(
    make: Callable[[], tuple[Flask, Counting]],
) -> None:
    """Good or bad, on any page, whenever the session interface was set."""
    app, interface = make()
    client = let_in_by_cookie(app)
    token = token_of(app)
    interface.opened = interface.saved = 0
    for header in (f"Bearer {token}", "Bearer abc.def", "Bearer"):
        for path in ("/protected", "/public", "/auth/me", "/nowhere"):
            answer = client.get(path, headers={"Authorization": header})
            assert "Set-Cookie" not in answer.headers
    assert (interface.opened, interface.saved) == (0, 0)
    client.get("/public")
    assert (interface.opened, interface.saved) == (1, 1)


def test_an_interface_set_by_a_request_is_joined_with_the_next() -> None:
    """Flask has no say there."""
    app = make_app()
    interface = Counting()

    @app.before_request
    def set_up() -> None:
        if not isinstance(getattr(app.session_interface, "_inner", None), Counting):
            app.session_interface = interface

    client = let_in_by_cookie(app)
    assert app.session_interface is interface
    headers = bearer(token_of(app))
    assert client.get("/public").json == {"user": "alice"}
    interface.opened = interface.saved = 0
    for _ in range(2):
        assert client.get("/protected", headers=headers).json == {"user": "alice"}
    assert (interface.opened, interface.saved) == (0, 0)
    client.get("/public")
    assert (interface.opened, interface.saved) == (1, 1)


def test_a_token_in_the_url_opens_no_session_either() -> None:
    """Where the application lets one stand there."""
    app, interface = make_app(config={"TOKENAUTH_QUERY_PARAM": "token"}), Counting()
    app.session_interface = interface
    path = f"/protected?token={token_of(app)}"
    assert app.test_client().get(path).json == {"user": "alice"}
    assert (interface.opened, interface.saved) == (0, 0)


@pytest.mark.parametrize("make", MAKERS)
def test_no_identity_outlives_its_request_on_any_interface(
    make: Callable[[], tuple[Flask, Counting]],
) -> None:
    """Whenever the session interface was set."""
    app, _ = make()
    client = app.test_client()
    with app.app_context():
        for name in ("alice", "bob"):
            answer = client.get("/protected", headers=bearer(token_of(app, name)))
            assert answer.json == {"user": name}
        assert client.get("/public").json == {"user": None}


def test_a_request_in_another_s_context_leaves_nothing_there(app: Flask) -> None:
    """Neither its user nor itself with the token, and no garbage collection hinders."""
    requests: list[weakref.ref[Request]] = []

    @app.get("/collect")
    def collect() -> dict[str, Any]:
        requests.append(weakref.ref(request._get_current_object()))  # type: ignore[attr-defined]
        return {"user": current_user.username, "n": gc.collect()}

    client = app.test_client()
    with app.app_context():
        for name in ("alice", "bob"):
            answer = client.get("/collect", headers=bearer(token_of(app, name)))
            assert answer.json is not None
            assert answer.json["user"] == name
            del answer
        assert "_login_user" not in g
        assert list(g) == []
        gc.collect()
        assert [kept() for kept in requests] == [None, None]


def test_another_application_of_the_process_is_left_alone(app: Flask) -> None:
    """What plain Flask-Login leaves on an outer context stays there.

    Until Flask 3.2 that is the user; from then on a request has a context of its own.
    """
    plain = Flask("plain")
    plain.secret_key = SECRET
    LoginManager(plain).request_loader(lambda _: User("carol"))
    plain.get("/")(lambda: current_user.username)
    with plain.app_context():
        assert plain.test_client().get("/").text == "carol"
        kept = g.get("_login_user")
        app.test_client().get("/public")
        assert g.get("_login_user") is kept


def test_what_a_view_writes_lasts_as_long_as_the_request(app: Flask) -> None:
    """It can be read again by the same request, and by no other."""

    @app.get("/write")
    @login_required
    def write() -> list[Any]:
        seen = dict(session)
        session["cart"] = [1]
        session.permanent = True
        flash("written")
        return [seen, session["cart"], session.permanent, get_flashed_messages()]

    client = app.test_client()
    headers = bearer(token_of(app))
    for _ in range(2):
        answer = client.get("/write", headers=headers)
        assert answer.json == [{"_fresh": True}, [1], True, ["written"]]
        assert "Set-Cookie" not in answer.headers


def test_the_application_s_interface_is_there_as_before(app: Flask) -> None:
    """What else it can do, other code finds on `app.session_interface`."""

    class Null(NullSession):
        pass

    interface = SecureCookieSessionInterface()
    interface.pickle_based = True
    interface.null_session_class = Null
    app.session_interface = interface
    app.test_client().get("/public")
    shown: Any = app.session_interface
    for name in ("salt", "pickle_based", "null_session_class"):
        assert getattr(shown, name) == getattr(interface, name)
    assert shown.get_cookie_name(app) == "session"
    with pytest.raises(AttributeError):
        _ = shown.nonsense


def test_a_session_without_a_key_is_null(app: Flask) -> None:
    """Flask's answer to an interface that opens none; it is not asked to save it."""

    class Closed(Counting):
        def open_session(self, *args: Any) -> SessionMixin | None:  # type: ignore[override]
            return None

    app.session_interface = interface = Closed()
    app.test_client().get("/public")
    assert interface.saved == 0
    with app.test_request_context(), pytest.raises(RuntimeError):
        session["x"] = 1
