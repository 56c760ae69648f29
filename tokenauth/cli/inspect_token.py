"""`flask tokenauth inspect`: what a token says, and whether it is accepted."""

from __future__ import annotations

import sys

import click

from ..accounts.users import UserStore
from ..errors import AuthError, TokenInvalidError, TokenRevokedError
from ..tokens.claims import Claims
from ..tokens.scopes import format_scopes
from ..tokens.signing import REFRESH
from .group import (
    as_json,
    checked_state,
    name_of,
    print_json,
    tokenauth,
    utc,
    warn_of_memory,
)
from .passwords import read_line


@tokenauth.command("inspect", short_help="Show what TOKEN says, and if it is accepted.")
@click.argument("token")
@as_json
def inspect(token: str, *, is_json: bool) -> None:
    """Show what TOKEN says, and whether this application accepts it.

    Keys come from the application's configuration. With '-' the token is read from
    standard input, where no list of processes shows it. Exits with 1 if it is refused.

    \b
    Example:
      flask --app myapp tokenauth inspect - < token.txt
      flask --app myapp tokenauth inspect --json - < token.txt
    """
    here = checked_state()
    if token == "-":
        token = read_line("token").strip()
    try:
        purpose, claims, refusal = here.inspector.inspect(token)
    except TokenInvalidError as error:
        if not is_json:
            raise
        print_json(_verdict(error))
        sys.exit(1)
    facts = _facts(purpose, claims, here.stores.users)
    if is_json:
        print_json({**_verdict(refusal), **facts, "scopes": sorted(claims.scopes)})
    else:
        _print(facts, refusal)
    if refusal is not None:
        if isinstance(refusal, TokenRevokedError):
            warn_of_memory(here)
        sys.exit(1)


def _facts(purpose: str, claims: Claims, users: UserStore) -> dict[str, str | None]:
    user = users.get(claims.subject)
    return {
        "purpose": purpose,
        "subject": claims.subject,
        "username": None if user is None else name_of(user),
        "session": claims.session_id,
        "issued": utc(claims.issued_at),
        "expires": utc(claims.expires_at),
        "authenticated": utc(claims.authenticated_at),
        "scopes": format_scopes(claims.scopes) or "none",
    }


def _print(facts: dict[str, str | None], refusal: AuthError | None) -> None:
    for name, value in facts.items():
        click.echo(f"{name:<14} {value or '-'}")
    if refusal is not None:
        click.echo(f"{'refused':<14} {refusal.error_code}: {refusal.description}")
    elif facts["purpose"] == REFRESH:
        click.echo("accepted       for refreshing only")
    else:
        click.echo("accepted")


def _verdict(refusal: AuthError | None) -> dict[str, object]:
    if refusal is None:
        return {"accepted": True, "refusal": None}
    reason = {"code": refusal.error_code, "detail": refusal.description}
    return {"accepted": False, "refusal": reason}
