"""Flask-Login's cookies: a login ends with the password, and when its user is revoked.

A digest of the password is kept beside the user's id: in the Flask session, and in the
remember cookie. Cookies of the time before `TokenAuth` have none and are accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Response, session

from ..errors import ConfigurationError
from .state import issuing_state

_PROOF: Final = "_tokenauth_login"
_MARK: Final = "|tokenauth|"  # between id and digest in the remember cookie

# Where Flask-Login keeps the user's id.
_ID: Final = "_user_id"


def bind(loader: Callable[[str], Any] | None, other: object, user: Any) -> None:
    """Put into the session what the cookie login that begins is checked against.

    Args:
        loader: The application's `user_loader`.
        other: Its `request_loader`.
        user: Who logs in.

    Raises:
        ConfigurationError: there is neither loader.
    """
    if loader is None and other is None:
        raise ConfigurationError(
            "Missing user_loader: login_user() sets a cookie, and nothing loads its "
            "user. Register one with 'auth.login_manager.user_loader'; for a token, "
            "call 'auth.login(user)'."
        )
    if loader is None:
        return
    # As it is loaded later: the login may have upgraded the hash in the store. A user
    # who has just registered may not be there yet.
    kept = loader(session[_ID]) or user
    state = issuing_state()  # a service that only verifies tokens has no passwords
    session[_PROOF] = None if state is None else state.service.cookie_proof(kept)


def begin() -> None:
    """Put into the session what is not accepted: until `bind`, anything may fail."""
    session[_PROOF] = ""


def unbind(_: Flask, **__: object) -> None:
    """Take the digest out of the session when Flask-Login has taken the user out."""
    if _ID not in session:
        session.pop(_PROOF, None)


def load(loader: Callable[[Any], Any], user_id: Any) -> Any:
    """Return the user of a cookie; None if its login is over."""
    if isinstance(user_id, str) and _MARK in user_id:
        user_id, _, session[_PROOF] = user_id.rpartition(_MARK)
        session[_ID] = user_id
    user, proof = loader(user_id), session.get(_PROOF)
    if user is None or proof is None:
        return user
    state = issuing_state()
    is_accepted = state is not None and state.service.accepts_cookie(user, proof)
    return user if is_accepted else None


def remember(set_cookie: Callable[[Response], None], response: Response) -> None:
    """Set the remember cookie, with the digest in it."""
    user_id, proof, was_modified = (
        session.get(_ID),
        session.get(_PROOF),
        session.modified,
    )
    if user_id is None or proof is None:
        set_cookie(response)
        return
    session[_ID] = f"{user_id}{_MARK}{proof}"
    set_cookie(response)
    session[_ID] = user_id
    session.modified = was_modified  # what a session interface saves is as without us
