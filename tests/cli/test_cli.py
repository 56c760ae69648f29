"""`flask tokenauth ...`, as an operator types it."""

from __future__ import annotations

import functools
import json
import os
import pty
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from click.testing import Result
from flask import Flask
from flask.cli import FlaskGroup
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.harness.kit import (
    Clock,
    bearer,
    commands,
    log_in,
    make_app,
    make_users,
    token_of,
)
from tests.stores.engines import users_at
from tokenauth import DictUserStore, StoreUnavailableError, TokenAuth, User
from tokenauth.accounts.passwords import is_supported, verify_password
from tokenauth.cli import tokenauth as tokenauth_group
from tokenauth.settings import load
from tokenauth.stores.sql import SQLUserStore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

FLASK = str(Path(sys.executable).with_name("flask"))
PASSWORD = "a long walk at dusk"


@pytest.fixture
def users() -> DictUserStore:
    return make_users(alice=["read", "write"])


@pytest.fixture
def app(users: DictUserStore, clock: Clock) -> Flask:
    return make_app(users=users, clock=clock)


def run(app: Flask, *arguments: str, text: str | bytes = "") -> Result:
    """Run a command of an application, with a text on standard input."""
    plugins = FlaskGroup(load_dotenv=False)
    return app.test_cli_runner().invoke(plugins, ["tokenauth", *arguments], input=text)


