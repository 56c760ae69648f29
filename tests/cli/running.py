"""How the tests run commands: in this process, or as an operator types them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from click.testing import Result
from flask import Flask
from flask.cli import FlaskGroup

from tests.harness import flask_alone

# -P: no folder of the tests is on the path.
FLASK_ALONE = [sys.executable, "-P", flask_alone.__file__]
PASSWORD = "a long walk at dusk"


def run(app: Flask, *arguments: str, text: str | bytes = "") -> Result:
    """Run a command of an application, with a text on standard input."""
    plugins = FlaskGroup(load_dotenv=False)
    return app.test_cli_runner().invoke(plugins, ["tokenauth", *arguments], input=text)


def done(app: Flask, *arguments: str, text: str | bytes = "") -> str:
    """Run a command that succeeds; return what it prints."""
    result = run(app, *arguments, text=text)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(app: Flask, *arguments: str, text: str | bytes = "", code: int = 1) -> str:
    """Run a command that is refused; return the message."""
    result = run(app, *arguments, text=text)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    return result.stderr


def flask(
    *arguments: str, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the real `flask` with no application and no key but those given."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
    return subprocess.run(
        [*FLASK_ALONE, *arguments],
        env={**bare, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        **options,
    )
