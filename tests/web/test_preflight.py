"""OPTIONS: Flask's own answer is for everybody, a protected view's own is not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flask_login
import flask_restful
import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View
from flask_login import login_required
from werkzeug.routing import Rule

from tests.harness.kit import assert_problem, bearer, make_app, make_users, token_of
from tokenauth import fresh_login_required, require_scopes


@pytest.mark.parametrize("path", ["/protected", "/public", "/auth/me", "/auth/login"])
def test_flask_s_own_answer_needs_no_login(app: Flask, path: str) -> None:
    """A browser's preflight carries no token; the methods are no secret."""
    answer = app.test_client().options(path)
    assert answer.status_code == 200
    assert "OPTIONS" in answer.headers["Allow"]
    assert answer.text == ""


Guard = Callable[[Any], Any]
GUARDS: dict[str, Guard] = {
    "login_required": login_required,
    "flask_login.fresh": flask_login.fresh_login_required,
    "fresh_login_required": fresh_login_required(),
    "require_scopes": require_scopes("read"),
}


def inside(**_: Any) -> str:
    return "inside"


class Options(MethodView):
    def options(self) -> str:
        return inside()


def function(app: Flask, guard: Guard) -> None:
    app.route("/view", methods=["GET", "OPTIONS"])(guard(inside))


def under_another_decorator(app: Flask, guard: Guard) -> None:
    guarded = guard(inside)

    @app.route("/view", methods=["OPTIONS"])
    @functools.wraps(guarded)
    def decorated() -> Any:
        return guarded()


def in_a_blueprint(app: Flask, guard: Guard) -> None:
    blueprint = Blueprint("one", __name__)
    blueprint.route("/view", methods=["OPTIONS"])(guard(inside))
    app.register_blueprint(blueprint)


def a_rule_of_werkzeug_s(app: Flask, guard: Guard) -> None:
    app.url_map.add(Rule("/view", endpoint="view", methods=["OPTIONS"]))
    app.view_functions["view"] = guard(inside)


def every_view_of_a_blueprint(app: Flask, guard: Guard) -> None:
    blueprint = Blueprint("all", __name__)
    blueprint.before_request(guard(lambda: None))
    blueprint.route("/view", methods=["OPTIONS"])(inside)
    app.register_blueprint(blueprint)


def class_of_decorators(app: Flask, guard: Guard) -> None:
    class Decorated(View):
        methods = ["OPTIONS"]  # noqa: RUF012 # as Flask's documentation has it
        decorators = [guard]  # noqa: RUF012

        def dispatch_request(self) -> str:
            return inside()

    app.add_url_rule("/view", view_func=Decorated.as_view("view"))


def method(app: Flask, guard: Guard) -> None:
    class Decorated(Options):
        options = guard(Options.options)

    app.add_url_rule("/view", view_func=Decorated.as_view("view"))


def resource(decorators: Callable[[Guard], Any]) -> Callable[[Flask, Guard], None]:
    def add(app: Flask, guard: Guard) -> None:
        class Decorated(flask_restful.Resource):
            method_decorators = decorators(guard)

            def options(self) -> str:
                return inside()

        flask_restful.Api(app).add_resource(Decorated, "/view")

    return add


WAYS: dict[str, Callable[[Flask, Guard], None]] = {
    "function": function,
    "decorated": under_another_decorator,
    "in a blueprint": in_a_blueprint,
    "rule": a_rule_of_werkzeug_s,
    "blueprint": every_view_of_a_blueprint,
    "class": class_of_decorators,
    "method": method,
    "resource": resource(lambda guard: [guard]),
    "resource-by-method": resource(lambda guard: {"options": [guard]}),
}


def test_an_application_may_answer_itself(app: Flask) -> None:
    """By Flask-Login's own handler, which is asked as for any other method."""
    manager = app.login_manager  # type: ignore[attr-defined]
    manager.unauthorized_handler(lambda: ("come in by the front door", 403))
    function(app, login_required)
    answer = app.test_client().options("/view", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.text) == (403, "come in by the front door")


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_a_protected_view_s_own_answer_needs_a_login(
    way: Callable[[Flask, Guard], None], guard: Guard
) -> None:
    """However it is protected; Flask-Login alone would run the view for anybody."""
    app = make_app(users=make_users(alice=["read"]))
    way(app, guard)
    client = app.test_client()
    refused = client.options("/view")
    assert_problem(refused, 401, "token_missing")
    bad = client.options("/view", headers=bearer("abc.def"))
    assert_problem(bad, 401, "token_invalid")
    answer = client.options("/view", headers=bearer(token_of(app)))
    assert answer.status_code == 200
    assert "inside" in answer.text


def test_what_protects_other_methods_leaves_this_one_alone(app: Flask) -> None:
    """A view whose own OPTIONS is public stays so."""

    class Half(Options):
        get = login_required(inside)

    app.add_url_rule("/half", view_func=Half.as_view("half"))

    class HalfResource(flask_restful.Resource):
        method_decorators = {"get": [login_required]}  # noqa: RUF012

        get = inside

        def options(self) -> str:
            return inside()

    flask_restful.Api(app).add_resource(HalfResource, "/resource")
    client = app.test_client()
    for path in ("/half", "/resource"):
        assert "inside" in client.options(path).text
        assert_problem(client.get(path), 401, "token_missing")


def test_what_protects_this_method_leaves_others_alone(app: Flask) -> None:
    """A view whose GET is public stays so."""

    class Half(MethodView):
        options = login_required(inside)

        def get(self) -> str:
            return inside()

    app.add_url_rule("/half", view_func=Half.as_view("half"))
    client = app.test_client()
    assert client.get("/half").text == "inside"
    assert_problem(client.options("/half"), 401, "token_missing")


def test_where_nothing_is_there_is_nothing_to_protect(app: Flask) -> None:
    """Flask's 404, as for any method."""
    assert app.test_client().options("/nowhere").status_code == 404


def test_a_view_need_not_be_a_function(app: Flask) -> None:
    """Whatever can be called may answer, and is public where nothing protects it."""
    view = functools.partial(inside)
    app.add_url_rule("/view", "view", view, methods=["OPTIONS"])
    assert app.test_client().options("/view").text == "inside"


def test_login_disabled_opens_it_too() -> None:
    """Where tests turn login off, they turn it off for every method."""
    app = make_app(config={"LOGIN_DISABLED": True})
    function(app, login_required)
    assert app.test_client().options("/view").text == "inside"
