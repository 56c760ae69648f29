"""A flood of logins beside honest clients: what it costs them, and what it takes.

64 clients post wrong passwords to gunicorn with 2 workers of 16 threads: the next one
as soon as one was checked, and a fifth of a second after one was refused unchecked (in
the last scenario at once). Beside them one client reads a protected page 25 times a
second, and an owner logs in once a second. The same without the flood comes first, and
the naive application is measured in the same run. Run it on a machine that is quiet:

    python -m tests.benchmarks.flood [--seconds 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.benchmarks.flood_apps import ATTACKED, HONEST, PASSWORD
from tests.servers import AppServer, RedisServer, serve

WORKERS, THREADS = 2, 16
CLIENTS = 64
PAGES_A_SECOND = 25
REFUSED = {429, 503}
HOME = "127.0.1.1"  # the honest owner's address
PAUSE = 0.2
UNLIMITED = {"FLASK_TOKENAUTH_LOGIN_LIMITS": "1000000 per second"}
DEFAULT_COST = {"NAIVE_COST": "default"}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """An application, and where the flood comes from."""

    name: str
    app: str = "ours"
    networks: int = 1
    pause: float = PAUSE
    env: Mapping[str, str] = field(default_factory=dict)


SCENARIOS = (
    Scenario(name="naive", app="naive"),
    Scenario(name="naive, argon2's default cost", app="naive", env=DEFAULT_COST),
    Scenario(name="ours"),
    Scenario(name="ours, gate alone", env=UNLIMITED),
    Scenario(name="ours, gate alone, 64 networks", env=UNLIMITED, networks=64),
    Scenario(name="ours, no pause", pause=0),
)


@dataclass(kw_only=True)
class Timings:
    """What one kind of request took, in milliseconds from when it was due."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


@dataclass(kw_only=True)
class Period:
    """What honest clients saw, and what the server took, for some seconds."""

    pages: Timings = field(default_factory=Timings)
    logins: Timings = field(default_factory=Timings)
    idle_mib: float = 0.0
    peak_mib: float = 0.0
    flood: Counter[str] = field(default_factory=Counter)


class Client:
    """A connection from one address, opened anew when the server closes it."""

    def __init__(self, url: str, address: str = "127.0.0.1") -> None:
        self._host = urlsplit(url).netloc
        self._address = address
        self._open()

    def _open(self) -> None:
        self._connection = http.client.HTTPConnection(
            self._host, timeout=60, source_address=(self._address, 0)
        )

    def close(self) -> None:
        self._connection.close()

    def log_in(self, username: str, password: str) -> tuple[int, dict[str, Any]]:
        body = json.dumps({"username": username, "password": password})
        headers = {"Content-Type": "application/json"}
        return self.ask("POST", "/auth/login", body, headers)

    def ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            response = self._connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._open()
            return 0, {}


