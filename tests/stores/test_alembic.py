"""Our tables beside those of an application whose schema Flask-Migrate manages."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from tests.stores.engines import make_session, sessions_at, url_of, users_at
from tokenauth import User
from tokenauth.stores.sql import SQLSessionStore, SQLUserStore, include_object, metadata

pytestmark = [
    pytest.mark.parametrize("engine", ["sqlite", "postgresql"]),
    pytest.mark.filterwarnings("ignore:'get_engine':DeprecationWarning"),  # env.py's
]


@pytest.fixture
def url(engine: str, request: pytest.FixtureRequest) -> str:
    return url_of(engine, request)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Alembic's `env.py` sets up logging for the whole process."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


@contextmanager
def migrating(url: str, folder: Path, **how: Any) -> Iterator[tuple[SQLAlchemy, Path]]:
    """Enter an application with a table of its own; yield where its migrations are."""
    app, db = Flask("shop"), SQLAlchemy()
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)

    class Order(db.Model):  # type: ignore[name-defined]
        id = db.Column(db.Integer, primary_key=True)

    migrations = folder / "migrations"
    flask_migrate.Migrate(app, db, directory=str(migrations), **how)
    with app.app_context():
        yield db, migrations / "versions"
        db.engine.dispose()


def migrate(versions: Path) -> str:
    """Let Alembic write a migration and return it."""
    if not versions.exists():
        flask_migrate.init()
    before = set(versions.glob("*.py"))
    flask_migrate.migrate()
    new = set(versions.glob("*.py")) - before
    return new.pop().read_text() if new else ""


def test_a_migration_leaves_our_tables_alone(url: str, tmp_path: Path) -> None:
    """Without the filter, Alembic would drop what it does not know."""
    users_at(url)
    sessions_at(url)
    filtered = {"include_object": include_object}
    with migrating(url, tmp_path, **filtered) as (_, versions):
        written = migrate(versions)
        assert "'order'" in written
        assert "tokenauth" not in written
        flask_migrate.upgrade()
    SQLUserStore(url).check_tables()
    SQLSessionStore(url).check_tables()


def test_without_the_filter_they_would_be_dropped(url: str, tmp_path: Path) -> None:
    sessions_at(url)
    with migrating(url, tmp_path) as (_, versions):
        assert "op.drop_table('tokenauth_sessions')" in migrate(versions)


def test_a_migration_creates_our_tables(url: str, tmp_path: Path) -> None:
    """With the application's own; the stores need no other, and find no difference."""
    with migrating(url, tmp_path) as (db, versions):
        for table in metadata.tables.values():
            table.to_metadata(db.metadata)
        assert "op.create_table('tokenauth_sessions'" in migrate(versions)
        flask_migrate.upgrade()
        assert migrate(versions) == ""
    users, sessions = SQLUserStore(url), SQLSessionStore(url)
    users.check_tables()
    sessions.check_tables()
    assert users.add(User("alice"))
    session = make_session()
    sessions.add(session, limit=9)
    assert sessions.end(session.id)


def test_the_names_are_public(engine: str) -> None:
    module = importlib.import_module("tokenauth.stores.sql")
    assert {"include_object", "metadata"} <= set(module.__all__)
