"""A cookie login of Flask-Login ends with the password, and with `revoke_user`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Request, Response, request, session
from flask.testing import FlaskClient
from flask_login import (
    FlaskLoginClient,
    current_user,
    login_user,
    logout_user,
    user_logged_in,
)
from werkzeug.security import generate_password_hash

from tests.cli.running import done
from tests.harness.kit import (
    PASSWORDS,
    SECRET,
    Clock,
    assert_problem,
    bearer,
    let_in_by_cookie,
    log_in,
    make_app,
    make_users,
)
from tokenauth import (
    DictUserStore,
    MemorySessionStore,
    Session,
    StoreUnavailableError,
    TokenAuth,
    TokenInvalidError,
    User,
)
from tokenauth.stores.sql import SQLSessionStore
from tokenauth.web import cookie_logins

AUTH = TokenAuth()  # it acts for the application whose context is active


def is_in(client: FlaskClient) -> bool:
    """Return whether a client's cookie is accepted."""
    return client.get("/protected").status_code == 200


def forget_session(client: FlaskClient) -> None:
    """Leave a client with its remember cookie, as a closed browser does."""
    client.delete_cookie("session")
    assert client.get_cookie("remember_token") is not None


def change_by_request(app: Flask) -> None:
    client = app.test_client()
    body = {"current_password": PASSWORDS["alice"], "new_password": "tidy lantern 9"}
    headers = bearer(log_in(client)["access_token"])
    assert client.post("/auth/password", json=body, headers=headers).status_code == 200


def set_password(app: Flask) -> None:
    with app.app_context():
        user = AUTH.users.get("u-alice")
        assert user is not None
        AUTH.set_password(user, "tidy lantern 9")


def revoke_user(app: Flask) -> None:
    with app.app_context():
        AUTH.revoke_user("u-alice")


def revoke_everyone(app: Flask) -> None:
    done(app, "sessions", "revoke", "--all", "--yes")


def revoke_user_and_everyone(app: Flask) -> None:
    """What tells that the user's cookies ended is not ended with the sessions."""
    revoke_user(app)
    revoke_everyone(app)


@pytest.mark.parametrize(
    "end",
    [
        change_by_request,
        set_password,
        revoke_user,
        revoke_everyone,
        revoke_user_and_everyone,
    ],
)
@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_cookie_login_ends_with_what_ends_all_logins(
    app: Flask, end: Callable[[Flask], None], *, is_remembered: bool
) -> None:
    """The session cookie and the remember cookie; a later login is good."""
    client = let_in_by_cookie(app)
    assert is_in(client)
    if is_remembered:
        forget_session(client)
    app.extensions["tokenauth"].clock.source.move(1)
    end(app)
    assert not is_in(client)
    assert not is_in(client)
    app.extensions["tokenauth"].clock.source.move(1)
    client.post("/cookie-login?name=alice&remember=1")
    assert is_in(client)
    forget_session(client)
    assert is_in(client)


def test_others_stay_logged_in(app: Flask) -> None:
    """The cookie logins of other users, and those of a user who logs out by tokens."""
    client, bob = let_in_by_cookie(app), app.test_client()
    bob.post("/cookie-login?name=bob&remember=1")
    headers = bearer(log_in(client)["access_token"])
    assert (
        app.test_client().delete("/auth/sessions", headers=headers).status_code == 204
    )
    assert is_in(client)
    revoke_user(app)
    assert not is_in(client)
    assert is_in(bob)


@pytest.mark.parametrize("have_passwords", [True, False])
def test_a_digest_is_of_one_user(app: Flask, have_passwords: bool) -> None:
    """Another user's id in the session needs that user's digest."""
    if not have_passwords:
        for user_id in ("u-alice", "u-bob"):
            app.extensions["tokenauth"].stores.users.get(user_id).password_hash = None
    client = let_in_by_cookie(app)
    with client.session_transaction() as cookie:
        assert PASSWORDS["alice"] not in str(cookie)
        cookie["_user_id"] = "u-bob"
    client.delete_cookie("remember_token")
    assert client.get("/public").json == {"user": None}
    client.post("/cookie-login?name=bob&remember=1")
    assert client.get("/public").json == {"user": "bob"}


