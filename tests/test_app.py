"""The API that stands alone, and the commands that manage it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from flask import Flask, abort
from flask.cli import cli

from tests.harness.kit import SECRET, assert_problem, bearer, make_app
from tests.stores.engines import make_session, sessions_at, users_at
from tokenauth import MemorySessionStore, create_app
from tokenauth.errors import ConfigurationError
from tokenauth.stores.sql import SQLUserStore
from tokenauth.web import state

PASSWORD = "quite a good phrase"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, with a key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    return tmp_path


def run(app: Flask, *args: str, stdin: str | bytes | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["tokenauth", *args], input=stdin)


def add_alice(app: Flask) -> None:
    result = run(app, "users", "add", "Alice", "--scope", "read", stdin=PASSWORD)
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output


def log_in(app: Flask, password: str = PASSWORD) -> Any:
    body = {"username": "alice", "password": password}
    return app.test_client().post("/auth/login", json=body)


def me(app: Flask, token: str) -> Any:
    return app.test_client().get("/auth/me", headers=bearer(token))


def test_users_and_logins_survive_a_restart(folder: Path) -> None:
    """They are kept in the instance folder, which is the owner's alone."""
    app = create_app()
    assert log_in(app).status_code == 401  # no default account
    add_alice(app)
    token = log_in(app).get_json()["access_token"]
    again = create_app()
    assert me(again, token).get_json()["username"] == "Alice"
    assert me(again, token).get_json()["scope"] == "read"
    assert (folder / "instance").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("path", ["/", "/nowhere", "//auth/login", "/auth/nowhere"])
def test_nobody_is_answered_in_html(path: str) -> None:
    """Who asks the API that stands alone is a program."""
    client = create_app().test_client()
    assert_problem(client.get(path), 404, "not_found")
    refused = client.get("/auth/login")
    assert_problem(refused, 405, "method_not_allowed")
    assert "POST" in refused.headers["Allow"]
    foreign = create_app({"TRUSTED_HOSTS": ["api.example"]}).test_client().get(path)
    assert_problem(foreign, 400, "invalid_request")


def test_the_urls_say_where_things_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables elsewhere are created by `init-db`, and by nothing else."""
    for key in ("USERS", "SESSION"):
        url = f"sqlite:///{folder}/{key}.db"
        monkeypatch.setenv(f"FLASK_TOKENAUTH_{key}_URL", url)
    with pytest.raises(ConfigurationError, match="flask tokenauth init-db"):
        create_app()
    command = ["--app", "tokenauth:create_app", "tokenauth", "init-db"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    app = create_app()
    add_alice(app)
    assert log_in(app).status_code == 200
    assert not (folder / "instance").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("users", "disable", "ALICE"),
        ("users", "remove", "alice", "--yes"),
        ("users", "set-password", "alice"),
    ],
    ids=["disable", "remove", "set-password"],
)
def test_what_an_operator_ends_has_ended(command: tuple[str, ...]) -> None:
    """The user's tokens are dead with the next request."""
    app = create_app()
    add_alice(app)
    tokens = log_in(app).get_json()
    result = run(app, *command, stdin="another good phrase")
    assert result.exit_code == 0, result.output
    assert "Alice; 1 sessions ended.\n" in result.output
    assert_problem(me(app, tokens["access_token"]), 401, "token_revoked")
    body = {"refresh_token": tokens["refresh_token"]}
    answer = app.test_client().post("/auth/refresh", json=body)
    assert_problem(answer, 400, "invalid_grant")
    assert log_in(app).status_code == 401
    expected = 200 if command[1] == "set-password" else 401
    assert log_in(app, "another good phrase").status_code == expected


def test_a_closed_account_can_be_opened_again() -> None:
    """The password still holds, the old tokens stay dead."""
    app = create_app()
    add_alice(app)
    token = log_in(app).get_json()["access_token"]
    run(app, "users", "disable", "alice")
    assert run(app, "users", "enable", "alice").exit_code == 0
    assert log_in(app).status_code == 200
    assert_problem(me(app, token), 401, "token_revoked")


