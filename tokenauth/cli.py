"""`flask auth ...`: keys, password hashes and tokens from the command line."""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from . import state
from .errors import AuthError, PasswordRefusedError
from .passwords import hash_password
from .policy import PasswordPolicy
from .sessions import NEVER
from .state import State
from .tokens import Claims

auth = AppGroup("auth", help="Token authentication: keys, password hashes, tokens.")


@auth.command("new-secret", with_appcontext=False)
def new_secret() -> None:
    """Print a new secret key of 256 random bits.

    \b
    Example:
      export FLASK_SECRET_KEY="$(flask auth new-secret)"
    """
    # The prefix keeps Flask from reading an all-digit key as a number.
    click.echo(f"k{secrets.token_hex(32)}")


@auth.command("hash-password", with_appcontext=False)
def hash_password_command() -> None:
    """Print the hash to store for a password.

    The password is asked for twice, without echo; where standard input is not a
    terminal, its first line is taken.

    \b
    Example:
      flask auth hash-password
      flask auth hash-password < password.txt
    """
    password = read_new_password()
    try:
        PasswordPolicy().check(password)
    except PasswordRefusedError as error:
        raise click.ClickException(error.detail) from None
    click.echo(hash_password(password))


def read_new_password() -> str:
    """Return a password from the terminal, or the first line of standard input."""
    if not sys.stdin.isatty():
        return _first_line()
    password: str = click.prompt(
        "Password",
        hide_input=True,
        confirmation_prompt="Once more",
        err=True,  # standard output may be a file, for the result alone
    )
    return password


def _first_line() -> str:
    line = sys.stdin.buffer.readline()
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.ClickException("Standard input is not UTF-8.") from None


@auth.command("inspect")
@click.argument("token")
def inspect(token: str) -> None:
    """Say what TOKEN is, and whether this application accepts it.

    Keys come from the application's configuration. With '-' the token is read from
    standard input, where no list of processes shows it. Exits with 1 if it is refused.

    \b
    Example:
      flask --app myapp auth inspect - < token.txt
    """
    if token == "-":
        token = _first_line().strip()
    authenticator = current_rooms().authenticator
    try:
        purpose, claims, refusal = authenticator.inspect(token)
    except AuthError as error:
        raise click.ClickException(error.detail) from None
    for name, value in _facts(purpose, claims):
        click.echo(f"{name:<14} {value}")
    if refusal is not None:
        click.echo(f"{'refused':<14} {refusal.code}: {refusal.detail}")
        sys.exit(1)
    click.echo("accepted")


def current_rooms() -> State:
    """Return the rooms of the application that a command is run for.

    Raises:
        ClickException: the application has no `TokenAuth`.
    """
    try:
        return state.current()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None


def _facts(purpose: str, claims: Claims) -> list[tuple[str, str]]:
    return [
        ("purpose", purpose),
        ("subject", claims.subject),
        ("session", claims.session_id),
        ("issued", _time(claims.issued_at)),
        ("expires", _time(claims.expires_at)),
        ("authenticated", _time(claims.authenticated_at)),
        ("scopes", " ".join(sorted(claims.scopes)) or "none"),
    ]


def _time(seconds: int) -> str:
    if seconds in {0, NEVER}:
        return "never"
    return datetime.fromtimestamp(seconds, UTC).isoformat()
