"""`TokenAuth`: what it joins, what it refuses, and what it does for an application."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask import Blueprint, Flask, Response
from flask_login import LoginManager

from tests.harness.kit import (
    ALLOWS_TWO_RULES,
    PASSWORDS,
    SECRET,
    Clock,
    assert_problem,
    bearer,
    make_app,
    make_users,
    password_hash,
    token_of,
)
from tokenauth import (
    DictUserStore,
    InvalidCredentialsError,
    InvalidRequestError,
    InvalidScopeError,
    MemorySessionStore,
    PasswordRefusedError,
    SessionStore,
    TokenAuth,
    TokenExpiredError,
    TokenInvalidError,
    TokenRevokedError,
    User,
    UserStore,
    create_app,
)
from tokenauth.errors import ConfigurationError


def plain_app(**config: Any) -> Flask:
    app = Flask("app")
    app.config.update(SECRET_KEY=SECRET, **config)
    return app


@pytest.fixture
def auth() -> TokenAuth:
    return TokenAuth()


@pytest.fixture
def users() -> DictUserStore:
    return make_users(alice=["read", "write"])


@pytest.fixture
def app(auth: TokenAuth, users: DictUserStore, clock: Clock) -> Flask:
    app = plain_app(TESTING=True)
    auth.init_app(app, users)
    app.extensions["tokenauth"].clock.source = clock
    return app


@pytest.fixture
def alice(users: DictUserStore) -> User:
    user = users.find("alice")
    assert user is not None
    return user


# -- joining -------------------------------------------------------------------------


def test_both_ways_to_join_are_one() -> None:
    """At once, or later with `init_app`."""
    mapping = {"alice": password_hash("alice")}
    at_once, later = plain_app(), plain_app()
    auth = TokenAuth(at_once, mapping)
    auth.init_app(later, mapping)
    for app in (at_once, later):
        answer = app.test_client().get("/auth/me", headers=bearer(token_of(app)))
        assert answer.json is not None
        assert answer.json["username"] == "alice"


def test_users_may_be_given_before_there_is_an_application(
    users: DictUserStore,
) -> None:
    """They serve each application that is given no others."""
    sessions = MemorySessionStore()
    auth = TokenAuth(users=users, sessions=sessions)
    first, second = plain_app(), plain_app()
    auth.init_app(first)
    auth.init_app(second, make_users(), sessions=MemorySessionStore())
    stores = first.extensions["tokenauth"].stores
    assert (stores.users, stores.sessions) == (users, sessions)
    token = token_of(first)
    for app, status in ((first, 200), (second, 401)):
        answer = app.test_client().get("/auth/me", headers=bearer(token))
        assert answer.status_code == status


def test_an_application_s_own_users_are_nobody_else_s(users: DictUserStore) -> None:
    """Given with an application, they are of that one alone."""
    auth = TokenAuth(plain_app(), users)
    with pytest.raises(ConfigurationError, match="needs users"):
        auth.init_app(plain_app())


@pytest.mark.parametrize("name", ["users", "no application"])
def test_the_first_argument_is_the_application(name: str) -> None:
    """Whoever leaves it out is told the order."""
    wrong: Any = make_users() if name == "users" else name
    for step in (TokenAuth, TokenAuth().init_app):
        with pytest.raises(ConfigurationError, match=r"TokenAuth\(app, users\)\."):
            step(wrong)


def test_an_application_needs_users() -> None:
    """And is told what they may be."""
    with pytest.raises(ConfigurationError, match=r"needs users.*hash_password"):
        TokenAuth(plain_app())


@pytest.mark.parametrize("users", [["alice"], object(), User("alice")])
def test_users_that_are_no_store_are_refused(users: Any) -> None:
    """By what they are, and what they lack."""
    with pytest.raises(ConfigurationError, match=r"is no UserStore: it has no 'get'"):
        TokenAuth(plain_app(), users)


def test_sessions_that_are_no_store_are_refused(users: DictUserStore) -> None:
    """Some methods are not enough: all of them are called some day."""

    sessions: Any = SimpleNamespace(get=print, add=print)
    with pytest.raises(ConfigurationError, match="SessionStore"):
        TokenAuth(plain_app(), users, sessions=sessions)


def test_a_second_one_on_an_application_is_refused(
    app: Flask, users: DictUserStore
) -> None:
    """Also when the first is another object."""
    with pytest.raises(ConfigurationError, match=r"already: use that one\."):
        TokenAuth(app, users)


def test_a_manager_that_is_there_is_refused(users: DictUserStore) -> None:
    """Its user_loader has a place on ours."""
    app = plain_app()
    LoginManager(app)
    with pytest.raises(ConfigurationError, match=r"'auth\.login_manager' instead"):
        TokenAuth(app, users)


def test_a_refused_start_leaves_the_application_as_it_was() -> None:
    """What is set right may be tried again."""
    app = plain_app(TOKENAUTH_REALMS="x")
    rules = len(list(app.url_map.iter_rules()))
    users = {"alice": password_hash("alice")}
    with pytest.raises(ConfigurationError, match="Did you mean TOKENAUTH_REALM"):
        TokenAuth(app, users)
    assert not hasattr(app, "login_manager")
    assert len(list(app.url_map.iter_rules())) == rules
    del app.config["TOKENAUTH_REALMS"]
    TokenAuth(app, users)
    assert app.test_client().get("/auth/me").status_code == 401


def test_nothing_of_an_application_is_on_the_object(
    app: Flask, auth: TokenAuth
) -> None:
    """Only the manager, and of that only which loader the application registered."""
    kept = {name: value for name, value in vars(auth).items() if value is not None}
    assert set(kept) == {"login_manager"}
    own = vars(auth.login_manager).keys() - vars(LoginManager()).keys()
    assert own == {"_cookie_loader", "_other_loader"}


def test_sessions_and_users_that_are_given_are_used(clock: Clock) -> None:
    """And no others."""
    sessions = MemorySessionStore()
    users = DictUserStore({"carol": User("carol")})
    app = make_app(users=users, sessions=sessions, clock=clock)
    token = token_of(app, "carol")
    assert len(sessions.of_user("carol", kind="login")) == 1
    sessions.end_all("carol")
    answer = app.test_client().get("/protected", headers=bearer(token))
    assert_problem(answer, 401, "token_revoked")


def test_stores_are_told_by_their_methods() -> None:
    """A store needs no base class."""
    assert isinstance(MemorySessionStore(), SessionStore)
    assert isinstance(make_users(), UserStore)


@pytest.mark.parametrize("config", [{}, {"TOKENAUTH_QUERY_PARAM": "token"}])
def test_tokens_in_urls_are_warned_about(
    config: dict[str, str], users: DictUserStore, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start, once; not when they are off."""
    with caplog.at_level(logging.WARNING, "tokenauth"):
        TokenAuth(plain_app(**config), users)
    warned = [text for text in caplog.messages if "TOKENAUTH_QUERY_PARAM" in text]
    assert len(warned) == len(config)


