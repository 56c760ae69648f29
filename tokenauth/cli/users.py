"""`flask tokenauth users ...`: people who may log in."""

from __future__ import annotations

import secrets
from typing import Any

import click
from flask.cli import AppGroup

from ..accounts.names import folded_name
from ..accounts.users import ManagedUserStore, User, UserRecord, scopes_of
from ..errors import InvalidCredentialsError
from ..tokens.scopes import check_names, format_scopes
from .group import (
    as_json,
    authority,
    print_json,
    read_new_password,
    rooms,
    show,
    tokenauth,
    user_named,
    warn_of_memory,
)

_COLUMNS = ("id", "username", "active", "scope")

users = AppGroup("users", help="People who may log in.")
tokenauth.add_command(users)


def _names_of_scopes(
    _: click.Context, __: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    try:
        check_names(names)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return names


_scopes = click.option(
    "--scope",
    "scopes",
    multiple=True,
    callback=_names_of_scopes,
    help="A scope of the user; repeat the option for more.",
)


@users.command("add", short_help="Add a user.")
@click.argument("username")
@_scopes
@as_json
def add(username: str, scopes: tuple[str, ...], *, is_json: bool) -> None:
    """Add a user; the password is asked for, or read from standard input.

    \b
    Example:
      flask tokenauth users add JohnDoe --scope reports:read
      flask tokenauth users add JohnDoe --json < password.txt
    """
    store, account = _managed(), folded_name(username)
    new_hash = rooms().checker.hash_new(read_new_password(), account)
    user = User(username, new_hash, id=secrets.token_hex(16), scopes=scopes)
    if not store.add(user):
        raise click.ClickException(
            "This username, or another spelling of it, is taken."
        )
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
    show(_COLUMNS, [_row(user) for user in _managed().all()], is_json=is_json)


@users.command("disable", short_help="Close an account; its logins and tokens end.")
@click.argument("username")
def disable(username: str) -> None:
    """Close an account; every login and token of it ends at once.

    \b
    Example:
      flask tokenauth users disable JohnDoe
    """
    store, user = _managed(), user_named(username)
    _insist(store.set_active(user.get_id(), active=False))
    ended = authority().revoke_user(user.get_id())
    click.echo(f"Disabled {_name_of(user)}; {ended} sessions ended.")


@users.command("enable", short_help="Open a closed account again.")
@click.argument("username")
def enable(username: str) -> None:
    """Open a closed account again; what has ended stays ended.

    \b
    Example:
      flask tokenauth users enable JohnDoe
    """
    store, user = _managed(), user_named(username)
    # Should the store have failed when the account was closed, they end now.
    authority().revoke_user(user.get_id())
    _insist(store.set_active(user.get_id(), active=True))
    click.echo(f"Enabled {_name_of(user)}.")


@users.command("set-password", short_help="Give a new password; logins and tokens end.")
@click.argument("username")
def set_password(username: str) -> None:
    """Give a user a new password; every login and token of the user ends at once.

    \b
    Example:
      flask tokenauth users set-password JohnDoe
    """
    _managed()  # refused before the password is asked for
    user = user_named(username)
    password = read_new_password()
    try:
        warn_of_memory()
        ended = rooms().password_login.set_password(user, password)
    except InvalidCredentialsError:
        raise click.ClickException(
            "The password was changed meanwhile: try again."
        ) from None
    click.echo(f"Changed the password of {_name_of(user)}; {ended} sessions ended.")


@users.command("set-scopes", short_help="Give a user other scopes.")
@click.argument("username")
@_scopes
def set_scopes(username: str, scopes: tuple[str, ...]) -> None:
    """Give a user these scopes and no others; tokens lose the rest at once.

    Without --scope the user has none. For one that is new, the user logs in again.

    \b
    Example:
      flask tokenauth users set-scopes JohnDoe --scope reports:read
    """
    store, user = _managed(), user_named(username)
    _insist(store.set_scopes(user.get_id(), scopes))
    click.echo(f"Scopes of {_name_of(user)}: {format_scopes(scopes) or 'none'}.")


@users.command("remove", short_help="Remove a user for good.")
@click.argument("username")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(username: str, *, yes: bool) -> None:
    """Remove a user; every login and token of the user ends at once.

    \b
    Example:
      flask tokenauth users remove JohnDoe --yes
    """
    store, user = _managed(), user_named(username)
    if not yes:
        click.confirm(f"Remove {_name_of(user)} for good?", abort=True, err=True)
    desk, user_id = authority(), user.get_id()
    ended = desk.revoke_user(user_id)
    store.remove(user_id)
    ended += desk.revoke_user(user_id)
    click.echo(f"Removed {_name_of(user)}; {ended} sessions ended.")


def _insist(found: bool) -> None:  # noqa: FBT001 # what the store said
    if not found:
        raise click.ClickException("The user was removed meanwhile.")


def _name_of(user: UserRecord) -> str:
    return user.username if isinstance(user, User) else user.get_id()


def _row(user: User) -> list[Any]:
    return [user.id, user.username, user.is_active, format_scopes(scopes_of(user))]


def _managed() -> ManagedUserStore:
    store = rooms().stores.users
    if not isinstance(store, ManagedUserStore):
        raise click.ClickException(
            f"The users of a {type(store).__name__} cannot be managed from here: set "
            "TOKENAUTH_USERS_URL, or manage them where they are kept."
        )
    return store
