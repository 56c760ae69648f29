"""`flask tokenauth sessions ...` and `tokens ...`: all that can open an account."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from .. import events
from ..sessions.session import PERSONAL, Session, check_label
from ..tokens.scopes import format_scopes
from ..web.state import State
from .group import as_json, checked_state, show, tokenauth, user_named, utc
from .users import scope_option

_STEP = 1000
_SESSION = ("id", "kind", "label", "client", "created", "refreshed", "ends")
_TOKEN = ("id", "name", "scope", "created", "used", "expires")

sessions = AppGroup("sessions", help="List and end the sessions of users.")
tokens = AppGroup("tokens", help="Manage the personal access tokens of users.")
tokenauth.add_command(sessions)
tokenauth.add_command(tokens)


@sessions.command("list")
@click.argument("username")
@as_json
def list_sessions(username: str, *, is_json: bool) -> None:
    """List all that can open a user's account.

    That is: the active sessions, those of personal and one-time tokens, too.

    \b
    Example:
      flask tokenauth sessions list JohnDoe
      flask tokenauth sessions list JohnDoe --json
    """
    here = checked_state()
    found = here.service.active_sessions(user_named(here, username).get_id())
    show(_SESSION, map(_session_row, found), is_json=is_json)


def _session_row(session: Session) -> tuple[object, ...]:
    times = session.created_at, session.refreshed_at, session.ends_at
    return session.id, session.kind, session.label, session.client, *map(utc, times)


# An id may begin with a hyphen.
@sessions.command("revoke", context_settings={"ignore_unknown_options": True})
@click.argument("session_id", required=False)
@click.option("--user", "username", help="End all sessions and tokens of this user.")
@click.option("--all", "is_all", is_flag=True, help="End those of all users.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(
    session_id: str | None, username: str | None, *, is_all: bool, yes: bool
) -> None:
    """End one session, or all of a user.

    A personal access token has one, too. With --all everybody has to log in again, by
    cookie, too, and scripts need new tokens: for the time after a breach. Exits with 1
    if there is no such session.

    \b
    Example:
      flask tokenauth sessions revoke k0vQ1lW2rGmUJbYcXz5T8w
      flask tokenauth sessions revoke --user JohnDoe
      flask tokenauth sessions revoke --all --yes
    """
    if (session_id is not None) + (username is not None) + is_all != 1:
        raise click.UsageError("Give the id of a session, or --user, or --all.")
    here = checked_state()
    if is_all:
        if not yes:
            click.confirm("End all sessions and tokens?", abort=True, err=True)
        click.echo(f"Ended {_end_everyone(here)}.")
    elif username is not None:
        user = user_named(here, username)
        click.echo(f"Ended {here.service.revoke_user(user.get_id())}.")
    elif session_id is not None and here.service.revoke_session(session_id):
        click.echo("Ended.")
    else:
        raise click.ClickException("There is no active session with this id.")


def _end_everyone(here: State) -> int:
    store = here.stores.sessions
    if (end_everyone := getattr(store, "end_everyone", None)) is None:
        raise click.ClickException(
            f"A {type(store).__name__} cannot end the sessions of all users. Set "
            "another SECRET_KEY and no fallback: that ends every token."
        )
    ended: int = end_everyone()
    here.service.end_cookies()
    here.emit(events.session_revoked, reason="everyone")
    return ended


@sessions.command("purge")
def purge() -> None:
    """Delete the rows of expired sessions.

    Each login deletes some as well; this is for a table that has not been used for
    long.

    \b
    Example:
      flask tokenauth sessions purge
    """
    here, total = checked_state(), 0
    while (deleted := here.sessions.purge(now=here.clock(), limit=_STEP)) > 0:
        total += deleted
        click.echo(f"{total} deleted ...", err=True)
    click.echo(f"Deleted {total}.")


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
    here = checked_state()
    found = here.personal.of_user(user_named(here, username).get_id())
    show(_TOKEN, map(_token_row, found), is_json=is_json)


def _token_row(token: Session) -> tuple[object, ...]:
    scope = format_scopes(token.scopes)
    times = token.created_at, token.refreshed_at, token.expires_at
    return token.id, token.label, scope, *map(utc, times)


@tokens.command("create")
@click.argument("username")
@click.option("--name", required=True, help="What it is for; it is listed by this.")
@scope_option
@click.option("--days", type=click.IntRange(1, 36500), help="When it expires.")
@click.option("--no-expiry", is_flag=True, help="It works until it is revoked.")
def create_token(
    username: str,
    name: str,
    scopes: tuple[str, ...],
    days: int | None,
    *,
    no_expiry: bool,
) -> None:
    """Make a personal access token and print it.

    Nobody can see it again. Without --scope it may do all that the user may.

    \b
    Example:
      flask tokenauth tokens create backup-bot --name nightly --days 90
      flask tokenauth tokens create backup-bot --name ci --scope read --no-expiry
    """
    if (days is None) != no_expiry:
        raise click.UsageError("Give --days, or --no-expiry.")
    check_label(name)
    here = checked_state()
    _, token = here.personal.create_for(
        user_named(here, username),
        name=name,
        scopes=scopes or None,
        expires_in=None if days is None else days * 86400,
    )
    click.echo(token)


# An id may begin with a hyphen.
@tokens.command("revoke", context_settings={"ignore_unknown_options": True})
@click.argument("token_id", required=False)
@click.option("--user", "username", help="End all personal access tokens of this user.")
def revoke_token(token_id: str | None, username: str | None) -> None:
    """End one token, or all of a user.

    The user's sessions stay. Exits with 1 if there is no such token.

    \b
    Example:
      flask tokenauth tokens revoke k0vQ1lW2rGmUJbYcXz5T8w
      flask tokenauth tokens revoke --user JohnDoe
    """
    if (token_id is None) == (username is None):
        raise click.UsageError("Give the id of a token, or --user.")
    here = checked_state()
    if username is not None:
        user_id = user_named(here, username).get_id()
        click.echo(f"Ended {here.service.revoke_user(user_id, kind=PERSONAL)}.")
        return
    session = here.stores.sessions.get(str(token_id))
    if session is None or session.kind != PERSONAL:
        raise click.ClickException("There is no personal access token with this id.")
    here.service.revoke_session(session.id, user_id=session.user_id)
    click.echo("Ended.")
