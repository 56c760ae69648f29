"""The pages on errors, log lines, hashes, servers and deployment are true."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import flask
import httpx
import pytest
import sqlalchemy as sa
import yaml
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from flask import Flask, request
from flask.cli import routes_command
from flask.testing import FlaskClient
from flask_login import current_user, login_required
from prometheus_client import CollectorRegistry, generate_latest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import tokenauth
from tests.harness.guides import FOLDER, app_of, block, names_of
from tests.harness.kit import (
    PASSWORDS,
    SECRET,
    assert_problem,
    bearer,
    make_app,
    token_of,
)
from tests.harness.servers import HOST, Server, outside_of_coverage
from tests.stores.engines import sessions_at, users_at
from tokenauth import (
    AuthError,
    DictUserStore,
    StoreUnavailableError,
    TokenAuth,
    User,
)
from tokenauth.metrics import export_metrics
from tokenauth.settings import KNOWN
from tokenauth.stores.sql import include_object

ROOT = Path(__file__).parents[2]

# What the snippets leave out.
IMPORTS: dict[str, Any] = {
    **{name: getattr(flask, name) for name in ("abort", "g", "has_request_context")},
    "current_claims": tokenauth.current_claims,
    "current_user": current_user,
    "logging": logging,
    "login_required": login_required,
    "request": request,
}


def with_snippet(name: str, app: Flask | None = None, **given: Any) -> FlaskClient:
    """Add a snippet to the smallest application; return a client."""
    app = make_app() if app is None else app
    names_of(name, app=app, **IMPORTS, **given)
    return app.test_client()


def test_log_lines_name_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each request the one that its token stands for."""
    text = io.StringIO()
    monkeypatch.setattr("sys.stderr", text)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    app = make_app()

    @app.get("/log")
    def log() -> str:
        logging.getLogger("shop").info("looked")
        return "looked"

    try:
        client = with_snippet("log", app)
        client.get("/log")
        client.get("/log", headers=bearer("a.b"))
        client.get("/log", headers=bearer(token_of(app)))
        client.post("/auth/login", json={"username": "alice", "password": "wrong"})
        logging.getLogger("shop").info("idle")
    finally:
        root.setLevel(level)
    lines = text.getvalue().splitlines()
    shown = [line for line in lines if line.endswith((" looked", " idle"))]
    assert shown == [
        "INFO user=- looked",
        "INFO user=- looked",
        "INFO user=u-alice looked",
        "INFO user=- idle",
    ]
    assert any("login_failed" in line and "wrong_password" in line for line in lines)


def test_failed_logins_are_counted_by_their_reason() -> None:
    """In the series that the page names."""
    app = make_app()
    registry = CollectorRegistry()
    export_metrics(app, registry)
    body = {"username": "alice", "password": "wrong"}
    app.test_client().post("/auth/login", json=body)
    series = 'tokenauth_events_total{event="login_failed",reason="wrong_password"}'
    assert series in (FOLDER / "guides/logging.md").read_text()
    assert f"{series} 1.0" in generate_latest(registry).decode()


def test_errors_are_caught_by_their_class() -> None:
    """What decorators raise is reworded; our endpoints answer as documented."""
    client = with_snippet("catch", AuthError=AuthError)
    refused = client.get("/protected")
    assert (refused.status_code, refused.json) == (401, {"error": "token_missing"})
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    refused = client.post("/auth/login", json={})
    assert_problem(refused, 400, "invalid_request")


def test_an_endpoint_can_be_left_out() -> None:
    """And no other is; `flask routes` knows its name."""
    client = with_snippet("without")
    headers = bearer(token_of(client.application))
    body = {"name": "nightly build"}
    assert client.post("/auth/tokens", json=body, headers=headers).status_code == 404
    assert client.get("/auth/tokens", headers=headers).status_code == 200
    shown = client.application.test_cli_runner().invoke(routes_command)
    assert "tokenauth.create_token" in shown.output


def test_errors_can_have_another_format() -> None:
    """Those of endpoints, decorators and missing addresses alike."""
    client = with_snippet("format")
    for answer, status, code in (
        (client.get("/protected"), 401, "token_missing"),
        (client.post("/auth/login", json={}), 400, "invalid_request"),
        (client.get("/auth/nowhere"), 404, "not_found"),
    ):
        assert answer.status_code == status
        assert answer.mimetype == "application/json"
        assert answer.json == {"error": code}
    assert "WWW-Authenticate" in client.get("/protected").headers


def test_the_endpoints_move() -> None:
    """With their prefix, or with the application."""
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    moved = make_app(config={"TOKENAUTH_URL_PREFIX": "/api/v1/auth"}).test_client()
    assert moved.post("/api/v1/auth/login", json=body).status_code == 200
    assert moved.post("/auth/login", json=body).status_code == 404
    mounts = DispatcherMiddleware(Flask("site"), {"/api": make_app()})
    client = Client(mounts)
    answer = client.post("/api/auth/login", json=body)
    assert answer.status_code == 200
    headers = bearer(answer.get_json()["access_token"])
    assert client.get("/api/protected", headers=headers).status_code == 200