def flood(url: str, seconds: float, networks: int, pause: float) -> Counter[str]:
    """Post wrong passwords from 64 clients, and count the answers."""
    answers: Counter[str] = Counter()
    until = time.monotonic() + seconds

    def attack(number: int) -> None:
        client = Client(url, f"127.0.2.{1 + number % networks}")
        while time.monotonic() < until:
            status, _ = client.log_in(ATTACKED[number], f"a guess of {number}")
            answers[str(status)] += 1
            if status in REFUSED:
                time.sleep(pause)
        client.close()

    threads = [threading.Thread(target=attack, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def steadily(
    timings: Timings, every: float, seconds: float, request: Any
) -> list[Future[None]]:
    """Send requests when they are due, whether or not the last one was answered."""
    began = time.monotonic()

    def send(due: float) -> None:
        status = request()
        timings.milliseconds.append(1000 * (time.monotonic() - due))
        timings.statuses[status] += 1

    with ThreadPoolExecutor(200) as pool:
        sent = []
        for i in range(int(seconds / every)):
            due = began + i * every
            time.sleep(max(0.0, due - time.monotonic()))
            sent.append(pool.submit(send, due))
    return sent


@contextmanager
def memory_of(server: AppServer, period: Period) -> Generator[None]:
    """Watch the workers' resident memory, in MiB."""
    workers = [psutil.Process(pid) for pid in server.worker_pids()]
    is_over = threading.Event()

    def resident() -> float:
        return sum(worker.memory_info().rss for worker in workers) / 2**20

    def watch() -> None:
        while not is_over.wait(0.1):
            period.peak_mib = max(period.peak_mib, resident())

    period.idle_mib = period.peak_mib = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def observe(server: AppServer, token: str, seconds: float) -> Period:
    """Read pages and log in for some seconds, as honest clients do."""
    period = Period()
    headers = {"Authorization": f"Bearer {token}"}
    local = threading.local()
    clients: list[Client] = []

    def client() -> Client:
        if not hasattr(local, "client"):
            local.client = Client(server.url, HOME)
            clients.append(local.client)
        kept: Client = local.client
        return kept

    def read_page() -> int:
        return client().ask("GET", "/protected", headers=headers)[0]

    def log_in() -> int:
        return client().log_in(HONEST, PASSWORD)[0]

    with memory_of(server, period), ThreadPoolExecutor(2) as pool:
        for timings, every, request in (
            (period.pages, 1 / PAGES_A_SECOND, read_page),
            (period.logins, 1.0, log_in),
        ):
            pool.submit(steadily, timings, every, seconds, request)
    for each in clients:
        each.close()
    return period


def measure(
    scenario: Scenario, seconds: float, redis_url: str
) -> tuple[Period, Period]:
    """Return what happened without the flood and in it."""
    env = {"FLASK_TOKENAUTH_SESSION_URL": redis_url, **scenario.env}
    app = f"tests.benchmarks.flood_apps:{scenario.app}()"
    with serve(app, workers=WORKERS, threads=THREADS, env=env) as server:
        with closing(Client(server.url, HOME)) as owner:
            token = owner.log_in(HONEST, PASSWORD)[1]["access_token"]
        observe(server, token, 2)  # warms up
        calm = observe(server, token, seconds)
        command = [sys.executable, "-m", __spec__.name, "--attack", server.url]
        command += ["--seconds", str(seconds + 1), "--networks", str(scenario.networks)]
        command += ["--pause", str(scenario.pause)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as attack:
            time.sleep(1)  # it starts
            flooded = observe(server, token, seconds)
            flooded.idle_mib = calm.idle_mib
            output, _ = attack.communicate()
        flooded.flood = Counter(json.loads(output))
    return calm, flooded


def row(name: str, calm: Period, flooded: Period) -> str:
    """Return a line of the table."""
    p99s = [period.pages.quantile(0.99) for period in (calm, flooded)]
    logins = [period.logins.median for period in (calm, flooded)]
    done = flooded.logins.statuses[200], len(flooded.logins.milliseconds)
    cells = (
        name,
        f"{calm.pages.median:.1f} / {p99s[0]:.1f}",
        f"{flooded.pages.median:.1f} / {p99s[1]:.1f}",
        f"{p99s[1] / p99s[0]:.1f}",
        f"{done[0]}/{done[1]}, {logins[1]:.0f} ({logins[0]:.0f})",
        f"{logins[1] / logins[0]:.1f}",
        f"{flooded.idle_mib:.0f} -> {flooded.peak_mib:.0f}",
        " ".join(f"{status}:{n}" for status, n in sorted(flooded.flood.items())),
    )
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "page p50 / p99 ms, calm",
    "in the flood",
    "x",
    "owner's logins: done, p50 ms (calm)",
    "x",
    "memory, MiB",
    "answers to the flood",
)


def main() -> None:
    """Measure, or attack for another process that measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", help="part of a scenario's name")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--networks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--pause", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack:
        answers = flood(
            options.attack, options.seconds, options.networks, options.pause
        )
        json.dump(answers, sys.stdout)
        return
    print("| application | " + " | ".join(HEAD) + " |")
    print("|---" * (len(HEAD) + 1) + "|")
    results = {}
    with RedisServer() as redis:
        for scenario in SCENARIOS:
            if options.only and options.only not in scenario.name:
                continue
            redis.flush()
            calm, flooded = measure(scenario, options.seconds, redis.url)
            print(row(scenario.name, calm, flooded), flush=True)
            results[scenario.name] = {"calm": calm, "flood": flooded}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, default=vars))


if __name__ == "__main__":
    main()
