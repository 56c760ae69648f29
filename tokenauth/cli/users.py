"""`flask tokenauth users ...`: the users that a store of this package keeps."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, cast

import click
from flask.cli import AppGroup

from .. import events
from ..accounts.names import folded_name
from ..accounts.users import User, scopes_of
from ..errors import InvalidCredentialsError
from ..tokens.scopes import check_names, format_scopes
from ..web.state import State
from .group import as_json, checked_state, print_json, show, tokenauth, user_named
from .passwords import read_new_password

if TYPE_CHECKING:
    from ..stores.sql import SQLUserStore

_COLUMNS = ("id", "username", "active", "scope")
_TAKEN = "Another user has this username, or another spelling of it."

users = AppGroup("users", help="Manage the users that may log in.")
tokenauth.add_command(users)


def _names_of_scopes(
    _: click.Context, __: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    for name in names:
        if "," in name:
            raise click.BadParameter(
                f"{name!r} has a comma. Repeat the option for each scope: "
                "--scope read --scope write."
            )
    try:
        check_names(names)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return names


scope_option = click.option(
    "--scope",
    "scopes",
    multiple=True,
    callback=_names_of_scopes,
    help="A scope; repeat the option for more.",
)


@users.command("add")
@click.argument("username")
@scope_option
@as_json
def add(username: str, scopes: tuple[str, ...], *, is_json: bool) -> None:
    """Add a user.

    The password is asked for, or read from standard input.

    \b
    Example:
      flask tokenauth users add JohnDoe --scope reports:read
      flask tokenauth users add JohnDoe --json < password.txt
    """
    here = checked_state()
    store, username = _managed(here), username.strip()
    account = folded_name(username)
    new_hash = here.checker.hash_new(read_new_password(), account)
    user = User(username, new_hash, id=secrets.token_hex(16), scopes=scopes)
    if not store.add(user):
        raise click.ClickException(_TAKEN)
    here.emit(events.user_added, user_id=user.id)
    if is_json:
        print_json(dict(zip(_COLUMNS, _row(user), strict=True)))
    else:
        click.echo(f"Added {username} with the id {user.id}.")


@users.command("list")
@as_json
def list_users(*, is_json: bool) -> None:
    """List the users.

    \b
    Example:
      flask tokenauth users list --json
    """
    show(_COLUMNS, map(_row, _managed(checked_state()).all()), is_json=is_json)


@users.command("rename")
@click.argument("username")
@click.argument("new_username")
def rename(username: str, new_username: str) -> None:
    """Give a user another name to log in with.

    Id, password, scopes, sessions and tokens stay as they are.

    \b
    Example:
      flask tokenauth users rename JohnDoe JohnSmith
    """
    here, store, user = _find(username)
    new_username = new_username.strip()
    if not store.rename(user.id, new_username):
        raise click.ClickException(_TAKEN)
    here.emit(events.user_renamed, user_id=user.id)
    click.echo(f"Renamed {user.username} to {new_username}.")


@users.command("disable")
@click.argument("username")
def disable(username: str) -> None:
    """Disable a user. Sessions and tokens of the user end at once.

    \b
    Example:
      flask tokenauth users disable JohnDoe
    """
    here, store, user = _find(username)
    _check_found(store.set_active(user.id, active=False))
    here.emit(events.user_disabled, user_id=user.id)
    ended = here.service.revoke_user(user.id)
    click.echo(f"Disabled {user.username}; {ended} sessions ended.")


@users.command("enable")
@click.argument("username")
def enable(username: str) -> None:
    """Enable a disabled user. Sessions and tokens that have ended stay ended.

    \b
    Example:
      flask tokenauth users enable JohnDoe
    """
    here, store, user = _find(username)
    # If the session store failed when the user was disabled, sessions are left.
    here.service.revoke_user(user.id)
    _check_found(store.set_active(user.id, active=True))
    here.emit(events.user_enabled, user_id=user.id)
    click.echo(f"Enabled {user.username}.")


@users.command("set-password")
@click.argument("username")
def set_password(username: str) -> None:
    """Set a user's password. Sessions and tokens of the user end at once.

    The password is asked for, or read from standard input.

    \b
    Example:
      flask tokenauth users set-password JohnDoe
    """
    here, _, user = _find(username)
    password = read_new_password()
    try:
        ended = here.password_login.set_password(user, password)
    except InvalidCredentialsError:
        raise click.ClickException(
            "Somebody else changed the password at the same time: try again."
        ) from None
    click.echo(f"Changed the password of {user.username}; {ended} sessions ended.")


@users.command("set-scopes")
@click.argument("username")
@scope_option
@click.option("--none", "is_none", is_flag=True, help="Take all scopes away.")
def set_scopes(username: str, scopes: tuple[str, ...], *, is_none: bool) -> None:
    """Replace a user's scopes. Tokens lose what is taken away at once.

    A user who is given a new scope gets it with the next login.

    \b
    Example:
      flask tokenauth users set-scopes JohnDoe --scope reports:read
      flask tokenauth users set-scopes JohnDoe --none
    """
    if bool(scopes) == is_none:
        raise click.UsageError(
            "Give --scope for each scope that the user shall have, or --none. "
            "'flask tokenauth users list' shows the present ones."
        )
    here, store, user = _find(username)
    _check_found(store.set_scopes(user.id, scopes))
    here.emit(events.user_scopes_set, user_id=user.id)
    click.echo(f"Scopes of {user.username}: {format_scopes(scopes) or 'none'}.")


@users.command("remove")
@click.argument("username")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(username: str, *, yes: bool) -> None:
    """Remove a user for good. Sessions and tokens of the user end at once.

    \b
    Example:
      flask tokenauth users remove JohnDoe --yes
    """
    here, store, user = _find(username)
    if not yes:
        click.confirm(f"Remove {user.username} for good?", abort=True, err=True)
    ended = here.service.revoke_user(user.id)
    is_removed = store.remove(user.id)
    ended += here.service.revoke_user(user.id)  # sessions that began in between
    _check_found(is_removed)
    here.emit(events.user_removed, user_id=user.id)
    click.echo(f"Removed {user.username}; {ended} sessions ended.")


def _find(username: str) -> tuple[State, SQLUserStore, User]:
    here = checked_state()
    return here, _managed(here), cast(User, user_named(here, username))


def _check_found(found: bool) -> None:  # noqa: FBT001 # what the store returned
    if not found:
        raise click.ClickException("The user was removed in the meantime.")


def _row(user: User) -> tuple[object, ...]:
    scope = format_scopes(scopes_of(user))
    return user.id, user.username, user.is_active, scope


def _managed(here: State) -> SQLUserStore:
    store = here.stores.users
    if not hasattr(store, "set_scopes"):  # an application's own may be like ours
        raise click.ClickException(
            f"This application keeps its users itself ({type(store).__name__}): manage "
            "them there. These commands need TOKENAUTH_USERS_URL."
        )
    return cast("SQLUserStore", store)
