"""What one application has: built once in `init_app`, found by `current_state`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from flask import Flask, current_app

from ..accounts.password_check import PasswordChecker
from ..events import Emit
from ..sessions.inspection import TokenInspector
from ..sessions.one_time import OneTimeTokens
from ..sessions.password_login import PasswordLogin
from ..sessions.personal import PersonalTokens
from ..sessions.service import SessionService
from ..sessions.store import SessionStore
from ..sessions.verifier import TokenVerifier
from ..settings import Settings
from ..stores.provision import Stores

if TYPE_CHECKING:
    from ..accounts.throttle import LoginThrottle

KEY = "tokenauth"
"""Name in `app.extensions`, and of the endpoints' blueprint."""


class Clock:
    """The time of one application, in seconds since the epoch.

    Attributes:
        source: What tells the time instead, in tests; None: `time.time`.
    """

    def __init__(self) -> None:
        self.source: Callable[[], float] | None = None

    def __call__(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() if self.source is None else self.source()


class VerifierState(msgspec.Struct, frozen=True, kw_only=True):
    """What an application has that verifies tokens.

    Attributes:
        settings: The checked configuration.
        header_key: The WSGI name of the header that carries the token.
        clock: The application's time.
        verifier: Checks tokens.
        emit: Sends an event to the application's receivers.
    """

    settings: Settings
    header_key: str
    clock: Clock
    verifier: TokenVerifier
    emit: Emit

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class State(VerifierState, frozen=True, kw_only=True):
    """What an application has that issues tokens, too.

    Attributes:
        stores: The stores as they were given.
        sessions: The store of sessions; announces when it cannot answer.
        inspector: Says what a token of any purpose is.
        service: Starts, refreshes and revokes sessions.
        password_login: Logs in with a password, and changes passwords.
        checker: Checks passwords.
        personal: Makes personal access tokens.
        one_time: Issues and redeems one-time tokens.
        throttle: Counts attempts on passwords.
        publics: The public keys of its tokens, newest first.
    """

    stores: Stores
    sessions: SessionStore
    inspector: TokenInspector
    service: SessionService
    password_login: PasswordLogin
    checker: PasswordChecker
    personal: PersonalTokens
    one_time: OneTimeTokens
    throttle: LoginThrottle
    publics: tuple[bytes, ...]


def issuing_state() -> State | None:
    """Return the state of the current application; None if it only verifies tokens."""
    state = current_state()
    return state if isinstance(state, State) else None


def current_state() -> State:
    """Return the state of the current application.

    Where tokens are only verified it is a `VerifierState`, to all of which but
    `issuing_state` that makes no difference.

    Raises:
        RuntimeError: outside an application context, or the application has no
            `TokenAuth`.
    """
    # Each attribute of Flask's proxy takes longer than all of this.
    return state_of(current_app._get_current_object())  # type: ignore[attr-defined]


def state_of(app: Flask) -> State:
    """Return the state of an application.

    Raises:
        RuntimeError: it has no `TokenAuth`.
    """
    state: State | None = app.extensions.get(KEY)
    if state is None:
        raise RuntimeError(
            "This application has no TokenAuth: call TokenAuth(app, users) or init_app."
        )
    return state
