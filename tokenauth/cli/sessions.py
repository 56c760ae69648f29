"""`flask tokenauth sessions ...`: logins and tokens that stand."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from ..sessions.session import LOGIN
from ..sessions.verifier import active_sessions
from .group import (
    as_json,
    authority,
    rooms,
    show,
    tokenauth,
    user_named,
    utc,
    warn_of_memory,
)

_STEP = 1000

sessions = AppGroup("sessions", help="Logins that stand.")
tokenauth.add_command(sessions)


@sessions.command("list")
@click.argument("username")
@as_json
def list_sessions(username: str, *, is_json: bool) -> None:
    """List a user's logins.

    \b
    Example:
      flask tokenauth sessions list JohnDoe
    """
    user = user_named(username)
    warn_of_memory()
    current = rooms()
    found = active_sessions(
        current.sessions, user.get_id(), current.clock(), kind=LOGIN
    )
    rows = [
        [
            session.id,
            session.label,
            session.client,
            utc(session.created_at),
            utc(session.refreshed_at),
            utc(session.ends_at),
        ]
        for session in found
    ]
    columns = ["id", "label", "client", "created", "refreshed", "ends"]
    show(columns, rows, is_json=is_json)


# An id may begin with a hyphen.
@sessions.command(
    "revoke",
    short_help="End a login or a token, or all of a user.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("session_id", required=False)
@click.option("--user", "username", help="End every login and token of this user.")
def revoke(session_id: str | None, username: str | None) -> None:
    """End one login or personal access token at once, or all of a user.

    Exits with 1 if there is no such session.

    \b
    Example:
      flask tokenauth sessions revoke k0vQ1lW2rGmUJbYcXz5T8w
      flask tokenauth sessions revoke --user JohnDoe
    """
    if (session_id is None) == (username is None):
        raise click.UsageError("Give the id of a session, or --user.")
    if username is not None:
        user = user_named(username)
        ended = authority().revoke_user(user.get_id())
        click.echo(f"Ended {ended}.")
    elif session_id is not None and authority().revoke_session(session_id):
        click.echo("Ended.")
    else:
        raise click.ClickException("There is no such session.")


@sessions.command("purge")
def purge() -> None:
    """Drop the rows of sessions whose time is over.

    Each login drops some as well; this is for a table that has been left alone.

    \b
    Example:
      flask tokenauth sessions purge
    """
    warn_of_memory()
    current, total = rooms(), 0
    now = current.clock()
    while (dropped := current.sessions.purge(now=now, limit=_STEP)) > 0:
        total += dropped
        click.echo(f"{total} dropped ...", err=True)
    click.echo(f"Dropped {total}.")
