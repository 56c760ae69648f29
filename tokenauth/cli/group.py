"""The command group `flask tokenauth`, and what its commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any

import click
from flask.cli import AppGroup

from ..accounts.users import UserRecord, find_user
from ..errors import AuthError, ConfigurationError, StoreUnavailableError
from ..sessions.session import NEVER
from ..stores.memory import MemorySessionStore
from ..web import state
from ..web.state import State
from .running import OURS


class _Group(AppGroup):
    """A group that reports each refusal in one line, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        ctx.meta[OURS] = True
        if isinstance(sys.stdout, TextIOWrapper):  # a name that it has no letters for
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except (AuthError, ConfigurationError) as error:
            raise click.ClickException(_message_of(error)) from None


def _message_of(error: AuthError | ConfigurationError) -> str:
    if isinstance(error, StoreUnavailableError) and error.reason is not None:
        return (
            f"A store does not answer ({error.reason}). Run 'flask tokenauth check' to "
            "see which one, and what to do."
        )
    return str(error if isinstance(error, ConfigurationError) else error.description)


tokenauth = _Group(
    "tokenauth",
    help="""Manage token authentication: keys, users, sessions, tokens.

    Exit codes: 0: done; 1: refused, or a problem was found, with one line that says
    which; 2: wrong usage, or no application was found.
    """,
)

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


def find_state() -> State:
    """Return the state of the application that a command runs for.

    Raises:
        ClickException: the application has no `TokenAuth`.
    """
    try:
        found = state.issuing_state()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    if found is None:
        raise click.ClickException(
            "This application only verifies tokens: run the command at the one that "
            "issues them."
        )
    return found


def checked_state() -> State:
    """Return the same for a command that uses the stores, and warn of what it misses.

    Raises:
        ClickException: the application has no `TokenAuth`.
        ConfigurationError: the tables of its stores are missing.
    """
    here = find_state()
    for store in here.stores.with_tables:
        store.check_tables()
    sessions = here.stores.sessions
    if isinstance(sessions, MemorySessionStore) and sessions.is_empty:
        click.echo(
            "Sessions are in the memory of the server's process, where this command "
            "cannot see them: set TOKENAUTH_SESSION_URL to a shared store.",
            err=True,
        )
    return here


def user_named(here: State, username: str) -> UserRecord:
    """Return the user with this name, in any spelling.

    Raises:
        ClickException: there is none.
    """
    user = find_user(here.stores.users, username)
    if user is None:
        raise click.ClickException("There is no user of this name.")
    return user


def show(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, is_json: bool
) -> None:
    """Print rows: as a table for people, or as JSON for scripts."""
    if is_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = [list(map(_cell, row)) for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_json(value: object) -> None:
    """Print a value as JSON for scripts."""
    click.echo(json.dumps(value, indent=2))


def utc(seconds: float) -> str:
    """Return a time as the API writes it (RFC 3339, UTC), or "never"."""
    if seconds in {0, NEVER}:
        return "never"
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "-" if value is None else str(value)
    return text if text.isprintable() else ascii(text)
