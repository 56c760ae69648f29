"""Transcripts of pages: their commands are run in a shell, their output is compared."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness.servers import outside_of_coverage

ROOT = Path(__file__).parents[2]


def blocks(language: str, text: str) -> list[str]:
    """Return the fenced blocks of a language that have no name."""
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


def path_with_tools(folder: Path) -> str:
    """Return a PATH with this Python's commands, and a curl; `flask` is alone."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    scripts = {"flask": "flask_alone.py", "curl": "curl.py"}
    if shutil.which("curl"):
        del scripts["curl"]
    for name, file in scripts.items():
        called = f'"{sys.executable}" -P "{ROOT / "tests/harness" / file}"'
        (tools / name).write_text(f'#!/bin/sh\nexec {called} "$@"\n')
        (tools / name).chmod(0o755)
    return f"{tools}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"


def shell(script: str, folder: Path, *, env: dict[str, str], typed: str = "") -> str:
    """Run a script; return what it prints."""
    own = {"PATH": path_with_tools(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-ec", script],
        capture_output=True,
        text=True,
        input=typed,
        check=False,
        cwd=folder,
        env=outside_of_coverage() | own | env,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.replace("\r\n", "\n")


def replay(transcript: str, url: str, folder: Path) -> None:
    """Check that the commands print what the transcript shows, at this server."""
    told = steps(transcript)
    script = "\n".join(f"{command}\necho '--- next'" for command, _ in told)
    script = script.replace("http://127.0.0.1:5000", url.rstrip("/"))
    printed = shell(script, folder, env={}).split("--- next\n")
    for (command, shown), output in zip(told, printed, strict=False):
        assert matches(shown, output), f"{command}\nprinted:\n{output}"