def test_an_upgraded_hash_ends_no_login_that_begins() -> None:
    """`auth.check_password` replaces a weak hash before `login_user` is called."""
    weak = generate_password_hash("correct horse", "pbkdf2:sha256:1000")
    users = DictUserStore({"alice": weak})
    app = make_app(users=users)
    app.login_manager.user_loader(users.get)  # type: ignore[attr-defined]
    app.post("/in")(
        lambda: str(login_user(AUTH.check_password("alice", "correct horse")))
    )
    client = app.test_client()
    assert client.post("/in").text == "True"
    user = users.get("alice")
    assert user is not None
    assert str(user.password_hash).startswith("$argon2id$")
    assert is_in(client)


def test_a_key_rotation_ends_no_cookie_login() -> None:
    """An older key is still good where it is a fallback."""
    old, new = SECRET, SECRET[::-1]
    client = let_in_by_cookie(make_app(config={"SECRET_KEY": old}))
    rotated = make_app(config={"SECRET_KEY": new, "SECRET_KEY_FALLBACKS": [old]})
    rotated.login_manager.user_loader(  # type: ignore[attr-defined]
        rotated.extensions["tokenauth"].stores.users.get
    )
    moved = rotated.test_client()
    for name in ("session", "remember_token"):
        cookie = client.get_cookie(name)
        assert cookie is not None
        moved.set_cookie(name, cookie.decoded_value)
    assert is_in(moved)


def test_other_credentials_come_before_a_cookie(app: Flask) -> None:
    """A good key gets its own user; a bad one nobody, where the loader refuses it."""
    client = let_in_by_cookie(app)

    @app.login_manager.request_loader  # type: ignore[attr-defined]
    def by_key(request: Request) -> Any:
        key = request.headers.get("X-API-Key")
        if key not in {None, "bob's"}:
            raise TokenInvalidError
        return AUTH.users.get("u-bob") if key else None

    assert client.get("/public").json == {"user": "alice"}
    answer = client.get("/public", headers={"X-API-Key": "bob's"})
    assert answer.json == {"user": "bob"}
    bad = {"X-API-Key": "guess"}
    assert client.get("/public", headers=bad).json == {"user": None}
    assert_problem(client.get("/protected", headers=bad), 401, "token_invalid")


def test_a_login_before_the_user_is_stored_is_bound_as_well() -> None:
    """Who registers is logged in, and then the transaction is committed."""
    table: dict[str, User] = {}
    app = make_app(users=DictUserStore({}))
    app.login_manager.user_loader(table.get)  # type: ignore[attr-defined]

    @app.post("/register")
    def register() -> str:
        alice = User("alice", id="u-alice")
        login_user(alice)
        table["u-alice"] = alice
        return "welcome"

    client = app.test_client()
    client.post("/register")
    assert is_in(client)
    revoke_user(app)
    assert not is_in(client)


def test_a_login_that_fails_leaves_no_cookie_that_is_accepted() -> None:
    """Flask keeps the session of a view that raises; nothing would end that login."""
    app = make_app(config={"PROPAGATE_EXCEPTIONS": False})
    client, users = let_in_by_cookie(app), make_users()

    @app.login_manager.user_loader  # type: ignore[attr-defined]
    def load(user_id: str) -> User | None:
        if request.path == "/cookie-login":
            raise OSError
        return users.get(user_id)

    assert is_in(client)
    client = app.test_client()
    assert client.post("/cookie-login?name=alice&remember=1").status_code == 500
    assert not is_in(client)


