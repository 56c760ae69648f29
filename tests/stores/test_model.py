"""Promises 4 and 5 by model: whatever is done in whatever order, the rules hold.

Two workers with clocks of their own share a store; every answer is one that the model
allows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

from tests.harness.kit import Clock, bearer, make_app
from tests.stores.model import (
    ACCESS,
    CONFIG,
    GRACE,
    IDLE,
    LEEWAY,
    Account,
    Model,
    Pair,
    Possible,
    Token,
)
from tests.stores.shared import MEMORY_FIRST, Service
from tokenauth import User, hash_password
from tokenauth.accounts.hash_schemes import Argon2Cost
from tokenauth.stores.provision import Stores
from tokenauth.testing import CHEAP_HASHING
from tokenauth.web import state

UNLIMITED = {"TOKENAUTH_LOGIN_LIMITS": "1000000 per second"}
CHEAP = Argon2Cost(memory=8, time=1)
_numbers = itertools.count()

worker = st.integers(0, 1)
name = st.sampled_from(["alice", "alice", "alice", "bob"])
mostly = st.sampled_from([True] * 9 + [False])
# From the newest pair back; of living logins only, where there are any and it is true.
which = st.tuples(mostly, st.sampled_from([0] * 8 + [1] * 5 + [2, 2, 3, 5, 8, 13]))
TICKS = [0.25, 1, GRACE - 0.25, GRACE, LEEWAY, -0.25, -1, -GRACE]
LEAPS = [ACCESS, IDLE - 10, IDLE, IDLE / 2, -LEEWAY - 1, -3600, -IDLE]
tick = st.sampled_from(TICKS)
time = st.sampled_from(3 * TICKS + LEAPS)
skew = st.sampled_from([0, 0, 0, -0.5, 1, -1, 20, -29, 300, -300])
end = st.sampled_from(["/logout", "/sessions", *["/sessions?keep=current"] * 3])
Which = tuple[bool, int]


class Rules(RuleBasedStateMachine):
    """Everything that clients, operators, clocks and machines do to sessions."""

    def __init__(self, service: Service, stores: Sequence[Stores]) -> None:
        super().__init__()
        self.service, self.stores = service, stores
        self.clock, self.skews = Clock(), [0.0, 0.0]
        self.pairs: list[Pair] = []
        number = next(_numbers)  # services are shared by many runs
        self.model = Model({}, [_new_key()])
        for name in ("alice", "bob"):
            account = Account(f"u-{name}-{number}", f"{name}-{number}", "secret 0")
            self.model.accounts[name] = account
            hashed = hash_password(account.password, CHEAP)
            service.users.add(User(account.name, hashed, id=account.id))
        self._restart_all()

    # -- clients -----------------------------------------------------------------------

    @rule(worker=worker, name=name, is_right=mostly)
    def log_in(self, worker: int, name: str, is_right: bool) -> None:
        account = self.model.accounts[name]
        password = account.password if is_right else "wrong"
        body = {"username": account.name, "password": password}
        possible = self.model.log_in(account, password, self._now(worker))
        self._ask(worker, possible, "POST", "/auth/login", json=body)

    @rule(worker=worker, which=which, is_right=mostly)
    def use(self, worker: int, which: Which, is_right: bool) -> None:
        pair = self._pair(which)
        token = pair.access if is_right else pair.refresh
        possible = self.model.use(token, self._now(worker))
        self._ask(worker, possible, "GET", "/protected", token=token)

    @rule(worker=worker, which=which, is_right=mostly)
    def refresh(self, worker: int, which: Which, is_right: bool) -> None:
        pair = self._pair(which)
        token = pair.refresh if is_right else pair.access
        self._refresh(worker, token)

    @rule(worker=worker, which=which, tick=tick)
    def refresh_twice(self, worker: int, which: Which, tick: float) -> None:
        token = self._pair(which).refresh
        self._refresh(worker, token)
        self.clock.move(tick)
        self._refresh(1 - worker, token)

    @rule(worker=worker, which=which, path=end)
    def end(self, worker: int, which: Which, path: str) -> None:
        token, now = self._pair(which).access, self._now(worker)
        if path == "/logout":
            possible = self.model.log_out(token, now)
            self._ask(worker, possible, "POST", "/auth/logout", token=token)
        else:
            possible = self.model.end_all(token, now, keep="keep" in path)
            self._ask(worker, possible, "DELETE", f"/auth{path}", token=token)

    @rule(worker=worker, which=which, other=which)
    def end_one(self, worker: int, which: Which, other: Which) -> None:
        token, target = self._pair(which).access, self._pair(other).access.login
        possible = self.model.end_one(token, target, self._now(worker))
        self._ask(
            worker, possible, "DELETE", f"/auth/sessions/{target.id}", token=token
        )

    @rule(worker=worker, which=which)
    def list_sessions(self, worker: int, which: Which) -> None:
        token = self._pair(which).access
        possible = self.model.list_sessions(token, self._now(worker))
        self._ask(worker, possible, "GET", "/auth/sessions", token=token)

    @rule(worker=worker, which=which, is_right=mostly)
    def change_password(self, worker: int, which: Which, is_right: bool) -> None:
        token, now = self._pair(which).access, self._now(worker)
        new = f"a long walk {next(_numbers)}"  # a common one is refused
        current = token.login.account.password if is_right else "wrong"
        possible = self.model.change_password(token, current, new, now)
        body = {"current_password": current, "new_password": new}
        self._ask(worker, possible, "POST", "/auth/password", token=token, json=body)

    # -- operators, clocks and machines ------------------------------------------------

    @rule(worker=worker, name=name, revoke=st.booleans())
    def disable_or_enable(self, worker: int, name: str, revoke: bool) -> None:
        """Enable whoever is disabled, so that one of them can always log in."""
        accounts = self.model.accounts
        account = next(
            (a for a in accounts.values() if not a.is_active), accounts[name]
        )
        account.is_active = not account.is_active
        self.service.users.set_active(account.id, active=account.is_active)
        if revoke and not account.is_active:
            with self.apps[worker].app_context():
                state.current_state().service.revoke_user(account.id)
            self.model.end_all_of(account)

    @rule(is_rotated=mostly)
    def rotate_or_retire_key(self, is_rotated: bool) -> None:
        if is_rotated:
            self.model.keys.append(_new_key())
        else:
            del self.model.keys[:-1]
        self._restart_all()

    @rule(worker=worker, limit=st.integers(1, 3))
    def purge(self, worker: int, limit: int) -> None:
        now = self._now(worker)
        assert 0 <= self.stores[worker].sessions.purge(now=now, limit=limit) <= limit

    @rule(seconds=time)
    def turn_clock(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(worker=worker, seconds=skew)
    def skew_and_restart(self, worker: int, seconds: float) -> None:
        self.skews[worker] = seconds
        self.apps[worker] = self._start(worker)

    # -- how ---------------------------------------------------------------------------

    def _start(self, worker: int) -> Flask:
        *older, newest = self.model.keys
        config = {"SECRET_KEY": newest, "SECRET_KEY_FALLBACKS": older}
        return make_app(
            users=self.stores[worker].users,
            sessions=self.stores[worker].sessions,
            clock=_WorkerClock(self, worker),
            config={**CONFIG, **CHEAP_HASHING, **UNLIMITED, **config},
        )

    def _restart_all(self) -> None:
        self.apps = [self._start(worker) for worker in (0, 1)]

    def _now(self, worker: int) -> float:
        """Tell a worker's time, and let the model know of it."""
        now = self.clock.now + self.skews[worker]
        self.model.notice(now)
        return now

    def _pair(self, which: Which) -> Pair:
        """Pick a pair of tokens; of the living there always is one."""
        is_living, back = which
        pairs = self._living() if is_living else self.pairs
        if not pairs:
            names = [n for n, a in self.model.accounts.items() if a.is_active]
            self.log_in(0, names[0], True)
        pairs = pairs or self.pairs[-1:]
        return pairs[-1 - back % len(pairs)]

    def _living(self) -> list[Pair]:
        now = self.clock.now
        return [pair for pair in self.pairs if pair.access.login.is_usable(now)]

    def _client(self, worker: int) -> FlaskClient:
        return self.apps[worker].test_client()

    def _refresh(self, worker: int, token: Token) -> None:
        possible = self.model.refresh(token, self._now(worker))
        body = {"refresh_token": token.text}
        self._ask(worker, possible, "POST", "/auth/refresh", json=body)

    def _ask(
        self,
        worker: int,
        possible: Possible,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        *,
        token: Token | None = None,
        json: Any = None,
    ) -> None:
        """Send a request; its answer is a possible one, and the model follows it."""
        client, headers = self._client(worker), bearer(token.text) if token else {}
        answer = client.open(path, method=method, headers=headers, json=json)
        body: Any = answer.get_json(silent=True)
        code = "ok" if answer.status_code < 400 else body["code"]
        assert code in possible, f"{method} {path}: {code}, not one of {list(possible)}"
        if pair := possible[code](body):
            self.pairs.append(pair)
            if body["expires_in"]:
                self._learn_id(client, pair.access)

    def _learn_id(self, client: FlaskClient, access: Token) -> None:
        me: Any = client.get("/auth/me", headers=bearer(access.text)).get_json()
        assert me["id"] == access.login.account.id
        access.login.id = access.login.id or me["session"]["id"]
        assert me["session"]["id"] == access.login.id


class _WorkerClock(Clock):
    """The machine's clock, as one worker reads it."""

    def __init__(self, machine: Rules, worker: int) -> None:
        self._machine, self._worker = machine, worker

    def __call__(self) -> float:
        return self._machine.clock.now + self._machine.skews[self._worker]


def _new_key() -> str:
    return f"key-{next(_numbers)}-{'0123456789' * 4}"


@pytest.mark.parametrize("service", MEMORY_FIRST, indirect=True)
def test_every_answer_is_one_that_the_model_allows(
    service: Service, is_full: bool
) -> None:
    """Log-ins, refreshes, replays, ends, keys, clocks and restarts in any order."""
    stores = [service.open() for _ in range(2)]
    run_state_machine_as_test(
        lambda: Rules(service, stores),  # type: ignore[arg-type] # any callable will do
        settings=settings(
            max_examples=100 if is_full else 5,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
