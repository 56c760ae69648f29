"""Flask-Caching: pages cached for one user are not another's, refusals are not kept."""

from __future__ import annotations

from collections import Counter

import pytest
from flask import Flask
from flask_caching import Cache
from flask_login import current_user, login_required

from tests.neighbours.kit import Shop, join
from tokenauth import require_scopes


@pytest.fixture
def calls() -> Counter[str]:
    """How often each view ran."""
    return Counter()


@pytest.fixture
def shop(order: str, calls: Counter[str]) -> Shop:
    """An application with cached views, open and guarded ones."""
    cache = Cache(config={"CACHE_TYPE": "SimpleCache"})

    def set_up(app: Flask) -> None:
        cache.init_app(app)

        @app.get("/own")
        @login_required
        @cache.cached(make_cache_key=lambda: f"own/{current_user.get_id()}")
        def own() -> str:
            calls["own"] += 1
            return str(current_user.username)

        @app.get("/shared")
        @require_scopes("read")
        @cache.cached()
        def shared() -> str:
            calls["shared"] += 1
            return "the same for all"

        @app.get("/outside")
        @cache.cached(unless=lambda: current_user.is_authenticated)
        @login_required
        def outside() -> str:
            calls["outside"] += 1
            return str(current_user.username)

    return join(order, set_up)


def test_each_user_has_an_own_cached_page(shop: Shop, calls: Counter[str]) -> None:
    """`current_user` is known when the key is made, for tokens and for cookies."""
    client = shop.app.test_client()
    for _ in range(2):
        for name in ("alice", "bob"):
            assert client.get("/own", headers=shop.bearer(name)).text == name
        assert shop.client_with_cookie().get("/own").text == "alice"
    assert calls["own"] == 2


def test_a_guard_over_a_cached_view_decides_each_time(
    shop: Shop, calls: Counter[str]
) -> None:
    """The page comes from the cache, for those who may see it."""
    client, alice = shop.app.test_client(), shop.bearer()
    for _ in range(2):
        assert client.get("/shared", headers=alice).text == "the same for all"
        assert client.get("/shared").status_code == 401
        assert client.get("/shared", headers=shop.bearer("bob")).status_code == 403
    assert calls["shared"] == 1


def test_a_refusal_is_not_cached(shop: Shop, calls: Counter[str]) -> None:
    """A stranger's 401 is not the next user's answer."""
    client = shop.app.test_client()
    for _ in range(2):
        assert client.get("/outside").status_code == 401
        assert client.get("/outside", headers=shop.bearer()).text == "alice"
    assert calls["outside"] == 2
