"""The group that the commands join, and what they share."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from flask.cli import AppGroup

from ..accounts.names import fold_username
from ..accounts.users import UserRecord
from ..errors import AuthError, ConfigurationError, StoreUnavailableError
from ..sessions.service import SessionService
from ..sessions.session import NEVER
from ..stores.memory import MemorySessionStore
from ..web import state
from ..web.state import State


class _Group(AppGroup):
    """A group whose refusals are one line each, and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (AuthError, ConfigurationError) as error:
            raise click.ClickException(_message_of(error)) from None


def _message_of(error: AuthError | ConfigurationError) -> str:
    if isinstance(error, StoreUnavailableError) and error.reason is not None:
        return (
            f"A store does not answer ({error.reason}): 'flask tokenauth check' says "
            "which."
        )
    return (
        str(error) if isinstance(error, ConfigurationError) else str(error.description)
    )


tokenauth = _Group(
    "tokenauth",
    help="""Token authentication: keys, users, sessions, tokens.

    Exit codes: 0: done; 1: refused, or bad news, said in a line; 2: wrong usage, or
    there is no application.
    """,
)

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


def rooms() -> State:
    """Return the rooms of the application that a command is run for.

    Raises:
        ClickException: the application has no `TokenAuth`.
    """
    try:
        return state.current_state()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None


def authority() -> SessionService:
    """Return the desk, for a command that looks at sessions; see `warn_of_memory`."""
    warn_of_memory()
    return rooms().service


def warn_of_memory() -> None:
    """Say so where the sessions that a server has cannot be seen by a command."""
    sessions = rooms().stores.sessions
    if isinstance(sessions, MemorySessionStore) and sessions.is_empty:
        click.echo(
            "Sessions in memory belong to the server's process and are not seen from "
            "here: set TOKENAUTH_SESSION_URL.",
            err=True,
        )


def read_new_password() -> str:
    """Return a password from the terminal, or the first line of standard input."""
    if not sys.stdin.isatty():
        return first_line()
    password: str = click.prompt(
        "Password",
        hide_input=True,
        confirmation_prompt="Once more",
        err=True,  # standard output may be a file, for the result alone
    )
    return password


def first_line() -> str:
    """Return the first line of standard input."""
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.ClickException("Standard input is not UTF-8.") from None


def user_named(username: str) -> UserRecord:
    """Return the user with this name, in any spelling.

    Raises:
        ClickException: there is none.
    """
    folded = fold_username(username)
    user = None if folded is None else rooms().stores.users.find(folded)
    if user is None:
        raise click.ClickException("There is no user of this name.")
    return user


def show(columns: Sequence[str], rows: list[list[Any]], *, is_json: bool) -> None:
    """Print rows: as a table for people, or as JSON for scripts."""
    if is_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = [list(map(_cell, row)) for row in [columns, *rows]]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_json(value: object) -> None:
    """Print a value as JSON for scripts."""
    click.echo(json.dumps(value, indent=2))


def utc(seconds: float) -> str:
    """Return a time in RFC 3339, UTC, to the second; "never" where there is none."""
    if seconds in {0, NEVER}:
        return "never"
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = str(value)
    return text if text.isprintable() else ascii(text)
