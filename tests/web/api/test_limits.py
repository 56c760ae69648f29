"""What a user does without a password is limited per user, too (ASVS 2.4.1)."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.harness.kit import (
    Clock,
    assert_problem,
    bearer,
    make_app,
    make_users,
    token_of,
)

BODY = {"json": {"name": "etl"}}
FORM = {"data": {"token": "a.b"}}


@pytest.fixture
def limited(clock: Clock) -> FlaskClient:
    """A client of an application that allows a guess a minute."""
    users = make_users(alice=["introspect"], bob=["introspect"])
    config = {"TOKENAUTH_LOGIN_LIMITS": "1 per minute"}
    return make_app(users=users, clock=clock, config=config).test_client()


@pytest.mark.parametrize(
    ("path", "sent", "allowed"),
    [("/auth/tokens", BODY, 10), ("/auth/introspect", FORM, 200)],
)
def test_a_user_may_do_so_much_and_no_more(
    path: str, sent: dict[str, dict[str, str]], allowed: int, limited: FlaskClient
) -> None:
    """Another user is counted apart, and a minute later all is as before."""
    alice, bob = (
        bearer(token_of(limited.application, name)) for name in ("alice", "bob")
    )
    for _ in range(allowed):
        assert limited.post(path, headers=alice, **sent).status_code in {200, 201}
    refused = limited.post(path, headers=alice, **sent)
    assert_problem(refused, 429, "too_many_attempts")
    assert int(refused.headers["Retry-After"]) <= 60
    assert limited.post(path, headers=bob, **sent).status_code in {200, 201}
    limited.application.extensions["tokenauth"].clock.source.move(60)
    assert limited.post(path, headers=alice, **sent).status_code in {200, 201}
