"""Servers beside gunicorn and waitress: uWSGI, Hypercorn, and wrappers for ASGI."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi

from tests.harness.servers import HOST, Server, outside_of_coverage
from tests.neighbours.kit import ORDERS, credentials, join


@dataclass(eq=False, kw_only=True)
class OtherServer(Server):
    """A server of these words, for which `{address}` is its address."""

    words: list[str] = field(kw_only=False)

    url_format = "http://{host}:{port}"

    def _command(self) -> list[str]:
        return [word.format(address=f"{HOST}:{self.port}") for word in self.words]

    def _answers(self) -> bool:
        return self._speaks_http()


HYPERCORN = [sys.executable, "-m", "hypercorn", "--bind={address}"]
UWSGI = [
    str(Path(sys.executable).with_name("uwsgi")),
    "--http-socket={address}",
    "--pythonpath=.",
    "--module=tests.neighbours.served:app",
    "--need-app",
]
SERVERS = {
    # Hypercorn's own wrapper answers 500 to what has no body, ours or not.
    "Hypercorn": [*HYPERCORN, "tests.neighbours.served:asgi"],
    "uWSGI": UWSGI,
    "uWSGI, forked": [*UWSGI, "--master", "--processes=2"],
}


@pytest.fixture
def shared_sessions(tmp_path: Path) -> str:
    """The URL of a database with its tables."""
    url = f"sqlite:///{tmp_path}/sessions.sqlite3"
    env = {"SESSION_URL": url, "FLASK_APP": "tests.neighbours.served:app"}
    command = [sys.executable, "-m", "flask", "tokenauth", "init-db"]
    env = outside_of_coverage() | env
    subprocess.run(command, env=env, check=True, capture_output=True)
    return url


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_answers_logins_and_tokens(
    name: str, request: pytest.FixtureRequest
) -> None:
    """The token of a login opens a view, in each process, until it is ended."""
    env = {}
    if "forked" in name:
        env["SESSION_URL"] = request.getfixturevalue("shared_sessions")
    server = OtherServer(SERVERS[name], env=env)
    options: Any = {"timeout": 10, "headers": {"Connection": "close"}}
    with server, httpx.Client(base_url=server.url, **options) as client:
        login = client.post("/auth/login", json=credentials())
        assert login.status_code == 200, login.text
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        for _ in range(4):
            answer = client.get("/protected", headers=headers)
            assert answer.json() == {"user": "alice"}
        assert client.get("/protected").status_code == 401
        assert client.post("/auth/logout", headers=headers).status_code == 204
        after = [client.get("/protected", headers=headers) for _ in range(4)]
        assert {answer.status_code for answer in after} == {401}
        assert "Traceback" not in server.log


async def visit(app: Any) -> list[int]:
    """Log in, send two requests at once, end the session, send another."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        login = await client.post("/auth/login", json=credentials())
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        used = await asyncio.gather(
            client.get("/protected", headers=headers), client.get("/protected")
        )
        out = await client.post("/auth/logout", headers=headers)
        after = await client.get("/protected", headers=headers)
        return [answer.status_code for answer in (login, *used, out, after)]


@pytest.mark.parametrize("wrapper", [WSGIMiddleware, WsgiToAsgi])
def test_a_wrapped_application_answers(wrapper: Callable[[Any], Any]) -> None:
    """Requests run in the wrapper's threads, one beside the other."""
    shop = join(ORDERS[0], lambda app: None)
    assert asyncio.run(visit(wrapper(shop.app))) == [200, 200, 401, 204, 401]


def test_gunicorn_says_in_one_line_why_a_preloaded_start_is_refused(
    tmp_path: Path,
) -> None:
    """Without `--preload` it is a traceback for each worker."""
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom tokenauth import TokenAuth\n"
        "app = Flask(__name__)\nTokenAuth(app, {})\n"
    )
    command = [sys.executable, "-m", "gunicorn", "--preload", "--bind=127.0.0.1:0"]
    done = subprocess.run(
        [*command, "--no-control-socket", "app:app"],
        cwd=tmp_path,
        env=outside_of_coverage() | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line]
    assert line.startswith("Error: SECRET_KEY is not set in app.config yet.")
