"""Stores that announce when they cannot answer, once for each failed call."""

from __future__ import annotations

from typing import NoReturn

import pytest
from blinker import NamedSignal

from tests.harness.kit import PASSWORDS, Clock, make_app, make_users
from tokenauth import DictUserStore, StoreUnavailableError, User, UserStore, events
from tokenauth.events import Event
from tokenauth.stores.announcing import announcing


class Down(DictUserStore):
    def get(self, user_id: str) -> User | None:
        raise StoreUnavailableError(reason="refused")


def test_a_failed_call_is_announced_and_raised() -> None:
    """With the name of the store and the cause, and nothing of the call."""
    heard: list[tuple[str, dict[str, str | None]]] = []

    def emit(signal: NamedSignal, **details: str | None) -> None:
        heard.append((signal.name, details))

    users = announcing(Down({}), UserStore, "users", emit)
    assert users.find("alice") is None
    assert heard == []
    with pytest.raises(StoreUnavailableError):
        users.get("u-alice")
    assert heard == [("store-failed", {"store": "users", "cause": "refused"})]


def test_a_replaced_method_is_the_one_that_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tests of applications replace methods of their stores."""
    users = make_users()
    client = make_app(users=users).test_client()
    bob = users.find("bob")
    assert bob is not None
    monkeypatch.setattr(users, "find", lambda _: bob)
    body = {"username": "whoever", "password": PASSWORDS["bob"]}
    assert client.post("/auth/login", json=body).status_code == 200


def fail(*_: object, **__: object) -> NoReturn:
    raise StoreUnavailableError


@pytest.mark.parametrize("store", ["attempts", "breach_check"])
def test_what_else_can_fail_is_named(
    store: str, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """The counters of attempts, and the application's own check of passwords."""

    def is_breached(_: str) -> bool:
        raise ZeroDivisionError

    users = make_users()
    app = make_app(
        users=users,
        clock=clock,
        config={"TOKENAUTH_PASSWORD_BREACH_CHECK": is_breached},
    )
    heard: list[Event] = []
    current = app.extensions["tokenauth"]
    with events.store_failed.connected_to(lambda _, event: heard.append(event), app):
        if store == "attempts":
            monkeypatch.setattr(current.throttle, "reserve", fail)
            with app.app_context(), pytest.raises(StoreUnavailableError):
                current.checker.check_user(users.get("u-alice"), "x", None)
        else:
            alice = users.get("u-alice")
            with app.app_context(), pytest.raises(StoreUnavailableError):
                current.password_login.set_password(alice, "quite another one")
    assert [event.store for event in heard] == [store]
