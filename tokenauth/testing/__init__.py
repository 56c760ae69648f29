"""For the tests of applications that use this package: log in as, stop the clock.

Nothing here works on an application that is not being tested (`TESTING`). The same as
pytest fixtures is in `tokenauth.testing.fixtures`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Final

from flask import Flask
from flask.testing import FlaskClient

from ..accounts.users import UserRecord, find_user
from ..errors import ConfigurationError
from ..web.state import State, state_of

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
        """Move it on, or back.

        Args:
            seconds: How far; negative ones move it back.
        """
        self.now += seconds


@contextmanager
def frozen_clock(app: Flask) -> Generator[Clock]:
    """Stop an application's clock at this moment, for the block.

    Args:
        app: The application.

    Returns:
        A context manager that gives the `Clock`, by which a test moves the time.

    Raises:
        ConfigurationError: the application is not being tested.

    Example:
        >>> app = example_app()
        >>> with frozen_clock(app) as clock:
        ...     client = client_as(app, "ann")
        ...     clock.move(15 * 60)
        ...     client.get("/auth/me").get_json()["code"]
        'token_expired'
    """
    clock = _state_of(app).clock
    before = clock.source
    frozen = clock.source = Clock(clock())
    try:
        yield frozen
    finally:
        clock.source = before


def client_as(
    app: Flask, user: UserRecord | str, *, scopes: Iterable[str] | None = None
) -> FlaskClient:
    """Return a client that is logged in as a user: each request carries a token.

    Args:
        app: The application.
        user: Who, or the name of who.
        scopes: What the token shall be able to do; None: all that the user may.

    Raises:
        ConfigurationError: the application is not being tested, or issues no tokens.
        LookupError: there is no user of this name.
        InvalidScopeError: the user does not have one of the scopes.
    """
    state = _state_of(app)
    if not isinstance(state, State):
        raise ConfigurationError(
            "This application only verifies tokens: log in at one that issues them."
        )
    with app.app_context():  # the application's store may need one
        found = find_user(state.stores.users, user) if isinstance(user, str) else user
        if found is None:
            raise LookupError(f"The application has no user {user!r}.")
        pair = state.service.start(found, scopes=scopes)
    client = app.test_client()
    client.environ_base[state.header_key] = f"Bearer {pair.access_token}"
    return client


def _state_of(app: Flask) -> State:
    if not app.testing:
        raise ConfigurationError("tokenauth.testing is for tests: set TESTING.")
    return state_of(app)
