"""What `make run` serves: the tutorial's two users; sessions outlive a restart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.harness.kit import REDIRECTS, SECRET, assert_problem, bearer
from tests.harness.servers import AppServer, serve
from tests.harness.worker import Answer, Worker
from tokenauth import create_app, demo

JANE: dict[str, Any] = {"username": "JaneDoe", "password": "staple tidy lantern"}
ENVIRONMENT = {"FLASK_SECRET_KEY": SECRET}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of the demo, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return demo.create_app({"SECRET_KEY": SECRET}).test_client()


def test_the_tutorial_s_users_see_its_page(client: FlaskClient) -> None:
    """The example with which it all began."""
    pair = client.post("/auth/login", json=JANE).get_json()
    answer = client.get("/protected", headers=bearer(pair["access_token"]))
    assert answer.json == {"hello": "JaneDoe"}


def test_a_tutorial_s_user_changes_the_password(client: FlaskClient) -> None:
    """Until the next start: that is what a dict is."""
    pair = client.post("/auth/login", json=JANE).get_json()
    body = {"current_password": JANE["password"], "new_password": "a phrase of hers"}
    changed = client.post(
        "/auth/password", json=body, headers=bearer(pair["access_token"])
    )
    assert changed.status_code == 200
    assert_problem(client.post("/auth/login", json=JANE), 401, "invalid_credentials")


def test_whoever_opens_the_demo_sees_the_page_to_try_it(client: FlaskClient) -> None:
    """Unless the pages are off: then there is nothing to lead to."""
    answer = client.get("/")
    assert answer.status_code in REDIRECTS
    assert answer.location == "/auth/docs"
    assert client.get(answer.location).mimetype == "text/html"
    bare = demo.create_app({"SECRET_KEY": SECRET, "TOKENAUTH_DOCS": False})
    assert bare.test_client().get("/").status_code == 404


@pytest.mark.checkout
@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_an_old_python_is_refused_before_anything_is_made(
    python: str, tmp_path: Path
) -> None:
    """With what to type instead; a half-made environment would be used next time."""
    folder = tmp_path / "environment"
    refused = subprocess.run(
        ["make", f"PYTHON={python}", f"VENV={folder}", f"{folder}/.stamp-pip"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "Python 3.11 or newer is needed; name one: make run" in refused.stderr
    assert not folder.exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AppServer]:
    with serve("tokenauth.demo:create_app()", cwd=tmp_path, env=ENVIRONMENT) as running:
        yield running


def test_the_demo_s_tokens_work_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a realm and a file of its own: everybody knows its passwords."""
    monkeypatch.chdir(tmp_path)
    config = {"SECRET_KEY": SECRET}
    login = demo.create_app(config).test_client().post("/auth/login", json=JANE)
    token = login.get_json()["access_token"]
    own = create_app(config).test_client()
    assert own.get("/auth/me", headers=bearer(token)).status_code == 401
    assert own.post("/auth/login", json=JANE).status_code == 401
    assert len(list(tmp_path.glob("instance/*.sqlite3"))) == 2


def hello(worker: Worker, token: str) -> Answer:
    return worker.ask("GET", "/protected", token)


def test_sessions_survive_a_restart(server: AppServer) -> None:
    """Also that one has ended."""
    worker = Worker(server)
    pair = worker.ask("POST", "/auth/login", **JANE).json
    ended = worker.ask("POST", "/auth/login", **JANE).json["access_token"]
    assert worker.ask("POST", "/auth/logout", ended).status == 204

    server.restart()

    assert hello(worker, pair["access_token"]) == (200, {"hello": "JaneDoe"})
    assert hello(worker, ended).status == 401
    token = pair["refresh_token"]
    refreshed = worker.ask("POST", "/auth/refresh", refresh_token=token)
    assert refreshed.status == 200, json.dumps(refreshed.json)
