"""`flask tokenauth new-secret` and `hash-password`; how a password is read."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
from pathlib import Path
from typing import IO

import pytest
from flask import Flask

from tests.cli.running import FLASK_ALONE, PASSWORD, done, flask, refused
from tests.harness.kit import make_app
from tokenauth.accounts.passwords import verify_password
from tokenauth.settings import load

EMPTY = Flask("no TokenAuth")


def test_new_secret_needs_no_application_and_is_accepted(tmp_path: Path) -> None:
    made = flask("tokenauth", "new-secret", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    key = made.stdout.removesuffix("\n")
    assert len(key) == 65
    assert load({"SECRET_KEY": key}, "app").secret_keys == (key.encode(),)


def test_new_secrets_differ_and_are_never_read_as_numbers() -> None:
    keys = {done(EMPTY, "new-secret") for _ in range(20)}
    assert len(keys) == 20
    assert all(key.startswith("k") for key in keys)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line\n"])
def test_password_is_the_first_line_of_standard_input(end: str) -> None:
    """Blanks are part of a password; the end of the line is not."""
    stored = done(EMPTY, "hash-password", text=f" {PASSWORD} {end}")
    assert PASSWORD not in stored
    assert verify_password(stored.removesuffix("\n"), f" {PASSWORD} ")


def test_byte_order_mark_is_no_part_of_a_password() -> None:
    """Editors on Windows write one at the beginning of a file."""
    stored = done(EMPTY, "hash-password", text=b"\xef\xbb\xbf" + PASSWORD.encode())
    assert verify_password(stored.removesuffix("\n"), PASSWORD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "standard input is empty"),
        ("\n", "at least 8"),
        ("short", "at least 8"),
        ("password123", "password"),
        (b"\xff" * 9, "not UTF-8"),
        (PASSWORD.encode("utf-16"), "not UTF-8"),
    ],
)
def test_password_that_cannot_be_used_is_refused_with_the_reason(
    text: str | bytes, message: str
) -> None:
    said = refused(EMPTY, "hash-password", text=text)
    assert message in said
    assert "password123" not in said


@pytest.mark.parametrize(
    "command", [("users", "add", "bob"), ("users", "set-password", "alice")]
)
def test_command_without_input_says_how_to_give_a_password(
    command: tuple[str, ...], app: Flask
) -> None:
    """`docker exec` without `-i` has neither a terminal nor an input."""
    said = refused(app, *command)
    assert "No password was given" in said
    assert "docker exec -it" in said


@pytest.mark.parametrize("stdin", ["<&-", "0>/dev/null"])
def test_closed_input_is_an_empty_one(stdin: str) -> None:
    """Service managers close it; `nohup` leaves one that cannot be read."""
    command = f"{shlex.join(FLASK_ALONE)} tokenauth hash-password {stdin}"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith(b"Error: No password was given")


def test_inspect_without_input_says_how_to_give_a_token() -> None:
    assert "No token was given" in refused(make_app(), "inspect", "-")


def at_a_terminal(*answers: str) -> tuple[int, str, str]:
    """Run `flask tokenauth hash-password` at a terminal that types these lines."""
    main, terminal = pty.openpty()
    with (
        os.fdopen(main, "r+b", buffering=0) as keyboard,
        subprocess.Popen(
            [*FLASK_ALONE, "tokenauth", "hash-password"],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no other terminal that could be asked
        ) as process,
    ):
        assert process.stderr is not None
        prompts = b""
        for answer in answers:
            prompts += read_prompt(process.stderr)
            keyboard.write(answer.encode() + b"\n")
        rest, errors = process.communicate(timeout=30)
        os.set_blocking(keyboard.fileno(), False)
        echo = keyboard.read() or b""
        os.close(terminal)
    assert echo.strip() == b"", "the terminal showed what was typed"
    return process.returncode, rest.decode(), (prompts + errors).decode()


def read_prompt(stream: IO[bytes]) -> bytes:
    """Return what is printed up to the end of a prompt."""
    seen = b""
    while not seen.endswith((b"Password: ", b"Once more: ")):
        seen += stream.read(1) or pytest.fail(f"no prompt, but: {seen!r}")
    return seen


def test_password_is_asked_for_twice_at_a_terminal_without_echo() -> None:
    """Two answers that differ are asked for again; only the hash is on stdout."""
    code, output, prompts = at_a_terminal(PASSWORD, PASSWORD + "!", PASSWORD, PASSWORD)
    assert code == 0
    assert verify_password(output.removesuffix("\n"), PASSWORD)
    assert "do not match" in prompts
    assert PASSWORD not in prompts
