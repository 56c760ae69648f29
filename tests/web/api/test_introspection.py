"""What other services ask: RFC 7662 introspection and RFC 7009 revocation."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.harness.kit import (
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
)
from tokenauth import (
    DictUserStore,
    MemorySessionStore,
    StoreUnavailableError,
    TokenAuth,
)
from tokenauth.web import state

INACTIVE = b'{"active":false}\n'
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def users() -> DictUserStore:
    return make_users(alice=["read", "write"], bob=["introspect"])


@pytest.fixture
def store() -> MemorySessionStore:
    return MemorySessionStore()


@pytest.fixture
def app(users: DictUserStore, store: MemorySessionStore, clock: Clock) -> Flask:
    return make_app(users=users, sessions=store, clock=clock)


@pytest.fixture
def service(client: FlaskClient) -> dict[str, str]:
    """The header of a service that may ask about tokens: bob's, without an end."""
    login = bearer(log_in(client, "bob")["access_token"])
    body = {"name": "billing", "expires_in": None}
    made = client.post("/auth/tokens", json=body, headers=login)
    return bearer(made.get_json()["token"])


def raise_unavailable(_: str) -> NoReturn:
    raise StoreUnavailableError


def introspect(
    client: FlaskClient, service: dict[str, str], token: str
) -> TestResponse:
    return client.post("/auth/introspect", data={"token": token}, headers=service)


def revoke(client: FlaskClient, token: str, **form: str) -> TestResponse:
    response = client.post("/auth/revoke", data={"token": token} | form)
    if response.status_code == 200:
        assert response.data == b""
        assert response.headers["Cache-Control"] == "no-store"
        assert "WWW-Authenticate" not in response.headers
    return response


def personal_token(client: FlaskClient, **body: Any) -> str:
    login = bearer(log_in(client)["access_token"])
    made = client.post("/auth/tokens", json={"name": "ci"} | body, headers=login)
    token: str = made.get_json()["token"]
    return token


# -- introspection -----------------------------------------------------------------


def test_an_access_token_is_told_in_full(
    client: FlaskClient, service: dict[str, str], clock: Clock
) -> None:
    """The names are those of RFC 7662 section 2.2, and of OpenID Connect."""
    token = log_in(client, scope="read")["access_token"]
    clock.move(60)
    answer = introspect(client, service, token)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_json() == {
        "active": True,
        "sub": "u-alice",
        "username": "alice",
        "scope": "read",
        "token_type": "Bearer",
        "iat": 1_790_000_000,
        "exp": 1_790_000_900,
        "auth_time": 1_790_000_000,
    }


def test_a_personal_token_is_told_without_what_it_lacks(
    client: FlaskClient, service: dict[str, str]
) -> None:
    """No end, and no password was proved; asking about it is a use of it."""
    token = personal_token(client, expires_in=None, scope="write")
    with introspect(client, service, token) as answer:
        assert answer.get_json() == {
            "active": True,
            "sub": "u-alice",
            "username": "alice",
            "scope": "write",
            "token_type": "Bearer",
            "iat": 1_790_000_000,
        }
    login = bearer(log_in(client)["access_token"])
    tokens = client.get("/auth/tokens", headers=login).get_json()["tokens"]
    assert tokens[0]["last_used_at"] == "2026-09-21T14:13:20Z"


def test_a_scope_taken_from_the_user_is_not_told(
    client: FlaskClient, service: dict[str, str], users: DictUserStore
) -> None:
    """The answer is what a request with the token could do at this moment."""
    token = log_in(client)["access_token"]
    alice = users.get("u-alice")
    assert alice is not None
    alice.scopes = frozenset({"write"})
    assert introspect(client, service, token).get_json()["scope"] == "write"


