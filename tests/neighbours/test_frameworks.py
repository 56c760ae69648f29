"""Views of every kind: a 401 stays a 401, with its challenge and our body."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import flask_restful
import flask_restful.fields
import pytest
from flask import Blueprint, Flask
from flask.views import MethodView
from flask_login import current_user, login_required
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from tests.harness.kit import (
    assert_problem,
    bearer,
    let_in_by_cookie,
    log_in,
    make_app,
    make_users,
    token_of,
)
from tokenauth import DictUserStore, StoreUnavailableError, User, require_scopes
from tokenauth.web.api.endpoints import ROUTES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # these libraries' own imports
    import flask_restx
    import flask_smorest


Guard = Callable[[Any], Any]


def name(*_: Any, **__: Any) -> dict[str, str]:
    """What each view answers."""
    return {"user": current_user.username}


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


def asynchronous(app: Flask, guard: Guard) -> None:
    @app.get("/view")
    @guard
    async def view() -> dict[str, str]:
        return name()


def restful_method(app: Flask, guard: Guard) -> None:
    class Decorated(flask_restful.Resource):
        @guard
        def get(self) -> dict[str, str]:
            return name()

    flask_restful.Api(app).add_resource(Decorated, "/view")


def restful_api(app: Flask, guard: Guard) -> None:
    class Decorated(flask_restful.Resource):
        def get(self) -> dict[str, str]:
            return name()

    flask_restful.Api(app, decorators=[guard]).add_resource(Decorated, "/view")


def restful_marshalled(app: Flask, guard: Guard) -> None:
    class Decorated(flask_restful.Resource):
        @flask_restful.marshal_with({"user": flask_restful.fields.String})
        @guard
        def get(self) -> dict[str, str]:
            return name()

    flask_restful.Api(app).add_resource(Decorated, "/view")


def restx_method(app: Flask, guard: Guard) -> None:
    class Decorated(flask_restx.Resource):
        @guard
        def get(self) -> dict[str, str]:
            return name()

    flask_restx.Api(app).add_resource(Decorated, "/view")


def restx_namespace(app: Flask, guard: Guard) -> None:
    namespace = flask_restx.Namespace("all", path="/view", decorators=[guard])

    @namespace.route("")
    class Decorated(flask_restx.Resource):
        def get(self) -> dict[str, str]:
            return name()

    flask_restx.Api(app).add_namespace(namespace)


def restx_marshalled(app: Flask, guard: Guard) -> None:
    api = flask_restx.Api(app)

    class Decorated(flask_restx.Resource):
        @api.marshal_with(api.model("M", {"user": flask_restx.fields.String}))
        @guard
        def get(self) -> dict[str, str]:
            return name()

    api.add_resource(Decorated, "/view")


def smorest(app: Flask, guard: Guard) -> None:
    app.config.update(API_TITLE="t", API_VERSION="v1", OPENAPI_VERSION="3.0.2")
    blueprint = flask_smorest.Blueprint("all", __name__)

    @blueprint.route("/view")
    class Decorated(MethodView):
        @blueprint.response(200)
        @guard
        def get(self) -> dict[str, str]:
            return name()

    flask_smorest.Api(app).register_blueprint(blueprint)


WAYS = [
    nested_blueprint,
    before_each_view_of_a_blueprint,
    class_with_decorators,
    method_of_a_class,
    asynchronous,
    restful_method,
    restful_api,
    restful_marshalled,
    restx_method,
    restx_namespace,
    restx_marshalled,
    smorest,
]


class Stopping(DictUserStore):
    """A user store that cannot answer once it is stopped."""

    is_stopped = False

    def get(self, user_id: str) -> User | None:
        if self.is_stopped:
            raise StoreUnavailableError
        return super().get(user_id)


def assert_refusal(answer: Any, status: int, code: str) -> None:
    """Assert status, code and header; Flask-RESTX sets a content type of its own."""
    assert answer.status_code == status, answer.text
    assert answer.json["code"] == code
    assert answer.json["status"] == status
    assert answer.json["type"] == f"urn:tokenauth:problem:{code}"
    assert answer.headers.getlist("Cache-Control") == ["no-store"]
    challenges = answer.headers.getlist("WWW-Authenticate")
    assert len(challenges) == (status in {401, 403})
    assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_testing", [False, True])
def test_a_refusal_passes_unchanged(
    way: Callable[[Flask, Guard], None], is_testing: bool
) -> None:
    """Without a token, with a bad one, and while the store cannot answer."""
    users = Stopping({"alice": User("alice")})
    app = make_app(users=users, config={"TESTING": is_testing})
    way(app, login_required)
    client, headers = app.test_client(), bearer(token_of(app))
    assert client.get("/view", headers=headers).json == {"user": "alice"}
    assert_refusal(client.get("/view"), 401, "token_missing")
    bad = client.get("/view", headers=bearer("abc.def"))
    assert_refusal(bad, 401, "token_invalid")
    users.is_stopped = True
    down = client.get("/view", headers=headers)
    assert_refusal(down, 503, "store_unavailable")


@pytest.mark.parametrize("way", WAYS)
def test_our_own_guards_work_on_it(way: Callable[[Flask, Guard], None]) -> None:
    """403 names the scope; 401 without a token."""
    app = make_app(users=make_users(alice=["read"]))
    way(app, require_scopes("read"))
    client = app.test_client()
    alice = client.get("/view", headers=bearer(token_of(app)))
    assert alice.json == {"user": "alice"}
    bob = client.get("/view", headers=bearer(token_of(app, "bob")))
    assert_refusal(bob, 403, "insufficient_scope")
    assert 'scope="read"' in bob.headers["WWW-Authenticate"]
    assert_refusal(client.get("/view"), 401, "token_missing")


@pytest.mark.parametrize("way", [restful_method, restx_method, smorest])
def test_a_cookie_user_of_a_framework_is_told_as_well(
    way: Callable[[Flask, Guard], None],
) -> None:
    """A store that cannot answer is no error of the framework's."""
    users = Stopping({"alice": User("alice")})
    app = make_app(users=users, config={"TESTING": False})
    way(app, login_required)
    client = let_in_by_cookie(app)
    assert client.get("/view").json == {"user": "alice"}
    users.is_stopped = True
    answer = client.get("/view")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("caught", [401, HTTPException, Exception])
