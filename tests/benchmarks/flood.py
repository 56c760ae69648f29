"""A flood of logins beside honest clients: what it costs them, and what it takes.

64 clients post wrong passwords to gunicorn with 2 workers of 16 threads: the next one
as soon as one was checked, and a fifth of a second after one was refused unchecked (in
one scenario at once). Beside them one client reads a protected page 25 times a second,
and an owner logs in once a second. The same without the flood comes first, and the
naive application is measured in the same run.

In the last scenarios the servers are those of the Makefile and of the guides, and some
of the clients log in to an account of their own. Each is compared with as many clients
that ask for `/auth/me` without a token, which costs next to nothing.
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
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.benchmarks.flood_apps import ATTACKED, HONEST, PASSWORD
from tests.benchmarks.measure import Bar, Group
from tests.harness.servers import AppServer, RedisServer, serve

PAGES_A_SECOND = 25
REFUSED = {429, 503}
HOME = "127.0.1.1"  # the honest owner's address
PAUSE = 0.2
KEPT = 1.5  # seconds; gunicorn closes a connection after 2
UNLIMITED = {"FLASK_TOKENAUTH_LOGIN_LIMITS": "1000000 per second"}
DEFAULT_COST = {"NAIVE_COST": "default"}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """An application, and where the flood comes from."""

    name: str
    app: str = "ours"
    workers: int = 2
    threads: int = 16
    clients: int = 64
    kinds: str = "guess"
    networks: int = 1
    pause: float = PAUSE
    most_ms: float = 0  # that a page may take in the median, beside cheap requests
    env: Mapping[str, str] = field(default_factory=dict)


SCENARIOS = (
    Scenario(name="naive", app="naive"),
    Scenario(name="naive, argon2's default cost", app="naive", env=DEFAULT_COST),
    Scenario(name="ours"),
    Scenario(name="ours, gate alone", env=UNLIMITED),
    Scenario(name="ours, gate alone, 64 networks", env=UNLIMITED, networks=64),
    Scenario(name="ours, no pause", pause=0),
)
MAKE_RUN = Scenario(name="make run", workers=1, threads=32, most_ms=60)
SHOWN = (
    replace(MAKE_RUN, name="make run, guesses from 200 networks", networks=200),
    replace(MAKE_RUN, name="make run, own account", kinds="own"),
    replace(MAKE_RUN, name="two workers, own account", kinds="own", workers=2),
    replace(
        MAKE_RUN,
        name="two workers, both, 300 clients",
        kinds="guess own",
        workers=2,
        clients=300,
        networks=200,
        most_ms=100,
    ),
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
    """A connection from one address, opened anew when the server may have closed it."""

    def __init__(self, url: str, address: str = "127.0.0.1") -> None:
        self._host = urlsplit(url).netloc
        self._address = address
        self._open()

    def _open(self) -> None:
        self._connection = http.client.HTTPConnection(
            self._host, timeout=60, source_address=(self._address, 0)
        )
        self._used_at = time.monotonic()

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
        if time.monotonic() - self._used_at > KEPT:
            self.close()  # the next request opens it
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            response = self._connection.getresponse()
            content = json.loads(response.read())
            self._used_at = time.monotonic()
            return response.status, content
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._open()
            return 0, {}


def flood(url: str, seconds: float, scenario: Scenario) -> Counter[str]:
    """Send what a scenario's clients send, and count the answers."""
    answers: Counter[str] = Counter()
    until = time.monotonic() + seconds
    kinds = scenario.kinds.split()

    def attack(number: int) -> None:
        kind = kinds[number % len(kinds)]
        network = number if kind == "guess" else 0
        client = Client(url, f"127.0.2.{1 + network % scenario.networks}")
        while time.monotonic() < until:
            status = _attack(client, kind, number)
            answers[str(status)] += 1
            if status in REFUSED:
                time.sleep(scenario.pause)
        client.close()

    threads = [
        threading.Thread(target=attack, args=(i,)) for i in range(scenario.clients)
    ]
    for thread in threads:
        thread.start()
    while sum(answers.values()) < scenario.clients and time.monotonic() < until:
        time.sleep(0.01)
    print(flush=True)
    for thread in threads:
        thread.join()
    return answers