def test_every_bad_token_looks_alike(
    app: Flask, client: FlaskClient, service: dict[str, str], clock: Clock
) -> None:
    """`{"active": false}` and not a byte more, whatever is wrong."""
    logged_out = log_in(client)
    client.post("/auth/logout", headers=bearer(logged_out["access_token"]))
    foreign_app = make_app(
        users=make_users(), clock=clock, config={"SECRET_KEY": "k" + "1" * 40}
    )
    expired = log_in(client)
    clock.move(900)
    good = log_in(client)
    with app.app_context():
        user = state.current_state().verifier.authenticate(good["access_token"]).user
        once = TokenAuth().issue_once("reset-password", user, 600)
    bad = {
        "revoked": logged_out["access_token"],
        "expired": expired["access_token"],
        "a refresh token": good["refresh_token"],
        "a one-time token": once,
        "foreign": log_in(foreign_app.test_client())["access_token"],
        "altered": good["access_token"][:-1] + "~",
        "cut": good["access_token"][:-1],
        "no token": "x",
        "too long": "a." + "b" * 5000,
        "not ASCII": "é.é",
    }
    assert introspect(client, service, good["access_token"]).get_json()["active"]
    answers = {what: introspect(client, service, bad[what]) for what in bad}
    assert {what: each.data for what, each in answers.items()} == dict.fromkeys(
        bad, INACTIVE
    )
    assert {each.status_code for each in answers.values()} == {200}
    assert len({tuple(each.headers) for each in answers.values()}) == 1


def test_only_who_has_the_scope_may_ask(client: FlaskClient) -> None:
    """A token must be sent, must be good, and must have the scope `introspect`."""
    form = {"token": "x"}
    nobody = client.post("/auth/introspect", data=form)
    assert_problem(nobody, 401, "token_missing")
    bad = client.post("/auth/introspect", data=form, headers=bearer("abc.def"))
    assert_problem(bad, 401, "token_invalid")
    alice = bearer(log_in(client)["access_token"])
    refused = client.post("/auth/introspect", data=form, headers=alice)
    assert_problem(refused, 403, "insufficient_scope")
    assert 'scope="introspect"' in refused.headers["WWW-Authenticate"]


def test_a_cookie_user_may_not_ask(users: DictUserStore, clock: Clock) -> None:
    """What a browser sends of itself is no permission for another service."""
    app = make_app(users=users, clock=clock)
    app.login_manager.user_loader(users.get)  # type: ignore[attr-defined]
    client = app.test_client()
    with client.session_transaction() as cookie:
        cookie["_user_id"] = "u-bob"
    assert client.get("/protected").get_json() == {"user": "bob"}
    refused = client.post("/auth/introspect", data={"token": "x"})
    assert refused.status_code == 401
    assert refused.get_json()["code"] == "token_missing"


