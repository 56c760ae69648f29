"""`flask tokenauth users ...`, on users in a SQLite file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from blinker import NamedSignal
from flask import Flask
from flask.cli import FlaskGroup

from tests.cli.running import PASSWORD, done, refused, run
from tests.harness.kit import assert_problem, bearer, log_in, make_app, token_of
from tests.stores.engines import users_at
from tokenauth import User, events
from tokenauth.stores.sql import SQLUserStore


def try_login(app: Flask, username: str, password: str) -> int:
    body = {"username": username, "password": password}
    return app.test_client().post("/auth/login", json=body).status_code


def me(app: Flask, token: str) -> Any:
    return app.test_client().get("/auth/me", headers=bearer(token))


def users_of(app: Flask) -> dict[str, dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(done(app, "users", "list", "--json"))
    return {user["username"]: user for user in listed}


def test_letters_that_the_output_does_not_have_are_escaped(app: Flask) -> None:
    """As in a file on Windows, whose encoding is that of the country."""
    runner = app.test_cli_runner(charset="latin-1")
    group = FlaskGroup(load_dotenv=False)
    added = runner.invoke(group, ["tokenauth", "users", "add", "日本"], input=PASSWORD)
    assert added.exit_code == 0, added.output
    assert added.stdout.startswith(r"Added \u65e5\u672c with the id ")


def test_added_user_can_log_in_and_is_listed(app: Flask) -> None:
    """A script learns the id; nothing shows the password or its hash."""
    arguments = ("users", "add", "Zoë", "--scope", "write", "--scope", "read", "--json")
    added = json.loads(done(app, *arguments, text=PASSWORD))
    assert len(added["id"]) == 32
    assert added == {
        "id": added["id"],
        "username": "Zoë",
        "active": True,
        "scope": "read write",
    }
    assert users_of(app)["Zoë"] == added
    assert try_login(app, "zoë", PASSWORD) == 200
    said = done(app, "users", "add", "bob", text=PASSWORD)
    assert said.startswith("Added bob with the id ")
    header, *rows = done(app, "users", "list").splitlines()
    assert header.split() == ["id", "username", "active", "scope"]
    assert [row.split()[1:] for row in rows] == [
        ["Alice", "yes", "read"],
        ["bob", "yes"],
        ["Zoë", "yes", "read", "write"],
    ]


def test_blanks_around_a_new_name_are_no_part_of_it(app: Flask) -> None:
    """In a list nobody could tell the two names apart."""
    done(app, "users", "add", " bob \u3000", text=PASSWORD)
    done(app, "users", "rename", "alice", "Ann ")
    assert set(users_of(app)) == {"bob", "Ann"}
    assert "Another user" in refused(app, "users", "add", "bob ", text=PASSWORD)


@pytest.mark.parametrize("command", ["add", "set-scopes"])
@pytest.mark.parametrize(
    ("scope", "message"),
    [("a b", "'a b' cannot be the name"), ("a,b", "Repeat the option for each scope")],
)
def test_scope_that_cannot_be_one_is_wrong_usage(
    command: str, scope: str, message: str, app: Flask
) -> None:
    """No password is asked for, and nothing changes."""
    options = ("--scope", "read", "--scope", scope)
    said = refused(app, "users", command, "Alice", *options, code=2)
    assert message in said
    assert users_of(app)["Alice"]["scope"] == "read"


def test_token_loses_a_scope_that_its_user_loses(url: str) -> None:
    """With the next request; one that the user gains needs another login."""
    app = make_app(users=users_at(url, User("zoë", scopes=["read", "write"])))
    token = token_of(app, "zoë")

    def change(*options: str) -> tuple[str, str]:
        said = done(app, "users", "set-scopes", "ZOË", *options)
        return said, me(app, token).get_json()["scope"]

    assert change("--scope", "write", "--scope", "admin") == (
        "Scopes of zoë: admin write.\n",
        "write",
    )
    assert change("--none") == ("Scopes of zoë: none.\n", "")
    assert change("--scope", "read") == ("Scopes of zoë: read.\n", "read")


@pytest.mark.parametrize("options", [(), ("--none", "--scope", "read")])
def test_scopes_are_not_taken_away_without_saying_so(
    options: tuple[str, ...], app: Flask
) -> None:
    said = refused(app, "users", "set-scopes", "alice", *options, code=2)
    assert "or --none" in said
    assert users_of(app)["Alice"]["scope"] == "read"


def test_renamed_user_keeps_id_password_scopes_and_sessions(app: Flask) -> None:
    """The old name is nobody's."""
    tokens = log_in(app.test_client())
    before = users_of(app)["Alice"]
    said = done(app, "users", "rename", "ALICE", "alice@example.com")
    assert said == "Renamed Alice to alice@example.com.\n"
    assert users_of(app) == {
        "alice@example.com": {**before, "username": "alice@example.com"}
    }
    assert me(app, tokens["access_token"]).get_json()["username"] == "alice@example.com"
    assert try_login(app, "Alice@Example.com", "alice: correct horse") == 200
    assert try_login(app, "alice", "alice: correct horse") == 401
    done(app, "users", "rename", "alice@example.com", "Alice@example.com")
    assert set(users_of(app)) == {"Alice@example.com"}


@pytest.mark.parametrize(
    ("name", "message"),
    [("BOB", "Another user has this username"), ("\x07", "A username has 1 to")],
)
def test_user_is_not_given_a_name_that_cannot_be_used(
    name: str, message: str, app: Flask
) -> None:
    done(app, "users", "add", "bob", text=PASSWORD)
    assert message in refused(app, "users", "rename", "alice", name)
    assert set(users_of(app)) == {"Alice", "bob"}


