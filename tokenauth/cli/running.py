"""Which `flask` command is running: what an application may need, or do, at its start.

An application is loaded by the command that needs it, so the command's context is the
current one while a factory runs, whatever the factory is and wherever it is kept.
"""

from __future__ import annotations

from typing import Final

import click
from flask.cli import ScriptInfo, run_command

from ..errors import ConfigurationError
from ..events import LOGGER
from ..stores.memory import MemorySessionStore
from ..stores.provision import Stores

OURS: Final = __name__
"""Key of `click.Context.meta`, set while a command of `flask tokenauth` runs."""


def running_command() -> click.Command | None:
    """Return the `flask` command that loads the application; None under a server.

    `flask run` is a server.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.find_object(ScriptInfo) is None:
        return None
    return None if context.command is run_command else context.command


def check_tables_at_start(stores: Stores) -> None:
    """Check the tables of an application's stores when it starts.

    Under a `flask` command a problem is logged only: `flask db upgrade`, `flask shell`
    or a seed command may run before the tables are created. The commands of
    `flask tokenauth` check the tables themselves.

    Raises:
        ConfigurationError: a server starts, and a table is missing or of another
            version.
    """
    command = running_command()
    if command is not None and OURS in click.get_current_context().meta:
        return
    try:
        stores.check_tables()
    except ConfigurationError as error:
        if command is None:
            raise
        LOGGER.warning("%s", error)


def announce_memory(stores: Stores) -> None:
    """Say at the start of a server that its sessions are in memory, if they are."""
    if running_command() is None and isinstance(stores.sessions, MemorySessionStore):
        LOGGER.warning(
            "Sessions are in memory: they end with this process, and at each reload of "
            "the debug server. To keep them, set TOKENAUTH_SESSION_URL"
        )
