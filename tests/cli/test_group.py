"""The command group: help, completion, and what an application's start needs."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup

from tests.cli.running import PASSWORD, done, flask, refused
from tests.harness.kit import SECRET, commands, make_app
from tokenauth import create_app
from tokenauth.cli import tokenauth as tokenauth_group

COMMANDS = sorted(words for words, _ in commands(tokenauth_group))
GROUPS = ("", "users", "sessions", "tokens")


def test_every_command_is_found() -> None:
    """By the function that the tests below use."""
    assert {("check",), ("users", "add"), ("sessions", "purge")} < set(COMMANDS)
    assert len(COMMANDS) == 20


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    """Of this very command, as it is typed."""
    said = done(Flask("app"), *command, "--help")
    example = said.partition("\n  Example:\n")[2].partition("\n\n")[0]
    assert example
    for line in example.splitlines():
        assert re.search(rf"^    \S*.*\bflask .*tokenauth {' '.join(command)}\b", line)
    assert "\\b" not in said


@pytest.mark.parametrize("command", [*COMMANDS, *((g,) for g in GROUPS if g)])
def test_commands_work_through_the_application_s_own_group(
    command: tuple[str, ...],
) -> None:
    """`app.test_cli_runner().invoke(args=...)` knows no plugins."""
    app = make_app()
    args = ["tokenauth", *command, "--help"]
    assert app.test_cli_runner().invoke(args=args).exit_code == 0


def test_a_program_that_calls_a_command_gets_its_text() -> None:
    """Of an output that has no encoding nothing is set."""
    with redirect_stdout(io.StringIO()) as said:
        tokenauth_group.main(["new-secret"], standalone_mode=False)
    assert len(said.getvalue()) > 40


@pytest.mark.parametrize("group", GROUPS)
def test_summary_of_each_command_fits_on_its_line(group: str) -> None:
    said = done(Flask("app"), *group.split(), "--help")
    summaries = said.partition("Commands:\n")[2].splitlines()
    assert len(summaries) >= 2
    for line in summaries:
        name, summary = line.split(maxsplit=1)
        assert len(summary) <= 50, name
        assert not summary.endswith("..."), name


def test_help_tells_the_exit_codes() -> None:
    said = done(Flask("app"), "--help")
    assert "Exit codes: 0: done; 1: refused" in said
    assert tokenauth_group.get_short_help_str(60).startswith("Manage token auth")


# -- completion ----------------------------------------------------------------------

SHELLS = ["bash", *(pytest.param(s, marks=pytest.mark.full) for s in ("zsh", "fish"))]


def complete(shell: str, line: str) -> str:
    """Return what a shell is told when somebody presses Tab at the end of a line."""
    *before, last = line.split(" ")
    asked = {
        "_FLASK_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": last if shell == "fish" else str(len(before)),
    }
    told = CliRunner().invoke(FlaskGroup(), prog_name="flask", env=asked)
    assert (told.exit_code, told.stderr) == (0, "")
    return told.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_completes_commands_without_an_application(shell: str) -> None:
    words = re.split(r"[\n,\t]", complete(shell, "flask tokenauth "))
    assert {name for name, *_ in COMMANDS} <= set(words)
    words = re.split(r"[\n,\t]", complete(shell, "flask tokenauth users "))
    assert {rest[0] for name, *rest in COMMANDS if name == "users"} <= set(words)
    assert "--json" in complete(shell, "flask tokenauth check --")


def test_shell_completes_no_user_s_name() -> None:
    """The database would be opened at each press of Tab."""
    assert complete("bash", "flask tokenauth users disable ").strip() == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_is_taught_to_complete(shell: str, tmp_path: Path) -> None:
    """What the README says to put into its start-up file prints a function for it."""
    taught = flask(env={"_FLASK_COMPLETE": f"{shell}_source"}, cwd=tmp_path)
    assert taught.returncode == 0
    assert f"_FLASK_COMPLETE={shell}_complete" in taught.stdout


# -- tables --------------------------------------------------------------------------

FACTORY = """\
from flask import Flask
from tokenauth import TokenAuth

auth = TokenAuth()


def create_app():
    app = Flask("shop")
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.cli.command("seed")
    def seed():
        print("seeded")

    @app.cli.command("check")
    def check():
        print("the shop's own check")

    return app
