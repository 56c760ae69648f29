"""Flask-Session: server-side sessions for cookie users, none for token requests."""

from __future__ import annotations

import pytest
from cachelib import SimpleCache
from flask import Flask, session
from flask_session import Session

from tests.neighbours.kit import Shop, join


class Cache(SimpleCache):
    """Tells how many sessions the server keeps."""

    @property
    def count(self) -> int:
        return len(self._cache)


@pytest.fixture
def cache() -> Cache:
    """Where the sessions are."""
    return Cache()


@pytest.fixture
def shop(order: str, cache: Cache) -> Shop:
    """An application with sessions at the server."""
    config = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
    shop = join(order, Session, config=config)

    @shop.app.post("/basket/<item>")
    def put(item: str) -> dict[str, object]:
        session["basket"] = [*session.get("basket", []), item]
        return {"basket": session["basket"]}

    shop.app.get("/class")(lambda: type(session._get_current_object()).__name__)  # type: ignore[attr-defined]
    return shop


def test_a_cookie_user_s_session_is_the_server_s(shop: Shop, cache: Cache) -> None:
    """The cookie names it, and it holds the login and the basket."""
    client = shop.client_with_cookie()
    assert client.get("/protected").get_json() == {"user": "alice"}
    client.post("/basket/tea")
    answer = client.post("/basket/milk").get_json()
    assert answer == {"basket": ["tea", "milk"]}
    assert cache.count == 1


def test_a_token_request_opens_and_keeps_no_session(shop: Shop, cache: Cache) -> None:
    """It sets no cookie and leaves nothing at the server, whatever a view writes."""
    client, headers = shop.app.test_client(), shop.bearer()
    answer = client.post("/basket/tea", headers=headers)
    assert answer.get_json()["basket"] == ["tea"]
    assert "Set-Cookie" not in answer.headers
    assert cache.count == 0
    again = client.post("/basket/milk", headers=headers)
    assert again.get_json()["basket"] == ["milk"]


def test_the_session_of_a_cookie_is_out_of_sight_of_a_token(shop: Shop) -> None:
    """Bob's token with alice's cookie: bob, and not her basket."""
    client = shop.client_with_cookie()
    client.post("/basket/tea")
    headers = shop.bearer("bob")
    assert client.get("/protected", headers=headers).get_json() == {"user": "bob"}
    answer = client.post("/basket/milk", headers=headers)
    assert answer.get_json()["basket"] == ["milk"]
    assert client.post("/basket/jam").get_json()["basket"] == ["tea", "jam"]
    assert client.get("/protected").get_json() == {"user": "alice"}


def test_a_token_request_sees_the_session_s_own_class(shop: Shop) -> None:
    """Code that asks for Flask-Session's attributes finds them."""
    answer = shop.app.test_client().get("/class", headers=shop.bearer())
    assert answer.text == "CacheLibSession"


def test_a_session_may_be_made_anew(shop: Shop) -> None:
    """Flask-Session documents `session_interface.regenerate(session)` for logins."""

    @shop.app.post("/regenerate")
    def regenerate() -> str:
        shop.app.session_interface.regenerate(session)  # type: ignore[attr-defined]
        return "done"

    client = shop.client_with_cookie()
    before = client.get_cookie("session")
    assert client.post("/regenerate").status_code == 200
    after = client.get_cookie("session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert client.get("/protected").get_json() == {"user": "alice"}


def test_flask_s_own_sessions_are_as_they_were(order: str) -> None:
    """Without Flask-Session the class is Flask's, in each kind of request."""

    def set_up(app: Flask) -> None:
        app.get("/class")(lambda: type(session._get_current_object()).__name__)  # type: ignore[attr-defined]

    shop = join(order, set_up)
    client = shop.app.test_client()
    assert client.get("/class").text == "SecureCookieSession"
    answer = client.get("/class", headers=shop.bearer()).text
    assert answer in {"SecureCookieSession", "NullSession"}
