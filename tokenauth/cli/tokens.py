"""`flask tokenauth tokens ...`: the personal access tokens of users."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from ..sessions.session import PERSONAL, check_label
from .group import as_json, show, state_with_sessions, tokenauth, user_named
from .sessions import facts_of
from .users import scope_option

_COLUMNS = ("id", "name", "scope", "created", "used", "expires")

tokens = AppGroup("tokens", help="Manage the personal access tokens of users.")
tokenauth.add_command(tokens)


@tokens.command("list")
@click.argument("username")
@as_json
def list_tokens(username: str, *, is_json: bool) -> None:
    """List a user's personal access tokens.

    Nobody can see a token again; its id is enough to end it.

    \b
    Example:
      flask tokenauth tokens list JohnDoe
      flask tokenauth tokens list JohnDoe --json
    """
    here = state_with_sessions()
    found = here.personal.of_user(user_named(here, username).get_id())
    show(_COLUMNS, map(facts_of, found), is_json=is_json)


@tokens.command("create", short_help="Make a personal access token and print it.")
@click.argument("username")
@click.option("--name", required=True, help="What it is for; it is listed by this.")
@scope_option
@click.option("--days", type=click.IntRange(1, 36500), help="When it expires.")
@click.option("--no-expiry", is_flag=True, help="It works until it is revoked.")
def create(
    username: str,
    name: str,
    scopes: tuple[str, ...],
    days: int | None,
    *,
    no_expiry: bool,
) -> None:
    """Make a personal access token of a user, and print it: nobody can see it again.

    Without --scope it may do all that the user may.

    \b
    Example:
      flask tokenauth tokens create backup-bot --name nightly --days 90
      flask tokenauth tokens create backup-bot --name ci --scope read --no-expiry
    """
    if (days is None) != no_expiry:
        raise click.UsageError("Give --days, or --no-expiry.")
    check_label(name)
    here = state_with_sessions()
    _, token = here.personal.create_for(
        user_named(here, username),
        name=name,
        scopes=scopes or None,
        expires_in=None if days is None else days * 86400,
    )
    click.echo(token)


# An id may begin with a hyphen.
@tokens.command(
    "revoke",
    short_help="End one token, or all of a user.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("token_id", required=False)
@click.option("--user", "username", help="End all personal access tokens of this user.")
def revoke(token_id: str | None, username: str | None) -> None:
    """End one personal access token at once, or all of a user.

    The user's sessions stay. Exits with 1 if there is no such token.

    \b
    Example:
      flask tokenauth tokens revoke k0vQ1lW2rGmUJbYcXz5T8w
      flask tokenauth tokens revoke --user JohnDoe
    """
    if (token_id is None) == (username is None):
        raise click.UsageError("Give the id of a token, or --user.")
    here = state_with_sessions()
    if username is not None:
        user_id = user_named(here, username).get_id()
        click.echo(f"Ended {here.service.revoke_user(user_id, kind=PERSONAL)}.")
        return
    session = here.stores.sessions.get(str(token_id))
    if session is None or session.kind != PERSONAL:
        raise click.ClickException("There is no personal access token with this id.")
    here.service.revoke_session(session.id, user_id=session.user_id)
    click.echo("Ended.")