"""
MISSING = "(no_database). Create it with 'flask tokenauth init-db'"


@pytest.fixture
def shop(tmp_path: Path, url: str) -> tuple[Path, dict[str, str]]:
    """The folder of an application without its tables, and its environment."""
    (tmp_path / "shop.py").write_text(FACTORY)
    return tmp_path, {"FLASK_SECRET_KEY": SECRET, "FLASK_TOKENAUTH_USERS_URL": url}


@pytest.mark.parametrize("command", ["seed", "routes", "check"])
def test_flask_commands_run_before_the_tables_are_created(
    command: str, shop: tuple[Path, dict[str, str]]
) -> None:
    """With a warning: `flask db upgrade` may be the one that creates them."""
    folder, env = shop
    ran = flask("--app", "shop", command, cwd=folder, env=env)
    assert ran.returncode == 0
    assert MISSING in ran.stderr


@pytest.mark.parametrize("start", ["wsgi", "flask run"])
def test_server_does_not_start_before_the_tables_are_created(
    start: str, shop: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, env = shop
    if start == "flask run":
        ran = flask("--app", "shop", "run", "--port=0", cwd=folder, env=env)
        assert ran.returncode == 1
        assert MISSING in ran.stderr
        return
    monkeypatch.chdir(folder)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=re.escape(MISSING)):
        create_app()


def test_our_commands_say_once_that_tables_are_missing(
    shop: tuple[Path, dict[str, str]],
) -> None:
    folder, env = shop
    ran = flask("--app", "shop", "tokenauth", "users", "list", cwd=folder, env=env)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("Error: The SQLite file ")
    assert ran.stderr.count(MISSING) == 1
    made = flask("--app", "shop", "tokenauth", "init-db", cwd=folder, env=env)
    assert (made.returncode, made.stderr) == (0, "")
    assert "The tables of SQLUserStore exist." in made.stdout
    ran = flask("--app", "shop", "tokenauth", "users", "list", cwd=folder, env=env)
    assert ran.returncode == 0


def test_group_of_an_application_may_load_it_in_any_way(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application's own `FlaskGroup`, whose commands have any name."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    group = FlaskGroup(create_app=lambda: create_app({"TOKENAUTH_USERS_URL": url}))
    made = CliRunner().invoke(group, ["tokenauth", "init-db"])
    assert made.exit_code == 0
    assert CliRunner().invoke(group, ["tokenauth", "users", "list"]).exit_code == 0


def test_init_db_is_content_where_no_store_has_tables() -> None:
    """One deploy script is right for all stages."""
    assert "there is nothing to do" in done(make_app(), "init-db")


def test_upgrade_db_says_what_is_up_to_date(folder: Path) -> None:
    app = create_app()
    assert "are those of this release" in done(app, "upgrade-db")
    with sqlite3.connect(folder / "instance" / "tokenauth.sqlite3") as database:
        database.execute("DROP INDEX tokenauth_sessions_expiry")
    database.close()
    done(app, "upgrade-db")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        sqlite3.connect(folder / "instance" / "tokenauth.sqlite3").execute(
            "CREATE INDEX tokenauth_sessions_expiry ON tokenauth_sessions (id)"
        )


# -- the stand-alone API -------------------------------------------------------------


def stand_alone(*command: str, folder: Path, text: str = "") -> tuple[int, str]:
    """Run a command of the stand-alone API in a folder."""
    group = FlaskGroup(create_app=create_app, load_dotenv=False)
    result = CliRunner().invoke(group, command, input=text)
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("tokenauth", "users", "list"),
        ("tokenauth", "sessions", "list", "alice"),
        ("tokenauth", "check"),
        ("routes",),
    ],
    ids=" ".join,
)
def test_reading_commands_create_no_database(
    command: tuple[str, ...], folder: Path
) -> None:
    """They may run in another folder than the server."""
    code, said = stand_alone(*command, folder=folder)
    assert (code, "init-db" in said) in {(1, True), (0, False)}
    assert list(folder.iterdir()) == []


def test_stand_alone_api_is_given_its_first_user_by_one_command(folder: Path) -> None:
    """No table has to be created before; a second one finds the first."""
    command = ("tokenauth", "users", "add", "alice", "--json")
    code, said = stand_alone(*command, folder=folder, text=PASSWORD)
    assert code == 0
    assert json.loads(said)["username"] == "alice"
    app = create_app()
    assert json.loads(done(app, "users", "list", "--json")) == [json.loads(said)]


def test_init_db_creates_the_stand_alone_api_s_file(folder: Path) -> None:
    assert stand_alone("tokenauth", "init-db", folder=folder)[0] == 0
    file = folder / "instance" / "tokenauth.sqlite3"
    with sqlite3.connect(file) as database:
        tables = database.execute("SELECT name FROM sqlite_master").fetchall()
    database.close()
    assert ("tokenauth_users",) in tables
    assert file.stat().st_mode & 0o077 == 0


def test_table_of_another_release_stops_a_command(folder: Path) -> None:
    app = create_app()
    with sqlite3.connect(folder / "instance" / "tokenauth.sqlite3") as database:
        database.execute("ALTER TABLE tokenauth_users DROP COLUMN scopes")
    database.close()
    assert "of another release" in refused(app, "users", "list")
