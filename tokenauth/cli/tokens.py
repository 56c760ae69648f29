"""`flask tokenauth new-secret`, `hash-password`, `inspect`: keys, hashes and tokens."""

from __future__ import annotations

import secrets
import sys

import click

from ..accounts.passwords import hash_password
from ..accounts.policy import PasswordPolicy
from ..errors import AuthError, TokenInvalidError, TokenRevokedError
from ..tokens.claims import Claims
from ..tokens.scopes import format_scopes
from .group import (
    as_json,
    first_line,
    print_json,
    read_new_password,
    rooms,
    tokenauth,
    utc,
    warn_of_memory,
)


@tokenauth.command(
    "new-secret", short_help="Print a new secret key.", with_appcontext=False
)
def new_secret() -> None:
    """Print a new secret key of 256 random bits.

    \b
    Example:
      export FLASK_SECRET_KEY="$(flask tokenauth new-secret)"
    """
    # The prefix keeps Flask from reading an all-digit key as a number.
    click.echo(f"k{secrets.token_hex(32)}")


@tokenauth.command("hash-password", with_appcontext=False)
def hash_password_command() -> None:
    """Print the hash to store for a password.

    The password is asked for twice, without echo; where standard input is not a
    terminal, its first line is taken.

    \b
    Example:
      flask tokenauth hash-password
      flask tokenauth hash-password < password.txt
    """
    password = read_new_password()
    PasswordPolicy().check(password)
    click.echo(hash_password(password))


@tokenauth.command("inspect", short_help="Say what TOKEN is, and if it is accepted.")
@click.argument("token")
@as_json
def inspect(token: str, *, is_json: bool) -> None:
    """Say what TOKEN is, and whether this application accepts it.

    Keys come from the application's configuration. With '-' the token is read from
    standard input, where no list of processes shows it. Exits with 1 if it is refused.

    \b
    Example:
      flask --app myapp tokenauth inspect - < token.txt
      flask --app myapp tokenauth inspect --json - < token.txt
    """
    if token == "-":
        token = first_line().strip()
    try:
        purpose, claims, refusal = rooms().inspector.inspect(token)
    except TokenInvalidError as error:
        if not is_json:
            raise
        print_json(_verdict(error))
        sys.exit(1)
    facts = _facts(purpose, claims)
    if is_json:
        print_json({**_verdict(refusal), **facts, "scopes": sorted(claims.scopes)})
    else:
        _tell(facts, refusal)
    if refusal is not None:
        if isinstance(refusal, TokenRevokedError):
            warn_of_memory()
        sys.exit(1)


def _facts(purpose: str, claims: Claims) -> dict[str, str]:
    return {
        "purpose": purpose,
        "subject": claims.subject,
        "session": claims.session_id,
        "issued": utc(claims.issued_at),
        "expires": utc(claims.expires_at),
        "authenticated": utc(claims.authenticated_at),
        "scopes": format_scopes(claims.scopes) or "none",
    }


def _tell(facts: dict[str, str], refusal: AuthError | None) -> None:
    for name, value in facts.items():
        click.echo(f"{name:<14} {value}")
    if refusal is None:
        click.echo("accepted")
    else:
        click.echo(f"{'refused':<14} {refusal.error_code}: {refusal.description}")


def _verdict(refusal: AuthError | None) -> dict[str, object]:
    if refusal is None:
        return {"accepted": True, "refusal": None}
    reason = {"code": refusal.error_code, "detail": refusal.description}
    return {"accepted": False, "refusal": reason}
