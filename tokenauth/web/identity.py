"""What is known of the current request's token, kept on `g` as long as the request."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import msgspec
from flask import Flask, Request, g, has_request_context
from flask_login import current_user, logout_user

from .. import events
from ..errors import (
    AuthError,
    TokenMissingError,
    TokenRevokedError,
    TooManyAttemptsError,
)
from ..sessions.session import PERSONAL
from ..sessions.verifier import Identity
from .request import is_token_request, this_request
from .state import current_state, issuing_state

FRESH_SECONDS = 300
"""Age of a login, in seconds, up to which it counts as fresh by default."""

_OUTCOME = "_tokenauth"
_LOADING = "_tokenauth_loading"

# Where Flask-Login keeps the current user; see the list in `login`.
_USER = "_login_user"


class Outcome(msgspec.Struct, frozen=True):
    """What was found for one request.

    Attributes:
        request: The request.
        identity: Whom its token stands for; None: no token speaks for the user.
        error: Why its token was refused, or what failed.
    """

    request: Request
    identity: Identity | None = None
    error: Exception | None = None


def keep(identity: Identity | None = None, error: Exception | None = None) -> None:
    """Note what was found for the current request."""
    outcome = Outcome(this_request(), identity, error)
    setattr(g._get_current_object(), _OUTCOME, outcome)


def kept() -> Outcome | None:
    """Return what was found for the current request; None: nobody looked yet."""
    if not has_request_context():
        return None
    outcome: Outcome | None = g._get_current_object().get(_OUTCOME)
    # An outer application context is one `g` for the requests in it.
    is_ours = outcome is not None and outcome.request is this_request()
    return outcome if is_ours else None


def kept_identity() -> Identity | None:
    """Return whom the token stands for that speaks for the current user."""
    outcome = kept()
    return None if outcome is None else outcome.identity


def keep_for(user: Any) -> None:
    """Keep the token that was found only if it is this user's."""
    found = kept_identity()
    if found is None or user is None or found.user.get_id() != user.get_id():
        keep()


def forget() -> Outcome | None:
    """Take off `g` what is kept there: each request begins and ends without a user."""
    kept_here = g._get_current_object()
    kept_here.pop(_USER, None)
    outcome: Outcome | None = kept_here.pop(_OUTCOME, None)
    return outcome


def token_identity() -> Identity | None:
    """Return whom the current request's token stands for; None: it carries none.

    Raises:
        AuthError: the token is bad, or a store cannot answer.
    """
    outcome = kept()
    if outcome is None:
        bool(current_user)  # Flask-Login has it loaded
        outcome = kept()
    if outcome is None:  # somebody put a user on `g`
        return None
    if outcome.error is not None:
        raise outcome.error.with_traceback(None)
    return outcome.identity


def refusal() -> Exception:
    """Return why the current request has no user whom a token speaks for."""
    try:
        identity = token_identity()
    except Exception as error:  # noqa: BLE001 # whatever failed when it was looked for
        return error
    if identity is None and not is_token_request(this_request()):
        return TokenMissingError()
    # The user does not count as authenticated, or has logged out in this request.
    return TokenRevokedError()


def is_fresh(identity: Identity, now: float, max_age: float = FRESH_SECONDS) -> bool:
    """Return whether the password was proved at most `max_age` seconds ago."""
    proved_at = identity.claims.authenticated_at  # 0: no password was
    return proved_at > 0 and int(now) - proved_at <= max_age


@contextmanager
def loading() -> Generator[None]:
    """Note that one of the application's loaders is asked."""
    setattr(g, _LOADING, True)
    try:
        yield
    finally:
        setattr(g, _LOADING, False)


def is_loading() -> bool:
    """Return whether one of the application's loaders is asked."""
    return has_request_context() and bool(g.get(_LOADING))


def note_verified(identity: Identity) -> None:
    """Remember a token that one of the application's loaders verifies.

    Its claims then go with the user that the loader returns: a token never widens to
    all that its user may do.
    """
    if is_loading():
        keep(identity)


def log_out() -> bool:
    """End the session of the current request's token; return whether one was ended."""
    identity = token_identity()
    if identity is None:
        return False
    has_ended = end_session(identity)
    keep()  # so that `logout_user` ends nothing more
    logout_user()
    return has_ended


def end_session(identity: Identity) -> bool:
    """End the session of a token; return whether it was active until now."""
    claims, state = identity.claims, issuing_state()
    if state is None:
        raise RuntimeError(
            "This service only verifies tokens and cannot end a session: log out at "
            "the application that issued the token."
        )
    return state.service.revoke_session(claims.session_id, user_id=claims.subject)


def end_with_logout(_: Flask, **__: object) -> None:
    """End the session of the token by which `logout_user` was called."""
    found = kept_identity()
    if found is not None:
        end_session(found)


def end_request(_: Flask, **__: object) -> None:
    """Note that the request's personal access token was used, and drop its user."""
    outcome = forget()
    found = None if outcome is None else outcome.identity
    if found is None or found.session.kind != PERSONAL:
        return
    if (state := issuing_state()) is not None:
        state.personal.note_use(found.session)


def denied(error: AuthError) -> AuthError:
    """Announce that a user who is known is refused, and return the error."""
    found = kept_identity()
    current_state().emit(
        events.access_denied,
        reason=error.error_code,
        user_id=str(current_user.get_id()),
        session_id=None if found is None else found.claims.session_id,
    )
    return error


def count_use(what: str, user_id: str) -> None:
    """Count a use of an endpoint, or raise `TooManyAttemptsError` and announce it."""
    state = current_state()
    try:
        state.checker.throttle.count_use(what, user_id)
    except TooManyAttemptsError:
        state.emit(events.attempts_limited, user_id=user_id, purpose=what)
        raise


def announce(error: AuthError) -> None:
    """Announce that what was sent is no token of ours, unless nothing was sent."""
    if not isinstance(error, TokenMissingError):
        current_state().emit(events.token_refused, reason=error.error_code)
