"""Promise 9: a store that fails at any call is told of, and leaves nothing half done.

Each request is repeated with a fault at its first call of a store, its second, and so
on until there are no more. The answer is 503 or the truth, and what is found afterwards
is one of the states that are legal for that request.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.kit import Clock, assert_problem, bearer, make_app
from tests.stores.proxy import proxied
from tests.stores.shared import MEMORY_FIRST, Service
from tokenauth import StoreUnavailableError, User, hash_password
from tokenauth.accounts.hash_schemes import Argon2Cost
from tokenauth.stores.provision import Stores
from tokenauth.testing import CHEAP_HASHING

OLD, NEW = "the old secret", "the new secret"
WEAK, USUAL = (hash_password(OLD, Argon2Cost(memory, 1)) for memory in (8, 16))
CONFIG = {
    **CHEAP_HASHING,
    "TOKENAUTH_ARGON2_MEMORY_COST": 16,
    "TOKENAUTH_LOGIN_LIMITS": "1000000 per second",
}
_numbers = itertools.count()

pytestmark = pytest.mark.parametrize("service", MEMORY_FIRST, indirect=True)

Mode = Literal["refuses", "loses its answer", "is late"]
MODES: list[Mode] = ["refuses", "loses its answer", "is late"]


@dataclass
class Fault:
    """Lets one call of a store fail.

    It refuses the call, or does it and loses the answer, or gives up and does it after
    the request was answered.
    """

    at: int
    mode: Mode
    calls: int = 0
    waiting: list[Callable[[], object]] = field(default_factory=list)

    @property
    def has_come(self) -> bool:
        return self.calls >= self.at

    def __call__(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls != self.at:
            return call()
        if self.mode == "loses its answer":
            call()
        elif self.mode == "is late":
            self.waiting.append(call)
        raise StoreUnavailableError

    def let_the_late_come(self) -> None:
        for call in self.waiting:
            call()


class Found(NamedTuple):
    """What holds after a request: do the logins stand, and which passwords open?"""

    mine: bool
    other: bool
    password: str


NOTHING_DONE = Found(True, True, OLD)
LOGGED_OUT = Found(False, True, OLD)
OTHER_ENDED = Found(True, False, OLD)
BOTH_ENDED = Found(False, False, OLD)
CHANGED = Found(False, False, NEW)


class Story:
    """A user with two logins, one of which makes a request of a faulty service."""

    def __init__(self, service: Service) -> None:
        self.clock = Clock()
        self.service, self.users = service, service.stores.users
        self.fault = Fault(at=0, mode="refuses")  # a start finds its stores sound
        faulty = Stores(
            proxied(service.stores.users, self._around),
            proxied(service.stores.sessions, self._around),
        )
        self.sound = self._app(service.stores).test_client()
        self.faulty = self._app(faulty).test_client()

    def begin(self, fault: Fault) -> None:
        self.name = f"alice-{next(_numbers)}"
        self.user = User(self.name, USUAL, id=f"u-{self.name}", scopes=["introspect"])
        self.service.users.add(self.user)
        self.mine, self.other = (self.logged_in(OLD).get_json() for _ in range(2))
        self.fault = fault

    def _app(self, stores: Stores) -> Flask:
        return make_app(
            users=stores.users,
            sessions=stores.sessions,
            clock=self.clock,
            config=CONFIG,
        )

    def _around(self, _: str, call: Callable[[], Any]) -> Any:
        return self.fault(call)

    def logged_in(self, password: str, at: FlaskClient | None = None) -> TestResponse:
        body = {"username": self.name, "password": password}
        return (at or self.sound).post("/auth/login", json=body)

    def refreshed(
        self, tokens: dict[str, Any], at: FlaskClient | None = None
    ) -> TestResponse:
        body = {"refresh_token": tokens["refresh_token"]}
        return (at or self.sound).post("/auth/refresh", json=body)

    def ask(self, method: str, path: str, **how: Any) -> TestResponse:
        header = bearer(self.mine["access_token"])
        return self.faulty.open(path, method=method, headers=header, **how)

    def stands(self, tokens: dict[str, Any]) -> bool:
        """Tell whether a login stands; that both its tokens say the same is checked."""
        header = bearer(tokens["access_token"])
        status = self.sound.get("/protected", headers=header).status_code
        assert (status == 200) == (self.refreshed(tokens).status_code == 200)
        return status == 200

    def found(self) -> Found:
        mine, other = self.stands(self.mine), self.stands(self.other)
        opens = [p for p in (OLD, NEW) if self.logged_in(p).status_code == 200]
        return Found(mine, other, *opens)


class Request(NamedTuple):
    """A request, the state that it acknowledges, and those that a fault may leave."""

    send: Callable[[Story], TestResponse]
    acknowledged: Found = NOTHING_DONE
    legal: Collection[Found] = (NOTHING_DONE,)
    gives_tokens: bool = False
    status: int = 200


def _end_other(story: Story) -> TestResponse:
    header = bearer(story.other["access_token"])
    me = story.sound.get("/auth/me", headers=header).get_json()
    return story.ask("DELETE", f"/auth/sessions/{me['session']['id']}")


def _log_in_with_weak_hash(story: Story) -> TestResponse:
    assert story.users.set_password_hash(story.user.id, WEAK, expected=USUAL)
    return story.logged_in(OLD, story.faulty)


def _replay(story: Story) -> TestResponse:
    first = story.mine
    story.mine = story.refreshed(first).get_json()
    return story.refreshed(first, story.faulty)


def _reuse(story: Story) -> TestResponse:
    stolen = story.mine
    story.mine = story.refreshed(stolen).get_json()
    story.clock.move(11)
    return story.refreshed(stolen, story.faulty)


def _change_password(story: Story) -> TestResponse:
    body = {"current_password": OLD, "new_password": NEW}
    return story.ask("POST", "/auth/password", json=body)


def _get(path: str) -> Request:
    return Request(lambda story: story.ask("GET", path))


def _form(path: str) -> Callable[[Story], TestResponse]:
    return lambda story: story.ask(
        "POST", path, data={"token": story.mine["refresh_token"]}
    )


REQUESTS = {
    "a protected view": _get("/protected"),
    "who am I": _get("/auth/me"),
    "list of logins": _get("/auth/sessions"),
    "list of tokens": _get("/auth/tokens"),
    "introspection": Request(_form("/auth/introspect")),
    "personal token": Request(
        lambda story: story.ask("POST", "/auth/tokens", json={"name": "ci"}), status=201
    ),
    "login": Request(
        lambda story: story.logged_in(OLD, story.faulty), gives_tokens=True
    ),
    "login, weak hash": Request(_log_in_with_weak_hash, gives_tokens=True),
    "refresh": Request(
        lambda story: story.refreshed(story.mine, story.faulty), gives_tokens=True
    ),
    "refresh in the grace": Request(_replay, gives_tokens=True),
    "reuse": Request(_reuse, LOGGED_OUT, (NOTHING_DONE, LOGGED_OUT), status=400),
    "logout": Request(
        lambda story: story.ask("POST", "/auth/logout"),
        LOGGED_OUT,
        (NOTHING_DONE, LOGGED_OUT),
        status=204,
    ),
    "revocation": Request(
        _form("/auth/revoke"), LOGGED_OUT, (NOTHING_DONE, LOGGED_OUT)
    ),
    "end of another login": Request(
        _end_other, OTHER_ENDED, (NOTHING_DONE, OTHER_ENDED), status=204
    ),
    "end of all other logins": Request(
        lambda story: story.ask("DELETE", "/auth/sessions?keep=current"),
        OTHER_ENDED,
        (NOTHING_DONE, OTHER_ENDED),
        status=204,
    ),
    "end of all logins": Request(
        lambda story: story.ask("DELETE", "/auth/sessions"),
        BOTH_ENDED,
        (NOTHING_DONE, BOTH_ENDED),
        status=204,
    ),
    # Nothing; or logged out, with the old password or with the new one. Never a new
    # password and a login of before.
    "password change": Request(
        _change_password, CHANGED, (NOTHING_DONE, BOTH_ENDED, CHANGED), True
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_fault_at_any_call_is_told_and_leaves_a_legal_state(
    name: str, mode: Mode, service: Service
) -> None:
    """503 with Retry-After, or what is answered is so."""
    request, story = REQUESTS[name], Story(service)
    for at in itertools.count(1):
        fault = Fault(at, mode)
        story.begin(fault)
        answer = request.send(story)
        fault.let_the_late_come()
        if answer.status_code == 503:
            assert_problem(answer, 503, "store_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            assert story.found() in request.legal, at
            continue
        assert answer.status_code == request.status, answer.text
        assert story.found() == request.acknowledged
        assert not request.gives_tokens or story.stands(answer.get_json())
        if not fault.has_come:
            assert at > 1
            return


@pytest.mark.parametrize("mode", MODES)
def test_a_retry_after_a_fault_gets_the_refresh_that_may_have_happened(
    mode: Mode, service: Service
) -> None:
    """No fault makes a second branch, or a thief of an honest client."""
    story = Story(service)
    for at in range(1, 4):
        fault = Fault(at, mode)
        story.begin(fault)
        failed = story.refreshed(story.mine, story.faulty)
        assert_problem(failed, 503, "store_unavailable")
        retries = [story.refreshed(story.mine)]
        fault.let_the_late_come()
        retries += [story.refreshed(story.mine), story.refreshed(story.mine)]
        assert {retry.status_code for retry in retries} == {200}
        assert len({retry.get_json()["refresh_token"] for retry in retries}) == 1
