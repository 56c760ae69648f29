"""The same pages over loopback: gunicorn with one worker, asked by wrk from 8 sides.

One worker, for sessions are kept in its memory here; the other core is for wrk.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

from tests.benchmarks.measure import Bar, Group, Samples, progress
from tests.harness.servers import AppServer

SECONDS = 3
CONNECTIONS = 8
WORKER_CLASSES = ("sync", "gthread")
BARE, OURS, PUBLIC = "bare Flask", "tokenauth", "tokenauth, public page"
SERVED = (
    BARE,
    "bare Flask with a SECRET_KEY",
    OURS,
    PUBLIC,
    "Flask-HTTPAuth + itsdangerous",
    "Flask-Login + itsdangerous",
    "Flask-JWT-Extended",
    "Flask-Security on SQLite",
)


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return requests a second of each page, a group for each kind of worker."""
    if shutil.which("wrk") is None:
        print("served: left out, wrk is not installed", file=sys.stderr)
        return [], []
    groups = [_measure(worker_class, rounds) for worker_class in WORKER_CLASSES]
    bars = [
        Bar(
            what=f"requests/s, {worker_class}: protected / {base}",
            value=group.ratio(OURS, base),
            at_least=0.92,
        )
        for worker_class, group in zip(WORKER_CLASSES, groups, strict=True)
        for base in (BARE, PUBLIC)
    ]
    return groups, bars


def _measure(worker_class: str, rounds: int) -> Group:
    title = f"requests a second under gunicorn {worker_class}"
    samples: Samples = {name: [] for name in SERVED}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(
                AppServer(
                    "tests.benchmarks.apps:served()",
                    worker_class=worker_class,
                    threads=1 if worker_class == "sync" else 4,
                    env={"BENCHMARK_PAGE": name},
                )
            )
            for name in SERVED
        }
        pages = {name: page_of(server.url) for name, server in servers.items()}
        for _ in progress(title, rounds):
            for name, page in pages.items():
                samples[name].append(requests_a_second(*page))
    return Group(title=title, unit="requests/s", base=BARE, samples=samples)


def page_of(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL of a server's page, and the headers that open it."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc)) as client:
        client.request("GET", "/how")
        how = json.loads(client.getresponse().read())
    return url + how["path"], how["headers"]


def requests_a_second(url: str, headers: dict[str, str]) -> float:
    """Return what wrk gets from a page; each answer must be a success."""
    sent = [option for name in headers for option in ("-H", f"{name}: {headers[name]}")]
    size = ["-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
    run = subprocess.run(
        ["wrk", *size, *sent, url], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in run.stdout:
        raise AssertionError(run.stdout)
    found = re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)
    if found is None:
        raise AssertionError(run.stdout)
    return float(found[1])