class Member:
    """A user of an application's own: no hash, an id that is a number."""

    is_authenticated = is_active = True
    is_anonymous = False
    username = "member"

    def get_id(self) -> int:
        return 7


def test_users_of_the_application_s_own_need_no_hash_and_no_store() -> None:
    """Their cookies are ended by `revoke_user` alone."""
    app = make_app(users=DictUserStore({}))
    app.login_manager.user_loader(lambda _: Member())  # type: ignore[attr-defined]
    app.post("/in")(lambda: str(login_user(Member(), remember=True)))
    client = app.test_client()
    client.post("/in")
    assert is_in(client)
    forget_session(client)
    assert is_in(client)
    with app.app_context():
        AUTH.revoke_user("7")
    assert not is_in(client)


def test_a_cookie_without_a_digest_is_accepted(app: Flask) -> None:
    """Of the time before `TokenAuth`, or of Flask-Login's test client."""
    let_in_by_cookie(app)
    app.test_client_class = FlaskLoginClient
    with app.test_client(user=User("alice", id="u-alice")) as client:
        assert client.get("/public").json == {"user": "alice"}


def test_a_user_whom_the_loader_does_not_know_is_remembered_without_a_digest() -> None:
    """As by plain Flask-Login: it is the loader that lets nobody in."""
    app = make_app()
    app.login_manager.user_loader(lambda _: None)  # type: ignore[attr-defined]
    app.post("/in")(lambda: str(login_user(Member(), remember=True)))
    client = app.test_client()
    assert client.post("/in").status_code == 200
    remembered = client.get_cookie("remember_token")
    assert remembered is not None
    assert remembered.value.startswith("7|")
    assert not is_in(client)


def test_with_a_request_loader_alone_login_user_is_left_to_it() -> None:
    """It may read what it needs from the session."""
    app = make_app()
    app.login_manager.request_loader(  # type: ignore[attr-defined]
        lambda _: Member() if session.get("_user_id") else None
    )
    app.post("/in")(lambda: str(login_user(Member())))
    client = app.test_client()
    assert client.post("/in").text == "True"
    assert is_in(client)


def test_a_cookie_without_a_digest_is_renewed_without_one(app: Flask) -> None:
    """As Flask-Login renews remember cookies with each request, if it is told to."""
    let_in_by_cookie(app)
    app.config["REMEMBER_COOKIE_REFRESH_EACH_REQUEST"] = True
    app.test_client_class = FlaskLoginClient
    with app.test_client(user=User("alice", id="u-alice")) as client:
        client.set_cookie("remember_token", "an old one")
        client.get("/public")
        remembered = client.get_cookie("remember_token")
    assert remembered is not None
    assert remembered.value.startswith("u-alice|")
    assert "tokenauth" not in remembered.value


def test_setting_the_cookie_leaves_the_session_as_it_was(app: Flask) -> None:
    """Else an interface would save it, and set a cookie that nobody asked for."""
    with app.test_request_context():
        session.update(_user_id="u-alice", _tokenauth_login="a proof")
        session.modified = False
        seen: list[str] = []
        cookie_logins.remember(lambda _: seen.append(session["_user_id"]), Response())
        assert seen == ["u-alice|tokenauth|a proof"]
        assert session["_user_id"] == "u-alice"
        assert not session.modified


class ForeignKey(MemorySessionStore):
    """A store of an application's own, whose sessions refer to its users."""

    def add(self, session: Session, *, limit: int) -> None:
        if session.user_id != "u-alice":
            raise LookupError(session.user_id)
        super().add(session, limit=limit)


def test_sessions_end_also_where_the_end_of_cookies_cannot_be_kept() -> None:
    """And the application is told that it cannot."""
    app = make_app(sessions=ForeignKey())
    client = app.test_client()
    headers = bearer(log_in(client)["access_token"])
    with pytest.raises(LookupError):
        revoke_user(app)
    assert client.get("/auth/me", headers=headers).status_code == 401


