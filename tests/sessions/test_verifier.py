"""Who a token stands for, and what a token of any purpose says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.kit import Clock, bearer, log_in, make_app, make_users
from tokenauth import DictUserStore, TokenInvalidError, TokenRevokedError
from tokenauth.sessions.issuer import TokenIssuer
from tokenauth.sessions.session import Session
from tokenauth.sessions.verifier import TokenVerifier
from tokenauth.web import state


@pytest.fixture
def users() -> DictUserStore:
    return make_users(alice=["read", "write"])


@pytest.fixture
def app(users: DictUserStore, clock: Clock) -> Flask:
    return make_app(users=users, clock=clock)


@pytest.fixture
def verifier(app: Flask) -> Iterator[TokenVerifier]:
    with app.app_context():
        yield state.current_state().verifier


@pytest.fixture
def tokens(client: FlaskClient) -> dict[str, str]:
    """One token of each purpose, of one user."""
    pair = log_in(client)
    made = client.post(
        "/auth/tokens", json={"name": "ci"}, headers=bearer(pair["access_token"])
    )
    return {
        "access": pair["access_token"],
        "refresh": pair["refresh_token"],
        "personal": made.get_json()["token"],
    }


@pytest.mark.parametrize("purpose", ["access", "refresh", "personal"])
def test_a_token_of_any_purpose_can_be_read(
    verifier: TokenVerifier, tokens: dict[str, str], purpose: str
) -> None:
    """It tells its purpose, and that it would be accepted now."""
    inspection = verifier.inspect(tokens[purpose])
    assert inspection.purpose == purpose
    assert inspection.claims.subject == "u-alice"
    assert inspection.refusal is None


def test_what_expired_is_read_all_the_same(
    verifier: TokenVerifier, tokens: dict[str, str], clock: Clock
) -> None:
    """With the reason for which it would be refused, each after its own time."""
    for seconds, expired in [
        (900, "access"),
        (7 * 86400, "refresh"),
        (30 * 86400, "personal"),
    ]:
        clock.move(seconds)
        inspection = verifier.inspect(tokens[expired])
        assert inspection.purpose == expired
        assert inspection.claims.subject == "u-alice"
        assert inspection.refusal is not None
        assert inspection.refusal.error_code == "token_expired"


def test_what_ended_is_read_all_the_same(
    verifier: TokenVerifier, tokens: dict[str, str], client: FlaskClient
) -> None:
    """A refresh token that has been used, and then all of a session that is over."""
    body = {"refresh_token": tokens["refresh"]}
    assert client.post("/auth/refresh", json=body).status_code == 200
    refusals: dict[str, Any] = {
        purpose: verifier.inspect(token).refusal for purpose, token in tokens.items()
    }
    assert refusals["access"] is refusals["personal"] is None
    assert refusals["refresh"].error_code == "token_revoked"
    client.post("/auth/logout", headers=bearer(tokens["access"]))
    refusal = verifier.inspect(tokens["access"]).refusal
    assert refusal is not None
    assert refusal.error_code == "token_revoked"
    assert verifier.inspect(tokens["personal"]).refusal is None


def test_what_was_not_issued_here_says_nothing(
    verifier: TokenVerifier, tokens: dict[str, str]
) -> None:
    """An altered token has no claims that could be shown."""
    for token in (*(f"{token}A" for token in tokens.values()), "x", "tka_x.y", ""):
        with pytest.raises(TokenInvalidError):
            verifier.inspect(token)


def test_the_identity_holds_the_session_it_was_checked_against(
    verifier: TokenVerifier, tokens: dict[str, str], users: DictUserStore
) -> None:
    """So nothing reads that row twice in one request."""
    for purpose, kind in (("access", "login"), ("personal", "personal")):
        identity = verifier.authenticate(tokens[purpose])
        assert identity.user is users.get("u-alice")
        assert identity.session.id == identity.claims.session_id
        assert identity.session.kind == kind
        assert identity.claims.scopes == {"read", "write"}


def test_a_session_that_ends_before_its_tokens_ends_them(
    app: Flask, tokens: dict[str, str], clock: Clock
) -> None:
    """At its very end, as a store may have moved it."""
    kept = state.state_of(app)

    def read(session_id: str) -> Session | None:
        session = kept.stores.sessions.get(session_id)
        assert session is not None
        return msgspec.structs.replace(session, idle_expires_at=clock() + left)

    mint = TokenIssuer(kept.settings)
    verifier = TokenVerifier(mint, *kept.stores, read=read, now=clock)
    left = 0.001
    assert verifier.authenticate(tokens["access"]).user.get_id() == "u-alice"
    left = 0
    with pytest.raises(TokenRevokedError):
        verifier.authenticate(tokens["access"])
