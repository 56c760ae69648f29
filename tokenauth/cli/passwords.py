"""`flask tokenauth new-secret`, `hash-password`; how commands read a password."""

from __future__ import annotations

import secrets
import sys
from contextlib import suppress

import click

from ..accounts.passwords import hash_password
from ..accounts.policy import PasswordPolicy
from .group import tokenauth


@tokenauth.command("new-secret", with_appcontext=False)
@click.option(
    "--ed25519", "is_pair", is_flag=True, help="Make a key pair to sign with."
)
def new_secret(*, is_pair: bool) -> None:
    """Print a new secret key of 256 random bits.

    With --ed25519: a private key for TOKENAUTH_SIGNING_KEY, and its public key to
    standard error.

    \b
    Example:
      export FLASK_SECRET_KEY="$(flask tokenauth new-secret)"
      flask tokenauth new-secret --ed25519 > signing.key
    """
    if is_pair:
        from ..tokens import ed25519

        private = ed25519.new_private()
        click.echo(ed25519.format_key(ed25519.PRIVATE, private))
        public = ed25519.public_of(private)
        click.echo(ed25519.format_key(ed25519.PUBLIC, public), err=True)
        return
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


def read_new_password() -> str:
    """Return a password from the terminal, or the first line of standard input.

    Raises:
        ClickException: standard input is empty, or not UTF-8.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return read_line("password")
    password: str = click.prompt(
        "Password",
        hide_input=True,
        confirmation_prompt="Once more",
        err=True,  # standard output may be a file, for the result alone
    )
    return password


def read_line(what: str) -> str:
    """Return the first line of standard input, without a byte order mark.

    Raises:
        ClickException: standard input is empty, or not UTF-8.
    """
    raw = b""
    with suppress(OSError):  # it is open for writing only, as `nohup` leaves it
        raw = sys.stdin.buffer.readline() if sys.stdin else raw
    if not raw:
        raise click.ClickException(
            f"No {what} was given: there is no terminal, and standard input is empty. "
            f"Write the {what} to standard input ('< file', 'docker exec -i'), or run "
            "the command at a terminal ('docker exec -it')."
        )
    try:
        return raw.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.ClickException(
            "Standard input is not UTF-8: save the file in that encoding."
        ) from None
