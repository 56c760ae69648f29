"""A key is rotated in three steps, and no host refuses what another one signed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.harness.kit import SECRET, bearer, log_in, make_app
from tokenauth import MemorySessionStore

NEW_SECRET = SECRET[::-1]

STEPS: list[dict[str, Any]] = [
    {"SECRET_KEY": SECRET},
    {"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": [NEW_SECRET]},
    {"SECRET_KEY": NEW_SECRET, "SECRET_KEY_FALLBACKS": [SECRET]},
]


@pytest.mark.parametrize(("before", "after"), list(pairwise(STEPS)))
def test_hosts_one_step_apart_accept_each_other_s_tokens(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Pages and refreshes, whichever host is asked."""
    sessions = MemorySessionStore()
    hosts = [make_app(config=config, sessions=sessions) for config in (before, after)]
    for here, there in (hosts, reversed(hosts)):
        pair = log_in(here.test_client())
        client = there.test_client()
        page = client.get("/protected", headers=bearer(pair["access_token"]))
        assert page.status_code == 200
        body = {"refresh_token": pair["refresh_token"]}
        assert client.post("/auth/refresh", json=body).status_code == 200


def test_a_key_that_was_removed_signs_nobody_in() -> None:
    """The last step: only the new key is left."""
    sessions = MemorySessionStore()
    token = log_in(make_app(sessions=sessions).test_client())["access_token"]
    after = make_app(config={"SECRET_KEY": NEW_SECRET}, sessions=sessions)
    assert (
        after.test_client().get("/protected", headers=bearer(token)).status_code == 401
    )
