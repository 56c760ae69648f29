"""`flask tokenauth sessions ...`: all that can open an account."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from .. import events
from ..sessions.session import Session
from ..stores import BulkStore
from ..tokens.scopes import format_scopes
from ..web.state import State
from .group import as_json, show, state_with_sessions, tokenauth, user_named, utc

_STEP = 1000
_COLUMNS = ("id", "kind", "label", "client", "created", "refreshed", "ends")

sessions = AppGroup("sessions", help="List and end the sessions of users.")
tokenauth.add_command(sessions)


@sessions.command("list", short_help="List all that can open a user's account.")
@click.argument("username")
@as_json
def list_sessions(username: str, *, is_json: bool) -> None:
    """List a user's active sessions, those of personal and one-time tokens, too.

    \b
    Example:
      flask tokenauth sessions list JohnDoe
      flask tokenauth sessions list JohnDoe --json
    """
    here = state_with_sessions()
    found = here.service.active_sessions(user_named(here, username).get_id())
    show(_COLUMNS, map(facts_of, found), is_json=is_json)


def facts_of(session: Session) -> dict[str, object]:
    """Return what the lists of sessions and of personal access tokens show of one."""
    return {
        "id": session.id,
        "kind": session.kind,
        "label": session.label,
        "name": session.label,
        "client": session.client,
        "scope": format_scopes(session.scopes),
        "created": utc(session.created_at),
        "refreshed": utc(session.refreshed_at),
        "used": utc(session.refreshed_at),
        "ends": utc(session.ends_at),
        "expires": utc(session.expires_at),
    }


# An id may begin with a hyphen.
@sessions.command(
    "revoke",
    short_help="End one session, or all of a user.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("session_id", required=False)
@click.option("--user", "username", help="End all sessions and tokens of this user.")
@click.option("--all", "is_all", is_flag=True, help="End those of all users.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(
    session_id: str | None, username: str | None, *, is_all: bool, yes: bool
) -> None:
    """End one session or personal access token at once, or all of a user.

    With --all everybody has to log in again, by cookie, too, and scripts need new
    tokens: for the time after a breach. Exits with 1 if there is no such session.

    \b
    Example:
      flask tokenauth sessions revoke k0vQ1lW2rGmUJbYcXz5T8w
      flask tokenauth sessions revoke --user JohnDoe
      flask tokenauth sessions revoke --all --yes
    """
    if (session_id is not None) + (username is not None) + is_all != 1:
        raise click.UsageError("Give the id of a session, or --user, or --all.")
    here = state_with_sessions()
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
    if not isinstance(store, BulkStore):
        raise click.ClickException(
            f"A {type(store).__name__} cannot end the sessions of all users. Set "
            "another SECRET_KEY and no fallback: that ends every token."
        )
    ended = store.end_everyone()
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
    here, total = state_with_sessions(), 0
    while (deleted := here.sessions.purge(now=here.clock(), limit=_STEP)) > 0:
        total += deleted
        click.echo(f"{total} deleted ...", err=True)
    click.echo(f"Deleted {total}.")