def test_users_and_sessions_are_listed() -> None:
    """For people and for scripts."""
    app = create_app()
    assert json.loads(run(app, "users", "list", "--json").output) == []
    add_alice(app)
    log_in(app)
    table = run(app, "users", "list").output
    assert table.splitlines()[0].split() == ["id", "username", "active", "scope"]
    assert "Alice" in table
    (user,) = json.loads(run(app, "users", "list", "--json").output)
    assert user["username"] == "Alice"
    assert "password_hash" not in user
    (session,) = json.loads(run(app, "sessions", "list", "alice", "--json").output)
    assert run(app, "sessions", "revoke", session["id"]).output == "Ended.\n"
    for gone in (session["id"], "\x00", "nonsense"):
        assert run(app, "sessions", "revoke", gone).exit_code == 1
    assert "Dropped 0." in run(app, "sessions", "purge").output


def test_who_is_removed_is_named_before() -> None:
    """A slip of the finger is not taken for consent."""
    app = create_app()
    add_alice(app)
    asked = run(app, "users", "remove", "alice", stdin="n\n")
    assert asked.exit_code == 1
    assert "Remove Alice for good?" in asked.output
    assert "Alice" in run(app, "users", "list").output
    run(app, "users", "remove", "alice", stdin="y\n")
    assert "Alice" not in run(app, "users", "list").output


def test_a_login_during_a_removal_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It began after the others had ended, and is counted with them."""
    app = create_app()
    add_alice(app)
    log_in(app)
    remove = SQLUserStore.remove

    def remove_late(store: SQLUserStore, user_id: str) -> bool:
        log_in(app)
        return remove(store, user_id)

    monkeypatch.setattr(SQLUserStore, "remove", remove_late)
    result = run(app, "users", "remove", "alice", "--yes")
    assert result.output == "Removed Alice; 2 sessions ended.\n"


@pytest.mark.parametrize("beginning", ["-", "--", "-h", "--user"])
def test_a_session_is_revoked_whatever_its_id_begins_with(beginning: str) -> None:
    """One id in 64 begins with a hyphen, and is no option for that."""
    app = create_app()
    session = make_session(at=time.time())
    session = msgspec.structs.replace(
        session, id=beginning + session.id[len(beginning) :]
    )
    with app.app_context():
        state.current_state().stores.sessions.add(session, limit=9)
    assert run(app, "sessions", "revoke", session.id).output == "Ended.\n"


@pytest.mark.parametrize(
    ("command", "stdin", "message"),
    [
        (("users", "remove", "nobody"), None, "no user of this name"),
        (("users", "add", "bob"), "short", "at least 8"),
        (("users", "add", "ALICE"), PASSWORD, "taken"),
        (("users", "add", ""), PASSWORD, "1 to 128 characters"),
        (("users", "disable", "nobody"), None, "no user of this name"),
        (("users", "disable", "\x00"), None, "no user"),
        (("users", "set-password", "alice"), "short", "at least 8"),
        (("sessions", "list", "nobody"), None, "no user"),
    ],
)
def test_a_mistake_is_answered_in_words(
    command: tuple[str, ...], stdin: str | None, message: str
) -> None:
    """Exit code 1, one line, and nothing has changed."""
    app = create_app()
    add_alice(app)
    result = run(app, *command, stdin=stdin)
    assert result.exit_code == 1
    assert message in result.output
    assert log_in(app).status_code == 200


def test_a_store_that_cannot_be_managed_says_so() -> None:
    """Users in a dict are managed where the dict is."""
    result = run(make_app(), "users", "list")
    assert result.exit_code == 1
    assert "DictUserStore cannot be managed" in result.output


def test_a_password_changed_meanwhile_is_not_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The operator is told to look again."""
    app = create_app()
    add_alice(app)
    monkeypatch.setattr(
        "tokenauth.stores.sql.SQLUserStore.set_password_hash", lambda *a, **k: False
    )
    result = run(app, "users", "set-password", "alice", stdin="another good phrase")
    assert result.exit_code == 1
    assert "changed meanwhile" in result.output


