"""`flask tokenauth sessions ...` and `tokens ...`: what can open an account."""

from __future__ import annotations

import json
import re
import time
from typing import Any, cast

import msgspec
import pytest
from flask import Flask

from tests.cli.running import PASSWORD, done, refused, run
from tests.harness.kit import (
    Clock,
    bearer,
    log_in,
    make_app,
    token_of,
)
from tests.stores.engines import (
    SHARED,
    make_session,
    sessions_at,
    url_of,
    users_at,
)
from tokenauth import (
    PERSONAL_TOKEN_PATTERN,
    MemorySessionStore,
    SessionStore,
    User,
    events,
)
from tokenauth.sessions.session import PERSONAL

NOW = Clock()()


def personal_token(app: Flask, **body: Any) -> tuple[str, str]:
    """Make a personal access token of alice; return its id and its text."""
    made = app.test_client().post(
        "/auth/tokens", json={"name": "backup", **body}, headers=bearer(token_of(app))
    )
    return made.get_json()["id"], made.get_json()["token"]


def listed(app: Flask, *command: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done(app, *command, "alice", "--json"))
    return found


def status(app: Flask, token: str) -> int:
    headers = bearer(token)
    response = app.test_client().get("/protected", headers=headers, buffered=True)
    return response.status_code


def test_all_that_can_open_an_account_is_listed(app: Flask) -> None:
    """Logins, personal access tokens and one-time tokens; not what has expired."""
    client = app.test_client()
    log_in(client, label="laptop")
    token_id, _ = personal_token(app, expires_in=None)
    store = app.extensions["tokenauth"].stores.sessions
    store.add(make_session("u-alice", at=NOW - 9999), limit=9)
    with app.app_context():
        here = app.extensions["tokenauth"]
        here.one_time.issue("reset", here.stores.users.get("u-alice"), 60)
    once, token, other, login = listed(app, "sessions", "list")
    assert once["kind"] == "once:reset"
    assert [login["kind"], other["kind"]] == ["login"] * 2
    assert [login["label"], other["label"]] == ["laptop", None]
    assert token == {
        "id": token_id,
        "kind": "personal",
        "label": "backup",
        "client": None,
        "created": "2026-09-21T14:13:20Z",
        "refreshed": "never",
        "ends": "never",
    }


def test_sessions_are_shown_to_people(app: Flask) -> None:
    """What has no value is a dash, and no text of a client controls the terminal."""
    session = make_session("u-alice", at=NOW, client="\x1b[31mred")
    app.extensions["tokenauth"].stores.sessions.add(session, limit=9)
    header, row = done(app, "sessions", "list", "alice").splitlines()
    assert header.split()[:4] == ["id", "kind", "label", "client"]
    assert row.split()[1:4] == ["login", "-", "'\\x1b[31mred'"]


def test_personal_tokens_are_listed_without_their_text(app: Flask) -> None:
    """With what they may do, when they were last used, and until when they work."""
    token_id, text = personal_token(app, expires_in=3600)
    assert status(app, text) == 200
    assert listed(app, "tokens", "list") == [
        {
            "id": token_id,
            "name": "backup",
            "scope": "read",
            "created": "2026-09-21T14:13:20Z",
            "used": "2026-09-21T14:13:20Z",
            "expires": "2026-09-21T15:13:20Z",
        }
    ]
    assert text not in done(app, "tokens", "list", "alice")


def test_token_is_made_for_a_service_account(app: Flask, clock: Clock) -> None:
    """It is printed alone, once; it may do no more than its user, and is announced."""
    seen: list[events.Event] = []
    with events.token_created.connected_to(lambda _, event: seen.append(event), app):
        arguments = ("tokens", "create", "ALICE", "--name", "nightly")
        printed = done(app, *arguments, "--days", "90", "--scope", "read")
    text = printed.removesuffix("\n")
    assert re.fullmatch(PERSONAL_TOKEN_PATTERN, text)
    (token,) = listed(app, "tokens", "list")
    assert (token["name"], token["scope"]) == ("nightly", "read")
    assert [(event.session_id, event.reason) for event in seen] == [
        (token["id"], "operator")
    ]
    assert status(app, text) == 200
    clock.move(90 * 86400)
    assert status(app, text) == 401
    said = refused(app, *arguments, "--no-expiry", "--scope", "admin")
    assert "not allowed for this user" in said
    done(app, *arguments, "--no-expiry")
    (token,) = listed(app, "tokens", "list")
    assert (token["expires"], token["scope"]) == ("never", "read")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--name", "x"), 2),
        (("--name", "x", "--days", "1", "--no-expiry"), 2),
        (("--name", "x", "--days", "0"), 2),
        (("--days", "1"), 2),
        (("--name", "\x1b", "--days", "1"), 1),
    ],
)
def test_token_needs_a_name_and_a_decision_when_it_expires(
    options: tuple[str, ...], code: int, app: Flask
) -> None:
    refused(app, "tokens", "create", "alice", *options, code=code)
    assert listed(app, "tokens", "list") == []


@pytest.mark.parametrize("group", ["sessions", "tokens"])
def test_one_personal_token_is_revoked_by_its_id(group: str, app: Flask) -> None:
    token_id, text = personal_token(app)
    login = token_of(app)
    assert done(app, group, "revoke", token_id) == "Ended.\n"
    assert (status(app, text), status(app, login)) == (401, 200)
    assert "There is no" in refused(app, group, "revoke", token_id)


def test_login_is_no_token(app: Flask) -> None:
    """`tokens revoke` is for scripts' tokens; it logs nobody out by a slip."""
    token = token_of(app)
    (session,) = listed(app, "sessions", "list")
    assert "There is no personal" in refused(app, "tokens", "revoke", session["id"])
    assert status(app, token) == 200


