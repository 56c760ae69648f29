"""Promise 8: no secret reaches a log, an error, a repr, a pickle or a traceback."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest

from tests.kit import (
    PASSWORDS,
    SECRET,
    bearer,
    log_in,
    make_app,
    make_users,
    password_hash,
)
from tokenauth import AuthError, User, state
from tokenauth.schemas import LoginRequest, PasswordRequest, RefreshRequest

CANARY = "canary-password-7f3a"


def test_nothing_that_holds_a_secret_can_be_printed_or_pickled() -> None:
    """Not the state of an application, nor any of its rooms."""
    app = make_app()
    with app.app_context():
        current = state.current()
        pair = current.authority.start(User("alice", id="u-alice"))
    mint = current.authority._mint
    holders: list[Any] = [
        current,
        current.settings,
        current.authenticator,
        current.authority,
        mint,
        mint.access,
        mint.refresh,
        pair,
        LoginRequest("alice", CANARY),
        RefreshRequest(CANARY),
        PasswordRequest(CANARY, CANARY),
    ]
    for holder in holders:
        assert repr(holder) == str(holder) == f"<{type(holder).__name__}>"
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(holder)


def test_no_secret_is_logged_or_answered(caplog: pytest.LogCaptureFixture) -> None:
    """A run through everything that can go well and wrong, at DEBUG."""
    caplog.set_level(logging.DEBUG)
    client = make_app(users=make_users()).test_client()
    tokens = log_in(client)
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    bodies = []
    for headers in (bearer(access), bearer(access[:-1]), {"Authorization": CANARY}):
        bodies.append(client.get("/protected", headers=headers).text)
        bodies.append(client.get("/auth/me", headers=headers).text)
    rejected: list[dict[str, Any]] = [
        {"username": "alice", "password": CANARY},
        {"username": "nobody", "password": CANARY},
        {"username": "alice", "password": CANARY, CANARY: 1},
        {"username": "alice", "password": [CANARY]},
        {CANARY: CANARY},
    ]
    bodies += [client.post("/auth/login", json=body).text for body in rejected]
    bodies.append(client.post("/auth/refresh", json={"refresh_token": CANARY}).text)
    bodies.append(
        client.post(
            "/auth/password",
            headers=bearer(access),
            json={"current_password": CANARY, "new_password": CANARY},
        ).text
    )
    client.post("/auth/refresh", json={"refresh_token": refresh})
    client.post("/auth/logout", headers=bearer(access))
    seen = caplog.text + "".join(bodies)
    for secret in (
        CANARY,
        PASSWORDS["alice"],
        access,
        refresh,
        SECRET,
        password_hash("alice"),
    ):
        assert secret not in seen
    assert "login_failed" in seen


def test_an_error_carries_no_token() -> None:
    """joserfc CVE-2025-65015: a megabyte of token in an exception's text."""
    app = make_app()
    token = log_in(app.test_client())["access_token"]
    with app.app_context():
        for bad in (token[:-1] + "*", "x" * 1_000_000, token + "=" * 9):
            with pytest.raises(AuthError) as caught:
                state.current().authenticator.authenticate(bad)
            shown = "".join(traceback.format_exception(caught.value))
            assert bad not in shown
            assert token not in shown
            assert len(shown) < 5000
            assert caught.value.__context__ is None