def test_the_stand_alone_api_is_the_same_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alice: User
) -> None:
    """The environment configures it, and what is passed goes over that."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET)
    monkeypatch.setenv("FLASK_TOKENAUTH_REALM", "from-environment")
    monkeypatch.setenv("FLASK_TOKENAUTH_ACCESS_LIFETIME", "60")
    app = create_app({"TOKENAUTH_ACCESS_LIFETIME": 90})
    assert app.name == "tokenauth"
    answer = app.test_client().get("/auth/me")
    assert_problem(answer, 401, "token_missing")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="from-environment"'
    app.extensions["tokenauth"].stores.users.add(alice)
    with app.app_context():
        pair = app.extensions["tokenauth"].service.start(alice)
    assert pair.expires_in == 90


# -- login ---------------------------------------------------------------------------


def test_an_application_logs_in_whom_it_knows(
    app: Flask, auth: TokenAuth, alice: User
) -> None:
    """After single sign-on, say: a session like any other, with all scopes."""
    with app.test_request_context(headers={"User-Agent": "curl/8.9.1"}):
        pair = auth.login(alice, label="Jo's laptop")
    assert pair.token_type == "Bearer"
    assert pair.scope == "read write"
    assert 0 < pair.expires_in < pair.refresh_expires_in
    answer = app.test_client().get("/auth/me", headers=bearer(pair.access_token))
    assert answer.json is not None
    assert answer.json["session"]["label"] == "Jo's laptop"
    assert answer.json["session"]["client"] == "curl/8.9.1"
    body = {"refresh_token": pair.refresh_token}
    assert app.test_client().post("/auth/refresh", json=body).status_code == 200


def test_a_login_outside_a_request_has_no_client(
    app: Flask, auth: TokenAuth, alice: User
) -> None:
    """In a task or a shell; fewer scopes may be asked for."""
    with app.app_context():
        pair = auth.login(alice, scopes=["read"])
    assert pair.scope == "read"
    answer = app.test_client().get("/auth/me", headers=bearer(pair.access_token))
    assert answer.json is not None
    assert answer.json["session"]["client"] is None
    assert answer.json["session"]["label"] is None


def test_a_login_that_may_not_be_is_refused(
    app: Flask, auth: TokenAuth, alice: User
) -> None:
    """A disabled user, a scope that the user does not have, a label of no use."""
    with app.app_context():
        with pytest.raises(InvalidScopeError):
            auth.login(alice, scopes=["admin"])
        for label in ("", "x" * 101, "a\tb", "a\n", "\x7f", "\x9f"):
            with pytest.raises(InvalidRequestError, match="1 to 100 characters"):
                auth.login(alice, label=label)
        assert auth.login(alice, label="ä" * 100).expires_in == 900
        alice.is_active = False
        with pytest.raises(InvalidCredentialsError):
            auth.login(alice)


@pytest.mark.parametrize("wrong", [7, None, b"x", ""])
def test_a_user_whose_id_is_no_text_gets_no_token(
    app: Flask, auth: TokenAuth, users: DictUserStore, wrong: Any
) -> None:
    """No request could find the user again: each would be 401 without a word why."""

    class Account(User):
        def get_id(self) -> Any:
            return wrong

    account = Account("dora", password_hash("alice"))
    cast(dict[str, User], users._users)["dora"] = account
    said = rf"get_id\(\) of Account must return text, .* not {type(wrong).__name__}\."
    with app.app_context():
        with pytest.raises(TypeError, match=said):
            auth.login(account)
        with pytest.raises(TypeError, match=said):
            auth.issue_once("reset-password", account, 900)
    app.testing = False
    body = {"username": "dora", "password": PASSWORDS["alice"]}
    answer = app.test_client().post("/auth/login", json=body)
    assert_problem(answer, 500, "server_error")


@pytest.mark.parametrize("wrong", ["alice", 7, None])
def test_a_name_in_place_of_a_user_is_refused_with_what_to_pass(
    app: Flask, auth: TokenAuth, wrong: Any
) -> None:
    """As `create_access_token(identity=...)` of Flask-JWT-Extended takes it."""
    said = rf"not {type(wrong).__name__}\. Where an id is enough"
    with app.app_context():
        for refused in (
            lambda: auth.login(wrong),
            lambda: auth.issue_once("reset-password", wrong, 900),
        ):
            with pytest.raises(TypeError, match=said):
                refused()
        if wrong != "alice":
            with pytest.raises(TypeError, match=r"str\(id\)"):
                auth.revoke_user(wrong)


def test_a_user_whose_is_active_is_a_method_gets_no_token(
    app: Flask, auth: TokenAuth
) -> None:
    """As before Flask-Login 0.3: it is always true, so nobody could be disabled."""

    class Account(User):
        def is_active(self) -> bool:  # type: ignore[override]
            return False

    wrong: Any = Account("alice", id="u-alice")
    with app.app_context(), pytest.raises(TypeError, match="is_active of Account must"):
        auth.login(wrong)


# -- verify and revoke ---------------------------------------------------------------


def test_verify_is_the_whole_check(
    app: Flask, auth: TokenAuth, alice: User, clock: Clock
) -> None:
    """Signature, purpose, expiry, session and user, each with its own error."""
    with app.app_context():
        pair = auth.login(alice)
        claims = auth.verify(pair.access_token)
        assert claims.subject == "u-alice"
        assert claims.scopes == {"read", "write"}
        assert claims.issued_at == claims.authenticated_at == int(clock.now)
        no_text: Any = (None, pair.access_token.encode(), 7)
        altered = pair.access_token + "A"
        for token in (pair.refresh_token, altered, "", "abc.def", *no_text):
            with pytest.raises(TokenInvalidError):
                auth.verify(token)
        alice.is_active = False
        with pytest.raises(TokenRevokedError):
            auth.verify(pair.access_token)
        alice.is_active = True
        clock.move(15 * 60)
        with pytest.raises(TokenExpiredError):
            auth.verify(pair.access_token)


def test_what_is_revoked_is_dead(app: Flask, auth: TokenAuth, alice: User) -> None:
    """One session, or all of a user's; the answer says what there was to end."""
    with app.app_context():
        one, two, three = (auth.login(alice).access_token for _ in range(3))
        session_id = auth.verify(one).session_id
        assert auth.revoke_session(session_id) is True
        assert auth.revoke_session(session_id) is False
        with pytest.raises(TokenRevokedError):
            auth.verify(one)
        assert auth.verify(two).subject == "u-alice"
        assert auth.revoke_user("u-alice") == 2
        assert auth.revoke_user("u-alice") == auth.revoke_user("u-nobody") == 0
        for token in (two, three):
            with pytest.raises(TokenRevokedError):
                auth.verify(token)


