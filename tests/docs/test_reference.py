"""The reference and the explanations are true: tables are compared, code is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Request
from werkzeug.test import Client

import tokenauth
from tests.harness.guides import FOLDER, app_of
from tests.harness.kit import (
    bearer,
    commands,
    let_in_by_cookie,
    make_app,
    token_of,
)
from tokenauth import AuthError
from tokenauth import settings as config
from tokenauth.cli import tokenauth as tokenauth_group
from tokenauth.web.api import ROUTES

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    """Return a page of the reference."""
    return (FOLDER / f"reference/{name}.md").read_text()


def rows(pattern: str, text: str) -> list[Any]:
    """Return what a pattern finds at the start of a table's rows."""
    return re.findall(rf"^\| {pattern}", text, re.MULTILINE)


@pytest.fixture
def tutorial() -> Client:
    """The tutorial's application, as the page shows it, with plain Flask-Login."""
    return Client(app_of("tutorial-1"))


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
    """The order that the page gives; a bad token is not followed by a cookie."""
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
    documented = set(
        re.findall(r"^\| `(TOKENAUTH_\w+)`", page("configuration"), re.MULTILINE)
    )
    assert documented == set(config.KNOWN) - {
        "TOKENAUTH_SECRET_KEY",
        "TOKENAUTH_SECRET_KEY_FALLBACKS",
    }


def test_every_command_is_documented() -> None:
    """The table names each command, and marks those that print JSON."""
    documented = dict(
        re.findall(
            r"^\| `flask tokenauth ([a-z -]+)`( †)? \|",
            page("command-line"),
            re.MULTILINE,
        )
    )
    assert documented == {
        " ".join(words): " †" if has_json(command) else ""
        for words, command in commands(tokenauth_group)
    }


def has_json(command: click.Command) -> bool:
    """Whether a command has the option."""
    return any("--json" in parameter.opts for parameter in command.params)


def test_every_route_is_documented() -> None:
    """The table of endpoints names each route that is registered."""
    for route in ROUTES:
        shown = re.sub(r"<\w+>", "<id>", f"/auth{route.path}")
        pattern = rf"`[A-Z/]*{route.method}[A-Z/]* [^|]*{re.escape(shown)}"
        assert re.search(pattern, page("http")), route


def test_every_promise_names_tests_that_exist() -> None:
    """Each promise is held by tests, and they are there."""
    promises = re.findall(
        r"^\d+\. \*\*.*?(?=^\d+\. |\Z)",
        (FOLDER / "explanation/promises.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert len(promises) == 11
    for promise in promises:
        names = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", promise)
        assert names, promise
        for path, test in names:
            assert f"def {test}" * bool(test) in (ROOT / path).read_text(), (path, test)


def test_every_error_code_is_documented() -> None:
    """And no other; `auth_error` is that of the base class."""
    cells = rows(r"(`.*?) \| [45]", page("errors"))
    documented = set(re.findall(r"`(\w+)`", " ".join(cells)))
    classes = [getattr(tokenauth, name) for name in tokenauth.__all__]
    errors = [e for e in classes if isinstance(e, type) and issubclass(e, AuthError)]
    assert documented | {"auth_error"} == {e.error_code for e in errors}
