"""`flask tokenauth inspect`: what a token says, and whether it is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.cli.running import done, flask, refused, run
from tests.harness.kit import (
    Clock,
    bearer,
    log_in,
    make_app,
    make_users,
    token_of,
)
from tokenauth import DictUserStore, StoreUnavailableError, User


@pytest.fixture
def users() -> DictUserStore:
    return make_users(alice=["read", "write"])


@pytest.fixture
def app(users: DictUserStore, clock: Clock) -> Flask:
    """An application whose sessions are in this process's memory."""
    return make_app(users=users, clock=clock)


def inspected(app: Flask, token: str, *, exit_code: int = 0) -> dict[str, Any]:
    """Return what `inspect --json` says of a token on standard input."""
    result = run(app, "inspect", "--json", "-", text=f"{token}\nmore\n")
    assert result.exit_code == exit_code
    assert token not in result.output
    said: dict[str, Any] = json.loads(result.stdout)
    assert said["accepted"] is (exit_code == 0)
    return said


def test_access_token_is_shown_to_people(app: Flask) -> None:
    """With the name of its user, and times as the API writes them."""
    token = token_of(app)
    session = inspected(app, token)["session"]
    assert done(app, "inspect", token) == (
        "purpose        access\n"
        "subject        u-alice\n"
        "username       alice\n"
        f"session        {session}\n"
        "issued         2026-09-21T14:13:20Z\n"
        "expires        2026-09-21T14:28:20Z\n"
        "authenticated  2026-09-21T14:13:20Z\n"
        "scopes         read write\n"
        "accepted\n"
    )


def test_access_token_is_shown_to_scripts(app: Flask) -> None:
    said = inspected(app, token_of(app))
    assert said == {
        "accepted": True,
        "refusal": None,
        "purpose": "access",
        "subject": "u-alice",
        "username": "alice",
        "session": said["session"],
        "issued": "2026-09-21T14:13:20Z",
        "expires": "2026-09-21T14:28:20Z",
        "authenticated": "2026-09-21T14:13:20Z",
        "scopes": ["read", "write"],
    }


def test_refresh_token_is_accepted_for_refreshing_only_until_its_use(
    app: Flask,
) -> None:
    client = app.test_client()
    token = log_in(client)["refresh_token"]
    said = done(app, "inspect", token)
    assert "purpose        refresh\n" in said
    assert said.endswith("accepted       for refreshing only\n")
    client.post("/auth/refresh", json={"refresh_token": token})
    used = inspected(app, token, exit_code=1)
    assert used["refusal"]["code"] == "token_revoked"


def test_personal_token_without_an_end_never_expires(app: Flask) -> None:
    body = {"name": "backup", "expires_in": None}
    headers = bearer(token_of(app, "bob"))
    client = app.test_client()
    made = client.post("/auth/tokens", json=body, headers=headers).get_json()
    said = done(app, "inspect", made["token"])
    assert "purpose        personal\n" in said
    assert "expires        never\n" in said
    assert "scopes         none\n" in said


def test_refused_token_says_why_and_what_it_says(
    app: Flask, clock: Clock, users: DictUserStore
) -> None:
    """Of a disabled user, of an ended session, expired."""
    token = token_of(app)
    facts = inspected(app, token)
    alice = users.get("u-alice")
    assert alice is not None
    alice.is_active = False
    disabled = inspected(app, token, exit_code=1)
    alice.is_active = True
    app.test_client().post("/auth/logout", headers=bearer(token))
    ended = inspected(app, token, exit_code=1)
    clock.move(15 * 60)
    expired = inspected(app, token, exit_code=1)
    for said, code in (
        (disabled, "token_revoked"),
        (ended, "token_revoked"),
        (expired, "token_expired"),
    ):
        assert said["refusal"]["code"] == code
        assert said == {**facts, "accepted": False, "refusal": said["refusal"]}
    shown = run(app, "inspect", token)
    assert "refused        token_expired: The token has " in shown.stdout


def test_token_of_another_application_is_refused_without_showing_it(
    app: Flask,
) -> None:
    """Nobody knows who wrote it."""
    other = make_app(config={"TOKENAUTH_REALM": "other"})
    for token, what in (
        (token_of(other), "was not signed with this application's keys and realm"),
        (token_of(app) + "A", "was cut or altered"),
        (token_of(app)[5:], "was cut or altered"),
        (f"Bearer {token_of(app)}", "is not a token of tokenauth"),
        ("", "is not a token of tokenauth"),
        ("\ud800.x", "is not a token of tokenauth"),
    ):
        said = refused(app, "inspect", "--", token)
        assert what in said
        assert not token or token not in said
        result = run(app, "inspect", "--json", "--", token)
        assert result.exit_code == 1
        said = json.loads(result.stdout)
        assert set(said) == {"accepted", "refusal"}
        assert said["refusal"]["code"] == "token_invalid"


def test_revoked_may_mean_that_the_session_is_in_another_process() -> None:
    unseen = "where this command cannot see them: set TOKENAUTH_SESSION_URL"
    token = token_of(make_app())
    assert unseen in run(make_app(), "inspect", "--json", token).stderr


def test_store_that_cannot_answer_neither_accepts_nor_refuses(clock: Clock) -> None:
    class Stopping(DictUserStore):
        is_stopped = False

        def get(self, user_id: str) -> User | None:
            if self.is_stopped:
                raise StoreUnavailableError
            return super().get(user_id)

    users = Stopping({"alice": User("alice")})
    app = make_app(users=users, clock=clock)
    token = token_of(app)
    users.is_stopped = True
    assert "The service cannot check this" in refused(app, "inspect", token)


def test_inspect_needs_an_application_with_token_auth(tmp_path: Path) -> None:
    """Its keys are never given on the command line."""
    alone = flask("tokenauth", "inspect", "abc.def", cwd=tmp_path)
    assert alone.returncode == 2
    assert "Could not locate a Flask application" in alone.stderr
    said = refused(Flask("bare"), "inspect", "abc.def")
    assert said.startswith("Error: This application has no TokenAuth: call")
