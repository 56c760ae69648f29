"""The stores of an application: given or named, checked, warned about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.harness.kit import SECRET, make_app, make_users
from tests.stores.engines import sessions_at, users_at
from tokenauth import (
    DictUserStore,
    MemorySessionStore,
    SessionStore,
    TokenAuth,
    UserStore,
)
from tokenauth.errors import ConfigurationError
from tokenauth.stores.sql import SQLSessionStore, SQLUserStore


def ask(app: Flask, *, multiprocess: bool) -> None:
    overrides = {"wsgi.multiprocess": multiprocess}
    assert app.test_client().get("/public", environ_overrides=overrides).json


def test_urls_name_the_stores(tmp_path: Path) -> None:
    """An application that brings no users needs none but these two settings."""
    url = f"sqlite:///{tmp_path}/t.sqlite3"
    users_at(url)
    sessions_at(url)
    app = Flask("app")
    app.config.update(
        SECRET_KEY=SECRET, TOKENAUTH_USERS_URL=url, TOKENAUTH_SESSION_URL=url
    )
    TokenAuth(app)
    users, sessions = app.extensions["tokenauth"].stores
    assert isinstance(users, SQLUserStore)
    assert isinstance(sessions, SQLSessionStore)
    assert users.database is sessions.database


def test_an_application_without_users_does_not_start() -> None:
    """It is told the two ways to have some."""
    app = Flask("app")
    app.config["SECRET_KEY"] = SECRET
    with pytest.raises(ConfigurationError, match="TOKENAUTH_USERS_URL"):
        TokenAuth(app)


def test_what_is_no_store_is_refused() -> None:
    """At start, not at the first login."""
    for wrong in ({"sessions": object()}, {"users": object()}):
        with pytest.raises(ConfigurationError, match=r"object is no .*Store"):
            make_app(**wrong)  # type: ignore[arg-type]


def test_what_a_store_lacks_is_named() -> None:
    """One forgotten method is not looked for in vain."""

    class Partial(DictUserStore):
        set_password_hash = None  # type: ignore[assignment]

    class Forgetful(MemorySessionStore):
        end = purge = None  # type: ignore[assignment]

    wrong: dict[str, Any] = {"users": Partial({})}
    with pytest.raises(ConfigurationError) as caught:
        make_app(**wrong)
    said = str(caught.value)
    assert said.startswith("Partial is no UserStore: it has no 'set_password_hash'. ")
    wrong = {"sessions": Forgetful()}
    with pytest.raises(ConfigurationError) as caught:
        make_app(**wrong)
    said = str(caught.value)
    assert said.startswith("Forgetful is no SessionStore: it has no 'end', 'purge'. ")


@pytest.mark.parametrize("name", ["users", "sessions"])
def test_a_class_is_no_store(name: str) -> None:
    """Though it has all of the methods."""
    wrong: dict[str, Any] = {name: MemorySessionStore}
    with pytest.raises(
        ConfigurationError,
        match=r"MemorySessionStore is .* Pass an object, not the class",
    ):
        make_app(**wrong)


def test_an_application_without_its_tables_does_not_start(tmp_path: Path) -> None:
    """It is told the command that creates them."""
    url = f"sqlite:///{tmp_path}/t.sqlite3"
    with pytest.raises(ConfigurationError, match="flask tokenauth init-db"):
        make_app(config={"TOKENAUTH_SESSION_URL": url})


def test_several_processes_with_memory_of_their_own_are_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, when a server says so; a test client that was there before does not."""
    app = make_app()
    for multiprocess in (False, True, True):
        ask(app, multiprocess=multiprocess)
    assert caplog.text.count("several serve this application") == 1


@pytest.mark.parametrize(
    ("has_dict", "has_memory", "warnings"),
    [(True, True, 1), (True, False, 1), (False, True, 1), (False, False, 0)],
)
def test_only_stores_that_are_not_shared_are_warned_about(
    has_dict: bool,
    has_memory: bool,
    warnings: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A dict of users as well: its new passwords stay in one process."""
    url = f"sqlite:///{tmp_path}/t.sqlite3"
    users: UserStore = make_users() if has_dict else users_at(url)
    sessions: SessionStore = MemorySessionStore() if has_memory else sessions_at(url)
    ask(make_app(users=users, sessions=sessions), multiprocess=True)
    assert caplog.text.count("several serve this application") == warnings


def test_one_process_is_not_warned(caplog: pytest.LogCaptureFixture) -> None:
    """Memory is good enough for it."""
    ask(make_app(), multiprocess=False)
    assert caplog.text == ""


def test_a_worker_of_gunicorn_says_that_it_is_one_of_several(tmp_path: Path) -> None:
    """The real server sets what the warning goes by."""
    (tmp_path / "app.py").write_text(
        "from tests.harness.kit import make_app\napp = make_app()\n"
    )
    from tests.harness.servers import serve

    logs: dict[int, Any] = {}
    for workers in (1, 2):
        with serve("app:app", cwd=tmp_path, workers=workers, env=PATH) as server:
            logs[workers] = server.log
    assert "several serve this application" not in logs[1]
    assert "several serve this application" in logs[2]


PATH = {"PYTHONPATH": str(Path(__file__).parents[2])}
