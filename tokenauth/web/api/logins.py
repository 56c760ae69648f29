"""The endpoints of logins and sessions."""

from __future__ import annotations

from functools import partial

from flask import request

from ... import errors
from ...sessions.issuer import TokenPair
from ...sessions.session import LOGIN, is_session_id
from ...sessions.verifier import Identity
from ...tokens.scopes import format_scopes
from .. import identity, refresh_cookie
from ..guards import require_token
from ..request import client_name, request_token, this_request, url_parameters
from ..state import current_state
from . import schemas
from .endpoint import PUBLIC, Guard, Route


def current_login() -> Identity:
    """Return the current user's login: what is left to a person, no script may do.

    Raises:
        FreshLoginRequiredError: the token is a personal access token.
        TokenRevokedError: the session has ended, which the check of the token, if it
            may lag, has not seen yet.
        AuthError: as `require_token`.
    """
    found = require_token()
    if found.session.kind != LOGIN:
        raise identity.denied(errors.FreshLoginRequiredError())
    state = current_state()
    lag, session_id = state.settings.session_check_lag, found.claims.session_id
    if lag and not state.service.active_session(session_id):
        raise errors.TokenRevokedError
    return found


def _sent_token() -> str:
    try:
        token = request_token(this_request())
    except errors.AuthError as error:
        identity.announce(error)
        raise
    if token is None:
        raise errors.TokenMissingError
    return token


_TOKEN_ERRORS = (
    errors.AmbiguousTokenError(),
    errors.TokenMissingError(),
    errors.TokenInvalidError(),
    errors.TokenExpiredError(),
    errors.TokenRevokedError(),
)
_PASSWORD_ERRORS = (
    errors.InvalidCredentialsError(),
    errors.TooManyAttemptsError(),
    errors.OverloadedError(),
)
_REFRESH_ERRORS = (
    errors.InvalidGrantError(),
    errors.InvalidScopeError(),
    errors.TooManyAttemptsError(),
)
_TOO_SHORT = errors.PasswordRefusedError("too_short", "The new password is too short.")

SENT_TOKEN = Guard(_sent_token, _TOKEN_ERRORS)
"""Whoever sends a token: the function gets its text, and checks it itself."""

TOKEN = Guard(require_token, _TOKEN_ERRORS)
"""Whoever has a token of any kind; the function gets its `Identity`."""

USER = Guard(current_login, (*_TOKEN_ERRORS, errors.FreshLoginRequiredError()))
"""As `TOKEN`, but no personal access token is enough."""


@Route("POST", "/login", PUBLIC, errors=(errors.InvalidScopeError(), *_PASSWORD_ERRORS))
def log_in(body: schemas.LoginRequest) -> TokenPair:
    """Exchange username and password for a pair of tokens."""
    if body.cookie:
        refresh_cookie.check_login()
    pair = current_state().password_login.log_in(
        body.username,
        body.password,
        scope=body.scope,
        label=body.label,
        client=client_name(this_request()),
        address=request.remote_addr,
    )
    return refresh_cookie.keep(pair) if body.cookie else pair


@Route("POST", "/refresh", PUBLIC, is_oauth=True, errors=_REFRESH_ERRORS)
def refresh(body: schemas.RefreshRequest | schemas.RefreshForm) -> TokenPair:
    """Exchange a refresh token, or that of the cookie, for the next pair of tokens."""
    try:
        pair = current_state().service.refresh(
            refresh_cookie.take(body.refresh_token),
            scope=body.scope if isinstance(body, schemas.RefreshForm) else None,
            address=request.remote_addr,
            admit=partial(identity.count_use, "refresh"),
        )
    except errors.InvalidGrantError:
        if body.refresh_token is None:
            refresh_cookie.clear()
        raise
    return refresh_cookie.keep(pair) if body.refresh_token is None else pair


@Route("POST", "/logout", SENT_TOKEN)
def log_out(token: str) -> None:
    """End the session of the token. Calling it again has no effect."""
    current_state().service.log_out(token)


@Route("GET", "/me", TOKEN)
def me(found: Identity) -> schemas.Me:
    """Return the user of the token, its scopes and its session."""
    claims = found.claims
    return schemas.Me(
        id=claims.subject,
        username=getattr(found.user, "username", None),
        scope=format_scopes(claims.scopes),
        session=schemas.session_view(found.session, current_id=claims.session_id),
    )


@Route("GET", "/sessions", USER)
def list_sessions(found: Identity) -> schemas.SessionList:
    """List the user's own sessions, newest first."""
    claims = found.claims
    sessions = current_state().service.active_sessions(claims.subject, kind=LOGIN)
    return schemas.SessionList(
        [schemas.session_view(each, current_id=claims.session_id) for each in sessions]
    )


@Route("DELETE", "/sessions/<session_id>", USER)
def end_session(found: Identity, session_id: str) -> None:
    """End one of the user's own sessions."""
    end_own(found, session_id, kind=LOGIN)


@Route("DELETE", "/sessions", USER, query={"keep": ("current",)})
def end_sessions(found: Identity) -> None:
    """End all of the user's own sessions, or all but the current one."""
    claims = found.claims
    keep = url_parameters(request, "keep")
    if keep not in ([], ["current"]):
        raise errors.InvalidRequestError("The parameter 'keep' can only be 'current'.")
    current_state().service.revoke_user(
        claims.subject, kind=LOGIN, keep=claims.session_id if keep else None
    )


@Route("POST", "/password", USER, errors=(*_PASSWORD_ERRORS, _TOO_SHORT))
def change_password(found: Identity, body: schemas.PasswordRequest) -> TokenPair:
    """Change the user's own password, and end every other session."""
    pair = current_state().password_login.change_password(
        found,
        body.current_password,
        body.new_password,
        address=request.remote_addr,
        end_tokens=body.end_tokens,
    )
    if refresh_cookie.is_of(found.claims.session_id):
        return refresh_cookie.keep(pair)
    refresh_cookie.clear_ended()
    return pair


def end_own(found: Identity, session_id: str, *, kind: str) -> None:
    """End what the user has of a kind; another's is answered as if it did not exist.

    Raises:
        NotFoundError: the user has no such session.
    """
    service, user_id = current_state().service, found.claims.subject
    is_id = is_session_id(session_id)
    session = service.active_session(session_id) if is_id else None
    if session is None or session.kind != kind:
        raise errors.NotFoundError
    if session.user_id != user_id:
        raise identity.denied(errors.NotFoundError())
    service.revoke_session(session_id, user_id=user_id)
