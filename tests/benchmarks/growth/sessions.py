"""More sessions, and then more that have ended, on each engine."""

from __future__ import annotations

import random
import sys
import time
from typing import Final

from tests.benchmarks.growth.filling import end, engines, fill
from tests.benchmarks.growth.sizes import SIZES, beside, flat
from tests.benchmarks.growth.visitor import Visitor, app_at
from tests.benchmarks.measure import Bar, Group
from tests.stores.engines import NOW, make_session
from tokenauth import SessionStore, User
from tokenauth.sessions.store import PURGE_STEP, EndingFeed

CALLS: Final = ("request", "refresh", "login", "whole_login", "purge")


class Service:
    """A store that holds many sessions, and what is asked of it."""

    def __init__(self, store: SessionStore, size: int, calls: int) -> None:
        self.store = store
        self.sessions = [make_session(f"u-{i // 5}") for i in range(size)]
        # What is over: enough for the logins and for the purges.
        over = [make_session(f"o-{i}", at=1) for i in range(3 * PURGE_STEP * calls)]
        fill(store, self.sessions)
        fill(store, over)
        some = random.Random(7).sample(self.sessions, calls)
        self._visitor = Visitor(app_at(store), some)
        # Each logs in twice, and has no other sessions, whatever the size.
        names = [f"{session.user_id}.{i}" for i, session in enumerate(some)]
        self._new = iter([make_session(name) for name in names])
        self._returning = iter([User(name) for name in names])
        self.request, self.refresh = self._visitor.request, self._visitor.refresh

    def login(self) -> None:
        """Keep a new session; the password is no business of the store."""
        self.store.add(next(self._new), limit=100)

    def whole_login(self) -> None:
        """Do all that a login does but for the password."""
        self._visitor.start(next(self._returning))

    def purge(self) -> None:
        """Drop as much as a login does on the way."""
        self.store.purge(now=NOW, limit=PURGE_STEP)


class Ended:
    """A store in which many sessions have ended, and what is asked of it.

    Args:
        service: Whose sessions end.
        calls: How many others stand.
    """

    def __init__(self, service: Service, calls: int) -> None:
        self.store = service.store
        standing = [make_session(f"s-{i}") for i in range(2 * calls)]
        fill(self.store, standing)
        app = app_at(self.store)
        self.request = Visitor(app, standing[:calls]).request
        self.logout = Visitor(app, standing[calls:]).logout
        self.feed = self.store if isinstance(self.store, EndingFeed) else None
        self._mark = self.feed.ended_since(None).mark if self.feed else ""
        begun = time.perf_counter()
        end(self.store, service.sessions)
        self.note = f"ended in {time.perf_counter() - begun:.1f} s"
        if self.feed:
            begun = time.perf_counter()
            self.catch_up()
            self.note += f", first told in {(time.perf_counter() - begun) * 1e3:.1f} ms"

    def catch_up(self) -> None:
        """Ask what has ended since, as a worker whose checks may lag does."""
        assert self.feed
        self._mark = self.feed.ended_since(self._mark).mark


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return a group for each engine and kind of call, and what is promised of it."""
    groups = []
    with engines() as makers:
        for engine, make in makers.items():
            services = {}
            for size in SIZES:
                print(f"growth: {size:,} sessions on {engine} ...", file=sys.stderr)
                services[size] = Service(make(), size, rounds)
            groups += [
                beside(
                    f"{engine}: {call.replace('_', ' ')}",
                    {f"{n:,} sessions": getattr(s, call) for n, s in services.items()},
                    rounds,
                )
                for call in CALLS
            ]
            groups += of_endings(engine, services, rounds)
    return groups, flat(groups)


def of_endings(engine: str, services: dict[int, Service], rounds: int) -> list[Group]:
    """Return a group for each kind of call when all sessions but a few have ended."""
    ended = {}
    for size, service in services.items():
        print(f"growth: {size:,} sessions end on {engine} ...", file=sys.stderr)
        ended[f"{size:,} ended"] = Ended(service, rounds)
    calls = ["request", "logout"]
    if all(each.feed for each in ended.values()):
        calls.append("catch_up")
    return [
        beside(
            f"{engine}, after many ended: {call.replace('_', '-')}",
            {name: getattr(each, call) for name, each in ended.items()},
            rounds,
            {name: each.note for name, each in ended.items()},
        )
        for call in calls
    ]