@pytest.mark.parametrize(
    ("group", "ended", "login_status"), [("sessions", 3, 401), ("tokens", 1, 200)]
)
def test_all_of_a_user_is_revoked(
    group: str, ended: int, login_status: int, app: Flask
) -> None:
    login = token_of(app)
    _, text = personal_token(app)
    assert done(app, group, "revoke", "--user", "ALICE") == f"Ended {ended}.\n"
    assert (status(app, text), status(app, login)) == (401, login_status)


@pytest.mark.parametrize("engine", ["memory", *SHARED])
def test_everybody_is_logged_out_after_a_yes(
    engine: str, request: pytest.FixtureRequest
) -> None:
    """On each engine, and no token of a script works either; it is announced."""
    url = "memory://" if engine == "memory" else url_of(engine, request)
    app = make_app(sessions=sessions_at(url))
    tokens = [token_of(app), token_of(app, "bob"), personal_token(app)[1]]
    asked = run(app, "sessions", "revoke", "--all", text="n\n")
    assert (asked.exit_code, "Ended" in asked.stdout) == (1, False)
    assert [status(app, token) for token in tokens] == [200] * 3
    seen: list[events.Event] = []
    with events.session_revoked.connected_to(lambda _, event: seen.append(event), app):
        assert done(app, "sessions", "revoke", "--all", "--yes") == "Ended 4.\n"
    assert [(event.reason, event.user_id) for event in seen] == [("everyone", None)]
    assert [status(app, token) for token in tokens] == [401] * 3


@pytest.mark.full
@pytest.mark.parametrize("engine", SHARED)
def test_many_sessions_end_in_steps(
    engine: str, request: pytest.FixtureRequest
) -> None:
    store: Any = sessions_at(url_of(engine, request))
    for number in range(2500):
        store.add(make_session(f"u-{number}", at=time.time()), limit=9)
    assert store.end_everyone() == 2500
    assert store.end_everyone() == 0


def test_store_that_cannot_end_all_sessions_says_what_can() -> None:
    class Own:
        """A store of the application's own, with the methods of the protocol."""

        def __init__(self) -> None:
            kept = MemorySessionStore()
            for name in dir(SessionStore):
                if not name.startswith("_"):
                    setattr(self, name, getattr(kept, name))

    app = make_app(sessions=cast(SessionStore, Own()))
    said = refused(app, "sessions", "revoke", "--all", "--yes")
    assert "Set another SECRET_KEY" in said


@pytest.mark.parametrize("group", ["sessions", "tokens"])
@pytest.mark.parametrize("arguments", [(), ("some-id", "--user", "alice")])
def test_what_to_revoke_has_to_be_said_once(
    group: str, arguments: tuple[str, ...], app: Flask
) -> None:
    assert "--user" in refused(app, group, "revoke", *arguments, code=2)


@pytest.mark.parametrize("group", ["sessions", "tokens"])
@pytest.mark.parametrize("beginning", ["-", "--", "-h", "--user"])
def test_id_may_begin_like_an_option(group: str, beginning: str, app: Flask) -> None:
    """One id in 64 begins with a hyphen."""
    session = make_session("u-alice", at=NOW, kind=PERSONAL)
    session_id = beginning + session.id[len(beginning) :]
    session = msgspec.structs.replace(session, id=session_id)
    app.extensions["tokenauth"].stores.sessions.add(session, limit=9)
    assert done(app, group, "revoke", session_id) == "Ended.\n"


@pytest.mark.parametrize("group", ["sessions", "tokens"])
@pytest.mark.parametrize("session_id", ["\x00", "nonsense", "\ud800"])
def test_what_is_no_id_is_not_found(group: str, session_id: str, app: Flask) -> None:
    assert "There is no" in refused(app, group, "revoke", session_id)


def test_expired_sessions_are_purged_to_the_last(app: Flask) -> None:
    sessions = app.extensions["tokenauth"].stores.sessions
    for number in range(3):
        sessions.add(make_session(f"u-{number}", at=0), limit=9)
    assert done(app, "sessions", "purge") == "Deleted 3.\n"
    assert done(app, "sessions", "purge") == "Deleted 0.\n"


UNSEEN = "where this command cannot see them: set TOKENAUTH_SESSION_URL"


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list", "alice"),
        ("sessions", "revoke", "--user", "alice"),
        ("sessions", "revoke", "k0vQ1lW2rGmUJbYcXz5T8w"),
        ("sessions", "purge"),
        ("tokens", "list", "alice"),
        ("tokens", "revoke", "--user", "alice"),
        ("users", "disable", "alice"),
        ("users", "enable", "alice"),
        ("users", "set-password", "alice"),
        ("users", "remove", "alice", "--yes"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("is_seen", [False, True])
def test_command_says_that_it_cannot_see_another_process_s_memory(
    command: tuple[str, ...], is_seen: bool, url: str
) -> None:
    app = make_app(users=users_at(url, User("alice", scopes=["read"])))
    if is_seen:
        token_of(app)
    result = run(app, *command, text=PASSWORD)
    assert (UNSEEN in result.stderr) is not is_seen
    assert UNSEEN not in result.stdout


def test_store_that_is_down_is_one_line(url: str) -> None:
    """Neither a traceback nor a claim that something was done."""
    down = {"TOKENAUTH_SESSION_URL": "redis://:canary@127.0.0.1:1/0"}
    app = make_app(users=users_at(url, User("alice")), config=down)
    said = refused(app, "sessions", "list", "alice")
    assert said.startswith("Error: A store does not answer (")
    assert "'flask tokenauth check'" in said
    assert "canary" not in said
    assert said.count("\n") == 1
