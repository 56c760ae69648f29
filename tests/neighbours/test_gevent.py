"""gevent: patched before or after TokenAuth, logins are answered, also many at once."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.harness.kit import PASSWORDS, password_hash
from tests.harness.servers import outside_of_coverage

PATCH = "from gevent import monkey\nmonkey.patch_all()\n"
APPLICATION = """
from flask import Flask
from flask_login import login_required
from tokenauth import TokenAuth
from tokenauth.testing import CHEAP_HASHING

app = Flask("shop")
app.config["SECRET_KEY"] = "k3b9f0e1c7a52d8846f1b0ce9d7713fa25e0c4d8b6a9172f3"
app.config.update(TESTING=True, **CHEAP_HASHING)
TokenAuth(app, {"alice": HASH})
app.get("/")(lambda: "here")
app.get("/protected", endpoint="protected")(login_required(lambda: "protected"))
"""
SERVER = """
from gevent.pywsgi import WSGIServer

server = WSGIServer(("127.0.0.1", 0), app, log=None)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
"""
ORDERS = {
    "patched first": PATCH + APPLICATION,
    "patched after TokenAuth": APPLICATION + PATCH,
}


@pytest.fixture(params=ORDERS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server of gevent's with an application."""
    source = f"HASH = {password_hash('alice')!r}\n{ORDERS[request.param]}{SERVER}"
    command = [sys.executable, "-W", "ignore", "-c", source]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=outside_of_coverage()
    ) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def ask(
    port: int, method: str, path: str, body: object = None, token: str = ""
) -> tuple[int, str]:
    """Send one request, and give up after ten seconds."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection) as client:
        client.request(method, path, json.dumps(body) if body else None, headers)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def test_logins_are_answered_and_the_server_goes_on(port: int) -> None:
    """One alone, then four at the same moment, right and wrong ones."""
    right = {"username": "alice", "password": PASSWORDS["alice"]}
    wrong = {**right, "password": "not this one"}
    status, text = ask(port, "POST", "/auth/login", right)
    assert status == 200
    token = json.loads(text)["access_token"]
    with ThreadPoolExecutor(4) as pool:
        bodies = [right, wrong, right, wrong]
        sent = [pool.submit(ask, port, "POST", "/auth/login", body) for body in bodies]
        assert [each.result()[0] for each in sent] == [200, 401, 200, 401]
    assert ask(port, "GET", "/protected", token=token) == (200, "protected")
    assert ask(port, "GET", "/") == (200, "here")
