"""The smallest application, and the few steps that most tests begin with."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import click
from flask import Flask, Response, request
from flask.testing import FlaskClient
from flask_login import current_user, login_required, login_user
from werkzeug.routing import exceptions
from werkzeug.test import TestResponse

from tests.harness.grammar import check_answer
from tokenauth import DictUserStore, SessionStore, TokenAuth, User, UserStore, testing
from tokenauth.accounts.hash_schemes import Argon2Cost
from tokenauth.accounts.passwords import hash_password
from tokenauth.sessions.service import SessionService

T = TypeVar("T")

SECRET = "test-key-9f1c7ae25d08b34e6a19c2f7705be8d3cb46e1f80a9d2753"
# Hashing takes microseconds, unless its usual cost is the point.
CHEAP, USUAL = Argon2Cost(memory=8, time=1), Argon2Cost()
USUAL_HASHING = {
    "TOKENAUTH_ARGON2_MEMORY_COST": USUAL.memory,
    "TOKENAUTH_ARGON2_TIME_COST": USUAL.time,
}
# Else Werkzeug itself refuses a second rule for one address.
ALLOWS_TWO_RULES = not hasattr(exceptions, "DuplicateRuleError")
REDIRECTS = {302, 303}  # of `flask.redirect`: the first until Flask 3.2
PASSWORDS = {"alice": "alice: correct horse", "bob": "bob: battery staple"}


class Clock(testing.Clock):
    """A clock that stands still, by default at the same moment in every test."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        super().__init__(now)


@functools.cache
def password_hash(username: str) -> str:
    """Return the hash of a test user's password, computed once a process."""
    return hash_password(PASSWORDS[username], CHEAP)


def make_users(**scopes: list[str]) -> DictUserStore:
    """Return a store with the test users, and the scopes given for them."""
    return DictUserStore(
        {
            name: User(
                name, password_hash(name), id=f"u-{name}", scopes=scopes.get(name, ())
            )
            for name in PASSWORDS
        }
    )


def make_app(
    *,
    users: UserStore | None = None,
    sessions: SessionStore | None = None,
    clock: Clock | None = None,
    config: Mapping[str, Any] | None = None,
    flask_class: type[Flask] = Flask,
) -> Flask:
    """Return an application with `/protected` and `/public`, both telling the user."""
    app = flask_class("app")
    app.config.update({"SECRET_KEY": SECRET, "TESTING": True, **(config or {})})
    if app.testing:
        app.config.from_mapping(testing.CHEAP_HASHING | app.config)
    auth = TokenAuth()
    auth.init_app(app, make_users() if users is None else users, sessions=sessions)
    app.extensions["tokenauth"].clock.source = clock or Clock()

    app.after_request(_checked)

    @app.get("/protected")
    @login_required
    def protected() -> dict[str, str]:
        return {"user": current_user.username}

    @app.get("/public")
    def public() -> dict[str, str | None]:
        return {"user": getattr(current_user, "username", None)}

    return app


def _checked(response: Response) -> Response:
    """Check an answer also where no test client stands, behind a real server."""
    check_answer(response, request)
    return response


def log_in(client: FlaskClient, username: str = "alice", **body: Any) -> dict[str, Any]:
    """Log in and return the token response."""
    response = client.post(
        "/auth/login",
        json={"username": username, "password": PASSWORDS[username], **body},
    )
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.get_json()
    return tokens


def token_of(app: Flask, username: str = "alice", **wanted: Any) -> str:
    """Return a user's access token, without a login and its hash."""
    service: SessionService = app.extensions["tokenauth"].service
    user = service.users.find(username)
    assert user is not None
    with app.app_context():
        return service.start(user, **wanted).access_token


def let_in_by_cookie(app: Flask) -> FlaskClient:
    """Give an application cookie users; return a client with alice's session cookie.

    `/cookie-login` starts a session for `name`, and a remembered one with `remember`.
    """
    users = app.extensions["tokenauth"].service.users
    app.login_manager.user_loader(users.get)  # type: ignore[attr-defined]

    @app.post("/cookie-login")
    def cookie_login() -> str:
        user = users.find(request.args["name"])
        login_user(user, remember="remember" in request.args)
        return "welcome"

    client = app.test_client()
    assert client.post("/cookie-login?name=alice&remember=1").status_code == 200
    return client


def commands(
    group: click.Group, *above: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command of a group with the words by which it is called."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield (*above, name), command


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def in_parallel(count: int, work: Callable[[], T]) -> list[T]:
    """Do something in so many threads at the same moment."""
    barrier = threading.Barrier(count)

    def start(_: int) -> T:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


def assert_problem(response: TestResponse, status: int, code: str) -> None:
    """Assert that an answer is the problem document of a code, kept by nobody."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    assert response.json is not None
    assert response.json["code"] == code
    assert response.json["status"] == status
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
