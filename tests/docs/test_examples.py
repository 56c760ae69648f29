"""The example applications run, and their own tests pass."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import flask_alone
from tests.harness.guides import EXAMPLES, block
from tests.harness.kit import SECRET
from tests.harness.servers import outside_of_coverage

SHOP = EXAMPLES / "shop"
ROOT = Path(__file__).parents[2]
ALONE = flask_alone.__file__


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the example, as the page has people make one."""
    ignored = shutil.ignore_patterns("__pycache__", "instance")
    return Path(shutil.copytree(SHOP, tmp_path / "shop", ignore=ignored))


def run(folder: Path, *words: str) -> str:
    """Run a module of Python's in the example's folder; return what it prints."""
    env = outside_of_coverage() | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}.",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they load slowly
        "FLASK_SECRET_KEY": SECRET,
    }
    program, *rest = words
    is_flask = program == "flask"
    command = [sys.executable, *(["-P", ALONE] if is_flask else ["-m", program]), *rest]
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def flask(folder: Path, *commands: str) -> str:
    """Run commands of Flask's; return what they print."""
    return run(
        folder, "flask", *shlex.split(" , ".join(commands).replace("flask ", ""))
    )


def test_the_shop_s_own_tests_pass(shop: Path) -> None:
    assert "8 passed" in run(shop, "pytest", "-q", "--rootdir=.", "-c", os.devnull)


def test_the_page_s_commands_set_the_shop_up(shop: Path) -> None:
    """All but the server and the tests; the database has all tables then."""
    install, key, *commands, serve, tests = block("sh", "shop").splitlines()
    packages = re.findall(r" (Flask-\S+)", install)
    assert f"{' '.join(packages)}\n" in (shop / "Dockerfile").read_text()
    assert "new-secret" in key
    assert serve.endswith(" run")
    assert tests == "python -m pytest tests"
    install, *upgrade = block("sh", "upgrade").splitlines()
    assert install == "pip install --upgrade flask-login-tokenauth"
    printed = flask(shop, *commands, "flask --app shop db check", *upgrade)
    assert "No new upgrade" in printed  # and no DROP of ours
    assert "sessions" in printed
    check_image(shop)
    flask(shop, "flask --app shop db downgrade")


def check_image(shop: Path) -> None:
    """Check that the image serves the application, with the packages that we test."""
    image = (shop / "Dockerfile").read_text()
    *_, last = image.splitlines()
    program, *rest = json.loads(last.removeprefix("CMD "))
    run(shop, program, "--check-config", *rest)
    tested = (ROOT / "pyproject.toml").read_text()
    assert all(f'"{name}>' in tested for name in re.findall(r" (Flask-\w+)", image))
    copied = re.findall(r"^COPY (\w+) \1$", image, re.MULTILINE)
    assert all((shop / name).is_dir() for name in copied)


def test_the_page_is_the_one_of_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a browser reads in `test_browsers`; its API is what the page needs."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    folder = EXAMPLES / "page"
    page = (folder / "pages/index.html").read_text()
    assert page == block("html", "page")
    client: Any = runpy.run_path(str(folder / "app.py"))["app"].test_client()
    with client.get("/") as answer:
        assert answer.text == page
    assert client.get("/auth/client.js").status_code == 200
    login = {"username": "JohnDoe", "password": "correct horse battery"}
    answer = client.post("/auth/login", json=login | {"cookie": True})
    assert "refresh_token" not in answer.json
    header = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert client.get("/api/profile", headers=header).json == {"user": "JohnDoe"}


def test_the_shop_is_short() -> None:
    """120 lines, without blank lines, comments and docstrings."""
    lines = sum(code_lines(file) for file in (SHOP / "shop").glob("*.py"))
    assert lines <= 120, lines


def code_lines(file: Path) -> int:
    """Count the lines on which a statement or a part of one is."""
    tree = ast.parse(file.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        line
        for node in ast.walk(tree)
        if isinstance(node, documented) and ast.get_docstring(node)
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    text = file.read_text().splitlines()
    return sum(
        bool(line.strip()) and not line.strip().startswith("#")
        for number, line in enumerate(text, 1)
        if number not in docs
    )
