"""What an import costs beside Flask's own, and what a worker keeps in memory."""

from __future__ import annotations

import compileall
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil

import tokenauth
from tests.benchmarks.measure import Bar, Group, Samples, progress
from tests.benchmarks.served import page_of
from tests.harness.servers import AppServer

# What an application imports to set each up: importing a package may not be all.
MODULES = {
    "tokenauth": "TokenAuth",
    "flask_login": "LoginManager",
    "flask_httpauth": "HTTPTokenAuth",
    "flask_jwt_extended": "JWTManager",
    "flask_security": "Security",
}
FLASK = "flask"
WORKERS = (
    "bare Flask",
    "tokenauth",
    "Flask-HTTPAuth + itsdangerous",
    "Flask-Login + itsdangerous",
    "Flask-JWT-Extended",
    "Flask-Security on SQLite",
)
REQUESTS = 200

_IMPORT = """
import sys, time
begun = time.process_time()
import flask
between = time.process_time()
exec(sys.argv[1])
print(between - begun, time.process_time() - between)
"""


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return milliseconds of imports and MiB of workers, and the bar of imports."""
    imports = Group(
        title="import on top of Flask",
        unit="ms",
        base=FLASK,
        samples=_imports(rounds),
    )
    bar = Bar(
        what="import: added / Flask's own",
        value=imports.ratio("tokenauth"),
        at_most=0.25,
    )
    return [imports, _memory()], [bar]


def _imports(rounds: int) -> Samples:
    """Return what imports take; all is compiled before, as where pip installed it."""
    samples: Samples = {name: [] for name in (FLASK, *MODULES)}
    compileall.compile_dir(Path(tokenauth.__file__).parent, quiet=1)
    for _ in progress("imports", rounds):
        of_flask = []
        for module, name in MODULES.items():
            run = subprocess.run(
                [sys.executable, "-c", _IMPORT, f"from {module} import {name}"],
                capture_output=True,
                text=True,
                check=True,
            )
            flask, added = map(float, run.stdout.split())
            of_flask.append(flask * 1e3)
            samples[module].append(added * 1e3)
        samples[FLASK].append(sum(of_flask) / len(of_flask))
    return samples


def _memory() -> Group:
    """Return what a worker keeps for itself after some requests."""
    samples: Samples = {}
    for turn, name in zip(progress("memory", len(WORKERS)), WORKERS, strict=True):
        with ExitStack() as stack:
            server = stack.enter_context(
                AppServer(
                    "tests.benchmarks.apps:served()", env={"BENCHMARK_PAGE": name}
                )
            )
            page = page_of(server.url)
            for _ in range(REQUESTS):
                _get(*page)
            (worker,) = server.worker_pids()
            samples[name] = [psutil.Process(worker).memory_full_info().uss / 2**20] * 2
        del turn
    return Group(
        title="memory of a worker of its own",
        unit="MiB",
        base=WORKERS[0],
        samples=samples,
    )


def _get(url: str, headers: dict[str, str]) -> None:
    from urllib.request import Request, urlopen

    with urlopen(Request(url, headers=headers)) as answer:  # noqa: S310 # ours
        answer.read()
