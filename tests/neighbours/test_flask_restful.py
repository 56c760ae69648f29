"""Flask-RESTful: a refusal in a resource is ours, not its error page."""

from __future__ import annotations

import warnings

import pytest
from flask import Blueprint, Flask

from tests.neighbours.frameworks import (
    Guard,
    SetUp,
    assert_login_required,
    assert_scopes_required,
    name,
    works_alone,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the library's own imports
    import flask_restful
    import flask_restful.fields


def resource(guard: Guard = lambda view: view) -> type[flask_restful.Resource]:
    class Decorated(flask_restful.Resource):
        get = guard(name)

    return Decorated


def method(app: Flask, guard: Guard) -> None:
    flask_restful.Api(app).add_resource(resource(guard), "/view")


def api(app: Flask, guard: Guard) -> None:
    flask_restful.Api(app, decorators=[guard]).add_resource(resource(), "/view")


def blueprint(app: Flask, guard: Guard) -> None:
    pages = Blueprint("api", __name__)
    flask_restful.Api(pages).add_resource(resource(guard), "/view")
    app.register_blueprint(pages)


def marshalled(app: Flask, guard: Guard) -> None:
    as_fields = flask_restful.marshal_with({"user": flask_restful.fields.String})

    def both(view: Guard) -> Guard:
        return as_fields(guard(view))  # type: ignore[no-any-return]

    flask_restful.Api(app).add_resource(resource(both), "/view")


WAYS = [method, api, blueprint, marshalled]
pytestmark = pytest.mark.skipif(
    not works_alone(method), reason="Flask-RESTful fails on this Flask, without us, too"
)


@pytest.mark.parametrize("way", WAYS)
def test_login_required_works_on_a_resource(order: str, way: SetUp) -> None:
    """Without a token, with a bad one, and while the store cannot answer."""
    assert_login_required(order, way)


@pytest.mark.parametrize("way", WAYS)
def test_our_own_guards_work_on_a_resource(order: str, way: SetUp) -> None:
    """403 names the scope; 401 without a token."""
    assert_scopes_required(order, way)
