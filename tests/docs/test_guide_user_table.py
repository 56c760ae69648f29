"""The guide "Your own user table": its store keeps the promise of a `UserStore`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_login import current_user, login_required

from tests.harness.guides import names_of
from tests.harness.kit import (
    PASSWORDS,
    SECRET,
    assert_problem,
    bearer,
    log_in,
    password_hash,
)
from tests.stores import contract
from tests.stores.engines import make_kept_users
from tokenauth import TokenAuth, UserStore
from tokenauth.accounts.names import folded_name
from tokenauth.testing import CHEAP_HASHING

NEW = "lantern: tidy staple"


class Shop:
    """An application with the guide's table in a SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.names = names_of("table")
        self.app = Flask("shop")
        self.app.config.from_mapping(
            CHEAP_HASHING,
            SECRET_KEY=SECRET,
            TESTING=True,
            SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/shop.sqlite3",
        )
        self.db = self.names["db"]
        self.db.init_app(self.app)
        self.users: UserStore = self.names["AccountStore"]()
        TokenAuth(self.app, self.users)
        with self.app.app_context():
            self.db.create_all()

        @self.app.get("/protected")
        @login_required
        def protected() -> dict[str, str]:
            return {"user": current_user.username}

    def add(self, username: str, stored: str | None, **fields: Any) -> None:
        account = self.names["Account"](
            username=username,
            folded=folded_name(username),
            password_hash=stored,
            **fields,
        )
        with self.app.app_context():
            self.db.session.add(account)
            self.db.session.commit()

    def change(self, username: str, **fields: Any) -> None:
        """Change a row, as another process would."""
        table = self.names["Account"].__table__
        where = table.c.username == username
        with self.app.app_context(), self.db.engine.begin() as connection:
            connection.execute(table.update().where(where).values(**fields))


class InContext:
    """A store that is asked in a context of its own, from whatever thread."""

    def __init__(self, app: Flask, store: UserStore) -> None:
        self._app, self._store = app, store

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*args: Any, **kwargs: Any) -> Any:
            with self._app.app_context():
                return getattr(self._store, name)(*args, **kwargs)

        return ask


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The application, without accounts."""
    return Shop(tmp_path / "shop")


@pytest.fixture
def users(shop: Shop) -> Any:
    """What the tests of every store ask for."""
    for user in make_kept_users():
        scopes = " ".join(sorted(user.scopes))
        fields = {"id": user.id, "is_active": user.is_active, "scopes": scopes}
        shop.add(user.username, user.password_hash, **fields)
    return InContext(shop.app, shop.users)


@pytest.fixture
def alice(shop: Shop) -> str:
    """The id of an account."""
    shop.add("Alice", password_hash("alice"), id="u-alice", scopes="reports:read")
    return "u-alice"


# No store of an application's is asked for a lone surrogate: names are folded before.
ASKED = {name: text for name, text in contract.STRANGE.items() if name != "surrogate"}


@pytest.mark.parametrize("strange", ASKED.values(), ids=ASKED)
def test_nobody_is_found_under_a_strange_name(users: Any, strange: str) -> None:
    """As of every store."""
    contract.test_nobody_is_found_under_a_strange_name(users, strange)


test_a_hash_is_replaced = contract.test_a_hash_replaces_the_one_that_is_expected
test_one_hash_is_kept = contract.test_of_many_new_hashes_one_is_kept


def test_a_user_comes_back_whole(users: Any, shop: Shop) -> None:
    """By id, and by the folded name."""
    assert isinstance(shop.users, UserStore)
    for user in make_kept_users():
        for found in (users.get(user.id), users.find(folded_name(user.username))):
            assert found.get_id() == user.id
            assert found.username == user.username
            assert found.password_hash == user.password_hash
            assert found.is_active == user.is_active
            assert set(found.scopes.split()) == set(user.scopes)


def test_a_login_and_a_change_of_the_password(shop: Shop, alice: str) -> None:
    """Over HTTP, in any spelling of the name."""
    client = shop.app.test_client()
    body = {"username": "ALICE", "password": PASSWORDS["alice"]}
    tokens = client.post("/auth/login", json=body).get_json()
    assert tokens["scope"] == "reports:read"
    headers = bearer(tokens["access_token"])
    assert client.get("/protected", headers=headers).json == {"user": "Alice"}
    change = {"current_password": PASSWORDS["alice"], "new_password": NEW}
    assert (
        client.post("/auth/password", json=change, headers=headers).status_code == 200
    )
    assert_problem(client.post("/auth/login", json=body), 401, "invalid_credentials")
    body["password"] = NEW
    assert client.post("/auth/login", json=body).status_code == 200


def test_a_row_is_read_as_it_is_now(shop: Shop, alice: str) -> None:
    """Also where the session has it already, as while a password is checked."""
    with shop.app.app_context():
        seen: Any = shop.users.get(alice)
        assert seen.is_active
        shop.change("Alice", is_active=False, password_hash=None)
        for found in (shop.users.get(alice), shop.users.find("alice")):
            assert found is not None
            assert not found.is_active
            assert found.password_hash is None


def test_a_disabled_user_is_out(shop: Shop, alice: str) -> None:
    """With token and password."""
    client = shop.app.test_client()
    headers = bearer(log_in(client)["access_token"])
    shop.change("Alice", is_active=False)
    assert_problem(client.get("/protected", headers=headers), 401, "token_revoked")
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    assert_problem(client.post("/auth/login", json=body), 401, "invalid_credentials")


def test_a_database_that_is_down_lets_nobody_in(shop: Shop, alice: str) -> None:
    """503, until it is up again."""
    client = shop.app.test_client()
    headers = bearer(log_in(client)["access_token"])
    away = shop.folder.with_name("away")
    with shop.app.app_context():
        shop.db.engine.dispose()
    shop.folder.rename(away)
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    assert_problem(client.get("/protected", headers=headers), 503, "store_unavailable")
    assert_problem(client.post("/auth/login", json=body), 503, "store_unavailable")
    away.rename(shop.folder)
    assert client.get("/protected", headers=headers).status_code == 200
