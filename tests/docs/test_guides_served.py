"""The how-to guides that need real servers and a real browser run with them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib.metadata import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.guides import block
from tests.harness.kit import PASSWORDS, SECRET, bearer
from tests.harness.servers import (
    HOST,
    AppServer,
    NginxServer,
    RedisServer,
    nginx_binaries,
    outside_of_coverage,
    serve,
)
from tests.harness.transcripts import ROOT, path_with_tools


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    json: Any


def ask(
    server: AppServer | NginxServer,
    method: str,
    path: str,
    token: str = "",
    *,
    source: str = HOST,
    forwarded_for: str = "",
    body: object = None,
) -> Answer:
    """Send one request, with a body in JSON, from an address of this machine's."""
    headers = {"Content-Type": "application/json", **(bearer(token) if token else {})}
    if forwarded_for:
        headers["X-Forwarded-For"] = forwarded_for
    connection = HTTPConnection(HOST, server.port, 30, source_address=(source, 0))
    with closing(connection) as client:
        client.request(method, path, json.dumps(body), headers)
        answer = client.getresponse()
        sent = {name.lower(): value for name, value in answer.getheaders()}
        is_json = "json" in sent.get("content-type", "")
        text = answer.read()
    return Answer(answer.status, sent, json.loads(text) if is_json else None)


def log_in(server: AppServer | NginxServer, username: str, password: str) -> str:
    """Log in; return the access token."""
    body = {"username": username, "password": password}
    answer = ask(server, "POST", "/auth/login", body=body)
    assert answer.status == 200, answer
    token: str = answer.json["access_token"]
    return token


# -- behind nginx ----------------------------------------------------------------------

needs_nginx = pytest.mark.skipif(
    not nginx_binaries(),
    reason="NOT RUN: no nginx. Install it (Debian: apt-get install nginx).",
)


class Site(NamedTuple):
    """The guide's application, and its nginx in front of it."""

    app: AppServer
    nginx: NginxServer


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for all tests: each asks from addresses of its own, where it is counted."""
    env = {"FLASK_SECRET_KEY": SECRET, "FLASK_TOKENAUTH_LOGIN_LIMITS": "3 per hour"}
    location = block("nginx", "proxy")
    assert "http://127.0.0.1:8000" in location
    with (
        serve("tests.harness.guides:behind_nginx()", env=env) as app,
        NginxServer(location.replace("http://127.0.0.1:8000", app.url)) as nginx,
    ):
        yield Site(app, nginx)


@needs_nginx
def test_nginx_passes_tokens_and_challenges_on(site: Site) -> None:
    """What the application is sent and what it answers is the same without nginx."""
    token = log_in(site.nginx, "alice", PASSWORDS["alice"])
    assert ask(site.nginx, "GET", "/auth/me", token).json["username"] == "alice"
    for bad in ("", token + "A"):
        through, direct = (ask(server, "GET", "/auth/me", bad) for server in site)
        assert through.status == 401
        assert through.json == direct.json
        for header in ("www-authenticate", "content-type", "cache-control"):
            assert through.headers[header] == direct.headers[header]


@needs_nginx
def test_a_client_behind_nginx_cannot_choose_the_address_it_is_counted_by(
    site: Site,
) -> None:
    """Whatever it says, one client has one budget, and the next one has its own."""

    def guess(number: int, source: str) -> int:
        answer = ask(
            site.nginx,
            "POST",
            "/auth/login",
            source=source,
            forwarded_for=f"192.0.2.{number}, 198.51.100.{number}",
            body={"username": f"user-{number}", "password": "a guess"},
        )
        return answer.status

    one, another = "127.0.0.2", "127.0.0.3"
    assert [guess(n, one) for n in range(5)] == [401, 401, 401, 429, 429]
    assert guess(5, another) == 401
    seen = ask(site.nginx, "GET", "/address", source=another, forwarded_for="192.0.2.1")
    assert seen.json == {"address": another}


@needs_nginx
def test_nginx_refuses_what_is_too_long(site: Site) -> None:
    """With a 4xx and no 502, for a body that the application leaves unread, too."""

    def post(path: str, size: int) -> set[int]:
        body = {"username": "bob", "password": "x" * size}
        answers = [
            ask(site.nginx, "POST", path, source="127.0.0.4", body=body) for _ in "abc"
        ]
        return {answer.status for answer in answers}

    for size in (5_000, 20_000, 500_000):
        assert ask(site.nginx, "GET", "/auth/me", "a" * size).status in {400, 401}
        assert post("/auth/login", size) == {413 if size > 16_384 else 401}
        assert post("/nothing", size) == {413 if size > 16_384 else 404}


# -- two hosts on Redis ----------------------------------------------------------------


def commands_of(name: str) -> str:
    """Return a block's commands, without that for pip: all it names is installed."""
    text = block("sh", name)
    install, _, rest = text.partition("\n")
    if not install.startswith("pip install"):
        return text
    extras = re.search(r"\[(.*)\]", install)
    provided = metadata("flask-login-tokenauth").get_all("Provides-Extra")
    assert extras
    assert {*extras[1].split(",")} <= {*(provided or ())}
    return rest


