"""The application that most commands are tried with."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from tests.harness.kit import Clock, make_app, password_hash
from tests.stores.engines import sessions_at, users_at
from tokenauth import User


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty SQLite file's URL."""
    return f"sqlite:///{tmp_path}/tokenauth.sqlite3"


@pytest.fixture
def app(url: str, clock: Clock) -> Flask:
    """An application whose users and sessions are in a SQLite file; alice is in it."""
    alice = User("Alice", password_hash("alice"), id="u-alice", scopes=["read"])
    users = users_at(url, alice)
    return make_app(users=users, sessions=sessions_at(url), clock=clock)