def _attack(client: Client, kind: str, number: int) -> int:
    if kind == "cheap":
        return client.ask("GET", "/auth/me")[0]
    if kind == "own":
        return client.log_in(ATTACKED[0], PASSWORD)[0]
    name = ATTACKED[number % len(ATTACKED)]
    return client.log_in(name, f"a guess of {number}")[0]


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
    with serve(
        app, workers=scenario.workers, threads=scenario.threads, env=env
    ) as server:
        with closing(Client(server.url, HOME)) as owner:
            token = owner.log_in(HONEST, PASSWORD)[1]["access_token"]
        observe(server, token, 2)  # warms up
        calm = observe(server, token, seconds)
        command = [sys.executable, "-m", __spec__.name, "--attack", server.url]
        command += ["--seconds", str(seconds + 2)]
        command += ["--scenario", json.dumps(asdict(scenario))]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as attack:
            assert attack.stdout is not None
            attack.stdout.readline()  # it has started
            time.sleep(1)  # and the server has learned how long a hash takes
            flooded = observe(server, token, seconds)
            flooded.idle_mib = calm.idle_mib
            output, _ = attack.communicate()
        flooded.flood = Counter(json.loads(output))
    return calm, flooded


def measure_all(seconds: int) -> tuple[list[Group], list[Bar]]:
    """Return what each application does in the flood, and what is promised of ours."""
    groups, bars = [], []
    with RedisServer() as redis:

        def run(scenario: Scenario) -> tuple[Period, Period]:
            print(f"flood: {scenario.name} ...", file=sys.stderr)
            redis.flush()
            calm, flooded = measure(scenario, seconds, redis.url)
            groups.append(group(scenario.name, calm, flooded))
            return calm, flooded

        for scenario in SCENARIOS:
            periods = run(scenario)
            if scenario.app == "ours":
                bars += bars_of(scenario.name, *periods)
        for scenario in SHOWN:
            name = f"{scenario.name}: cheap requests instead"
            _, cheap = run(replace(scenario, name=name, kinds="cheap"))
            _, flooded = run(scenario)
            bars += bars_beside_cheap_requests(scenario, flooded, cheap)
    return groups, bars


def bars_beside_cheap_requests(
    scenario: Scenario, flooded: Period, cheap: Period
) -> list[Bar]:
    """Return the bars of a server that we show."""
    failed = len(flooded.logins.milliseconds) - flooded.logins.statuses[200]
    page = flooded.pages.median
    values = {
        "page's p50, ms": (page, scenario.most_ms),
        "page's p50 over that beside cheap requests": (page / cheap.pages.median, 2),
        "the owner's slowest login, ms": (max(flooded.logins.milliseconds), 2000),
        "the owner's failed logins": (failed, 0),
    }
    return [
        Bar(what=f"{scenario.name}: {what}", value=value, at_most=at_most)
        for what, (value, at_most) in values.items()
    ]


def group(name: str, calm: Period, flooded: Period) -> Group:
    """Return a page's and a login's times, calm and in the flood."""
    samples = {
        "page, p50, calm": calm.pages.median,
        "page, p50, flood": flooded.pages.median,
        "page, p99, calm": calm.pages.quantile(0.99),
        "page, p99, flood": flooded.pages.quantile(0.99),
        "login, p50, calm": calm.logins.median,
        "login, p50, flood": flooded.logins.median,
    }
    answers = " ".join(f"{status}:{n}" for status, n in sorted(flooded.flood.items()))
    done = f"{flooded.logins.statuses[200]} of {len(flooded.logins.milliseconds)}"
    return Group(
        title=f"flood of logins: {name}",
        unit="ms",
        base="page, p99, calm",
        samples={row: [value, value] for row, value in samples.items()},
        notes={
            "login, p50, flood": f"{done} logged in",
            "page, p99, flood": f"answers to the flood: {answers}; memory "
            f"{flooded.idle_mib:.0f} -> {flooded.peak_mib:.0f} MiB",
        },
    )


def bars_of(name: str, calm: Period, flooded: Period) -> list[Bar]:
    """Return the bars of a flood that ours is in."""
    p99s = [period.pages.quantile(0.99) for period in (calm, flooded)]
    failed = len(flooded.logins.milliseconds) - flooded.logins.statuses[200]
    errors = sum(n for s, n in flooded.flood.items() if int(s) >= 500 and int(s) != 503)
    grown = flooded.peak_mib - flooded.idle_mib
    values = {
        "page's p99 over its calm p99": (p99s[1] / p99s[0], 8),
        "page's p50, ms": (flooded.pages.median, 10),
        "login's p50 over its calm p50": (
            flooded.logins.median / calm.logins.median,
            4,
        ),
        "the owner's failed logins": (failed, 0),
        "MiB that memory grows": (grown, round(1.1 * 2 * 19, 1)),
        "answers of 5xx but 503": (errors, 0),
    }
    return [
        Bar(what=f"{name}: {what}", value=value, at_most=at_most)
        for what, (value, at_most) in values.items()
    ]


def main() -> None:
    """Attack for another process that measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attack", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--scenario", type=json.loads, required=True)
    options = parser.parse_args()
    answers = flood(options.attack, options.seconds, Scenario(**options.scenario))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
