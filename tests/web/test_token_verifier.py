"""Services that verify by the public key: the same guards, errors and challenges."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import flask_login
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_login import UserMixin, login_user, logout_user

from tests.harness.key_pairs import (
    NEW,
    OLD,
    add_views,
    make_issuer,
    make_service,
    private_line,
    public_line,
)
from tests.harness.kit import (
    SECRET,
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
    token_of,
)
from tokenauth import (
    ConfigurationError,
    TokenAuth,
    TokenExpiredError,
    TokenUser,
    TokenVerifier,
    cli,
    events,
)
from tokenauth.accounts.users import scopes_of
from tokenauth.stores.sql import SQLSessionStore
from tokenauth.tokens.ed25519 import public_of

GUARDS = ("login", "token", "scope", "recent", "flask-login-fresh", "open")


@pytest.fixture
def issuer(clock: Clock) -> Flask:
    app = make_issuer(users=make_users(alice=["reports:read"]), clock=clock)
    add_views(app)
    return app


def personal_token(issuer: Flask) -> str:
    auth, users = TokenAuth(), make_users()
    user = users.get("u-alice")
    assert user is not None
    with issuer.app_context():
        return auth.create_personal_token(user, name="ci", scopes=[])


def test_every_guard_answers_as_on_the_issuer(issuer: Flask, clock: Clock) -> None:
    """Status, body and challenge, for good tokens, bad ones and none."""
    service = make_service(clock=clock).test_client()
    home = issuer.test_client()
    old = token_of(issuer)
    clock.move(301)
    tokens = {
        "fresh": token_of(issuer),
        "old": old,
        "plain": token_of(issuer, "bob"),
        "narrow": token_of(issuer, scopes=[]),
        "altered": old[:-1] + ("A" if old[-1] != "A" else "Q"),
        "hmac": token_of(make_app(clock=clock)),
        "refresh": log_in(home)["refresh_token"],
        "realm": token_of(
            make_issuer(clock=clock, config={"TOKENAUTH_REALM": "forum"})
        ),
        "key": token_of(make_issuer(NEW, clock=clock)),
        "garbage": "x.y",
        "missing": "",
    }
    seen = set()
    for name, token in tokens.items():
        for guard in GUARDS:
            headers = bearer(token) if token else {}
            here = service.get(f"/{guard}", headers=headers)
            there = home.get(f"/{guard}", headers=headers)
            assert here.status_code == there.status_code, (name, guard)
            assert here.get_json() == there.get_json(), (name, guard)
            assert here.headers.get("WWW-Authenticate") == there.headers.get(
                "WWW-Authenticate"
            )
            seen.add(here.status_code)
    assert seen == {200, 401, 403}
    clock.move(900)
    answer = service.get("/login", headers=bearer(tokens["fresh"]))
    assert_problem(answer, 401, "token_expired")


def test_the_user_is_what_the_token_says(issuer: Flask, clock: Clock) -> None:
    """Id, scopes, active; no name and no password."""
    service = make_service(clock=clock)
    service.add_url_rule(
        "/scopes", view_func=lambda: sorted(scopes_of(flask_login.current_user))
    )
    answer = service.test_client().get("/scopes", headers=bearer(token_of(issuer)))
    assert answer.get_json() == ["reports:read"]
    user = TokenUser("u-alice", frozenset({"read"}))
    assert user.get_id() == "u-alice"
    assert scopes_of(user) == {"read"}
    assert user.is_active
    assert user.is_authenticated
    assert user.password_hash is None
    assert repr(user) == "<TokenUser 'u-alice'>"


def test_a_token_can_be_verified_without_a_request(issuer: Flask, clock: Clock) -> None:
    """For a token from another place; refusals are events."""
    auth, app = TokenVerifier(), make_service(clock=clock)
    token, refused = token_of(issuer), []
    with (
        app.app_context(),
        events.token_refused.connected_to(
            lambda _, event: refused.append(event.reason), app
        ),
    ):
        assert auth.verify(token).subject == "u-alice"
        clock.move(900)
        with pytest.raises(TokenExpiredError):
            auth.verify(token)
    assert refused == ["token_expired"]
    assert repr(app.extensions["tokenauth"]) == "<VerifierState>"


def test_a_service_has_no_endpoints_and_needs_no_secret(clock: Clock) -> None:
    """Nor users, nor a database; pages under our usual prefix are its own."""
    app = make_service(clock=clock)
    app.add_url_rule("/auth/page", view_func=lambda: "a page")
    client = app.test_client()
    assert client.post("/auth/login", json={}).status_code == 404
    assert client.get("/auth/page").text == "a page"
    assert not app.extensions["tokenauth"].settings.secret_key


def test_personal_tokens_need_the_sessions(issuer: Flask, clock: Clock) -> None:
    """Without them a revoked one would work for ever."""
    service = make_service(clock=clock).test_client()
    answer = service.get("/login", headers=bearer(personal_token(issuer)))
    assert_problem(answer, 401, "token_invalid")
    assert "personal" in answer.get_json()["detail"]


@pytest.mark.parametrize("lag", [0, 1])
def test_with_the_sessions_revoked_is_dead_there_too(
    tmp_path: Path, clock: Clock, lag: int
) -> None:
    """Logins and personal tokens; a lag is allowed."""
    url = f"sqlite:///{tmp_path / 'sessions'}"
    sessions = {"TOKENAUTH_SESSION_URL": url}
    config = {**sessions, "TOKENAUTH_SESSION_CHECK_LAG": lag}
    with pytest.raises(ConfigurationError, match="init-db"):
        make_service(config=config)
    SQLSessionStore(url).create_tables()
    issuer = make_issuer(clock=clock, config=sessions)
    service = make_service(clock=clock, config=config).test_client()
    token, personal = token_of(issuer), personal_token(issuer)
    for each in (token, personal):
        assert service.get("/login", headers=bearer(each)).status_code == 200
    issuer.test_client().post("/auth/logout", headers=bearer(token))
    with issuer.app_context():
        TokenAuth().revoke_user("u-alice")
        for session in TokenAuth().personal_tokens_of("u-alice"):
            TokenAuth().revoke_session(session.id)
    if lag:
        time.sleep(lag)
    for each in (token, personal):
        answer = service.get("/login", headers=bearer(each))
        assert_problem(answer, 401, "token_revoked")


def test_without_the_sessions_a_login_ends_with_its_token(
    issuer: Flask, clock: Clock
) -> None:
    """What the guide says in one sentence."""
    service, token = make_service(clock=clock).test_client(), token_of(issuer)
    issuer.test_client().post("/auth/logout", headers=bearer(token))
    assert service.get("/login", headers=bearer(token)).status_code == 200
    clock.move(900)
    assert service.get("/login", headers=bearer(token)).status_code == 401


def test_a_key_alone_opens_nothing_where_sessions_are_seen(
    tmp_path: Path, clock: Clock
) -> None:
    """Who has the private key makes no token of a user who is not logged in."""
    url = f"sqlite:///{tmp_path / 'sessions'}"
    SQLSessionStore(url).create_tables()
    sessions = {"TOKENAUTH_SESSION_URL": url}
    forged = token_of(make_issuer(clock=clock))  # with sessions of its own
    for app, path in (
        (make_issuer(clock=clock, config=sessions), "/protected"),
        (make_service(clock=clock, config=sessions), "/login"),
    ):
        answer = app.test_client().get(path, headers=bearer(forged))
        assert_problem(answer, 401, "token_revoked")
    service = make_service(clock=clock).test_client()
    assert service.get("/login", headers=bearer(forged)).status_code == 200


def with_cookies(app: Flask, client: FlaskClient | None = None) -> FlaskClient:
    """Give a service cookie users of its own."""

    class Own(UserMixin):
        id = "own"

    app.config["SECRET_KEY"] = SECRET
    app.login_manager.user_loader(  # type: ignore[attr-defined]
        lambda user_id: Own() if user_id == "own" else None
    )

    @app.get("/cookie-login")
    def cookie_login() -> str:
        login_user(Own())
        return "in"

    @app.get("/leave")
    def leave() -> str:
        logout_user()
        return "out"

    return app.test_client()


def test_cookie_users_of_a_service_are_its_own(issuer: Flask, clock: Clock) -> None:
    """As with plain Flask-Login; the token decides where there is one."""
    client = with_cookies(make_service(clock=clock))
    client.get("/cookie-login")
    assert client.get("/login").get_json()["user"] == "own"
    headers = bearer(token_of(issuer))
    assert client.get("/login", headers=headers).get_json()["user"] == "u-alice"
    with client.session_transaction() as session:
        session["_tokenauth_login"] = "a digest that only the issuer can check"
    assert client.get("/login").status_code == 401
    client.get("/cookie-login")
    client.get("/leave")
    assert client.get("/login").status_code == 401


def test_a_service_cannot_log_a_token_out(issuer: Flask, clock: Clock) -> None:
    """It says so by name, and does not pretend."""
    client = with_cookies(make_service(clock=clock))
    with pytest.raises(RuntimeError, match="log out at the application that issued"):
        client.get("/leave", headers=bearer(token_of(issuer)))


def test_the_commands_are_for_the_issuer(clock: Clock) -> None:
    """One line says where to run them."""
    done = (
        make_service(clock=clock)
        .test_cli_runner()
        .invoke(cli.tokenauth, ["users", "list"])
    )
    assert done.exit_code == 1
    assert "only verifies tokens" in done.output


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"TOKENAUTH_REALM": None}, "TOKENAUTH_REALM is not set"),
        ({"TOKENAUTH_VERIFY_KEYS": None}, r"must be a list of keys \(public;"),
        ({"TOKENAUTH_VERIFY_KEYS": []}, r"must be a list of keys \(public;"),
        ({"TOKENAUTH_VERIFY_KEYS": public_line()}, r"must be a list of keys \(public;"),
        ({"TOKENAUTH_VERIFY_KEYS": {"a": 1}}, r"a list of keys \(public;"),
        ({"TOKENAUTH_VERIFY_KEYS": [private_line()]}, r"VERIFY_KEYS\[0\] is no public"),
        (
            {"TOKENAUTH_VERIFY_KEYS": "http://issuer/auth/keys", "TESTING": False},
            "a service may have the 'https://' address",
        ),
        ({"TOKENAUTH_SECRET_KEY": SECRET}, "TOKENAUTH_SECRET_KEY is the issuer's"),
        ({"TOKENAUTH_SIGNING_KEY": private_line()}, "SIGNING_KEY is the issuer's"),
        ({"TOKENAUTH_VERIFY_KEY": "x"}, "Did you mean TOKENAUTH_VERIFY_KEYS"),
    ],
    ids=lambda value: None if isinstance(value, dict) else re.sub(r"\W", "", value),
)
def test_what_cannot_work_on_a_service_is_refused(
    config: dict[str, Any], message: str, request: pytest.FixtureRequest
) -> None:
    """At start, by name."""
    with pytest.raises(ConfigurationError, match=message):
        make_service(config=config)


PUBLIC = public_of(OLD)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"TOKENAUTH_VERIFY_KEYS": [public_line()]}, "use TokenVerifier"),
        ({"TOKENAUTH_SIGNING_KEY": public_line()}, "SIGNING_KEY is no private key"),
        (
            {"TOKENAUTH_SIGNING_KEY_FALLBACKS": public_line()},
            r"a list of keys \(public",
        ),
        (
            {"TOKENAUTH_SIGNING_KEY_FALLBACKS": [private_line(NEW)]},
            r"FALLBACKS\[0\] is no public key",
        ),
        ({"TOKENAUTH_SIGNING_KEY": None}, "TOKENAUTH_SIGNING_KEY is no private"),
        ({"SECRET_KEY": public_line()}, "SECRET_KEY is a published"),
        ({"SECRET_KEY": private_line(NEW)}, "SECRET_KEY is a published example"),
        ({"SECRET_KEY": PUBLIC}, "A SECRET_KEY is a public key"),
        ({"SECRET_KEY": PUBLIC.hex()}, "A SECRET_KEY is a public key,"),
        ({"SECRET_KEY": PUBLIC.hex().upper()}, "SECRET_KEY is a public key"),
        ({"SECRET_KEY": public_line()[15:]}, "SECRET_KEY is a public key, which"),
        ({"SECRET_KEY_FALLBACKS": [PUBLIC]}, "SECRET_KEY is a public"),
    ],
    ids=lambda value: None if isinstance(value, dict) else re.sub(r"\W", "", value),
)
def test_what_is_unsafe_on_the_issuer_is_refused(
    config: dict[str, Any], message: str
) -> None:
    """Who knows a public key would sign refresh tokens with it."""
    config = {"TOKENAUTH_SIGNING_KEY_FALLBACKS": [public_line(NEW)], **config}
    with pytest.raises(ConfigurationError, match=message):
        make_issuer(config=config)


def test_the_public_keys_are_published(clock: Clock) -> None:
    """Newest first, with ids for people; none where a secret signs."""
    answer = make_issuer(NEW, OLD).test_client().get("/auth/keys")
    assert answer.status_code == 200
    lines = ["ed25519-public:" + key["x"] for key in answer.get_json()["keys"]]
    assert lines == [public_line(NEW), public_line(OLD)]
    assert len({key["kid"] for key in answer.get_json()["keys"]}) == 2
    assert make_app().test_client().get("/auth/keys").get_json() == {"keys": []}


def test_a_login_refreshes_and_logs_out_as_ever(issuer: Flask, clock: Clock) -> None:
    """Refresh tokens stay HMAC; the access token is longer."""
    client = issuer.test_client()
    pair = log_in(client)
    assert len(pair["access_token"].rpartition(".")[2]) == 86
    assert len(pair["refresh_token"].rpartition(".")[2]) == 43
    body = {"refresh_token": pair["refresh_token"]}
    new = client.post("/auth/refresh", json=body).get_json()
    assert client.get("/protected", headers=bearer(new["access_token"])).json
    client.post("/auth/logout", headers=bearer(new["access_token"]))
    answer = client.get("/protected", headers=bearer(new["access_token"]))
    assert_problem(answer, 401, "token_revoked")


def test_a_pair_is_made_by_a_command() -> None:
    """The private key on standard output, the public one beside it."""
    runner = make_app().test_cli_runner()
    done = runner.invoke(args=["tokenauth", "new-secret", "--ed25519"])
    private, public = done.stdout.strip(), done.stderr.strip()
    app = make_app(config={"TOKENAUTH_SIGNING_KEY": private})
    service = make_service([public]).test_client()
    assert service.get("/login", headers=bearer(token_of(app))).status_code == 200
