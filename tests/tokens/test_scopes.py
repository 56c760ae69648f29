"""Scopes: what a user may do, what a login asks for, what a view requires."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.kit import (
    PASSWORDS,
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
)
from tokenauth import DictUserStore, InvalidScopeError, User, require_scopes
from tokenauth.tokens.scopes import grant, is_scope, parse_scopes
from tokenauth.web import state

ALICE = ["reports:read", "reports:write"]


@pytest.fixture
def users() -> DictUserStore:
    return make_users(alice=ALICE)


@pytest.fixture
def app(users: DictUserStore, clock: Clock) -> Flask:
    app = make_app(users=users, clock=clock)

    @app.get("/reports")
    @require_scopes("reports:read")
    def read() -> str:
        return "read"

    @app.post("/reports")
    @require_scopes("reports:write", "reports:read")
    async def write() -> str:
        return "written"

    return app


def test_a_login_gets_all_that_the_user_may(client: FlaskClient) -> None:
    """Without `scope` the answer and the token name every scope of the user."""
    tokens = log_in(client)
    assert tokens["scope"] == "reports:read reports:write"
    headers = bearer(tokens["access_token"])
    assert client.get("/auth/me", headers=headers).get_json()["scope"] == (
        "reports:read reports:write"
    )
    assert client.post("/reports", headers=headers).text == "written"


def test_a_login_may_ask_for_fewer(client: FlaskClient) -> None:
    """What it did not ask for is refused, by name, in body and challenge."""
    tokens = log_in(client, scope="reports:read")
    assert tokens["scope"] == "reports:read"
    headers = bearer(tokens["access_token"])
    assert client.get("/reports", headers=headers).status_code == 200
    refused = client.post("/reports", headers=headers)
    assert_problem(refused, 403, "insufficient_scope")
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer realm="app", error="insufficient_scope", error_description="The token '
        "lacks a scope. Required here: reports:read reports:write. Log in "
        'again to use a newly granted scope.", '
        'scope="reports:read reports:write"'
    )


def test_a_refreshed_token_can_do_no_more(client: FlaskClient) -> None:
    """The scopes of a login outlast its access token, and do not grow."""
    tokens = log_in(client, scope="reports:read")
    body = {"refresh_token": tokens["refresh_token"]}
    renewed = client.post("/auth/refresh", json=body).get_json()
    assert renewed["scope"] == "reports:read"
    headers = bearer(renewed["access_token"])
    assert_problem(client.post("/reports", headers=headers), 403, "insufficient_scope")


@pytest.mark.parametrize(
    "scope",
    [
        "admin",
        "reports:read admin",
        "",
        " ",
        "reports:read ",
        "reports:read  reports:write",
        "reports:read\treports:write",
        "reports:read,reports:write",
        'reports:read"',
        "REPORTS:READ",
        "reports:réad",
    ],
)
def test_a_scope_that_cannot_be_granted_is_refused(
    client: FlaskClient, scope: str
) -> None:
    """Not dropped: the client learns that it asked for too much, or wrongly."""
    body = {"username": "alice", "password": "alice: correct horse", "scope": scope}
    assert_problem(client.post("/auth/login", json=body), 400, "invalid_scope")
    listed = client.get(
        "/auth/sessions", headers=bearer(log_in(client)["access_token"])
    )
    assert len(listed.get_json()["sessions"]) == 1, "the refused login left one"


def test_a_login_with_more_scopes_than_a_token_holds_is_refused(clock: Clock) -> None:
    """Not granted with a token that no request could carry."""
    many = [f"reports-of-department-{number:03}:read" for number in range(80)]
    client = make_app(users=make_users(alice=many), clock=clock).test_client()
    body = {"username": "alice", "password": PASSWORDS["alice"]}
    refused = client.post("/auth/login", json=body)
    assert_problem(refused, 400, "invalid_scope")
    assert "fewer" in refused.get_json()["detail"]
    body["scope"] = " ".join(many[:50])
    headers = bearer(client.post("/auth/login", json=body).get_json()["access_token"])
    assert client.get("/auth/me", headers=headers).get_json()["scope"] == body["scope"]


def test_a_scope_taken_from_the_user_is_gone_at_once(
    client: FlaskClient, users: DictUserStore
) -> None:
    """On the next request, from the tokens that are out; and it comes back as well."""
    headers = bearer(log_in(client)["access_token"])
    assert client.get("/reports", headers=headers).status_code == 200
    alice = users.get("u-alice")
    assert alice is not None
    alice.scopes = frozenset({"reports:write"})
    assert_problem(client.get("/reports", headers=headers), 403, "insufficient_scope")
    me = client.get("/auth/me", headers=headers).get_json()
    assert me["scope"] == "reports:write"
    alice.scopes = frozenset(ALICE)
    assert client.get("/reports", headers=headers).status_code == 200


def test_a_scope_given_later_is_not_in_older_tokens(
    client: FlaskClient, users: DictUserStore
) -> None:
    """A token can do what was granted when it was made, and no more."""
    headers = bearer(log_in(client)["access_token"])
    alice = users.get("u-alice")
    assert alice is not None
    alice.scopes = frozenset([*ALICE, "admin"])
    assert "admin" not in client.get("/auth/me", headers=headers).get_json()["scope"]
    assert "admin" in log_in(client)["scope"]


def test_without_a_good_token_the_scope_does_not_matter(client: FlaskClient) -> None:
    """Who is not logged in gets 401, whatever the view requires."""
    assert_problem(client.get("/reports"), 401, "token_missing")
    bad = client.get("/reports", headers=bearer("abc.def"))
    assert_problem(bad, 401, "token_invalid")


def test_an_app_that_logs_in_itself_grants_the_same(
    app: Flask, users: DictUserStore
) -> None:
    """`auth.login` takes names or a text, and refuses what the user does not have."""
    alice = users.get("u-alice")
    assert alice is not None
    with app.app_context():
        start = state.current_state().service.start
        assert start(alice, scopes=["reports:read"]).scope == "reports:read"
        assert start(alice, scopes="reports:read").scope == "reports:read"
        assert start(alice, scopes=[]).scope == ""
        assert start(alice).scope == "reports:read reports:write"
        with pytest.raises(InvalidScopeError):
            start(alice, scopes=["admin"])


@pytest.mark.parametrize(
    ("held", "scopes"),
    [
        (None, set()),
        ("", set()),
        ("a", {"a"}),
        ("read write", {"read", "write"}),
        (["read", "write"], {"read", "write"}),
        (frozenset({"read"}), {"read"}),
    ],
)
def test_a_user_holds_scopes_as_names_or_as_a_text(held: Any, scopes: set[str]) -> None:
    """One text is not taken for the letters that it is made of."""
    assert parse_scopes(held) == scopes


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a\\b", "é", "a\n", "\x7f", 7])
def test_a_malformed_name_is_never_granted(name: Any) -> None:
    """RFC 6749 section 3.3: printable ASCII without space, quote and backslash."""
    assert not is_scope(name)
    with pytest.raises(ValueError, match="cannot be the name of a scope"):
        User("alice", scopes=[name])
    assert grant(None, {name, "read"}) == {"read"}
    with pytest.raises(InvalidScopeError):
        grant([name], {name, "read"})


def test_every_character_of_the_grammar_is_a_name() -> None:
    """The 92 characters of RFC 6749 section 3.3, one by one and together."""
    name = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"\\')
    assert len(name) == 92
    assert all(is_scope(character) for character in name)
    assert is_scope(name)


def test_a_custom_user_s_malformed_scope_is_not_answered(clock: Clock) -> None:
    """Whatever a user record of an application holds, `scope` keeps its grammar."""
    users = make_users()
    alice = users.get("u-alice")
    assert alice is not None
    alice.scopes = frozenset({"fine", 'not "fine"'})
    assert log_in(make_app(users=users, clock=clock).test_client())["scope"] == "fine"