def test_without_an_application_of_its_own_it_says_so(auth: TokenAuth) -> None:
    """The cure is in the error."""
    with (
        plain_app().app_context(),
        pytest.raises(RuntimeError, match=r"has no TokenAuth: call TokenAuth\(app"),
    ):
        auth.verify("abc.def")
    with pytest.raises(RuntimeError, match="outside of application context"):
        auth.revoke_user("u-alice")


def test_new_passwords_are_hashed_as_the_settings_want_it() -> None:
    """By the application's policy and cost, for users and names alike."""
    auth = TokenAuth()
    app = plain_app(
        TESTING=True,
        TOKENAUTH_PASSWORD_MIN_LENGTH=12,
        TOKENAUTH_ARGON2_MEMORY_COST=16,
        TOKENAUTH_ARGON2_TIME_COST=1,
    )
    auth.init_app(app, make_users())
    with app.app_context():
        for user in ("new user", User("new user")):
            hashed = auth.hash_password("a mule at a staple", user)
            assert hashed.startswith("$argon2id$v=19$m=16,t=1,")
            with pytest.raises(PasswordRefusedError, match="12 characters"):
                auth.hash_password("shorter one", user)


def test_the_stores_in_use_can_be_asked(
    app: Flask, auth: TokenAuth, users: DictUserStore
) -> None:
    """For an application's own pages and commands."""
    with app.app_context():
        assert auth.users is users
        assert isinstance(auth.sessions, MemorySessionStore)
        auth.check_stores()


