"""The kit as pytest fixtures, which need a fixture `app` of yours.

In `conftest.py`: `pytest_plugins = ["tokenauth.testing.fixtures"]`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

import pytest
from flask import Flask
from flask.testing import FlaskClient

from .. import testing


@pytest.fixture
def client_as(app: Flask) -> Callable[..., FlaskClient]:
    """Log in without a password: `client_as("JohnDoe", scopes=["reports:read"])`."""
    return partial(testing.client_as, app)


@pytest.fixture
def frozen_clock(app: Flask) -> Generator[testing.Clock]:
    """The application's clock, which stands still until a test moves it."""
    with testing.frozen_clock(app) as clock:
        yield clock