def test_kept_users_have_scopes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the command line."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    url = f"sqlite:///{tmp_path}/users.sqlite3"
    users = users_at(url)
    app = make_app(users=users)
    runner = app.test_cli_runner()
    held = []
    for line in block("sh", "scopes").splitlines():
        arguments = shlex.split(line)[1:]
        result = runner.invoke(args=arguments, input="a mule at a staple\n")
        assert result.exit_code == 0, result.output
        ann = users.find("ann")
        assert isinstance(ann, User)
        held.append(ann.scopes)
    assert held == [{"reports:read", "orders"}, {"reports:read"}]


# -- sessions in memory ----------------------------------------------------------------


def test_sessions_in_a_file_outlive_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the page's commands; those in memory do not."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    header = {"X-Api-Token": token_of(app_of("header"))}
    refused = app_of("header").test_client().get("/protected", headers=header)
    assert_problem(refused, 401, "token_revoked")

    _, export, init_db = block("sh", "sessions").splitlines()
    name, _, value = export.removeprefix("export ").partition("=")
    monkeypatch.setenv(name, value.strip('"').replace("$PWD", str(tmp_path)))
    users = "from tests.harness.kit import make_users\nusers = make_users()\n"
    (tmp_path / "app.py").write_text(users + block("python", "header"))
    command = [sys.executable, "-m", *shlex.split(init_db)]
    env = outside_of_coverage() | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
    header = {"X-Api-Token": token_of(app_of("header"))}
    client = app_of("header").test_client()
    assert client.get("/protected", headers=header).status_code == 200


# -- servers and containers ------------------------------------------------------------


def test_an_application_runs_in_an_asgi_wrapper() -> None:
    """The page's line wraps it."""
    app = make_app()
    asgi_app = names_of("asgi", app=app)["asgi_app"]

    async def visit() -> int:
        transport = httpx.ASGITransport(asgi_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as shop:
            answer = await shop.get("/protected", headers=bearer(token_of(app)))
            return answer.status_code

    assert asyncio.run(visit()) == 200


@dataclass(eq=False, kw_only=True)
class Container(Server):
    """The program of a Dockerfile."""

    words: list[str] = field(kw_only=False)

    url_format = "http://{host}:{port}"

    def _command(self) -> list[str]:
        program, *rest = self.words
        rest = [word.replace("0.0.0.0:8000", f"{HOST}:{self.port}") for word in rest]
        return [sys.executable, "-m", program, "--no-control-socket", *rest]

    def _answers(self) -> bool:
        return self._speaks_http()


def test_a_container_serves_the_application(tmp_path: Path) -> None:
    """By the command of the page's Dockerfile."""
    [line] = re.findall(r"^CMD (.*)$", block("dockerfile", "docker"), re.MULTILINE)
    module = tmp_path / "shop.py"
    module.write_text("from tests.harness.kit import make_app as create_app\n")
    server = Container(json.loads(line), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    with server, urlopen(f"{server.url}/public", timeout=20) as answer:  # noqa: S310
        assert answer.status == 200
        assert "Traceback" not in server.log


KINDS = "liveness", "readiness"


def test_a_manifest_names_known_settings_and_probes() -> None:
    """The environment of the page's Deployment and of `docker run`."""
    manifest = yaml.safe_load(block("yaml", "kubernetes"))
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    names = [entry["name"] for entry in container["env"]]
    names += re.findall(r"--env (\w+)=", block("sh", "docker"))
    known = KNOWN | {"SECRET_KEY"}
    assert {name.removeprefix("FLASK_") for name in names} <= known
    paths = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in KINDS}
    assert paths == {"/live", "/ready"}


class Down(DictUserStore):
    """Users that cannot be reached."""

    def find(self, username: str) -> User | None:
        raise StoreUnavailableError(reason="down")


@pytest.mark.parametrize(
    ("users", "status"), [(DictUserStore({}), 200), (Down({}), 503)]
)
def test_a_pod_whose_store_is_down_is_alive_and_not_ready(
    users: DictUserStore, status: int
) -> None:
    """By the page's probes."""
    client = with_snippet("probes", make_app(users=users), auth=TokenAuth())
    assert client.get("/live").status_code == 200
    assert client.get("/ready").status_code == status


# -- Alembic ---------------------------------------------------------------------------


def test_a_migration_leaves_our_tables_alone(tmp_path: Path) -> None:
    """With the page's filter; with its metadata, a migration creates them."""
    url = f"sqlite:///{tmp_path}/shop.sqlite3"
    sessions_at(url)
    migrate = names_of("alembic")["migrate"]
    assert migrate.alembic_ctx_kwargs["include_object"] is include_object
    assert "drop_table" not in written(url, sa.MetaData(), include_object)
    db = SimpleNamespace(metadata=sa.MetaData())
    names_of("metadata", db=db)
    assert set(db.metadata.tables) >= {"tokenauth_sessions", "tokenauth_users"}
    empty = f"sqlite:///{tmp_path}/empty.sqlite3"
    assert "create_table('tokenauth_sessions'" in written(empty, db.metadata)


def written(url: str, metadata: sa.MetaData, include: Any = None) -> str:
    """Return the migration that Alembic writes for a database."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        options = {"target_metadata": metadata, "include_object": include}
        context = MigrationContext.configure(connection, opts=options)
        script = produce_migrations(context, metadata).upgrade_ops
        assert script is not None
        text = render_python_code(script)
    engine.dispose()
    return text