def flask(
    *arguments: str, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the real `flask` where there is no application and no key."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
    return subprocess.run(
        [FLASK, *arguments],
        env={**bare, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        **options,
    )


# -- new-secret ----------------------------------------------------------------------


def test_a_key_is_made_before_there_is_an_application(tmp_path: Path) -> None:
    """The plugin needs neither an app nor a key, and what it prints is accepted."""
    made = flask("tokenauth", "new-secret", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    key = made.stdout.removesuffix("\n")
    assert len(key) == 65
    assert load({"SECRET_KEY": key}, "app").secret_keys == (key.encode(),)


def test_no_two_keys_are_equal(app: Flask) -> None:
    """And Flask never reads one as a number."""
    keys = {run(app, "new-secret").output for _ in range(20)}
    assert len(keys) == 20
    assert all(key.startswith("k") and key.count("\n") == 1 for key in keys)


# -- hash-password -------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line\n"])
def test_a_password_is_read_from_standard_input(app: Flask, end: str) -> None:
    """Its first line, without the end of the line; it is not printed."""
    result = run(app, "hash-password", text=f" {PASSWORD} {end}")
    assert result.exit_code == 0
    stored = result.output.removesuffix("\n")
    assert stored.startswith("$argon2id$")
    assert is_supported(stored)
    assert verify_password(stored, f" {PASSWORD} ")
    assert PASSWORD not in result.output


@pytest.mark.parametrize("text", ["", "\n", "short", "password123", b"\xff" * 9])
def test_a_password_that_the_policy_refuses_is_not_hashed(
    app: Flask, text: str | bytes
) -> None:
    """The message names the rule and not the password."""
    result = run(app, "hash-password", text=text)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "$argon2" not in result.output
    assert "short\n" not in result.output
    assert "password123" not in result.output


def at_a_terminal(*answers: str) -> tuple[int, str, str]:
    """Run `flask tokenauth hash-password` at a terminal that types these lines."""
    main, terminal = pty.openpty()
    with (
        os.fdopen(main, "r+b", buffering=0) as keyboard,
        subprocess.Popen(
            [FLASK, "tokenauth", "hash-password"],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no other terminal that could be asked
        ) as process,
    ):
        assert process.stderr is not None
        prompts = b""
        for answer in answers:
            prompts += read_prompt(process.stderr)
            keyboard.write(answer.encode() + b"\n")
        rest, errors = process.communicate(timeout=30)
        os.set_blocking(keyboard.fileno(), False)
        echo = keyboard.read() or b""
        os.close(terminal)
    assert echo.strip() == b"", "the terminal showed what was typed"
    return process.returncode, rest.decode(), (prompts + errors).decode()


def read_prompt(stream: IO[bytes]) -> bytes:
    """Return what is printed up to the end of a prompt."""
    seen = b""
    while not seen.endswith((b"Password: ", b"Once more: ")):
        seen += stream.read(1) or pytest.fail(f"no prompt, but: {seen!r}")
    return seen


def test_a_password_is_asked_for_at_a_terminal() -> None:
    """Twice, without echo; the hash alone is on standard output."""
    code, output, prompts = at_a_terminal(PASSWORD, PASSWORD)
    assert code == 0
    assert verify_password(output.removesuffix("\n"), PASSWORD)
    assert "Password: " in prompts
    assert "Once more: " in prompts
    assert PASSWORD not in prompts


def test_a_slip_of_the_finger_is_asked_about_again() -> None:
    """Two answers that differ are no password."""
    code, output, prompts = at_a_terminal(PASSWORD, PASSWORD + "!", PASSWORD, PASSWORD)
    assert code == 0
    assert verify_password(output.removesuffix("\n"), PASSWORD)
    assert "do not match" in prompts


# -- inspect -------------------------------------------------------------------------

ALICE_S = """\
purpose        access
subject        u-alice
session        {session}
issued         2026-09-21T14:13:20+00:00
expires        2026-09-21T14:28:20+00:00
authenticated  2026-09-21T14:13:20+00:00
scopes         read write
"""


def test_an_access_token_is_explained(app: Flask) -> None:
    """What it says, in UTC, and that it is accepted."""
    token = token_of(app)
    with app.test_request_context():
        session = app.extensions["tokenauth"].verifier.authenticate(token).session
    result = run(app, "inspect", token)
    assert result.exit_code == 0
    assert result.output == ALICE_S.format(session=session.id) + "accepted\n"
    assert token not in result.output


def test_a_token_is_read_from_standard_input(app: Flask) -> None:
    """Where no list of processes shows it."""
    token = token_of(app, "bob")
    result = run(app, "inspect", "-", text=f"{token}\nmore\n")
    assert result.exit_code == 0
    assert "subject        u-bob\n" in result.output
    assert "scopes         none\n" in result.output


def test_a_refresh_token_is_explained(app: Flask) -> None:
    """Until it is used: then the session has gone on without it."""
    client = app.test_client()
    token = log_in(client)["refresh_token"]
    result = run(app, "inspect", token)
    assert result.exit_code == 0
    assert "purpose        refresh\n" in result.output
    client.post("/auth/refresh", json={"refresh_token": token})
    used = run(app, "inspect", token)
    assert used.exit_code == 1
    assert "refused        token_revoked: " in used.output


def test_a_token_that_is_refused_says_why(
    app: Flask, clock: Clock, users: DictUserStore
) -> None:
    """Revoked, of a disabled user, expired: what it says is shown all the same."""
    token = token_of(app)
    alice = users.get("u-alice")
    assert alice is not None
    alice.is_active = False
    disabled = run(app, "inspect", token)
    alice.is_active = True
    with app.app_context():
        app.extensions["tokenauth"].service.revoke_user("u-alice")
    revoked = run(app, "inspect", token)
    clock.move(15 * 60)
    expired = run(app, "inspect", token)
    for result, code in (
        (disabled, "token_revoked"),
        (revoked, "token_revoked"),
        (expired, "token_expired"),
    ):
        assert result.exit_code == 1
        assert result.output.startswith(
            "purpose        access\nsubject        u-alice\n"
        )
        assert f"refused        {code}: The token has " in result.output
        assert "accepted" not in result.output


def test_a_token_of_another_application_is_refused(app: Flask) -> None:
    """Nothing of it is shown: nobody knows who wrote it. Nor is the token."""
    other = make_app(config={"TOKENAUTH_REALM": "other"})
    for token, what in (
        (token_of(other), "was not signed with this application's keys and realm"),
        (token_of(app) + "A", "was cut or altered"),
        (token_of(app)[5:], "was cut or altered"),
        ("nonsense", "is not a token of tokenauth"),
        ("", "is not a token of tokenauth"),
        ("\ud800.x", "is not a token of tokenauth"),
    ):
        result = run(app, "inspect", "--", token)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert what in result.output
        assert token == "" or token not in result.output


def test_a_store_that_cannot_answer_is_said(clock: Clock) -> None:
    """Neither accepted nor refused."""

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
    result = run(app, "inspect", token)
    assert result.exit_code == 1
    assert result.output.startswith("Error: The service cannot check this")


def test_inspect_asks_for_no_key(app: Flask, tmp_path: Path) -> None:
    """It comes from the application; without one, the command says so."""
    text = run(app, "inspect", "--help").output
    assert "--secret" not in text
    assert "--key" not in text
    alone = flask("tokenauth", "inspect", "abc.def", cwd=tmp_path)
    assert alone.returncode == 2
    assert "Could not locate a Flask application" in alone.stderr


def test_an_application_without_token_auth_says_so() -> None:
    """The cure is in the message, not at the end of a traceback."""
    result = run(Flask("bare"), "inspect", "abc.def")
    assert result.exit_code == 1
    assert result.output.startswith("Error: This application has no TokenAuth: call")


def test_a_personal_token_is_explained(app: Flask, clock: Clock) -> None:
    """One without an end says so."""
    client = app.test_client()
    headers = bearer(token_of(app))
    body = {"name": "backup", "expires_in": None}
    token = client.post("/auth/tokens", json=body, headers=headers).get_json()["token"]
    result = run(app, "inspect", token)
    assert result.exit_code == 0
    assert "purpose        personal\n" in result.output
    assert "expires        never\n" in result.output


def test_a_token_is_explained_to_a_script(app: Flask) -> None:
    """As one JSON object, accepted or refused; the exit code is what it always is."""
    client = app.test_client()
    tokens = log_in(client)
    accepted = run(app, "inspect", "--json", tokens["access_token"])
    assert accepted.exit_code == 0
    said = json.loads(accepted.output)
    assert said == {
        "accepted": True,
        "refusal": None,
        "purpose": "access",
        "subject": "u-alice",
        "session": said["session"],
        "issued": "2026-09-21T14:13:20+00:00",
        "expires": "2026-09-21T14:28:20+00:00",
        "authenticated": "2026-09-21T14:13:20+00:00",
        "scopes": ["read", "write"],
    }
    client.post("/auth/logout", headers=bearer(tokens["access_token"]))
    refused = run(app, "inspect", "--json", "-", text=tokens["access_token"])
    assert refused.exit_code == 1
    assert json.loads(refused.stdout) == {
        **said,
        "accepted": False,
        "refusal": {
            "code": "token_revoked",
            "detail": "The token has been revoked: log in again.",
        },
    }
    foreign = run(app, "inspect", "--json", "nonsense")
    assert foreign.exit_code == 1
    said = json.loads(foreign.output)
    assert set(said) == {"accepted", "refusal"}
    assert not said["accepted"]
    assert said["refusal"]["code"] == "token_invalid"


# -- sessions that cannot be seen ----------------------------------------------------

UNSEEN = "are not seen from here: set TOKENAUTH_SESSION_URL."


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list", "alice"),
        ("sessions", "revoke", "--user", "alice"),
        ("sessions", "revoke", "k0vQ1lW2rGmUJbYcXz5T8w"),
        ("sessions", "purge"),
        ("users", "disable", "alice"),
        ("users", "enable", "alice"),
        ("users", "set-password", "alice"),
        ("users", "remove", "alice", "--yes"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("is_seen", [False, True])
def test_sessions_of_another_process_are_not_seen(
    command: tuple[str, ...], is_seen: bool, tmp_path: Path
) -> None:
    """A command says so where it would look into a memory of its own."""
    store = users_at(f"sqlite:///{tmp_path}/t.sqlite3")
    store.add(User("alice", scopes=["read"]))
    app = make_app(users=store)
    if is_seen:
        token_of(app)
    result = run(app, *command, text=PASSWORD)
    assert (UNSEEN in result.stderr) is not is_seen
    assert UNSEEN not in result.stdout


def test_a_token_of_another_process_is_not_known() -> None:
    """Which is said beside the refusal, and of no token that is refused by itself."""
    token = token_of(make_app())
    revoked = run(make_app(), "inspect", "--json", token)
    assert json.loads(revoked.stdout)["refusal"]["code"] == "token_revoked"
    assert UNSEEN in revoked.stderr
    assert run(make_app(), "inspect", token + "A").stderr.startswith("Error: ")
    late = Clock()
    late.move(15 * 60)
    expired = run(make_app(clock=late), "inspect", token)
    assert "token_expired" in expired.stdout
    assert expired.stderr == ""


# -- users add -----------------------------------------------------------------------


def test_a_script_learns_the_id_of_a_new_user(tmp_path: Path) -> None:
    """The same object that the list has."""
    store = users_at(f"sqlite:///{tmp_path}/t.sqlite3")
    app = make_app(users=store)
    arguments = ("users", "add", "Zoë", "--scope", "write", "--scope", "read", "--json")
    added = run(app, *arguments, text=PASSWORD)
    assert added.exit_code == 0
    user = store.find("zoë")
    assert user is not None
    assert json.loads(added.output) == {
        "id": user.get_id(),
        "username": "Zoë",
        "active": True,
        "scope": "read write",
    }
    assert json.loads(run(app, "users", "list", "--json").output) == [
        json.loads(added.output)
    ]


@pytest.mark.parametrize("command", ["add", "set-scopes"])
def test_what_cannot_be_a_scope_is_refused(command: str, tmp_path: Path) -> None:
    """As wrong usage, before a password is asked for."""
    store = users_at(f"sqlite:///{tmp_path}/t.sqlite3")
    app = make_app(users=store)
    result = run(app, "users", command, "Zoë", "--scope", "read", "--scope", "a b,c")
    assert result.exit_code == 2
    assert "Invalid value for '--scope': 'a b,c' cannot be the name" in result.stderr
    assert list(store.all()) == []


def test_a_token_loses_a_scope_that_its_user_loses(tmp_path: Path) -> None:
    """With the next request; one that the user gains needs another login."""
    store = users_at(f"sqlite:///{tmp_path}/t.sqlite3")
    store.add(User("zoë", scopes=["read", "write"]))
    app = make_app(users=store)
    headers = bearer(token_of(app, "zoë"))

    def change(*scopes: str) -> tuple[str, str]:
        options = [word for scope in scopes for word in ("--scope", scope)]
        result = run(app, "users", "set-scopes", "ZOË", *options)
        assert result.exit_code == 0
        answer = app.test_client().get("/auth/me", headers=headers)
        return result.output, answer.get_json()["scope"]

    assert change("write", "admin") == ("Scopes of zoë: admin write.\n", "write")
    assert change() == ("Scopes of zoë: none.\n", "")
    assert change("read") == ("Scopes of zoë: read.\n", "read")


@pytest.mark.parametrize("command", ["disable", "enable", "set-scopes"])
def test_a_user_who_is_removed_meanwhile_was_not_changed(
    command: str, tmp_path: Path
) -> None:
    """Nobody is told that something was done to them."""

    class Losing(SQLUserStore):
        def find(self, username: str) -> User | None:
            user = super().find(username)
            if user is not None:
                self.remove(user.id)
            return user

    store = Losing(f"sqlite:///{tmp_path}/t.sqlite3")
    store.create_tables()
    store.add(User("alice"))
    result = run(make_app(users=store), "users", command, "alice")
    assert result.exit_code == 1
    assert "The user was removed meanwhile." in result.stderr
    assert result.stdout == ""


# -- check ---------------------------------------------------------------------------


def checked(app: Flask, *, exit_code: int) -> dict[str, tuple[str, str]]:
    """Return the level and the text that `check --json` prints for each area."""
    result = run(app, "check", "--json")
    assert result.exit_code == exit_code, result.output
    assert result.stderr == ""
    return {
        each["area"]: (each["level"], each["text"])
        for each in json.loads(result.output)
    }


@pytest.fixture
def deployed(tmp_path: Path, redis_url: str) -> Flask:
    """An application with nothing to mend."""
    app = Flask("app")
    url = f"sqlite:///{tmp_path}/t.sqlite3"
    users_at(url)
    app.config.update(
        SECRET_KEY=secrets.token_hex(32),
        TOKENAUTH_USERS_URL=url,
        TOKENAUTH_SESSION_URL=redis_url,
    )
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=2)  # type: ignore[method-assign]
    TokenAuth(app)
    return app


def test_a_deployment_with_nothing_to_mend_is_said_so(deployed: Flask) -> None:
    """Every area is looked at, in the order in which it is printed."""
    found = checked(deployed, exit_code=0)
    assert {level for level, _ in found.values()} == {"ok"}
    assert list(found) == [
        *("secret keys", "fallback keys", "access lifetime", "session lifetime"),
        *("idle lifetime", "refresh grace", "clock leeway", "tokens in URLs"),
        *("attempts on a password", "new passwords", "password hashing"),
        "password hashes",
        *("users", "sessions", "attempts", "clock", "DEBUG", "TESTING", "proxy"),
    ]


def test_a_review_is_one_line_for_each_area(deployed: Flask) -> None:
    """For people, and without a word of what is secret."""
    result = run(deployed, "check")
    lines = result.output.splitlines()
    assert (result.exit_code, len(lines)) == (0, 20)
    assert lines[0].split() == ["level", "area", "text"]
    assert lines[2].split(maxsplit=3) == ["ok", "fallback", "keys", "None."]
    assert deployed.config["SECRET_KEY"] not in result.output
    assert deployed.config["TOKENAUTH_SESSION_URL"] not in result.output


def test_a_warning_is_advice_and_an_error_fails(deployed: Flask) -> None:
    """So a script can go by the exit code."""
    deployed.wsgi_app = deployed.wsgi_app.app  # type: ignore[attr-defined, method-assign]
    assert checked(deployed, exit_code=0)["proxy"][0] == "warning"
    deployed.testing = True
    assert checked(deployed, exit_code=1)["TESTING"][0] == "error"


@pytest.mark.parametrize("flag", ["DEBUG", "TESTING"])
def test_a_flag_for_development_is_an_error(deployed: Flask, flag: str) -> None:
    """Also one that the application sets itself: `flask` would hide it."""
    deployed.config[flag] = True
    level, text = checked(deployed, exit_code=1)[flag]
    assert level == "error"
    assert text.startswith("On, so ")


def no_change(wsgi_app: WSGIApplication) -> WSGIApplication:
    """Return a middleware that is a function."""

    @functools.wraps(wsgi_app)
    def middleware(environ: Any, start_response: Any) -> Any:
        return wsgi_app(environ, start_response)

    return middleware


CHAINS: dict[str, tuple[Callable[[Any], WSGIApplication], str]] = {
    "none": (lambda app: app, "warning"),
    "proxy": (ProxyFix, "ok"),
    "proxy for the scheme": (lambda app: ProxyFix(app, x_for=0, x_proto=1), "warning"),
    "proxy around": (lambda app: ProxyFix(ProfilerMiddleware(app)), "ok"),
    "proxy below": (lambda app: ProfilerMiddleware(ProxyFix(app)), "ok"),
    "proxy below a function": (lambda app: no_change(ProxyFix(app)), "ok"),
    "function": (no_change, "warning"),
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_proxy_is_looked_for_in_the_whole_chain(chain: str, is_first: bool) -> None:
    """Whether it was put there before `TokenAuth` or after it."""
    wrap, level = CHAINS[chain]
    app = Flask("app")
    app.config["SECRET_KEY"] = secrets.token_hex(32)
    steps: list[Callable[[], object]] = [
        lambda: setattr(app, "wsgi_app", wrap(app.wsgi_app)),
        lambda: TokenAuth(app, make_users()),
    ]
    for step in steps if is_first else reversed(steps):
        step()
    found, text = checked(app, exit_code=0)["proxy"]
    assert found == level
    assert ("If a proxy is in front" in text) is (level == "warning")


def test_a_chain_that_goes_in_a_circle_comes_to_an_end(deployed: Flask) -> None:
    """As that of a middleware which was given the application, not its `wsgi_app`."""
    deployed.wsgi_app = ProfilerMiddleware(deployed)  # type: ignore[method-assign]
    assert checked(deployed, exit_code=0)["proxy"][0] == "warning"


def test_an_application_that_does_not_start_is_one_error(tmp_path: Path) -> None:
    """Said in the same form; the tables, though, are looked at one by one."""
    (tmp_path / "app.py").write_text(APP)
    command = ("--app", "app", "tokenauth", "check", "--json")
    refused = flask(*command, cwd=tmp_path, env={"KEY": "short"})
    assert (refused.returncode, refused.stderr) == (1, "")
    (finding,) = json.loads(refused.stdout)
    assert (finding["level"], finding["area"]) == ("error", "start")
    assert finding["text"].startswith("SECRET_KEY has 5 bytes")
    started = flask(*command, cwd=tmp_path, env={"KEY": secrets.token_hex(32)})
    assert (started.returncode, started.stderr) == (1, "")
    found = {each["area"]: each for each in json.loads(started.stdout)}
    for area in ("users", "sessions"):
        assert found[area]["level"] == "error"
        assert "flask tokenauth init-db" in found[area]["text"]
    assert found["DEBUG"]["level"] == "error"
    assert found["TESTING"]["level"] == "ok"


APP = """\
import os
from flask import Flask
from tokenauth import TokenAuth

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["KEY"],
    DEBUG=True,
    TOKENAUTH_USERS_URL="sqlite:///t.sqlite3",
    TOKENAUTH_SESSION_URL="sqlite:///t.sqlite3",
)
TokenAuth(app)
"""


def test_no_password_of_a_url_is_printed(deployed: Flask) -> None:
    """Nor any other part of it, where the server is down."""
    down = {
        "SECRET_KEY": secrets.token_hex(32),
        "TOKENAUTH_SESSION_URL": "redis://canary-user:canary-password@127.0.0.1:1/0",
        "TOKENAUTH_LIMITS_URL": "redis://canary-user:canary-password@127.0.0.1:1/0",
    }
    for arguments in (["check"], ["check", "--json"]):
        result = run(make_app(config=down), *arguments)
        assert result.exit_code == 1
        assert "canary" not in result.output + result.stderr
        assert "127.0.0.1" not in result.output


# -- help, and completion ------------------------------------------------------------


COMMANDS = sorted(words for words, _ in commands(tokenauth_group))


def test_every_command_is_found() -> None:
    """By the function that the tests below go by."""
    assert {("check",), ("users", "add"), ("sessions", "purge")} < set(COMMANDS)
    assert len(COMMANDS) == 15


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(
    command: tuple[str, ...], app: Flask
) -> None:
    """Of this very command, as it is typed."""
    result = run(app, *command, "--help")
    assert result.exit_code == 0
    assert "\n  Example:\n    " in result.output
    example = result.output.partition("Example:\n")[2].partition("\n\n")[0]
    for line in example.splitlines():
        assert re.search(rf"\bflask .*tokenauth {' '.join(command)}\b", line)
    assert "\\b" not in result.output


def test_the_group_tells_the_exit_codes(app: Flask) -> None:
    """Once for all of its commands; its line in the list stays short."""
    text = run(app, "--help").output
    assert "Exit codes: 0: done; 1: refused" in text
    assert tokenauth_group.get_short_help_str(60).startswith(
        "Token authentication: keys, users"
    )


@pytest.mark.parametrize("group", ["", "users", "sessions"])
def test_no_summary_is_cut_short(group: str, app: Flask) -> None:
    """The list of a group is read before any of its commands is."""
    text = run(app, *group.split(), "--help").output
    summaries = text.partition("Commands:\n")[2].splitlines()
    assert len(summaries) >= 3
    for line in summaries:
        name, summary = line.split(maxsplit=1)
        assert len(summary) <= 45, name
        assert not summary.endswith("..."), name


def complete(shell: str, line: str, folder: Path) -> str:
    """Return what a shell is told when somebody presses Tab at the end of a line."""
    *before, last = line.split(" ")
    asked = {
        "_FLASK_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": last if shell == "fish" else str(len(before)),
    }
    told = flask(env=asked, cwd=folder)
    assert (told.returncode, told.stderr) == (0, "")
    return told.stdout


@pytest.mark.parametrize(
    "shell",
    ["bash", *(pytest.param(s, marks=pytest.mark.full) for s in ("zsh", "fish"))],
)
def test_a_shell_completes_the_commands(shell: str, tmp_path: Path) -> None:
    """There needs no application to be."""
    words = re.split(r"[\n,\t]", complete(shell, "flask tokenauth ", tmp_path))
    assert {name for name, *_ in COMMANDS} <= set(words)
    words = re.split(r"[\n,\t]", complete(shell, "flask tokenauth users ", tmp_path))
    assert {rest[0] for name, *rest in COMMANDS if name == "users"} <= set(words)
    assert "--json" in complete(shell, "flask tokenauth check --", tmp_path)


def test_no_shell_completes_a_user_s_name(tmp_path: Path) -> None:
    """The database would be opened at each press of Tab."""
    assert complete("bash", "flask tokenauth users disable ", tmp_path).strip() == ""


@pytest.mark.parametrize(
    "shell",
    ["bash", *(pytest.param(s, marks=pytest.mark.full) for s in ("zsh", "fish"))],
)
def test_a_shell_is_taught_to_complete(shell: str, tmp_path: Path) -> None:
    """What the README says to put into its start-up file prints a function for it."""
    taught = flask(env={"_FLASK_COMPLETE": f"{shell}_source"}, cwd=tmp_path)
    assert taught.returncode == 0
    assert f"_FLASK_COMPLETE={shell}_complete" in taught.stdout
