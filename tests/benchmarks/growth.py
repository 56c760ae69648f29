"""Whether a request, a refresh, a login or a purge costs more beside more sessions.

For each engine there is one application a size, whose store holds so many sessions.
Requests go in turn to each of them, each with the token of another session, so what
else the machine does hits all sizes alike.

SQLite waits for its disk with each write; PostgreSQL and Redis do not here, since that
would hide what is looked for.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any, Final

from flask import Flask
from flask_login import current_user, login_required
from werkzeug.test import run_wsgi_app

from tests.benchmarks.measure import Bar, Group, take_turns
from tests.kit import SECRET
from tests.servers import PostgresServer, RedisServer
from tests.stores.engines import NOW, make_session, sessions_at
from tokenauth import SessionStore, TokenAuth, User
from tokenauth.mint import Mint
from tokenauth.sessions import PURGE_STEP, Session
from tokenauth.stores.redis import RedisSessionStore
from tokenauth.stores.sql import SQLSessionStore

SIZES: Final = (1_000, 1_000_000)
CALLS: Final = ("request", "refresh", "login", "purge")
BAR: Final = 1.5
_BATCH: Final = 10_000


class AnyUsers:
    """As many users as there are ids."""

    def get(self, user_id: str) -> User:
        return User(user_id)

    def find(self, username: str) -> User:
        return User(username)

    def set_password_hash(
        self, user_id: str, new: str | None, *, expected: str | None
    ) -> bool:
        return False


class Service:
    """An application whose store holds many sessions, and requests to it."""

    def __init__(self, store: SessionStore, size: int, calls: int) -> None:
        self.store = store
        sessions = [make_session(f"u-{i // 5}") for i in range(size)]
        # What is over: enough for the logins and for the purges.
        over = [make_session(f"o-{i}", at=1) for i in range(2 * PURGE_STEP * calls)]
        fill(store, sessions)
        fill(store, over)
        some = random.Random(7).sample(sessions, calls)
        self.app = _app(store)
        self._new = iter([make_session(s.user_id) for s in some])
        mint = Mint(self.app.extensions["tokenauth"].settings)
        pairs = [mint.pair(s, User(s.user_id), NOW) for s in some]
        self._access = iter([pair.access_token for pair in pairs])
        self._refresh = iter([pair.refresh_token for pair in pairs])

    def request(self) -> None:
        """Answer a request of a protected view."""
        self._answer("GET", "/me", HTTP_AUTHORIZATION=f"Bearer {next(self._access)}")

    def refresh(self) -> None:
        """Answer a refresh."""
        body = b'{"refresh_token": "%b"}' % next(self._refresh).encode()
        self._answer("POST", "/auth/refresh", body)

    def login(self) -> None:
        """Keep a new session; the password is no business of the store."""
        self.store.add(next(self._new), limit=100)

    def purge(self) -> None:
        """Drop as much as a login does on the way."""
        self.store.purge(now=NOW, limit=PURGE_STEP)

    def _answer(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> None:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "http",
            **headers,
        }
        _, status, _ = run_wsgi_app(self.app.wsgi_app, environ)
        if status != "200 OK":
            raise RuntimeError(f"{method} {path}: {status}")


def _app(store: SessionStore) -> Flask:
    app = Flask("growth")
    app.config["SECRET_KEY"] = SECRET
    TokenAuth().init_app(app, AnyUsers(), sessions=store, now=lambda: NOW + 1)

    @app.get("/me")
    @login_required
    def me() -> str:
        return str(current_user.id)

    return app


@contextlib.contextmanager
def engines() -> Iterator[dict[str, Callable[[], SessionStore]]]:
    """Start the servers, and give what makes an empty store on each engine."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer() as postgres,
        RedisServer() as server,
    ):
        number = iter(range(16))
        yield {
            "memory": lambda: sessions_at("memory://"),
            "sqlite": lambda: sessions_at(f"sqlite:///{folder}/{next(number)}.db"),
            "postgresql": lambda: sessions_at(postgres.new_database()),
            "redis": lambda: sessions_at(f"{server.url[:-1]}{next(number)}"),
        }


def fill(store: SessionStore, sessions: Sequence[Session]) -> None:
    """Keep many sessions, in the way that is fast on the engine."""
    for start in range(0, len(sessions), _BATCH):
        batch = sessions[start : start + _BATCH]
        if isinstance(store, SQLSessionStore):
            _fill_sql(store, batch)
        elif isinstance(store, RedisSessionStore):
            _fill_redis(store, batch)
        else:
            # Those whose time is over would be dropped on the way.
            for session in batch:
                with store._lock:  # type: ignore[attr-defined]
                    _fill_memory(store, session)


def _fill_memory(store: Any, session: Session) -> None:
    store._sessions[session.id] = session
    heapq.heappush(store._due, (session.ends_at, session.id))
    store._ids_of_user.setdefault(session.user_id, {})[session.id] = None


def _fill_sql(store: SQLSessionStore, batch: Sequence[Session]) -> None:
    rows = [
        {name: getattr(session, name) for name in Session.__struct_fields__}
        | {"scopes": " ".join(session.scopes), "ends_at": session.ends_at}
        for session in batch
    ]
    with store.database.transaction("fill") as cursor:
        for row in rows:
            store._insert.execute(cursor, **row)


def _fill_redis(store: RedisSessionStore, batch: Sequence[Session]) -> None:
    """Run the store's own script for each, many to a round trip."""
    client, pipeline = store._redis, store._redis.pipeline(transaction=False)
    store._redis = pipeline
    run = store._add
    store._add = lambda **call: run(client=pipeline, **call)  # type: ignore[assignment]
    for session in batch:
        store.add(session, limit=100)
    pipeline.execute()
    store._redis, store._add = client, run


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return a group for each engine and kind of call, and what is promised of it."""
    groups = []
    with engines() as makers:
        for engine, make in makers.items():
            services = {}
            for size in SIZES:
                print(f"growth: {size:,} sessions on {engine} ...", file=sys.stderr)
                services[f"{size:,} sessions"] = Service(make(), size, rounds)
            groups += [
                Group(
                    title=f"growth, {engine}: {call}",
                    unit="us",
                    base=f"{SIZES[0]:,} sessions",
                    samples=take_turns(
                        f"growth, {engine}: {call}",
                        {name: getattr(each, call) for name, each in services.items()},
                        rounds=rounds - 1,  # one warms up
                        number=1,
                        clock=time.perf_counter,
                    ),
                )
                for call in CALLS
            ]
    most = f"{SIZES[-1]:,} sessions"
    return groups, [
        Bar(what=each.title, value=each.ratio_of_medians(most), at_most=BAR)
        for each in groups
    ]
