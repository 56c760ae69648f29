"""The same request where session checks may lag, each with another of many sessions.

Each session is asked for every ten seconds: a row is read again each minute.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Flask
from flask_login import current_user, login_required

from tests.benchmarks.apps import PATH, SECRET, Page
from tests.benchmarks.growth.filling import engines, fill
from tests.benchmarks.growth.visitor import AnyUsers
from tests.benchmarks.measure import Bar, Group, take_turns
from tests.benchmarks.request import environ
from tests.stores.engines import make_session
from tokenauth import SessionStore, TokenAuth, User
from tokenauth.sessions.issuer import TokenIssuer
from tokenauth.sessions.session import Session

SESSIONS = 5_000
LAG = 1.0
MEMORY = "in memory"
NAMES = {"memory": MEMORY, "postgresql": "on PostgreSQL", "redis": "on Redis"}

Call = Callable[[], object]


def app_at(store: SessionStore, lag: float) -> Flask:
    app = Flask("lag")
    app.config.update(SECRET_KEY=SECRET, TOKENAUTH_SESSION_CHECK_LAG=lag)
    TokenAuth().init_app(app, AnyUsers(), sessions=store)

    @app.get(PATH)
    @login_required
    def page() -> dict[str, str]:
        return {"user": current_user.get_id()}

    return app


def caller(app: Flask, tokens: Sequence[str]) -> Callable[[], None]:
    """Return what makes one request, each with the next token."""
    template, turn = environ(Page(app=app)), itertools.cycle(tokens)
    answered = ""

    def start_response(status: str, *_: Any) -> Callable[[bytes], Any]:
        nonlocal answered
        answered = status
        return lambda _: None

    def call() -> None:
        request = dict(template, HTTP_AUTHORIZATION=f"Bearer {next(turn)}")
        body: Any = app.wsgi_app(request, start_response)
        b"".join(body)
        body.close()
        if answered != "200 OK":
            raise AssertionError(answered)

    return call


def calls(makers: Mapping[str, Callable[[], SessionStore]]) -> dict[str, Call]:
    """Return a request of each application, which has seen each session once."""
    sessions = [
        make_session(f"u-{i}", at=time.time(), idle=3000) for i in range(SESSIONS)
    ]
    found: dict[str, Call] = {}
    tokens: list[str] = []
    for engine, name in NAMES.items():
        print(f"lag: {SESSIONS:,} sessions on {name} ...", file=sys.stderr)
        store = makers[engine]()
        fill(store, sessions)
        for lag in (0.0,) if name == MEMORY else (0.0, LAG):
            app = app_at(store, lag)
            tokens = tokens or access_tokens(app, sessions)
            title = f"{name}, lag {lag:g} s" if lag else name
            found[title] = caller(app, tokens)
    # In turn: a worker that is silent for long forgets what it has seen.
    for _ in sessions:
        for call in found.values():
            call()
    return found


def access_tokens(app: Flask, sessions: Sequence[Session]) -> list[str]:
    mint, now = TokenIssuer(app.extensions["tokenauth"].settings), time.time()
    pairs = (mint.pair(each, User(each.user_id), now) for each in sessions)
    return [pair.access_token for pair in pairs]


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return the group of engines and lags, and the bars of what a lag leaves."""
    with engines() as makers:
        samples = take_turns(
            "lag", calls(makers), rounds=rounds, number=500, clock=time.perf_counter
        )
    group = Group(
        title=f"a request, each with another of {SESSIONS:,} sessions",
        unit="us",
        base=MEMORY,
        samples=samples,
    )
    bars = [
        Bar(what=f"us above memory, {name}", value=above(group, name), at_most=10)
        for name in samples
        if "lag" in name
    ]
    return [group], bars


def above(group: Group, name: str) -> float:
    pairs = zip(group.samples[name], group.samples[MEMORY], strict=True)
    differences = sorted(one - other for one, other in pairs)
    return differences[len(differences) // 2]
