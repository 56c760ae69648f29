"""flask-smorest: a refusal is ours, and its document has our endpoints where asked."""

from __future__ import annotations

import warnings

import pytest
from flask import Flask
from flask.views import MethodView

from tests.neighbours.frameworks import (
    Guard,
    SetUp,
    assert_login_required,
    assert_scopes_required,
    name,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the library's own imports
    import flask_smorest

SETTINGS = {"API_TITLE": "t", "API_VERSION": "v1", "OPENAPI_VERSION": "3.1.0"}


def method(app: Flask, guard: Guard) -> None:
    app.config.update(SETTINGS)
    pages = flask_smorest.Blueprint("all", __name__)

    @pages.route("/view")
    class Decorated(MethodView):
        get = pages.response(200)(guard(name))

    flask_smorest.Api(app).register_blueprint(pages)


def function(app: Flask, guard: Guard) -> None:
    app.config.update(SETTINGS)
    pages = flask_smorest.Blueprint("all", __name__)
    pages.route("/view")(pages.response(200)(guard(name)))
    flask_smorest.Api(app).register_blueprint(pages)


WAYS = [method, function]


@pytest.mark.parametrize("way", WAYS)
def test_login_required_works_on_a_view(order: str, way: SetUp) -> None:
    """Without a token, with a bad one, and while the store cannot answer."""
    assert_login_required(order, way)


@pytest.mark.parametrize("way", WAYS)
def test_our_own_guards_work_on_a_view(order: str, way: SetUp) -> None:
    """403 names the scope; 401 without a token."""
    assert_scopes_required(order, way)
