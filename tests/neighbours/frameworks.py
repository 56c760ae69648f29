"""What holds for a guarded view of any framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, abort
from flask_login import current_user, login_required
from werkzeug.test import TestResponse

from tests.harness.kit import bearer, make_users
from tests.neighbours.kit import join
from tokenauth import DictUserStore, StoreUnavailableError, User, require_scopes

Guard = Callable[[Any], Any]
SetUp = Callable[[Flask, Guard], None]


def name(*_: Any, **__: Any) -> dict[str, str]:
    """What each view answers."""
    return {"user": current_user.username}


class Stopping(DictUserStore):
    """A user store that cannot answer once it is stopped."""

    is_stopped = False

    def get(self, user_id: str) -> User | None:
        if self.is_stopped:
            raise StoreUnavailableError
        return super().get(user_id)


def assert_refusal(answer: TestResponse, status: int, code: str) -> None:
    """Assert status, code and headers; Flask-RESTX sets a content type of its own."""
    assert answer.status_code == status, answer.text
    document = answer.get_json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"urn:tokenauth:problem:{code}"
    assert answer.headers.getlist("Cache-Control") == ["no-store"]
    challenges = answer.headers.getlist("WWW-Authenticate")
    assert len(challenges) == (status in {401, 403})
    assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)


def works_alone(set_up: SetUp) -> bool:
    """Return whether a framework refuses by itself, on the Flask that is installed.

    A release that is not out yet may break it, without us.
    """
    app = Flask("alone")
    app.logger.disabled = True
    try:
        set_up(app, lambda view: lambda *_, **__: abort(403))
        return app.test_client().get("/view").status_code == 403
    except Exception:  # noqa: BLE001 # whatever it is, it is not ours
        return False


def assert_login_required(
    order: str, set_up: SetUp, *, app: Flask | None = None, **config: object
) -> None:
    """Assert that `/view` under `login_required` answers users and refuses others.

    Args:
        order: Which is set up first, the framework or TokenAuth.
        set_up: What gives an application a `/view`, under the given guard.
        app: An application of the framework's own class.
        config: Settings of the application.
    """
    users = Stopping({"alice": User("alice")})
    shop = join(
        order,
        lambda app: set_up(app, login_required),
        users=users,
        app=app,
        config=config,
    )
    client, headers = shop.app.test_client(), shop.bearer()
    by_cookie = shop.client_with_cookie()
    assert client.get("/view", headers=headers).get_json() == {"user": "alice"}
    assert by_cookie.get("/view").get_json() == {"user": "alice"}
    assert_refusal(client.get("/view"), 401, "token_missing")
    bad = client.get("/view", headers=bearer("abc.def"))
    assert_refusal(bad, 401, "token_invalid")
    users.is_stopped = True
    down = client.get("/view", headers=headers)
    assert_refusal(down, 503, "store_unavailable")
    assert_refusal(by_cookie.get("/view"), 503, "store_unavailable")


def assert_scopes_required(
    order: str, set_up: SetUp, *, app: Flask | None = None
) -> None:
    """Assert that `/view` under `require_scopes` names the scope that is missing."""
    users = make_users(alice=["read"])
    guard = require_scopes("read")
    shop = join(order, lambda app: set_up(app, guard), users=users, app=app)
    client = shop.app.test_client()
    answer = client.get("/view", headers=shop.bearer())
    assert answer.get_json() == {"user": "alice"}
    for headers in (shop.bearer("bob"), shop.bearer(scopes=[])):
        refused = client.get("/view", headers=headers)
        assert_refusal(refused, 403, "insufficient_scope")
        assert 'scope="read"' in refused.headers["WWW-Authenticate"]
    assert_refusal(client.get("/view"), 401, "token_missing")
