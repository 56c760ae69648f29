"""What one application keeps: built once in `init_app`, frozen, found by `current`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Flask, current_app

from ..accounts.password_check import PasswordChecker
from ..events import Emit
from ..sessions.one_time import OneTimeTokens
from ..sessions.personal import PersonalTokens
from ..sessions.service import SessionService
from ..sessions.verifier import TokenVerifier
from ..settings import Settings
from ..stores.provision import Stores
from ..tokens.redact import Redacted

if TYPE_CHECKING:
    from ..accounts.throttle import LoginThrottle

KEY = "tokenauth"
"""Name in `app.extensions`, and of the endpoints' blueprint."""


class State(Redacted, msgspec.Struct, frozen=True, kw_only=True):
    """The rooms of one application.

    Attributes:
        settings: What the application decided.
        stores: Where users and sessions are kept.
        authenticator: Says who a token stands for.
        authority: The desk.
        checker: Proves passwords.
        personal: Makes personal access tokens.
        once: Issues and redeems one-time tokens.
        throttle: Counts attempts on passwords.
        emit: Announces an event to the application's receivers.
        describe: Returns the API's description (OpenAPI 3.1), always the same object.
    """

    settings: Settings
    stores: Stores
    verifier: TokenVerifier
    service: SessionService
    checker: PasswordChecker
    personal: PersonalTokens
    once: OneTimeTokens
    throttle: LoginThrottle
    emit: Emit
    describe: Callable[[], dict[str, Any]]


def current() -> State:
    """Return the state of the current application.

    Raises:
        RuntimeError: outside an application context, or the application has no
            `TokenAuth`.
    """
    return of(current_app._get_current_object())  # type: ignore[attr-defined]


def of(app: Flask) -> State:
    """Return the state of an application.

    Raises:
        RuntimeError: it has no `TokenAuth`.
    """
    found: State | None = app.extensions.get(KEY)
    if found is None:
        raise RuntimeError(
            "This application has no TokenAuth: call TokenAuth(app, users) or init_app."
        )
    return found
