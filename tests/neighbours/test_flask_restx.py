"""Flask-RESTX: a refusal in a resource keeps its status, challenge and members."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from flask import Blueprint, Flask

from tests.harness.kit import bearer
from tests.neighbours.frameworks import (
    Guard,
    SetUp,
    assert_login_required,
    assert_refusal,
    assert_scopes_required,
    name,
    works_alone,
)
from tests.neighbours.kit import Shop, join

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the library's own imports
    import flask_restx


def resource(guard: Guard = lambda view: view) -> type[flask_restx.Resource]:
    class Decorated(flask_restx.Resource):
        get = guard(name)

    return Decorated


def method(app: Flask, guard: Guard) -> None:
    flask_restx.Api(app).add_resource(resource(guard), "/view")


def namespace(app: Flask, guard: Guard) -> None:
    part = flask_restx.Namespace("all", path="/view", decorators=[guard])
    part.add_resource(resource(), "")
    flask_restx.Api(app).add_namespace(part)


def blueprint(app: Flask, guard: Guard) -> None:
    pages = Blueprint("api", __name__)
    flask_restx.Api(pages).add_resource(resource(guard), "/view")
    app.register_blueprint(pages)


def marshalled(app: Flask, guard: Guard) -> None:
    api = flask_restx.Api(app)
    model = api.model("M", {"user": flask_restx.fields.String})

    def both(view: Guard) -> Guard:
        return api.marshal_with(model)(guard(view))  # type: ignore[no-any-return]

    api.add_resource(resource(both), "/view")


WAYS = [method, namespace, blueprint, marshalled]
pytestmark = pytest.mark.skipif(
    not works_alone(method), reason="Flask-RESTX fails on this Flask, without us, too"
)


@pytest.mark.parametrize("way", WAYS)
def test_login_required_works_on_a_resource(order: str, way: SetUp) -> None:
    """Without a token, with a bad one, and while the store cannot answer."""
    assert_login_required(order, way)


@pytest.mark.parametrize("way", WAYS)
def test_our_own_guards_work_on_a_resource(order: str, way: SetUp) -> None:
    """403 names the scope; 401 without a token."""
    assert_scopes_required(order, way)


def test_an_error_of_our_methods_in_a_resource(order: str) -> None:
    """`auth.verify` of a bad token in a resource: 401 with its challenge, no 500."""
    holder: list[Shop] = []

    class Verify(flask_restx.Resource):
        def get(self, token: str) -> Any:
            return {"subject": holder[0].auth.verify(token).subject}

    def set_up(app: Flask) -> None:
        flask_restx.Api(app, doc=False).add_resource(Verify, "/verify/<token>")

    holder.append(join(order, set_up))
    client = holder[0].app.test_client()
    good = client.get(f"/verify/{holder[0].token()}")
    assert good.get_json() == {"subject": "u-alice"}
    assert_refusal(client.get("/verify/abc.def"), 401, "token_invalid")


def test_our_endpoints_are_beside_an_api_at_the_root(order: str) -> None:
    """Flask-RESTX takes `/` and answers what it does not know."""
    shop = join(order, lambda app: method(app, lambda view: view))
    client = shop.app.test_client()
    assert client.get("/auth/me", headers=shop.bearer()).status_code == 200
    assert_refusal(client.get("/auth/me"), 401, "token_missing")
    bad = client.get("/auth/me", headers=bearer("abc.def"))
    assert_refusal(bad, 401, "token_invalid")
    assert client.get("/swagger.json").status_code == 200