def test_an_error_handler_of_the_application_leaves_a_refusal_alone(
    app: Flask, caught: Any
) -> None:
    """Whatever it catches, on the application's views and on ours."""
    app.register_error_handler(caught, lambda _: ("caught", 500))
    client = app.test_client()
    for path in ("/protected", "/auth/me"):
        assert_problem(client.get(path), 401, "token_missing")
        bad = client.get(path, headers=bearer("abc.def"))
        assert_problem(bad, 401, "token_invalid")
    assert_problem(client.get("/auth/nowhere"), 404, "not_found")
    assert_problem(client.get("/auth/login"), 405, "method_not_allowed")
    malformed = client.post("/auth/login", json={})
    assert_problem(malformed, 400, "invalid_request")


def test_an_application_may_answer_our_errors_itself(app: Flask) -> None:
    """By a handler for the type that its own views, and ours, raise."""
    error = StoreUnavailableError
    app.register_error_handler(error, lambda _: ("back soon", 503))

    @app.get("/raise")
    def raise_() -> str:
        raise error

    assert app.test_client().get("/raise").text == "back soon"


# -- Flask-WTF -----------------------------------------------------------------------


def test_our_addresses_need_no_csrf_token() -> None:
    """They heed no cookie, so a strange site cannot use one."""

    class Protected(Flask):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.config["SECRET_KEY"] = "set before, as CSRFProtect wants"
            CSRFProtect(self)

    app = make_app(flask_class=Protected)
    app.post("/form")(lambda: "sent")
    client = app.test_client()
    headers = bearer(log_in(client)["access_token"])
    assert client.post("/auth/logout", headers=headers).status_code == 204
    form = client.post("/form")
    assert (form.status_code, "CSRF" in form.text) == (400, True)


def test_no_cookie_moves_one_of_our_addresses() -> None:
    """Which is why they are exempt: alice's cookies alone are nobody's there."""
    app = make_app(users=make_users(alice=["introspect"]))
    client = let_in_by_cookie(app)
    for route in ROUTES:
        path = "/auth" + route.path.replace("<session_id>", "A" * 22)
        answer = client.open(path, method=route.method, headers={"Accept": "*/*"})
        assert answer.status_code in {401, 415}, route