@pytest.mark.parametrize(
    "command",
    [
        "",
        "init-db",
        "new-secret",
        "hash-password",
        "inspect",
        "users",
        "users add",
        "users list",
        "users disable",
        "users enable",
        "users set-password",
        "users set-scopes",
        "users remove",
        "sessions",
        "sessions list",
        "sessions revoke",
        "sessions purge",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    """With an example, as people type it."""
    result = run(create_app(), *command.split(), "--help")
    assert result.exit_code == 0
    if command not in {"", "users", "sessions"}:
        assert "Example:" in result.output
        assert f"auth {command}" in result.output


def test_all_sessions_of_a_user_are_revoked() -> None:
    """Or one; it has to be said which."""
    app = create_app()
    add_alice(app)
    tokens = [log_in(app).get_json()["access_token"] for _ in range(2)]
    assert run(app, "sessions", "revoke", "--user", "ALICE").output == "Ended 2.\n"
    for token in tokens:
        assert_problem(me(app, token), 401, "token_revoked")
    for wrong in ((), ("some-id", "--user", "alice")):
        result = run(app, "sessions", "revoke", *wrong)
        assert result.exit_code == 2
        assert "Give the id of a session, or --user." in result.output


def test_sessions_whose_time_is_over_are_purged() -> None:
    """All of them, step by step, and the command comes to an end."""
    app = create_app()
    sessions = app.extensions["tokenauth"].stores.sessions
    for number in range(3):
        sessions.add(make_session(f"u-{number}", at=0), limit=9)
    result = run(app, "sessions", "purge")
    assert result.exit_code == 0
    assert "Dropped 3." in result.output


def test_a_user_s_sessions_are_shown_to_people() -> None:
    """What has no value is a dash, and no text of a client runs on the terminal."""
    app = create_app()
    add_alice(app)
    user = app.extensions["tokenauth"].stores.users.find("alice")
    sessions = app.extensions["tokenauth"].stores.sessions
    sessions.add(make_session(user.id, at=time.time(), client="\x1b[31mred"), limit=9)
    header, row = run(app, "sessions", "list", "alice").output.splitlines()
    assert header.split() == ["id", "label", "client", "created", "refreshed", "ends"]
    assert row.split()[1:3] == ["-", "'\\x1b[31mred'"]


def test_tables_are_created_where_there_are_any() -> None:
    """By a command that says what it did, or that there is nothing to do."""
    result = run(create_app(), "init-db")
    assert result.exit_code == 0
    assert "SQLUserStore" in result.output
    assert "SQLSessionStore" in result.output
    result = run(make_app(), "init-db")
    assert result.exit_code == 1
    assert "No store of this application has tables" in result.output


def test_a_store_that_is_down_is_one_line() -> None:
    """Neither a traceback nor a claim that something was done."""
    app = create_app()
    add_alice(app)
    (Path("instance") / "tokenauth.sqlite3").unlink()
    app.extensions["tokenauth"].stores.users.database._engine.dispose()
    result = run(app, "users", "disable", "alice")
    assert result.exit_code == 1
    assert result.output == (
        "Error: A store does not answer (no_database): "
        "'flask tokenauth check' says which.\n"
    )
    assert isinstance(result.exception, SystemExit)


def test_users_go_elsewhere_and_sessions_follow(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions are kept beside the users unless their own URL says otherwise."""
    url = f"sqlite:///{folder}/users.db"
    users_at(url)
    sessions_at(url)
    monkeypatch.setenv("FLASK_TOKENAUTH_USERS_URL", url)
    users, sessions = create_app().extensions["tokenauth"].stores
    assert users.database is sessions.database
    config = {"TOKENAUTH_SESSION_URL": "memory://"}
    _, sessions = create_app(config).extensions["tokenauth"].stores
    assert isinstance(sessions, MemorySessionStore)


def test_what_is_typed_must_be_text(folder: Path) -> None:
    """Bytes that are not UTF-8 are no password that anybody could send."""
    result = run(create_app(), "users", "add", "bob", stdin=b"\xff\xfe password\n")
    assert result.exit_code == 1
    assert "not UTF-8" in result.output


@pytest.mark.parametrize("status", [403, 409, 413, 429, 503])
def test_what_a_view_aborts_with_stays(status: int) -> None:
    """A view that is added to it may say no in its own words."""
    app = create_app()
    app.add_url_rule("/aborting", view_func=lambda: abort(status), endpoint="aborting")
    assert app.test_client().get("/aborting").status_code == status
