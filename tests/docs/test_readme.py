"""README.md is true: its commands and snippets are run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.guides import FOLDER, block
from tests.harness.kit import SECRET
from tests.harness.servers import AppServer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def steps(transcript: str) -> list[tuple[str, str]]:
    """Return each command of a transcript with the output shown for it."""
    parts = re.split(r"^\$ (.*)\n", transcript, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def matches(shown: str, printed: str) -> bool:
    """Compare, where `...` in what is shown stands for anything.

    Case does not count: Werkzeug 3.2 says "401 Unauthorized", not "401 UNAUTHORIZED".
    """
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL | re.IGNORECASE) is not None


@pytest.fixture
def path_with_curl(tmp_path: Path) -> str:
    """Return a PATH on which there is a curl."""
    folder = tmp_path / "bin"
    folder.mkdir()
    if shutil.which("curl") is None:
        tool = folder / "curl"
        script = ROOT / "tests/harness/curl.py"
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        tool.chmod(0o755)
    return f"{folder}:/usr/local/bin:/usr/bin:/bin"


def test_the_transcript_prints_what_it_shows(
    tmp_path: Path, path_with_curl: str
) -> None:
    """Whoever copies the commands of the README sees what the README shows."""
    transcript = steps(blocks("console")[0])
    with AppServer(
        "tokenauth.demo:create_app()",
        cwd=tmp_path,
        env={"FLASK_SECRET_KEY": SECRET},
    ) as server:
        script = "\n".join(f"{command}\necho '--- next'" for command, _ in transcript)
        script = script.replace("http://127.0.0.1:5000", server.url.rstrip("/"))
        run = subprocess.run(
            ["sh", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PATH": path_with_curl},
        )
    printed = run.stdout.replace("\r\n", "\n").split("--- next\n")
    for (command, shown), output in zip(transcript, printed, strict=False):
        assert matches(shown, output), f"{command}\nprinted:\n{output}"


@pytest.mark.advisory("Authlib CVE-2026-116672")
def test_the_quickstart_logs_in_and_protects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet that begins every application works as it stands."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    names: dict[str, object] = {"__name__": "quickstart"}
    exec(blocks("python")[0], names)  # noqa: S102 # our own README
    client = names["app"].test_client()  # type: ignore[attr-defined]
    answer = client.post(
        "/auth/login",
        json={"username": "JohnDoe", "password": "correct horse battery"},
    )
    header = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert client.get("/protected", headers=header).json == {"hello": "JohnDoe"}
    assert client.get("/protected").status_code == 401


def test_no_page_recommends_somebody_elses_package() -> None:
    """The names `tokenauth` and `flask-tokenauth` on PyPI are other people's."""
    for page in [*ROOT.glob("*.md"), *(ROOT / "tokenauth").rglob("*.md")]:
        assert not re.search(
            r"pip install\s+['\"]?(flask-)?tokenauth", page.read_text()
        )


def test_the_readme_is_short_and_says_what_the_site_says() -> None:
    assert len(README.splitlines()) <= 120
    quickstart = (FOLDER / "examples/quickstart/app.py").read_text()
    assert quickstart == blocks("python")[0]
    assert block("sh", "install") == blocks("sh")[1]
    code = [line for line in quickstart.splitlines() if line.strip(") ")]
    assert len([line for line in code if not line.startswith("#")]) <= 12
