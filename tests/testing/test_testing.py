"""The kit for the tests of applications that use this package."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.harness.key_pairs import make_service
from tests.harness.kit import SECRET, assert_problem, make_app, make_users
from tokenauth import TokenAuth, User, events, hash_password
from tokenauth.errors import ConfigurationError, InvalidScopeError
from tokenauth.testing import CHEAP_HASHING, client_as, frozen_clock


def test_a_client_is_logged_in_as_a_user() -> None:
    """Each request of the client carries a token of that user."""
    users = make_users()
    app = make_app(users=users)
    bob = users.get("u-bob")
    assert bob is not None
    assert client_as(app, bob).get("/protected").json == {"user": "bob"}


def test_a_user_can_be_named() -> None:
    """In any spelling; a name that nobody has is the test's mistake, and is told."""
    app = make_app()
    assert client_as(app, "BOB").get("/protected").json == {"user": "bob"}
    for name in ("carol", "\x00"):
        with pytest.raises(LookupError, match="no user"):
            client_as(app, name)


def test_a_client_has_the_scopes_that_were_asked_for() -> None:
    """The token may do what was asked for; what the user may not is refused."""
    users = make_users(bob=["read", "write"])
    app = make_app(users=users)
    bob = users.get("u-bob")
    assert bob is not None
    me = client_as(app, bob, scopes=["read"]).get("/auth/me")
    assert me.get_json()["scope"] == "read"
    with pytest.raises(InvalidScopeError):
        client_as(app, bob, scopes=["admin"])


def test_a_header_of_the_request_goes_before_the_client_s() -> None:
    """A test may still send another token, or none of ours."""
    users = make_users()
    app = make_app(users=users)
    bob = users.get("u-bob")
    assert bob is not None
    answer = client_as(app, bob).get(
        "/protected", headers={"Authorization": "Basic eDp5"}
    )
    assert_problem(answer, 401, "token_missing")


def test_a_client_sends_the_header_that_is_read() -> None:
    """Its token is where the application looks for one."""
    app = make_app(config={"TOKENAUTH_HEADER": "X-Api-Token"})
    assert client_as(app, "bob").get("/protected").json == {"user": "bob"}


def test_a_frozen_clock_moves_only_when_it_is_moved() -> None:
    """A token expires when the clock is moved, and the clock runs again afterwards."""
    users = make_users()
    app = make_app(users=users)
    bob = users.get("u-bob")
    assert bob is not None
    with frozen_clock(app) as clock:
        client = client_as(app, bob)
        assert client.get("/protected").status_code == 200
        clock.move(15 * 60)
        assert_problem(client.get("/protected"), 401, "token_expired")
    assert client.get("/protected").status_code == 200


def test_cheap_hashing_is_refused_outside_tests() -> None:
    """An application that is not being tested does not start with a cheap hash."""
    for testing in (True, False):
        app = Flask("app")
        app.config.update(SECRET_KEY=SECRET, TESTING=testing, **CHEAP_HASHING)
        if testing:
            TokenAuth(app, {"alice": hash_password("correct horse")})
        else:
            with pytest.raises(ConfigurationError, match="ARGON2"):
                TokenAuth(app, {"alice": hash_password("correct horse")})


def test_the_kit_refuses_an_application_in_production() -> None:
    """Nobody is logged in without a password where it is not a test."""
    app = make_app(config={"TESTING": False})
    with pytest.raises(ConfigurationError, match="TESTING"):
        client_as(app, User("alice"))
    with pytest.raises(ConfigurationError, match="TESTING"), frozen_clock(app):
        pass


def test_a_service_that_only_verifies_logs_nobody_in() -> None:
    service = make_service()
    with pytest.raises(ConfigurationError, match="issues them"):
        client_as(service, "alice")
    with frozen_clock(service):
        pass


def test_events_go_by_the_stopped_clock() -> None:
    """What is told to an application happened when its clock says."""
    app, seen = make_app(), []

    @events.login_succeeded.connect_via(app)
    def note(_app: Flask, event: events.Event) -> None:
        seen.append(event.at)

    with frozen_clock(app) as clock:
        clock.move(1000)
        client_as(app, "alice")
        assert seen == [clock.now]
