"""More users, in each store of them; the sessions are a few, and in memory."""

from __future__ import annotations

import random
import sys
from typing import Any, Final

from tests.benchmarks.growth.filling import user_engines
from tests.benchmarks.growth.sizes import SIZES, beside, flat
from tests.benchmarks.growth.visitor import Visitor, app_at
from tests.benchmarks.measure import Bar, Group
from tests.stores.engines import make_session
from tokenauth import MemorySessionStore, UserStore
from tokenauth.accounts.names import fold_username

CALLS: Final = ("request", "find", "whole_login")


class Service:
    """A store that holds many users, and what is asked of it, each time of another."""

    def __init__(self, users: UserStore, size: int, calls: int) -> None:
        self._users = users
        some = random.Random(7).choices(range(size), k=calls)
        sessions = [make_session(f"u-{number}") for number in some]
        store = MemorySessionStore()
        for session in sessions:
            store.add(session, limit=100)
        self._visitor = Visitor(app_at(store, users), sessions)
        self.request = self._visitor.request
        self._found = iter([f"User-{number}" for number in some])
        self._returning = iter([f"User-{number}" for number in some])

    def find(self) -> None:
        """Find a user by name."""
        self._find(next(self._found))

    def whole_login(self) -> None:
        """Do all that a login does but for the password."""
        self._visitor.start(self._find(next(self._returning)))

    def _find(self, name: str) -> Any:
        user = self._users.find(fold_username(name) or "")
        if user is None:
            raise RuntimeError(f"{name} was not found")
        return user


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return a group for each store and kind of call, and what is promised of it."""
    groups = []
    with user_engines() as makers:
        for engine, make in makers.items():
            services = {}
            for size in SIZES:
                print(f"growth: {size:,} users in {engine} ...", file=sys.stderr)
                services[f"{size:,} users"] = Service(make(size), size, rounds)
            groups += [
                beside(
                    f"users in {engine}: {call.replace('_', ' ')}",
                    {name: getattr(each, call) for name, each in services.items()},
                    rounds,
                )
                for call in CALLS
            ]
    return groups, flat(groups)
