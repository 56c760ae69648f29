"""README.md is true: its commands and snippets are run, its tables compared."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Request
from werkzeug.test import Client

from tests.harness.kit import (
    SECRET,
    bearer,
    commands,
    let_in_by_cookie,
    make_app,
    token_of,
)
from tests.harness.servers import AppServer
from tokenauth import settings as config
from tokenauth.cli import tokenauth as tokenauth_group
from tokenauth.web.api import ROUTES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def steps(transcript: str) -> list[tuple[str, str]]:
    """Return each command of a transcript with the output shown for it."""
    parts = re.split(r"^\$ (.*)\n", transcript, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def matches(shown: str, printed: str) -> bool:
    """Compare, where `...` in what is shown stands for anything.

    Case does not count: Werkzeug 3.2 says "401 Unauthorized", not "401 UNAUTHORIZED".
    """
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL | re.IGNORECASE) is not None


@pytest.fixture
def path_with_curl(tmp_path: Path) -> str:
    """Return a PATH on which there is a curl."""
    folder = tmp_path / "bin"
    folder.mkdir()
    if shutil.which("curl") is None:
        tool = folder / "curl"
        script = ROOT / "tests/harness/curl.py"
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        tool.chmod(0o755)
    return f"{folder}:/usr/local/bin:/usr/bin:/bin"


def test_the_transcript_prints_what_it_shows(
    tmp_path: Path, path_with_curl: str
) -> None:
    """Whoever copies the commands of the README sees what the README shows."""
    transcript = steps(blocks("console")[0])
    with AppServer(
        "tokenauth.demo:create_app()",
        cwd=tmp_path,
        env={"FLASK_SECRET_KEY": SECRET},
    ) as server:
        script = "\n".join(f"{command}\necho '--- next'" for command, _ in transcript)
        script = script.replace("http://127.0.0.1:5000", server.url.rstrip("/"))
        run = subprocess.run(
            ["sh", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PATH": path_with_curl},
        )
    printed = run.stdout.replace("\r\n", "\n").split("--- next\n")
    for (command, shown), output in zip(transcript, printed, strict=False):
        assert matches(shown, output), f"{command}\nprinted:\n{output}"


@pytest.mark.advisory("Authlib CVE-2026-116672")
def test_the_quickstart_logs_in_and_protects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet that begins every application works as it stands."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    names: dict[str, object] = {"__name__": "quickstart"}
    exec(blocks("python")[0], names)  # noqa: S102 # our own README
    client = names["app"].test_client()  # type: ignore[attr-defined]
    answer = client.post(
        "/auth/login",
        json={"username": "JohnDoe", "password": "correct horse battery"},
    )
    header = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert client.get("/protected", headers=header).json == {"hello": "JohnDoe"}
    assert client.get("/protected").status_code == 401


@pytest.fixture
def tutorial() -> Client:
    """The tutorial's application, as the README shows it, with plain Flask-Login."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    exec(blocks("python")[1], names)  # noqa: S102 # our own README
    names["app"].secret_key = SECRET  # Flask 3.2 has no session to read without one
    return Client(names["app"])


def test_the_tutorial_works_as_it_is_shown(tutorial: Client) -> None:
    """What people come from; its password is its token."""
    headers = {"Authorization": "JohnDoe:John"}
    for answer in (
        tutorial.get("/protected", headers=headers),
        tutorial.get("/protected?token=JohnDoe:John"),
    ):
        assert answer.json == {"hello": "JohnDoe"}
    assert tutorial.get("/protected").status_code == 401
    headers = {"Authorization": "JohnDoe:guess"}
    assert tutorial.get("/protected", headers=headers).status_code == 401


def test_a_token_is_asked_before_a_loader_and_that_before_a_cookie() -> None:
    """The order that the README gives; a bad token is not followed by a cookie."""
    app = make_app()
    client = let_in_by_cookie(app)  # alice
    users = app.extensions["tokenauth"].stores.users

    @app.login_manager.request_loader  # type: ignore[attr-defined] # Flask-Login's
    def load(request: Request) -> object:
        return users.get(request.headers.get("X-User", ""))

    stranger = app.test_client()
    bob = {"X-User": "u-bob"}
    seen = [
        client.get("/public", headers=bob | bearer(token_of(app, "bob"))),
        client.get("/public", headers=bob),
        stranger.get("/public", headers=bob),
        client.get("/public", headers=bearer("abc.def")),
        client.get("/public", headers=bob | bearer("abc.def")),
    ]
    assert [answer.get_json()["user"] for answer in seen] == [
        "bob",
        "bob",
        "bob",
        None,
        "bob",
    ]


def test_every_setting_is_documented() -> None:
    """The configuration table names each key that is read, and no other."""
    documented = set(re.findall(r"^\| `(TOKENAUTH_\w+)`", README, re.MULTILINE))
    assert documented == set(config.KNOWN) - {
        "TOKENAUTH_SECRET_KEY",
        "TOKENAUTH_SECRET_KEY_FALLBACKS",
    }


def test_every_command_is_documented() -> None:
    """The table names each command, and marks those that print JSON."""
    documented = dict(
        re.findall(r"^\| `flask tokenauth ([a-z -]+)`( †)? \|", README, re.MULTILINE)
    )
    assert documented == {
        " ".join(words): " †" if has_json(command) else ""
        for words, command in commands(tokenauth_group)
    }


def has_json(command: click.Command) -> bool:
    """Whether a command has the option."""
    return any("--json" in parameter.opts for parameter in command.params)


def test_no_page_recommends_somebody_elses_package() -> None:
    """The names `tokenauth` and `flask-tokenauth` on PyPI are other people's."""
    for page in [*ROOT.glob("*.md"), *(ROOT / "tokenauth").rglob("*.md")]:
        assert not re.search(
            r"pip install\s+['\"]?(flask-)?tokenauth", page.read_text()
        )


def test_every_route_is_documented() -> None:
    """The table of endpoints names each route that is registered."""
    for route in ROUTES:
        shown = re.sub(r"<\w+>", "<id>", f"/auth{route.path}")
        pattern = rf"`[A-Z/]*{route.method}[A-Z/]* [^|]*{re.escape(shown)}"
        assert re.search(pattern, README), route


def test_every_promise_names_tests_that_exist() -> None:
    """Each promise is held by tests, and they are there."""
    promises = re.findall(
        r"^\d+\. \*\*.*?(?=^\d+\. |^## )",
        README.partition("## Promises")[2],
        re.DOTALL | re.MULTILINE,
    )
    assert len(promises) == 11
    for promise in promises:
        names = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", promise)
        assert names, promise
        for path, test in names:
            assert f"def {test}" * bool(test) in (ROOT / path).read_text(), (path, test)
