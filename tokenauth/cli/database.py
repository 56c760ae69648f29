"""`flask tokenauth init-db`, `upgrade-db`: the tables of the application's stores."""

from __future__ import annotations

import click

from .group import find_state, tokenauth


@tokenauth.command("init-db")
def init_db() -> None:
    """Create the tables that are missing.

    Those of all stores of the application. A SQLite file is created, too, readable by
    its owner only. Where no store has tables, there is nothing to do, and the exit
    code is 0.

    \b
    Example:
      flask --app myapp tokenauth init-db
    """
    _create_tables("exist")


@tokenauth.command("upgrade-db")
def upgrade_db() -> None:
    """Change the tables of an older release.

    Run it before this release serves. It only adds, so processes of the older release
    go on meanwhile, and can be replaced one by one afterwards. Where nothing is
    missing, nothing is changed.

    \b
    Example:
      flask --app myapp tokenauth upgrade-db
    """
    _create_tables("are those of this release")


def _create_tables(outcome: str) -> None:
    stores = find_state().stores.with_tables
    for store in stores:
        store.create_tables()
        click.echo(f"The tables of {type(store).__name__} {outcome}.")
    if not stores:
        click.echo("No store of this application has tables: there is nothing to do.")