def test_nothing_is_left_in_the_session_after_a_logout(app: Flask) -> None:
    """Nor where session protection takes the user out of it."""
    app.config["SESSION_PROTECTION"] = "strong"
    app.get("/keys", endpoint="keys")(lambda: current_user and sorted(session))
    app.post("/out")(lambda: str(logout_user()))
    client = let_in_by_cookie(app)
    assert "_tokenauth_login" in client.get("/keys").text
    stolen = {"User-Agent": "another browser"}
    assert client.get("/keys", headers=stolen).json == ["_remember"]
    assert client.get("/keys").json == []
    client.post("/cookie-login?name=alice")
    client.post("/out")
    assert client.get("/keys").json == []


class Down(MemorySessionStore):
    """A store that stops answering."""

    is_down = False

    def of_user(self, user_id: str, *, kind: str | None = None) -> Any:
        if self.is_down:
            raise StoreUnavailableError
        return super().of_user(user_id, kind=kind)


def test_a_store_that_is_down_lets_no_cookie_in() -> None:
    """Whether a login was ended cannot be told: 503."""
    store = Down()
    app = make_app(sessions=store)
    client = let_in_by_cookie(app)
    store.is_down = True
    assert client.get("/protected").status_code == 503
    assert client.get("/public").json == {"user": None}
    store.is_down = False
    assert is_in(client)


def test_who_ends_a_users_cookies_is_no_user_of_any_name() -> None:
    app = make_app()
    client = let_in_by_cookie(app)
    revoke_user(app)
    with app.app_context():
        for user_id in ("cookies of u-alice", "all cookies"):
            AUTH.revoke_user(user_id)
    assert not is_in(client)


def test_a_copied_remember_cookie_is_refused_when_its_end_is_forgotten() -> None:
    clock = Clock()
    app = make_app(clock=clock)
    client = let_in_by_cookie(app)
    clock.now += 1
    revoke_user(app)
    forget_session(client)
    clock.now += 366 * 86400
    assert not is_in(client)


def test_a_copied_remember_cookie_is_good_for_less_than_366_days() -> None:
    """And until then, if nothing ended it."""
    clock = Clock()
    client = let_in_by_cookie(make_app(clock=clock))
    forget_session(client)
    clock.now += 366 * 86400 - 1
    assert is_in(client)
    forget_session(client)
    clock.now += 1
    assert not is_in(client)


def test_one_record_tells_when_a_user_s_cookies_were_ended() -> None:
    store = MemorySessionStore()
    app = make_app(sessions=store)
    for _ in range(3):
        revoke_user(app)
    assert store.purge(now=Clock()() + 366 * 86400, limit=9) == 1


@pytest.mark.parametrize("user_id", ["nobody\0", "\ud800"])
def test_revoking_whom_no_database_can_hold_ends_nothing(
    tmp_path: Path, user_id: str
) -> None:
    store = SQLSessionStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_tables()
    app = make_app(sessions=store)
    with app.app_context():
        assert AUTH.revoke_user(user_id) == 0


@pytest.mark.parametrize("attempt", range(10))
def test_a_login_that_another_receiver_fails_ends_too(attempt: int) -> None:
    """Flask keeps its cookies although it was a 500; who is told first is chance."""

    def note_last_login(_: Flask, **__: object) -> None:
        raise OSError

    app = make_app(config={"PROPAGATE_EXCEPTIONS": False})
    app.login_manager.user_loader(lambda _: User("alice", id="u-alice"))  # type: ignore[attr-defined]
    app.post("/in")(lambda: str(login_user(User("alice", id="u-alice"), remember=True)))
    client = app.test_client()
    with user_logged_in.connected_to(note_last_login, app):
        assert client.post("/in").status_code == 500
    with app.app_context():
        AUTH.revoke_user("u-alice")
    assert not is_in(client)
    forget_session(client)
    assert not is_in(client)