def test_a_store_that_is_down_is_not_an_answer(
    client: FlaskClient,
    service: dict[str, str],
    store: MemorySessionStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """503: neither active nor inactive is known."""
    token = log_in(client)["access_token"]
    monkeypatch.setattr(store, "get", raise_unavailable)
    refused = introspect(client, service, token)
    assert_problem(refused, 503, "store_unavailable")
    assert "Retry-After" in refused.headers


# -- revocation --------------------------------------------------------------------


def test_revoking_what_is_not_there_succeeds(client: FlaskClient, clock: Clock) -> None:
    """Unknown, malformed, expired, revoked before: it is dead (section 2.2)."""
    pair = log_in(client)
    for token in (
        pair["access_token"],
        pair["access_token"],
        "x",
        "a.b",
        "é",
        "a" * 9000,
    ):
        assert revoke(client, token).status_code == 200
    expired = log_in(client)
    clock.move(900)
    assert revoke(client, expired["access_token"]).status_code == 200
    body = {"refresh_token": expired["refresh_token"]}
    assert client.post("/auth/refresh", json=body).status_code == 200, (
        "an expired access token ended its login"
    )


@pytest.mark.parametrize("hint", ["", "refresh_token", "no_such_type"])
def test_the_hint_is_not_needed(client: FlaskClient, hint: str) -> None:
    """A wrong or unknown hint is no error; nor are parameters that we do not know."""
    token = log_in(client)["access_token"]
    answer = revoke(client, token, token_type_hint=hint, client_id="app")
    assert answer.status_code == 200
    assert client.get("/protected", headers=bearer(token)).status_code == 401


def test_a_form_has_no_more_parameters_than_a_client_needs(client: FlaskClient) -> None:
    """16, however short: a thousand would be work for nothing."""
    token = log_in(client)["access_token"]
    many = {f"p{number}": "" for number in range(15)}
    refused = revoke(client, token, q="", **many)
    assert_problem(refused, 400, "invalid_request")
    assert revoke(client, token, **many).status_code == 200
    assert client.get("/protected", headers=bearer(token)).status_code == 401


def test_a_revocation_that_may_not_have_happened_is_no_200(
    client: FlaskClient, store: MemorySessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while the store is down; and then the token still works."""
    token = log_in(client)["access_token"]
    with monkeypatch.context() as patch:
        patch.setattr(store, "end", raise_unavailable)
        refused = revoke(client, token)
    assert_problem(refused, 503, "store_unavailable")
    assert "Retry-After" in refused.headers
    assert client.get("/protected", headers=bearer(token)).status_code == 200


def test_the_token_is_the_only_credential(client: FlaskClient) -> None:
    """What the Authorization header holds does not matter, good or bad."""
    mine, theirs = log_in(client), log_in(client, "bob")
    for header in (bearer(theirs["access_token"]), bearer("abc.def")):
        form = {"token": mine["access_token"]}
        assert client.post("/auth/revoke", data=form, headers=header).status_code == 200
    headers = bearer(theirs["access_token"])
    assert client.get("/protected", headers=headers).status_code == 200


# -- the form ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"token=",
        b"token",
        b"token_type_hint=access_token",
        b"token=a&token=b",
        b"token=a&token=a",
        b"token=a&x=1&x=2",
        b"token=%ff",
        b"token=a%00\xff",
        "token=é".encode(),
        b"Token=a",
        b'{"token": "a"}',
    ],
)
def test_a_malformed_form_is_refused(client: FlaskClient, body: bytes) -> None:
    """400 at both endpoints, and nothing of the body is in the answer."""
    asking = bearer(log_in(client, "bob")["access_token"])
    for path in ("/auth/revoke", "/auth/introspect"):
        refused = client.post(path, data=body, content_type=FORM, headers=asking)
        assert_problem(refused, 400, "invalid_request")


@pytest.mark.parametrize(
    ("content_type", "more"),
    [
        ("application/json", {}),
        ("multipart/form-data; boundary=x", {}),
        ("text/plain", {}),
        ("", {}),
        (f"{FORM}; charset=utf-16", {}),
        (FORM, {"Content-Encoding": "gzip"}),
    ],
)
def test_only_a_plain_form_is_read(
    client: FlaskClient, content_type: str, more: dict[str, str]
) -> None:
    """415 names the header to send."""
    refused = client.post(
        "/auth/revoke", data=b"token=a", content_type=content_type, headers=more
    )
    assert_problem(refused, 415, "unsupported_media_type")
    assert FORM in refused.get_json()["detail"]


def test_a_large_form_is_not_read(client: FlaskClient) -> None:
    """413 past 16 KiB."""
    refused = revoke(client, "a" * 16384)
    assert_problem(refused, 413, "payload_too_large")


def test_the_usual_charset_is_fine(client: FlaskClient) -> None:
    """Browsers and libraries add it."""
    token = log_in(client)["access_token"]
    answer = client.post(
        "/auth/revoke", data=f"token={token}", content_type=f"{FORM};charset=UTF-8"
    )
    assert answer.status_code == 200
    assert client.get("/protected", headers=bearer(token)).status_code == 401
