"""More keys: tokens of the newest cost the same; those of the oldest may not."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from tests.benchmarks.growth.visitor import Visitor, app_at
from tests.benchmarks.measure import Bar, Group, take_turns
from tests.harness.kit import SECRET
from tests.stores.engines import NOW, make_session
from tokenauth import MemorySessionStore, User
from tokenauth.sessions.issuer import TokenIssuer

MANY: Final = 10
OLDEST: Final = ", token of the oldest"
BAR: Final = 1.1


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return a group for tokens and one for requests, and what is promised of them."""
    verify, request = calls()
    groups = [
        _group("verify a token", verify, rounds, 100),
        _group("request", request, rounds, 10),
    ]
    bars = [
        Bar(
            what=f"{group.title}, {name} / 1 key",
            value=group.ratio(name),
            at_most=BAR,
        )
        for group in groups
        for name in group.samples
        if name != group.base and not name.endswith(OLDEST)
    ]
    return groups, bars


def calls() -> tuple[Mapping[str, Callable[[], object]], ...]:
    """Return a verification and a request for each number of keys."""
    older = [secrets.token_urlsafe(48) for _ in range(MANY - 1)]
    session, store = make_session(), MemorySessionStore()
    store.add(session, limit=100)
    oldest = app_at(store, SECRET_KEY=older[0])
    verify: dict[str, Callable[[], object]] = {}
    request: dict[str, Callable[[], object]] = {}
    for number in (1, 2, MANY):
        app = app_at(store, SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=older[: number - 1])
        name = f"{number} key{'s' if number > 1 else ''}"
        for issuer, title in ((app, name), (oldest, name + OLDEST)):
            if number == 1 and issuer is oldest:
                continue
            mint = TokenIssuer(issuer.extensions["tokenauth"].settings)
            token = mint.pair(session, User(session.user_id), NOW).access_token
            signer = TokenIssuer(app.extensions["tokenauth"].settings).access
            verify[title] = partial(signer.verify, token, NOW + 1)
            request[title] = Visitor(app, [session], issuer=issuer).request
    return verify, request


def _group(
    title: str, calls: Mapping[str, Callable[[], object]], rounds: int, number: int
) -> Group:
    title = f"growth, keys: {title}"
    samples = take_turns(title, calls, rounds=rounds, number=number)
    return Group(title=title, unit="us", base="1 key", samples=samples)
