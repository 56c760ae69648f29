"""The stand-alone API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask, abort
from flask.cli import FlaskGroup, cli

from tests.harness.kit import SECRET, assert_problem, bearer
from tests.stores.engines import sessions_at, users_at
from tokenauth import MemorySessionStore, create_app
from tokenauth.errors import ConfigurationError

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


def test_folder_that_cannot_be_written_stops_the_start_and_names_the_setting(
    folder: Path,
) -> None:
    """As in a container with a read-only root file system."""
    (folder / "instance").touch()  # also root cannot make a folder of this name
    with pytest.raises(ConfigurationError) as caught:
        create_app()
    said = str(caught.value)
    assert str(folder / "instance" / "tokenauth.sqlite3") in said
    assert "set TOKENAUTH_USERS_URL" in said
    group = FlaskGroup(create_app=create_app, load_dotenv=False)
    command = ["tokenauth", "users", "add", "alice"]
    result = CliRunner().invoke(group, command, input=PASSWORD)
    assert (result.exit_code, result.stderr) == (1, f"Error: {said}\n")


def test_folder_may_have_any_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that means something else in a URL."""
    odd = folder / "My%20Project?"
    odd.mkdir()
    monkeypatch.chdir(odd)
    add_alice(create_app())
    assert (odd / "instance" / "tokenauth.sqlite3").exists()


def test_check_finds_a_folder_that_cannot_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a server tries to; it is the one error, since nothing else can be."""
    # Root may write everywhere but on a read-only file system.
    monkeypatch.setattr("os.access", lambda path, mode: path != folder)
    group = FlaskGroup(create_app=create_app, load_dotenv=False)
    result = CliRunner().invoke(group, ["tokenauth", "check", "--json"])
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)
    assert finding["area"] == "start"
    assert f"{folder}/instance/tokenauth.sqlite3" in finding["text"]
    assert list(folder.iterdir()) == []


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


@pytest.mark.parametrize("status", [403, 409, 413, 429, 503])
def test_what_a_view_aborts_with_stays(status: int) -> None:
    """A view that is added to it may say no in its own words."""
    app = create_app()
    app.add_url_rule("/aborting", view_func=lambda: abort(status), endpoint="aborting")
    assert app.test_client().get("/aborting").status_code == status
