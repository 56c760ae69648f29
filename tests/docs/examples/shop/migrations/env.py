"""What `flask db ...` runs; the tables of tokenauth are its own (`init-db`)."""

from alembic import context
from flask import current_app
from tokenauth.stores.sql import include_object

db = current_app.extensions["migrate"].db
with db.engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        include_object=include_object,
        render_as_batch=True,  # SQLite changes a table by copying it
    )
    with context.begin_transaction():
        context.run_migrations()
