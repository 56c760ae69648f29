"""`flask tokenauth inspect`: what a token says, and whether it is accepted."""

from __future__ import annotations

import sys

import click

from ..errors import AuthError, TokenInvalidError
from ..tokens.claims import Claims
from ..tokens.signing import REFRESH
from ..web.state import State
from .group import as_json, checked_state, print_json, tokenauth, utc
from .passwords import read_line


@tokenauth.command("inspect")
@click.argument("token")
@as_json
def inspect(token: str, *, is_json: bool) -> None:
    """Show what TOKEN says, and if it is accepted.

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
    facts: dict[str, object] = {}
    refusal: AuthError | None
    try:
        purpose, claims, refusal = here.inspector.inspect(token)
        facts = _facts(here, purpose, claims)
    except TokenInvalidError as error:
        if not is_json:
            raise
        refusal = error
    _show(facts, refusal, is_json=is_json)
    if refusal is not None:
        sys.exit(1)


def _facts(here: State, purpose: str, claims: Claims) -> dict[str, object]:
    user = here.stores.users.get(claims.subject)
    return {
        "purpose": purpose,
        "subject": claims.subject,
        "username": getattr(user, "username", None),
        "session": claims.session_id,
        "issued": utc(claims.issued_at),
        "expires": utc(claims.expires_at),
        "authenticated": utc(claims.authenticated_at),
        "scopes": sorted(claims.scopes),
    }


def _show(
    facts: dict[str, object], refusal: AuthError | None, *, is_json: bool
) -> None:
    if is_json:
        why = refusal and {"code": refusal.error_code, "detail": refusal.description}
        print_json({"accepted": refusal is None, "refusal": why, **facts})
        return
    for name, value in facts.items():
        shown = (" ".join(value) or "none") if isinstance(value, list) else value or "-"
        click.echo(f"{name:<14} {shown}")
    if refusal is not None:
        click.echo(f"{'refused':<14} {refusal.error_code}: {refusal.description}")
    elif facts["purpose"] == REFRESH:
        click.echo("accepted       for refreshing only")
    else:
        click.echo("accepted")
