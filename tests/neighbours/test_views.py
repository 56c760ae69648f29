"""Flask's own kinds of views: a refusal stays what it is in each."""

from __future__ import annotations

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View

from tests.neighbours.frameworks import (
    Guard,
    SetUp,
    assert_login_required,
    assert_scopes_required,
    name,
)


def nested_blueprint(app: Flask, guard: Guard) -> None:
    inner = Blueprint("inner", __name__)
    outer = Blueprint("outer", __name__)
    inner.get("/view")(guard(name))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)


def before_each_view_of_a_blueprint(app: Flask, guard: Guard) -> None:
    blueprint = Blueprint("all", __name__)
    blueprint.before_request(guard(lambda: None))
    blueprint.get("/view")(name)
    app.register_blueprint(blueprint)


def class_with_decorators(app: Flask, guard: Guard) -> None:
    class Decorated(MethodView):
        decorators = [guard]  # noqa: RUF012 # as Flask's documentation has it

        def get(self) -> dict[str, str]:
            return name()

    app.add_url_rule("/view", view_func=Decorated.as_view("view"))


def method_of_a_class(app: Flask, guard: Guard) -> None:
    class Decorated(MethodView):
        get = guard(name)

    app.add_url_rule("/view", view_func=Decorated.as_view("view"))


def class_without_methods(app: Flask, guard: Guard) -> None:
    class Decorated(View):
        init_every_request = False

        @guard
        def dispatch_request(self) -> dict[str, str]:
            return name()

    app.add_url_rule("/view", view_func=Decorated.as_view("view"))


def asynchronous(app: Flask, guard: Guard) -> None:
    @app.get("/view")
    @guard
    async def view() -> dict[str, str]:
        return name()


WAYS = [
    nested_blueprint,
    before_each_view_of_a_blueprint,
    class_with_decorators,
    method_of_a_class,
    class_without_methods,
    asynchronous,
]


@pytest.mark.parametrize("testing", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_login_required_works_on_it(way: SetUp, testing: bool) -> None:
    """Without a token, with a bad one, and while the store cannot answer."""
    assert_login_required("TokenAuth first", way, TESTING=testing)


@pytest.mark.parametrize("way", WAYS)
def test_our_own_guards_work_on_it(way: SetUp) -> None:
    """403 names the scope; 401 without a token."""
    assert_scopes_required("TokenAuth first", way)
