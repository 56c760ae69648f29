"""`flask tokenauth init-db`: creates the tables of the application's stores."""

from __future__ import annotations

import click

from .group import find_state, tokenauth


@tokenauth.command("init-db", short_help="Create the tables that are missing.")
def init_db() -> None:
    """Create the tables of the application's stores that are missing.

    A SQLite file is created, too, readable by its owner only. Where no store has
    tables, there is nothing to do, and the exit code is 0.

    \b
    Example:
      flask --app myapp tokenauth init-db
    """
    stores = find_state().stores.with_tables
    for store in stores:
        store.create_tables()
        click.echo(f"The tables of {type(store).__name__} exist.")
    if not stores:
        click.echo("No store of this application has tables: there is nothing to do.")
