"""For the tests of applications that use this package: log in as, stop the clock.

Nothing here works on an application that is not being tested (`TESTING`). The same as
pytest fixtures is in `tokenauth.testing.fixtures`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from ..accounts.users import UserRecord, UserStore, fold_username
from ..errors import ConfigurationError
from ..web import state

CHEAP_HASHING: Final = {
    "TOKENAUTH_ARGON2_MEMORY_COST": 8,
    "TOKENAUTH_ARGON2_TIME_COST": 1,
}
"""Settings under which a password hash takes microseconds; refused outside tests."""


class Clock:
    """A clock that stands still until it is moved.

    Args:
        now: Where it stands, in seconds since the epoch.
    """

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return where it stands, in seconds since the epoch."""
        return self.now

    def move(self, seconds: float) -> None:
        """Move it on, or back where seconds are negative."""
        self.now += seconds


@contextmanager
def frozen_clock(app: Flask) -> Generator[Clock]:
    """Stop an application's clock at this moment, for the block.

    Raises:
        ConfigurationError: the application is not being tested.
    """
    current = _state_of(app)
    running = current.service.now
    clock = Clock(running())
    rooms = [getattr(current, name) for name in current.__struct_fields__]
    rooms = [room for room in rooms if hasattr(room, "now")]
    try:
        for room in rooms:
            room.now = clock
        yield clock
    finally:
        for room in rooms:
            room.now = running


def client_as(
    app: Flask, user: UserRecord | str, *, scopes: Iterable[str] | None = None
) -> FlaskClient:
    """Return a client that is logged in as a user: each request carries a token.

    Args:
        app: The application.
        user: Who, or the name of who.
        scopes: What the token shall be able to do; None: all that the user may.

    Raises:
        ConfigurationError: the application is not being tested.
        LookupError: there is no user of this name.
        InvalidScopeError: the user does not have one of the scopes.
    """
    rooms = _state_of(app)
    if isinstance(user, str):
        user = _user_named(user, rooms.stores.users)
    pair = rooms.service.start(user, scopes=scopes)
    client = _TokenClient(app, app.response_class, use_cookies=True)
    client.token = pair.access_token
    return client


class _TokenClient(FlaskClient):
    """A client whose requests carry a token unless they bring their own."""

    token: str

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Send one request; see `FlaskClient.open`."""
        headers = Headers(kwargs.pop("headers", None))
        headers.setdefault("Authorization", f"Bearer {self.token}")
        return super().open(*args, headers=headers, **kwargs)


def _user_named(username: str, users: UserStore) -> UserRecord:
    folded = fold_username(username)
    user = None if folded is None else users.find(folded)
    if user is None:
        raise LookupError(f"The application has no user {username!r}.")
    return user


def _state_of(app: Flask) -> state.State:
    if not app.testing:
        raise ConfigurationError("tokenauth.testing is for tests: set TESTING.")
    with app.app_context():
        return state.current()
