"""What every test may ask for: an application, a client, a clock to turn."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings

from tests.kit import Clock, make_app

# How long an example takes says more about the machine than about the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

pytest_plugins = ["tests.servers"]

# No test fails because the machine is busy.
settings.register_profile("tokenauth", deadline=None)
settings.load_profile("tokenauth")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="run races, models and floods at their full counts",
    )


@pytest.fixture
def is_full(request: pytest.FixtureRequest) -> bool:
    """Whether the full counts were asked for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def clock() -> Clock:
    """Seconds since the epoch, standing still until a test moves them."""
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Flask:
    """The smallest protected application, with users `alice` and `bob`."""
    return make_app(clock=clock)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the smallest application."""
    return app.test_client()
