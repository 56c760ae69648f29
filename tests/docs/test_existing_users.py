"""The page "Existing user tables": its store keeps the promise of a `UserStore`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from flask import Flask
from flask_login import current_user, login_required
from werkzeug.security import generate_password_hash

from tests.harness.guides import names_of
from tests.harness.kit import PASSWORDS, SECRET, assert_problem, bearer, in_parallel
from tests.stores.contract import STRANGE
from tests.stores.engines import HASH
from tokenauth import TokenAuth, UserStore, folded_name
from tokenauth.testing import CHEAP_HASHING

NEW = "lantern: tidy staple"
ALICE = "Alice@Example.com"


class Shop:
    """An application with the page's table in a SQLite file."""

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
        self.auth = TokenAuth(self.app, self.users)
        with self.app.app_context():
            self.db.create_all()

        @self.app.get("/protected")
        @login_required
        def protected() -> dict[str, str]:
            return {"user": current_user.email}

    def add(self, email: str, stored: str | None, **fields: Any) -> str:
        """Add an account; return its id as Flask-Login has it."""
        account = self.names["Account"](email=email, password_hash=stored, **fields)
        with self.app.app_context():
            self.db.session.add(account)
            self.db.session.commit()
            user_id: str = account.get_id()
            return user_id

    def change(self, email: str, **fields: Any) -> None:
        """Change a row, as another process would."""
        table = self.names["Account"].__table__
        where = table.c.email == email
        with self.app.app_context(), self.db.engine.begin() as connection:
            connection.execute(table.update().where(where).values(**fields))

    def log_in(self, password: str, email: str = ALICE) -> Any:
        body = {"username": email, "password": password}
        return self.app.test_client().post("/auth/login", json=body)

    def tokens(self) -> Any:
        answer = self.log_in(PASSWORDS["alice"])
        assert answer.status_code == 200, answer.text
        return answer.get_json()


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
    """The store, callable from all threads."""
    return InContext(shop.app, shop.users)


@pytest.fixture
def alice(shop: Shop) -> str:
    """The id of an account with a Werkzeug hash."""
    stored = generate_password_hash(PASSWORDS["alice"], "pbkdf2:sha256:1000")
    return shop.add(ALICE, stored, scopes="reports:read")


def test_nobody_is_found_under_a_strange_name(users: Any) -> None:
    """As of every store; but lone surrogates it is not asked for: names are folded."""
    for strange in STRANGE:
        if strange != "\ud800":
            assert users.get(strange) is None
            assert users.find(strange) is None
            assert not users.set_password_hash(strange, HASH, expected=None)


def test_a_hash_replaces_the_one_that_is_expected(shop: Shop, users: Any) -> None:
    """Also where there was none, or shall be none."""
    one, other = shop.add("one@example.com", HASH), shop.add("two@example.com", None)
    new = HASH.replace("0", "1")
    assert not users.set_password_hash(one, new, expected=None)
    assert not users.set_password_hash(one, new, expected=new)
    assert users.set_password_hash(one, new, expected=HASH)
    assert users.set_password_hash(other, new, expected=None)
    assert users.set_password_hash(one, None, expected=new)
    assert [users.get(i).password_hash for i in (one, other)] == [None, new]


def test_of_many_new_hashes_one_is_kept(users: Any, alice: str) -> None:
    """The others are told that the old one is gone."""
    stored = users.get(alice).password_hash
    results = in_parallel(
        8, lambda: users.set_password_hash(alice, HASH, expected=stored)
    )
    assert sum(results) == 1


def test_a_user_comes_back_whole(users: Any, shop: Shop, alice: str) -> None:
    """By id, and by the folded address."""
    assert isinstance(shop.users, UserStore)
    assert alice == "1"
    shop.add("carol@example.com", None, is_active=False)
    for found in (users.get(alice), users.find(folded_name(ALICE))):
        assert (found.get_id(), found.email) == (alice, ALICE)
        assert (found.username, found.scopes) == (ALICE, "reports:read")
        assert found.is_active
    assert not users.find("carol@example.com").is_active