@pytest.mark.parametrize(
    "command",
    [
        ("users", "disable", "ALICE"),
        ("users", "remove", "alice", "--yes"),
        ("users", "set-password", "alice"),
    ],
    ids=["disable", "remove", "set-password"],
)
def test_tokens_of_a_user_end_with_the_command(
    command: tuple[str, ...], app: Flask
) -> None:
    tokens = log_in(app.test_client())
    said = done(app, *command, text="another good phrase")
    assert "Alice; 1 sessions ended.\n" in said
    assert_problem(me(app, tokens["access_token"]), 401, "token_revoked")
    body = {"refresh_token": tokens["refresh_token"]}
    answer = app.test_client().post("/auth/refresh", json=body)
    assert_problem(answer, 400, "invalid_grant")
    assert try_login(app, "alice", "alice: correct horse") == 401
    expected = 200 if "set-password" in command else 401
    assert try_login(app, "alice", "another good phrase") == expected


def test_enabled_user_can_log_in_and_old_tokens_stay_ended(app: Flask) -> None:
    token = token_of(app)
    done(app, "users", "disable", "alice")
    assert done(app, "users", "enable", "alice") == "Enabled Alice.\n"
    assert try_login(app, "alice", "alice: correct horse") == 200
    assert_problem(me(app, token), 401, "token_revoked")


def test_user_is_removed_only_after_a_yes(app: Flask) -> None:
    asked = run(app, "users", "remove", "alice", text="n\n")
    assert asked.exit_code == 1
    assert "Remove Alice for good?" in asked.stderr
    assert set(users_of(app)) == {"Alice"}
    done(app, "users", "remove", "alice", text="y\n")
    assert users_of(app) == {}


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        (("users", "remove", "nobody"), "", "no user of this name"),
        (("users", "rename", "nobody", "bob"), "", "no user of this name"),
        (("users", "disable", "\x00"), "", "no user of this name"),
        (("users", "add", "bob"), "short", "at least 8"),
        (("users", "add", "ALICE"), PASSWORD, "Another user has this username"),
        (("users", "add", " "), PASSWORD, "A username has 1 to"),
        (("users", "set-password", "alice"), "short", "at least 8"),
        (("sessions", "list", "nobody"), "", "no user of this name"),
    ],
)
def test_mistake_is_answered_in_one_line_and_changes_nothing(
    command: tuple[str, ...], text: str, message: str, app: Flask
) -> None:
    said = refused(app, *command, text=text)
    assert message in said
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert try_login(app, "alice", "alice: correct horse") == 200


@pytest.mark.parametrize(
    ("command", "signal"),
    [
        (("rename", "alice", "ann"), events.user_renamed),
        (("disable", "alice"), events.user_disabled),
        (("enable", "alice"), events.user_enabled),
        (("set-scopes", "alice", "--none"), events.user_scopes_set),
        (("remove", "alice", "--yes"), events.user_removed),
        (("set-password", "alice"), events.password_changed),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_an_operator_does_is_announced(
    command: tuple[str, ...], signal: NamedSignal, app: Flask
) -> None:
    """Once, with the user's id."""
    seen: list[events.Event] = []
    with signal.connected_to(lambda _, event: seen.append(event), app):
        done(app, "users", *command, text=PASSWORD)
    assert [event.user_id for event in seen] == ["u-alice"]


def test_user_who_is_added_is_announced(app: Flask) -> None:
    seen: list[events.Event] = []
    with events.user_added.connected_to(lambda _, event: seen.append(event), app):
        done(app, "users", "add", "bob", text=PASSWORD)
        refused(app, "users", "add", "bob", text=PASSWORD)
    assert [event.user_id for event in seen] == [users_of(app)["bob"]["id"]]


class Overtaken(SQLUserStore):
    """Somebody else removes a user right after each look, or logs in, or changes it."""

    def find(self, username: str) -> User | None:
        user = super().find(username)
        if user is not None:
            self.remove(user.id)
        return user


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("disable", ()),
        ("enable", ()),
        ("set-scopes", ("--none",)),
        ("remove", ("--yes",)),
    ],
)
def test_user_who_is_removed_in_the_meantime_is_reported(
    command: str, options: tuple[str, ...], url: str
) -> None:
    users_at(url, User("alice"))
    app = make_app(users=Overtaken(url))
    said = run(app, "users", command, "alice", *options)
    assert (said.exit_code, said.stdout) == (1, "")
    assert "The user was removed in the meantime." in said.stderr


def test_password_that_is_changed_in_the_meantime_is_not_overwritten(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLUserStore, "set_password_hash", lambda *_, **__: False)
    said = refused(app, "users", "set-password", "alice", text=PASSWORD)
    assert "at the same time: try again" in said


def test_login_during_a_removal_ends_too(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_of(app)
    remove = SQLUserStore.remove

    def remove_late(store: SQLUserStore, user_id: str) -> bool:
        token_of(app)
        return remove(store, user_id)

    monkeypatch.setattr(SQLUserStore, "remove", remove_late)
    said = done(app, "users", "remove", "alice", "--yes")
    assert said == "Removed Alice; 2 sessions ended.\n"


def test_users_of_the_application_are_managed_by_the_application() -> None:
    said = refused(make_app(), "users", "list")
    assert "(DictUserStore): manage them there" in said
