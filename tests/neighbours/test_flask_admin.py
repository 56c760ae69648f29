"""Flask-Admin: its pages ask `current_user`, whatever let the user in."""

from __future__ import annotations

import pytest
from flask import Flask, redirect
from flask_admin import Admin, AdminIndexView, expose
from flask_login import current_user
from werkzeug.wrappers import Response

from tests.neighbours.kit import Shop, join
from tokenauth import require_scopes


class Pages(AdminIndexView):
    """Open to users with the scope `read`, as Flask-Admin's documentation has it."""

    def is_accessible(self) -> bool:
        return current_user.is_authenticated and "read" in current_user.scopes

    def inaccessible_callback(self, name: str, **kwargs: object) -> Response:
        return redirect("/login-page")

    @expose("/")
    def index(self) -> str:
        return f"hello {current_user.username}"

    @expose("/narrow")
    @require_scopes("read")
    def narrow(self) -> str:
        return "narrow"


@pytest.fixture
def shop(order: str) -> Shop:
    """An application with an admin area."""

    def set_up(app: Flask) -> None:
        Admin(app, index_view=Pages())

    return join(order, set_up)


def test_the_admin_area_knows_who_is_logged_in(shop: Shop) -> None:
    """By cookie or by token; others are sent where the application says."""
    client = shop.app.test_client()
    assert shop.client_with_cookie().get("/admin/").text == "hello alice"
    assert client.get("/admin/", headers=shop.bearer()).text == "hello alice"
    for headers in (None, shop.bearer("bob"), {"Authorization": "Bearer abc.def"}):
        answer = client.get("/admin/", headers=headers)
        assert answer.status_code // 100 == 3
        assert answer.location == "/login-page"


def test_a_token_s_scopes_count_at_our_guard_in_it(shop: Shop) -> None:
    """A token without the scope opens no view that asks for it."""
    client = shop.app.test_client()
    assert client.get("/admin/narrow", headers=shop.bearer()).text == "narrow"
    answer = client.get("/admin/narrow", headers=shop.bearer(scopes=[]))
    assert answer.status_code == 403