def test_a_login_and_a_change_of_the_password(shop: Shop, alice: str) -> None:
    """Over HTTP, in any spelling of the address; the hash is one of ours then."""
    client = shop.app.test_client()
    tokens = shop.log_in(PASSWORDS["alice"], ALICE.upper()).get_json()
    assert tokens["scope"] == "reports:read"
    headers = bearer(tokens["access_token"])
    assert client.get("/protected", headers=headers).json == {"user": ALICE}
    me = client.get("/auth/me", headers=headers).get_json()
    assert (me["id"], me["username"]) == (alice, ALICE)
    with shop.app.app_context():
        stored = getattr(shop.users.get(alice), "password_hash", "")
    assert str(stored).startswith("$argon2id$")
    change = {"current_password": PASSWORDS["alice"], "new_password": NEW}
    answer = client.post("/auth/password", json=change, headers=headers)
    assert answer.status_code == 200
    assert_problem(shop.log_in(PASSWORDS["alice"]), 401, "invalid_credentials")
    assert shop.log_in(NEW).status_code == 200


def test_sessions_are_ended_by_the_user_or_the_text_of_the_id(
    shop: Shop, alice: str
) -> None:
    """A number would end nothing, so it is refused."""
    shop.tokens()
    with shop.app.app_context():
        with pytest.raises(TypeError):
            shop.auth.revoke_user(1)  # type: ignore[arg-type] # on purpose
        assert shop.auth.revoke_user(alice) == 1
    shop.tokens()
    with shop.app.app_context():
        user = shop.users.get(alice)
        assert user is not None
        assert shop.auth.revoke_user(user) == 1


def test_a_row_is_read_as_it_is_now(shop: Shop, alice: str) -> None:
    """Also where the session has it already, as while a password is checked."""
    with shop.app.app_context():
        seen: Any = shop.users.get(alice)
        assert seen.is_active
        shop.change(ALICE, is_active=False, password_hash=None)
        for found in (shop.users.get(alice), shop.users.find(folded_name(ALICE))):
            assert found is not None
            assert not found.is_active
            assert found.password_hash is None


def test_a_disabled_user_is_out(shop: Shop, alice: str) -> None:
    """With token and password."""
    client = shop.app.test_client()
    headers = bearer(shop.tokens()["access_token"])
    shop.change(ALICE, is_active=False)
    assert_problem(client.get("/protected", headers=headers), 401, "token_revoked")
    assert_problem(shop.log_in(PASSWORDS["alice"]), 401, "invalid_credentials")


def test_a_database_that_is_down_lets_nobody_in(shop: Shop, alice: str) -> None:
    """503, until it is up again."""
    client = shop.app.test_client()
    headers = bearer(shop.tokens()["access_token"])
    away = shop.folder.with_name("away")
    with shop.app.app_context():
        shop.db.engine.dispose()
    shop.folder.rename(away)
    assert_problem(client.get("/protected", headers=headers), 503, "store_unavailable")
    assert_problem(shop.log_in(PASSWORDS["alice"]), 503, "store_unavailable")
    away.rename(shop.folder)
    assert client.get("/protected", headers=headers).status_code == 200


def test_the_new_column_is_filled(tmp_path: Path) -> None:
    """By the page's migration, on a table as it was."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/old.sqlite3")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE account (id INTEGER PRIMARY KEY, email VARCHAR(254) UNIQUE)"
        )
        for email in (ALICE, "STRASSE@example.com"):
            insert = "INSERT INTO account (email) VALUES (?)"
            connection.exec_driver_sql(insert, (email,))
        with Operations.context(MigrationContext.configure(connection)):
            names_of("backfill")["upgrade"]()
        rows = connection.exec_driver_sql("SELECT folded_email FROM account").all()
        assert rows == [("alice@example.com",), ("strasse@example.com",)]
        with pytest.raises(sa.exc.IntegrityError):
            connection.exec_driver_sql(
                "INSERT INTO account (email, folded_email) VALUES (?, ?)",
                ("x@example.com", "alice@example.com"),
            )
    engine.dispose()


def test_people_sign_up(shop: Shop) -> None:
    """With a new name and a good password; nothing is left of a refused one."""
    shared = {name: shop.names[name] for name in ("Account", "db")}
    names_of("sign-up", app=shop.app, auth=shop.auth, **shared)

    def sign_up(email: str, password: str) -> Any:
        form = {"email": email, "password": password}
        return shop.app.test_client().post("/register", data=form)

    assert_problem(sign_up(ALICE, "short"), 422, "password_refused")
    assert_problem(sign_up("", NEW), 400, "invalid_request")
    assert sign_up(ALICE, NEW).status_code == 201
    assert sign_up(ALICE.upper(), NEW).status_code == 409
    assert shop.log_in(NEW).status_code == 200


def test_a_missing_table_is_named_in_the_log(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """By one of the causes that all stores have."""
    with shop.app.app_context():
        shop.db.drop_all()
    assert_problem(shop.log_in(NEW), 503, "store_unavailable")
    assert 'cause="no_table"' in caplog.text
