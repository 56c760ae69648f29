"""APIFlask: its application words HTTP errors, and leaves ours as they are."""

from __future__ import annotations

import pytest
from apiflask import APIBlueprint, APIFlask
from apiflask.fields import Integer, String
from apiflask.views import MethodView
from flask import Flask

from tests.neighbours.frameworks import (
    Guard,
    SetUp,
    assert_login_required,
    assert_scopes_required,
    name,
)
from tests.neighbours.kit import join


def function(app: Flask, guard: Guard) -> None:
    assert isinstance(app, APIFlask)
    app.get("/view")(app.output({"user": String()})(guard(name)))


def method(app: Flask, guard: Guard) -> None:
    assert isinstance(app, APIFlask)
    pages = APIBlueprint("all", __name__)

    class Decorated(MethodView):
        get = pages.output({"user": String()})(guard(name))

    pages.add_url_rule("/view", view_func=Decorated.as_view("view"))
    app.register_blueprint(pages)


WAYS = [function, method]


@pytest.mark.parametrize("way", WAYS)
def test_login_required_works_on_a_view(order: str, way: SetUp) -> None:
    """Without a token, with a bad one, and while the store cannot answer."""
    assert_login_required(order, way, app=APIFlask("shop"))


@pytest.mark.parametrize("way", WAYS)
def test_our_own_guards_work_on_a_view(order: str, way: SetUp) -> None:
    """403 names the scope; 401 without a token."""
    assert_scopes_required(order, way, app=APIFlask("shop"))


def test_apiflask_s_own_errors_are_as_they_were(order: str) -> None:
    """A refused input and an unknown address have its JSON."""
    app = APIFlask("shop")

    def set_up(_: Flask) -> None:
        @app.get("/number")
        @app.input({"n": Integer(required=True)}, location="query")
        def number(query_data: dict[str, int]) -> dict[str, int]:
            return query_data

    client = join(order, set_up, app=app).app.test_client()
    assert client.get("/number?n=1").get_json() == {"n": 1}
    refused = client.get("/number")
    assert (refused.status_code, "detail" in refused.get_json()) == (422, True)
    assert client.get("/nowhere").get_json()["message"] == "Not Found"
    assert client.get("/openapi.json").status_code == 200
