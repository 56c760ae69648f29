"""`flask tokenauth init-db`: the tables of the application's stores."""

from __future__ import annotations

import click

from ..stores.provision import INIT_DB
from .group import rooms, tokenauth


@tokenauth.command(INIT_DB, short_help="Create the tables that are missing.")
def init_db() -> None:
    """Create the tables of the application's stores, where there are none yet.

    A SQLite file is created too, readable for its owner alone.

    \b
    Example:
      flask --app myapp tokenauth init-db
    """
    stores = rooms().stores.with_tables
    if not stores:
        raise click.ClickException(
            "No store of this application has tables: set TOKENAUTH_USERS_URL or "
            "TOKENAUTH_SESSION_URL to a SQLite file or a PostgreSQL database."
        )
    for store in stores:
        store.create_tables()
        click.echo(f"The table of {type(store).__name__} is there.")