class GuideRedis(RedisServer):
    """Redis as the guide sets it up."""

    def _command(self) -> Sequence[str | Path]:
        config = self.folder / "redis.conf"
        config.write_text(block("conf", "redis"))
        own = ["--bind", HOST, "--port", str(self.port), "--dir", str(self.folder)]
        return [self.binary, config, *own]


@dataclass(eq=False, kw_only=True)
class GuideHost(AppServer):
    """A host with a folder of its own, on which the guide's commands are given."""

    places: Mapping[str, str]  # the guide's addresses, and the real ones

    def run(self, *names: str, typed: str = "") -> None:
        subprocess.run(
            self._shell("".join(map(commands_of, names))),
            cwd=self.cwd,
            env={**outside_of_coverage(), "PYTHONPATH": str(ROOT), **self.env},
            input=typed,
            text=True,
            capture_output=True,
            check=True,
            timeout=60,
        )

    def _command(self) -> Sequence[str | Path]:
        return self._shell(commands_of("settings") + commands_of("serve"))

    def _shell(self, script: str) -> list[str]:
        for shown, real in self.places.items():
            script = script.replace(shown, real)
        assert ".internal" not in script
        script = script.replace("127.0.0.1:8000", f"{HOST}:{self.port}")
        return ["sh", "-ec", script.replace("gunicorn --bind", "exec gunicorn --bind")]


@pytest.fixture
def guide_redis() -> Iterator[GuideRedis]:
    with GuideRedis() as server:
        yield server


@pytest.fixture
def hosts(
    tmp_path: Path, postgres_url: str, guide_redis: GuideRedis
) -> Iterator[tuple[GuideHost, GuideHost]]:
    """Two hosts after all of the guide's commands; alice's password is typed on one."""
    places = {
        "postgresql+psycopg://tokenauth@users.internal/tokenauth": postgres_url,
        "redis://sessions.internal:6379/0": guide_redis.url,
        "JohnDoe": "alice",
    }
    folders = tmp_path / "one", tmp_path / "other"
    path = path_with_tools(tmp_path)
    env = {"PATH": path, "FLASK_TOKENAUTH_LOGIN_LIMITS": "4 per hour"}
    one, other = (
        GuideHost("", cwd=folder, env=env, workers=2, places=places)
        for folder in folders
    )
    for folder in folders:
        folder.mkdir()
    one.run("key")
    shutil.copy(folders[0] / "secret-key", folders[1])
    one.run("settings", "once", typed=PASSWORDS["alice"] + "\n")
    with one, other:
        yield one, other


def test_two_hosts_on_redis_are_one(
    hosts: tuple[GuideHost, GuideHost], guide_redis: GuideRedis
) -> None:
    """Logged out on one is so on the other; guesses at both are counted together."""
    one, other = hosts
    ended, standing = (log_in(one, "alice", PASSWORDS["alice"]) for _ in "ab")
    assert ask(other, "GET", "/auth/me", ended).json["username"] == "alice"
    assert ask(one, "POST", "/auth/logout", ended).status == 204

    def check_sessions() -> None:
        refused = ask(other, "GET", "/auth/me", ended)
        assert (refused.status, refused.json["code"]) == (401, "token_revoked")
        assert ask(other, "GET", "/auth/me", standing).status == 200

    check_sessions()
    guess = {"username": "alice", "password": "a guess"}
    guesses = [
        ask(host, "POST", "/auth/login", body=guess) for host in (*hosts, *hosts)
    ]
    assert [answer.status for answer in guesses] == [401] * 4
    for host in hosts:
        refused = ask(host, "POST", "/auth/login", body=guess)
        assert (refused.status, refused.json["code"]) == (429, "too_many_attempts")

    guide_redis.kill9()
    guide_redis.restart()
    check_sessions()
