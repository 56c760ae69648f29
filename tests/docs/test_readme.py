"""README.md is true: its commands and snippets are run."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.harness.guides import EXAMPLES, block
from tests.harness.kit import SECRET
from tests.harness.servers import AppServer
from tests.harness.transcripts import ROOT, blocks, replay
from tokenauth.web import login

README = (ROOT / "README.md").read_text()


def test_the_transcript_prints_what_it_shows(tmp_path: Path) -> None:
    """Whoever copies the commands of the README sees what the README shows."""
    env = {"FLASK_SECRET_KEY": SECRET}
    with AppServer("tokenauth.demo:create_app()", cwd=tmp_path, env=env) as server:
        replay(blocks("console", README)[0], server.url, tmp_path)


@pytest.mark.advisory("Authlib CVE-2026-116672")
def test_the_quickstart_logs_in_and_protects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet that begins every application works as it stands."""
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    names: dict[str, object] = {"__name__": "quickstart"}
    exec(blocks("python", README)[0], names)  # noqa: S102 # our own README
    client = names["app"].test_client()  # type: ignore[attr-defined]
    answer = client.post(
        "/auth/login",
        json={"username": "JohnDoe", "password": "correct horse battery"},
    )
    header = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert client.get("/protected", headers=header).json == {"hello": "JohnDoe"}
    assert client.get("/protected").status_code == 401


def test_both_loaders_are_shown_as_they_are() -> None:
    """The tutorial's, and the lines of ours that find the user."""
    before, after = (
        re.search(rf"^```python {name}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
        for name in ("before", "after")
    )
    assert before is not None
    assert before[1] in block("python", "tutorial-1")
    assert after is not None
    source = inspect.getsource(login.load_user)
    assert all(line.strip() in source for line in after[1].splitlines()[1:])


def test_no_page_recommends_somebody_elses_package() -> None:
    """The names `tokenauth` and `flask-tokenauth` on PyPI are other people's."""
    for page in [*ROOT.glob("*.md"), *(ROOT / "tokenauth").rglob("*.md")]:
        assert not re.search(
            r"pip install\s+['\"]?(flask-)?tokenauth", page.read_text()
        )


def test_the_readme_is_short_and_says_what_the_site_says() -> None:
    assert len(README.splitlines()) <= 120
    quickstart = (EXAMPLES / "quickstart/app.py").read_text()
    assert quickstart == blocks("python", README)[0]
    assert block("sh", "install") == blocks("sh", README)[1]
    code = [line for line in quickstart.splitlines() if line.strip(") ")]
    assert len([line for line in code if not line.startswith("#")]) <= 12


@pytest.mark.checkout
def test_a_release_names_its_home_and_links_to_it(tmp_path: Path) -> None:
    """By the lines of the workflow: PyPI shows the README without the files beside."""
    steps = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    (lines,) = (
        step["run"]
        for step in steps["jobs"]["build"]["steps"]
        if "README.md" in step.get("run", "")
    )
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    env = {
        "PATH": os.environ["PATH"],
        "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_REPOSITORY": "us/ours",
        "GITHUB_REF_NAME": "v1",
    }
    subprocess.run(["bash", "-ec", lines], cwd=tmp_path, env=env, check=True)
    links = re.findall(r"\]\(([^)]+)\)", (tmp_path / "README.md").read_text())
    assert all(link.startswith(("https://", "#")) for link in links)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    files = "https://git.example/us/ours/blob/v1"
    assert project["urls"]["Changelog"] == f"{files}/CHANGELOG.md"
    targets = {link.partition("#")[0] for link in links if files in link}
    targets |= {url for url in project["urls"].values() if files in url}
    assert all((ROOT / url.removeprefix(f"{files}/")).exists() for url in targets)
    assert len(targets) > 10
