"""What a token of any purpose says, for operators."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.kit import Clock, bearer, log_in, make_app, make_users, token_of
from tokenauth import DictUserStore, TokenAuth, TokenInvalidError
from tokenauth.sessions.inspection import TokenInspector
from tokenauth.web import state

PURPOSES = ("access", "refresh", "personal", "once:verify")


@pytest.fixture
def users() -> DictUserStore:
    return make_users(alice=["read", "write"])


@pytest.fixture
def app(users: DictUserStore, clock: Clock) -> Flask:
    return make_app(users=users, clock=clock)


@pytest.fixture
def inspector(app: Flask) -> Iterator[TokenInspector]:
    with app.app_context():
        yield state.current_state().inspector


@pytest.fixture
def tokens(app: Flask, client: FlaskClient, users: DictUserStore) -> dict[str, str]:
    """One token of each purpose, of one user."""
    pair = log_in(client)
    alice = users.get("u-alice")
    assert alice is not None
    with app.app_context():
        personal = TokenAuth().create_personal_token(alice, name="ci", expires_in=1e6)
        once = TokenAuth().issue_once("verify", alice, 3600)
    return {
        "access": pair["access_token"],
        "refresh": pair["refresh_token"],
        "personal": personal,
        "once:verify": once,
    }


def refusal_of(inspector: TokenInspector, token: str) -> str | None:
    refusal = inspector.inspect(token).refusal
    return None if refusal is None else refusal.error_code


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_token_of_any_purpose_can_be_read(
    inspector: TokenInspector, tokens: dict[str, str], purpose: str
) -> None:
    """With its purpose, and that it is accepted now."""
    inspection = inspector.inspect(tokens[purpose])
    assert inspection.purpose == purpose
    assert inspection.claims.subject == "u-alice"
    assert inspection.refusal is None


def test_an_expired_token_can_be_read(
    inspector: TokenInspector, tokens: dict[str, str], clock: Clock
) -> None:
    """With the reason for which it is refused, each after its own time."""
    for seconds, expired in [
        (900, "access"),
        (2700, "once:verify"),
        (7 * 86400, "refresh"),
        (1e6, "personal"),
    ]:
        clock.move(seconds)
        inspection = inspector.inspect(tokens[expired])
        assert (inspection.purpose, inspection.claims.subject) == (expired, "u-alice")
        assert refusal_of(inspector, tokens[expired]) == "token_expired"


def test_the_token_of_an_ended_session_can_be_read(
    inspector: TokenInspector, tokens: dict[str, str], client: FlaskClient
) -> None:
    """And a refresh token that was used already."""
    body = {"refresh_token": tokens["refresh"]}
    assert client.post("/auth/refresh", json=body).status_code == 200
    refusals = {name: refusal_of(inspector, token) for name, token in tokens.items()}
    assert refusals == dict.fromkeys(PURPOSES) | {"refresh": "token_revoked"}
    client.post("/auth/logout", headers=bearer(tokens["access"]))
    assert refusal_of(inspector, tokens["access"]) == "token_revoked"
    assert refusal_of(inspector, tokens["personal"]) is None


def test_a_one_time_token_of_an_old_password_is_refused(
    inspector: TokenInspector, tokens: dict[str, str], users: DictUserStore
) -> None:
    """As it is when it is redeemed."""
    users._by_id["u-alice"].password_hash = None
    assert refusal_of(inspector, tokens["once:verify"]) == "token_revoked"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_operator_learns_what_is_wrong(
    inspector: TokenInspector, tokens: dict[str, str], purpose: str
) -> None:
    """Cut, altered, or no token at all; the message holds nothing of it."""
    token = tokens[purpose]
    for text, what in (
        (token[:-1], "was cut or altered"),
        (f"{token}A", "was cut or altered"),
        (token[8:], "was cut or altered"),
        (token[:-1] + ("B" if token[-1] == "A" else "A"), "was altered"),
        (f"Bearer {token}", "is not a token"),
        (token.partition(".")[0], "is not a token"),
        ("x", "is not a token"),
        ("tka_x.y", "was cut or altered"),
        ("", "is not a token"),
    ):
        with pytest.raises(TokenInvalidError, match=what) as caught:
            inspector.inspect(text)
        assert token[-20:] not in str(caught.value)


def test_a_token_of_other_keys_or_another_realm_is_named(
    inspector: TokenInspector, app: Flask, users: DictUserStore
) -> None:
    """The message names the settings to compare. A redeemed link reads the same."""
    alice = users.get("u-alice")
    assert alice is not None
    redeemed = TokenAuth().issue_once("verify", alice, 3600)
    TokenAuth().redeem("verify", redeemed)
    for token in (
        redeemed,
        token_of(make_app(config={"TOKENAUTH_REALM": "other"})),
        token_of(make_app(config={"SECRET_KEY": "another-key-" + "7f3a" * 10})),
    ):
        with pytest.raises(TokenInvalidError, match="SECRET_KEY, TOKENAUTH_REALM"):
            inspector.inspect(token)