def test_a_login_of_the_application_s_own_is_answered_by_its_pair(
    app: Flask, auth: TokenAuth, alice: User
) -> None:
    """As `/auth/login` answers, or as a part of the application's own document."""

    @app.get("/sso")
    def sso() -> Response:
        return auth.login(alice).to_response()

    @app.get("/register")
    def register() -> dict[str, Any]:
        return {"tokens": auth.login(alice).to_dict()}

    client = app.test_client()
    answer = client.get("/sso")
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = client.get("/register").get_json()["tokens"]
    assert answer.get_json().keys() == tokens.keys()
    me = client.get("/auth/me", headers=bearer(tokens["access_token"]))
    assert me.get_json()["username"] == "alice"


def test_logout_ends_the_session_of_the_request_s_token(
    app: Flask, auth: TokenAuth
) -> None:
    """And nothing where there is none."""
    app.post("/bye")(lambda: {"ended": auth.logout()})
    client, headers = app.test_client(), bearer(token_of(app))
    assert client.post("/bye").get_json() == {"ended": False}
    assert client.post("/bye", headers=headers).get_json() == {"ended": True}
    assert_problem(client.get("/auth/me", headers=headers), 401, "token_revoked")


def test_a_store_of_coroutine_functions_is_refused() -> None:
    """At start, with what to write instead."""

    class AsyncUsers(DictUserStore):
        async def get(self, user_id: str) -> Any:  # type: ignore[override]
            return None

    with pytest.raises(
        ConfigurationError, match=r"AsyncUsers is .* no 'get'. .*not 'async def'"
    ):
        TokenAuth(plain_app(), AsyncUsers({}))  # type: ignore[arg-type]


