"""What every test may ask for: an application, a client, a clock to turn."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from werkzeug.test import TestResponse

from tests.harness.grammar import check_answer
from tests.harness.kit import Clock, make_app

pytest.register_assert_rewrite("tests.stores.contract")
pytest_plugins = [
    "tests.harness.browser",
    "tests.harness.scheduling",
    "tests.harness.servers",
    "tests.harness.redis_servers",
    "tests.stores.engines",
    "tests.stores.shared",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="run races, models and floods at their full counts",
    )


# What starts programs takes longest, and comes first: nobody waits for it at the end.
PROGRAMS = {"AppServer", "needs_browser", "serve", "subprocess"}


def starts_programs(item: Any) -> bool:
    return bool(PROGRAMS & vars(item.module).keys())


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    items.sort(key=starts_programs, reverse=True)
    if not config.getoption("--full"):
        left_out = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_configure(config: pytest.Config) -> None:
    # No deadline: how long one example takes is the machine's matter.
    examples = 2000 if config.getoption("--full") else 50
    settings.register_profile("tokenauth", deadline=None, max_examples=examples)
    settings.load_profile("tokenauth")


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported stays: no need to look at it again and again


@pytest.fixture(scope="session", autouse=True)
def checked_answers() -> Iterator[None]:
    """Check each answer that any test client gets, of whatever application."""
    unchecked = FlaskClient.open

    def open_and_check(client: FlaskClient, *args: Any, **kwargs: Any) -> TestResponse:
        response = unchecked(client, *args, **kwargs)
        check_answer(response, response.request)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FlaskClient, "open", open_and_check)
        yield


@pytest.fixture(autouse=True)
def enabled_loggers() -> Iterator[None]:
    """Enable each logger again: a logger of one name is one for all tests."""
    yield
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False


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
