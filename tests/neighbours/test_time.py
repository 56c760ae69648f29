"""freezegun, time-machine and a patched `time.time` move our time, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import freezegun
import pytest
import time_machine

from tests.neighbours.kit import Shop, credentials, join

NOW = 1_700_000_000.0  # before any machine's time
Move = Callable[[float], AbstractContextManager[Any]]


def by_freezegun(seconds: float) -> AbstractContextManager[Any]:
    moment: AbstractContextManager[Any] = freezegun.freeze_time(_at(seconds))
    return moment


def by_time_machine(seconds: float) -> AbstractContextManager[Any]:
    return time_machine.travel(_at(seconds), tick=False)


def by_patch(seconds: float) -> AbstractContextManager[Any]:
    return mock.patch("time.time", return_value=NOW + seconds)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=seconds)


@pytest.fixture(params=[by_freezegun, by_time_machine, by_patch])
def at(
    request: pytest.FixtureRequest,
) -> Move:
    """What moves time to so many seconds after `NOW`."""
    moment: Move = request.param
    return moment


@pytest.fixture(params=["made before", "made within"])
def shop(
    request: pytest.FixtureRequest,
    at: Move,
) -> Shop:
    """An application made before time is moved, or while it is."""
    set_up = "neighbour first"
    if request.param == "made before":
        return join(set_up, lambda app: None)
    with at(0):
        return join(set_up, lambda app: None)


def test_an_access_token_expires(shop: Shop, at: Move) -> None:
    """Its 15 minutes pass as the tool says, to the second."""
    with at(0):
        headers = shop.bearer()
    for seconds, status in ((0, 200), (899, 200), (900, 401), (3600, 401)):
        with at(seconds):
            client = shop.app.test_client()
            answer = client.get("/protected", headers=headers)
            assert answer.status_code == status, seconds


def test_a_session_ends_when_it_is_idle(shop: Shop, at: Move) -> None:
    """A refresh works after six days and not after another eight."""
    client = shop.app.test_client()
    with at(0):
        tokens = client.post("/auth/login", json=credentials()).get_json()
    day = 24 * 60 * 60
    with at(6 * day):
        body = {"refresh_token": tokens["refresh_token"]}
        refreshed = client.post("/auth/refresh", json=body)
        assert refreshed.status_code == 200, refreshed.text
    with at(14 * day):
        body = {"refresh_token": refreshed.get_json()["refresh_token"]}
        answer = client.post("/auth/refresh", json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_grant")


def test_a_window_of_login_attempts_passes(
    at: Move,
) -> None:
    """Who had too many may try again when it is over."""
    config = {"TOKENAUTH_LOGIN_LIMITS": "1 per hour"}
    shop = join("neighbour first", lambda app: None, config=config)
    client = shop.app.test_client()
    wrong = {**credentials(), "password": "not this one"}
    with at(0):
        assert client.post("/auth/login", json=wrong).status_code == 401
        assert client.post("/auth/login", json=wrong).status_code == 429
    with at(2 * 60 * 60):
        assert client.post("/auth/login", json=credentials()).status_code == 200


def test_time_that_is_let_go_runs_again(shop: Shop) -> None:
    """After the block the machine's time counts."""
    with by_patch(0):
        old = shop.bearer()
    assert time.time() != NOW
    client = shop.app.test_client()
    assert client.get("/protected", headers=old).status_code == 401
    assert client.get("/protected", headers=shop.bearer()).status_code == 200