def test_an_application_that_routes_by_host_names_one() -> None:
    """Else no request would find the endpoints; and a host alone has no effect."""

    def by_host(**config: Any) -> Flask:
        app = Flask("app", host_matching=True, static_host="shop.test")
        app.config.update(SECRET_KEY=SECRET, TESTING=True, **config)
        return app

    with pytest.raises(ConfigurationError, match="set TOKENAUTH_HOST"):
        TokenAuth(by_host(), make_users())
    with pytest.raises(ConfigurationError, match="TOKENAUTH_HOST has no effect"):
        TokenAuth(plain_app(TOKENAUTH_HOST="api.test"), make_users())
    app = by_host(TOKENAUTH_HOST="api.test")
    TokenAuth(app, make_users())
    headers, client = bearer(token_of(app)), app.test_client()
    for host, status in (("api.test", 200), ("shop.test", 404)):
        answer = client.get("/auth/me", headers=headers, base_url=f"http://{host}")
        assert answer.status_code == status
        missing = client.get("/auth/x", base_url=f"http://{host}")
        assert missing.is_json is (host == "api.test")  # elsewhere it is not ours


@pytest.mark.skipif(not ALLOWS_TWO_RULES, reason="this Werkzeug refuses it itself")
def test_two_rules_for_one_address_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The Flask tutorial's own blueprint is at /auth/login, too."""
    app = plain_app(TESTING=True)
    TokenAuth(app, make_users())
    app.add_url_rule("/auth/login", "form", lambda: "a form", methods=["GET", "POST"])
    app.test_client().get("/auth/login")
    warned = [text for text in caplog.messages if "TOKENAUTH_URL_PREFIX" in text]
    assert [text.partition(" is claimed")[0] for text in warned] == ["POST /auth/login"]


def test_parallel_first_requests_find_the_whole_set_up() -> None:
    """The second does not come before what the first one has begun to do."""
    app = make_app()
    exempted: list[str] = []

    class Csrf:
        def exempt(self, blueprint: Blueprint) -> None:
            exempted.append(blueprint.name)
            if len(exempted) == 1:
                second = Thread(target=app.test_client().get, args=("/public",))
                second.start()
                second.join()

    app.extensions["csrf"] = Csrf()
    assert app.test_client().get("/public").status_code == 200
    assert exempted == ["tokenauth", "tokenauth"]


@pytest.mark.parametrize("is_testing", [False, True])
def test_sessions_in_memory_are_announced_at_start(
    is_testing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Each restart revokes all tokens, which a test knows."""
    TokenAuth(plain_app(TESTING=is_testing), make_users())
    announced = [text for text in caplog.messages if "TOKENAUTH_SESSION_URL" in text]
    assert len(announced) == (not is_testing)


def test_a_store_that_compares_ids_with_numbers_is_a_warning_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The usual mistake with integer ids: the client is told of a wrong password."""

    class Numbers:
        def __init__(self) -> None:
            self.user = User("alice", password_hash("alice"), id="7")

        def get(self, user_id: Any) -> User | None:
            return self.user if user_id == 7 else None

        def find(self, username: str) -> User:
            return self.user

        def set_password_hash(self, *_: object, expected: str | None) -> bool:
            return False

    app = make_app(users=Numbers())
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    assert_problem(
        app.test_client().post("/auth/login", json=body), 401, "invalid_credentials"
    )
    assert [
        (record.levelname, 'reason="unknown_id" user_id="7"' in record.message)
        for record in caplog.records
        if "login_failed" in record.message
    ] == [("WARNING", True)]
