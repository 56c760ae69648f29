"""The tutorial's six steps run as they are shown, one after the other."""

from __future__ import annotations

from pathlib import Path

from tests.harness.guides import FOLDER, block
from tests.harness.kit import SECRET
from tests.harness.servers import AppServer
from tests.harness.transcripts import ROOT, blocks, replay, shell

# The files of the steps; in the others, the one before goes on.
FILES = "tutorial-1", "tutorial-2", "tutorial-5", "tutorial-6"


def test_each_step_prints_what_it_shows(tmp_path: Path) -> None:
    """Steps 2, 3 and 4 are at one server; 5 logs in as step 2 does."""
    first, login, refresh, logout, scopes = blocks(
        "console", (FOLDER / "tutorial.md").read_text()
    )
    env = {"FLASK_APP": "app", "PYTHONPATH": str(ROOT)}
    told = first, login + refresh + logout, login, scopes
    for name, transcript in zip(FILES, told, strict=True):
        (tmp_path / "app.py").write_text(block("python", name))
        if name == "tutorial-2":
            env["FLASK_SECRET_KEY"] = SECRET
        if name == "tutorial-5":
            script = block("sh", "tutorial-database") + "env | grep USERS_URL"
            typed = "correct horse battery\n"
            lines = shell(script, tmp_path, env=env, typed=typed).splitlines()
            key, _, env["FLASK_TOKENAUTH_USERS_URL"] = lines[-1].partition("=")
            assert key == "FLASK_TOKENAUTH_USERS_URL"
        if name == "tutorial-6":
            shell(block("sh", "tutorial-scopes"), tmp_path, env=env)
        with AppServer("app:app", cwd=tmp_path, env=env) as server:
            replay(transcript, server.url, tmp_path)


def test_the_key_is_made_as_it_is_shown(tmp_path: Path) -> None:
    script = block("sh", "tutorial-key") + "echo $FLASK_SECRET_KEY"
    assert len(shell(script, tmp_path, env={})) > 64
    assert "[sql]" in block("sh", "tutorial-install")
